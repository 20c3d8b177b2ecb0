//! Attestation statements (§8): what the authenticator's maker says about the credential.

use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ED25519,
    UnparsedPublicKey, VerificationAlgorithm,
};
use ciborium::Value;
use der::{Decode, Encode};
use serde::{Deserialize, Serialize};
use x509_cert::Certificate;
use x509_cert::certificate::Version;

use super::auth_data::Attested;
use super::cbor::{integer, member};
use super::cose::{Algorithm, PublicKey};
use crate::refusal::Refusal;

/// What an attestation said, as far as we judged it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "kebab-case")]
pub enum Attestation {
    /// `none`: nothing was said.
    None,
    /// `packed` without certificates: the credential's own key signed. Verified.
    PackedSelf,
    /// `packed` with certificates: the first certificate's key signed. The signature was verified;
    /// whether the certificates lead to a maker that anybody trusts is [`super::Makers`]' question.
    Packed {
        /// The authenticator's model, as it says.
        #[serde(with = "crate::b64")]
        aaguid: [u8; 16],
        /// The certificates, the authenticator's own first.
        chain: Vec<Der>,
    },
    /// Another format, e.g. `tpm`, `android-key`, `apple`, `fido-u2f`: not evaluated.
    NotEvaluated {
        /// Its name.
        name: String,
    },
}

/// A certificate, DER.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Der(#[serde(with = "crate::b64")] pub Vec<u8>);

/// Formats that exist (IANA WebAuthn Attestation Statement Format Identifiers).
const KNOWN: [&str; 6] =
    ["tpm", "android-key", "android-safetynet", "fido-u2f", "apple", "compound"];

/// id-fido-gen-ce-aaguid (§8.2.1).
const AAGUID: &str = "1.3.6.1.4.1.45724.1.1.4";

/// Judges the attestation statement. `signed` is authenticatorData ‖ SHA-256(clientDataJSON).
pub(crate) fn judge(
    format: &str,
    statement: &Value,
    attested: &Attested<'_>,
    key: &PublicKey,
    signed: &[u8],
) -> Result<Attestation, Refusal> {
    match format {
        "none" => match statement.as_map() {
            Some(members) if members.is_empty() => Ok(Attestation::None),
            _ => Err(Refusal::AttestationWrong("none says something")),
        },
        "packed" => packed(statement, attested, key, signed),
        other if KNOWN.contains(&other) => Ok(Attestation::NotEvaluated { name: other.into() }),
        _ => Err(Refusal::AttestationWrong("unknown format")),
    }
}

/// §8.2.
fn packed(
    statement: &Value,
    attested: &Attested<'_>,
    key: &PublicKey,
    signed: &[u8],
) -> Result<Attestation, Refusal> {
    let wrong = Refusal::AttestationWrong;
    let number = member(statement, "alg").and_then(integer).ok_or(wrong("packed without alg"))?;
    let signature =
        member(statement, "sig").and_then(Value::as_bytes).ok_or(wrong("packed without sig"))?;
    let Some(chain) = member(statement, "x5c") else {
        if number != key.algorithm.number() {
            return Err(wrong("self attestation by another algorithm"));
        }
        if !key.verifies(signed, signature) {
            return Err(wrong("self attestation signature"));
        }
        return Ok(Attestation::PackedSelf);
    };
    let chain: Option<Vec<Der>> = chain
        .as_array()
        .and_then(|chain| chain.iter().map(|der| der.as_bytes().cloned().map(Der)).collect());
    let chain = chain.ok_or(wrong("x5c is no list of certificates"))?;
    let Some(Der(der)) = chain.first() else { return Err(wrong("x5c is empty")) };
    let certificate = Certificate::from_der(der).map_err(|_| wrong("x5c is no certificate"))?;
    fits_packed(&certificate, attested)?;
    let spki = certificate
        .tbs_certificate()
        .subject_public_key_info()
        .to_der()
        .map_err(|_| wrong("x5c has no public key"))?;
    let verifier: &'static dyn VerificationAlgorithm = match Algorithm::from_number(number)? {
        Algorithm::Es256 => &ECDSA_P256_SHA256_ASN1,
        Algorithm::Es384 => &ECDSA_P384_SHA384_ASN1,
        Algorithm::Es512 => &ECDSA_P521_SHA512_ASN1,
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::EdDsa => &ED25519,
    };
    UnparsedPublicKey::new(verifier, &spki)
        .verify(signed, signature)
        .map_err(|_| wrong("signature of the attestation certificate"))?;
    Ok(Attestation::Packed { aaguid: attested.aaguid, chain })
}

/// §8.2.1: what a packed attestation certificate must look like.
fn fits_packed(certificate: &Certificate, attested: &Attested<'_>) -> Result<(), Refusal> {
    let wrong = Refusal::AttestationWrong;
    let tbs = certificate.tbs_certificate();
    if tbs.version() != Version::V3 {
        return Err(wrong("certificate version"));
    }
    let unit = tbs.subject().iter().any(|attribute| {
        attribute.oid.to_string() == "2.5.4.11"
            && attribute.value.value() == b"Authenticator Attestation"
    });
    if !unit {
        return Err(wrong("certificate subject"));
    }
    let mut end_entity = false;
    for extension in tbs.extensions().into_iter().flatten() {
        match extension.extn_id.to_string().as_str() {
            "2.5.29.19" => {
                let constraints = x509_cert::ext::pkix::BasicConstraints::from_der(
                    extension.extn_value.as_bytes(),
                )
                .map_err(|_| wrong("certificate constraints"))?;
                end_entity = !constraints.ca;
            }
            AAGUID => {
                // An OCTET STRING of sixteen octets inside the extension value.
                let value = extension.extn_value.as_bytes();
                if extension.critical || value.strip_prefix(&[4, 16]) != Some(&attested.aaguid[..])
                {
                    return Err(wrong("certificate AAGUID"));
                }
            }
            _ => {}
        }
    }
    if end_entity { Ok(()) } else { Err(wrong("certificate is an authority's")) }
}
