//! Whose authenticators may be linked, where an operator wants to know: makers, each by the roots
//! of its attestation certificates, and by models (AAGUID) if not all of them are meant.
//!
//! A model's number alone is anybody's claim: it counts only under a certificate that leads to its
//! maker's root. Phones' own passkeys mostly come without an attestation, so a list of makers is a
//! list of security keys and of phones that an institution manages.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, UnparsedPublicKey,
    VerificationAlgorithm,
};
use der::{Decode, Encode};
use hpki::time::Timestamp;
use x509_cert::Certificate;
use x509_cert::ext::pkix::BasicConstraints;

use super::Attestation;
use crate::refusal::Refusal;

/// The longest chain of attestation certificates, the root not counted.
const LONGEST: usize = 4;

/// An authenticator's model (§5.8.2): sixteen octets, written like a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aaguid(pub [u8; 16]);

impl FromStr for Aaguid {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let groups: Vec<&str> = text.split('-').collect();
        if groups.iter().map(|group| group.len()).ne([8, 4, 4, 4, 12]) {
            return Err(());
        }
        let mut octets = [0; 16];
        let digits = groups.concat();
        for (place, octet) in octets.iter_mut().enumerate() {
            let pair = digits.get(2 * place..2 * place + 2).ok_or(())?;
            if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(());
            }
            *octet = u8::from_str_radix(pair, 16).map_err(|_| ())?;
        }
        Ok(Self(octets))
    }
}

/// A maker whose authenticators may be linked.
#[derive(Clone)]
pub struct Maker {
    /// What people call it.
    pub name: String,
    roots: Vec<Certificate>,
    models: Vec<Aaguid>,
}

impl fmt::Debug for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maker").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Maker {
    /// A maker by its root certificates (DER). Without models, all of its models are meant.
    ///
    /// # Errors
    /// `attestation-wrong` where a root is no certificate, or there is none.
    pub fn new(name: &str, roots: &[Vec<u8>], models: Vec<Aaguid>) -> Result<Self, Refusal> {
        let roots: Result<Vec<_>, _> = roots.iter().map(|der| Certificate::from_der(der)).collect();
        let roots = roots.map_err(|_| Refusal::AttestationWrong("a maker's root"))?;
        if roots.is_empty() {
            return Err(Refusal::AttestationWrong("a maker without a root"));
        }
        Ok(Self { name: name.to_owned(), roots, models })
    }

    fn made(&self, aaguid: Aaguid, chain: &[Certificate], at: Timestamp) -> bool {
        (self.models.is_empty() || self.models.contains(&aaguid))
            && self.roots.iter().any(|root| leads_to(chain, root, at))
    }
}

/// Which makers' authenticators may be linked. Without any: every authenticator's.
#[derive(Debug, Clone, Default)]
pub struct Makers(Vec<Maker>);

impl Makers {
    /// Only these.
    pub fn only(makers: Vec<Maker>) -> Self {
        Self(makers)
    }

    /// Whether authenticators are asked who made them.
    pub fn are_listed(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether an authenticator with this attestation may be linked now.
    ///
    /// # Errors
    /// `attestation-missing` where makers are listed and it says nothing that can be judged;
    /// `authenticator-not-listed` where it is another's, or its certificates lead to no listed root.
    pub fn judge(&self, attestation: &Attestation, at: Timestamp) -> Result<(), Refusal> {
        if !self.are_listed() {
            return Ok(());
        }
        let Attestation::Packed { aaguid, chain } = attestation else {
            return Err(Refusal::AttestationMissing);
        };
        let read = |der: &super::attestation::Der| Certificate::from_der(&der.0);
        let chain: Result<Vec<_>, _> = chain.iter().take(LONGEST + 1).map(read).collect();
        let chain = chain.map_err(|_| Refusal::AttestationWrong("x5c is no certificate"))?;
        if chain.len() > LONGEST {
            return Err(Refusal::AuthenticatorNotListed);
        }
        match self.0.iter().any(|maker| maker.made(Aaguid(*aaguid), &chain, at)) {
            true => Ok(()),
            false => Err(Refusal::AuthenticatorNotListed),
        }
    }
}

/// Whether each certificate is signed by the next, the last by the root (which may itself stand at
/// the end), all of them in force, and everyone that signs is an authority.
fn leads_to(chain: &[Certificate], root: &Certificate, at: Timestamp) -> bool {
    let chain = match chain.split_last() {
        Some((last, others)) if last == root => others,
        _ => chain,
    };
    let signers = chain.iter().skip(1).chain(std::iter::once(root));
    !chain.is_empty()
        && in_force(root, at)
        && chain.iter().zip(signers).all(|(certificate, signer)| {
            in_force(certificate, at) && is_authority(signer) && signed_by(certificate, signer)
        })
}

fn in_force(certificate: &Certificate, at: Timestamp) -> bool {
    let validity = certificate.tbs_certificate().validity();
    let seconds = |time: &x509_cert::time::Time| time.to_unix_duration().as_secs();
    (seconds(&validity.not_before)..=seconds(&validity.not_after)).contains(&at.seconds())
}

fn is_authority(certificate: &Certificate) -> bool {
    let extensions = certificate.tbs_certificate().extensions();
    extensions.into_iter().flatten().any(|extension| {
        extension.extn_id.to_string() == "2.5.29.19"
            && BasicConstraints::from_der(extension.extn_value.as_bytes())
                .is_ok_and(|constraints| constraints.ca)
    })
}

fn signed_by(certificate: &Certificate, signer: &Certificate) -> bool {
    let named = certificate.tbs_certificate().issuer() == signer.tbs_certificate().subject();
    let key = signer.tbs_certificate().subject_public_key_info();
    let (Ok(key), Ok(signed), Some(signature)) =
        (key.to_der(), certificate.tbs_certificate().to_der(), certificate.signature().as_bytes())
    else {
        return false;
    };
    // The curve is the signer's key's: of the two that fit, at most one verifies.
    let algorithms: &[&'static dyn VerificationAlgorithm] =
        match certificate.signature_algorithm().oid.to_string().as_str() {
            "1.2.840.10045.4.3.2" => &[&ECDSA_P256_SHA256_ASN1, &ECDSA_P384_SHA256_ASN1],
            "1.2.840.10045.4.3.3" => &[&ECDSA_P256_SHA384_ASN1, &ECDSA_P384_SHA384_ASN1],
            "1.2.840.113549.1.1.11" => &[&RSA_PKCS1_2048_8192_SHA256],
            "1.2.840.113549.1.1.12" => &[&RSA_PKCS1_2048_8192_SHA384],
            "1.3.101.112" => &[&ED25519],
            _ => &[],
        };
    named
        && algorithms.iter().any(|algorithm| {
            UnparsedPublicKey::new(*algorithm, &key).verify(&signed, signature).is_ok()
        })
}
