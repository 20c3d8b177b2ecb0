//! 公的個人認証サービス of the town: two test authorities that certify residents, after the model of
//! JPKI.
//!
//! Confirmed of the model: the policy identifiers, that a signature certificate carries name, gender,
//! birth date and address as otherName, that the authentication certificate carries none of them,
//! and that the authority certifies itself. Serial and subject numbers, validity of five years and
//! the distribution point's address are our reading. Names say TEST.

mod responder;

use hpki::asn1::{self, constructed, oid as object, sequence, tag, tlv};
use hpki::certificate::{Certificate, KeyUsage};
use hpki::crl::Revoked;
use hpki::name::{DistinguishedName, GeneralName};
use hpki::oid::{self, ObjectIdentifier};
use hpki::policy::algorithm_identifier;
use hpki::profile::crl::{RevocationList, Scope};
use hpki::profile::{Issuer, Validity, key_identifier};
use hpki::sign::{Random, Sign, SignatureAlgorithm};
use hpki::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Refusal;
use crate::card::{CardKey, JpkiCard, Kept, KeptKey, Pin};

const POLICY_SIGN: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.392.200149.8.5.1.1.20");
const POLICY_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.392.200149.8.5.1.3.30");
/// Name, gender, birth date, address in the subjectAltName of a signature certificate.
const OTHER_NAMES: [ObjectIdentifier; 4] = [
    ObjectIdentifier::new_unwrap("1.2.392.200149.8.5.5.1"),
    ObjectIdentifier::new_unwrap("1.2.392.200149.8.5.5.3"),
    ObjectIdentifier::new_unwrap("1.2.392.200149.8.5.5.4"),
    ObjectIdentifier::new_unwrap("1.2.392.200149.8.5.5.5"),
];

/// A resident as her register entry says. Made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident<'a> {
    /// With a full-width space.
    pub name: &'a str,
    /// 1 male, 2 female, 3 not told.
    pub gender: u8,
    /// `YYYYMMDD`
    pub birth_date: &'a str,
    /// Her address; it must go nowhere but into the signature certificate.
    pub address: &'a str,
}

/// One of the two authorities.
#[derive(Debug)]
struct Authority {
    key: CardKey,
    name: DistinguishedName,
    certificate: Vec<u8>,
    arm: &'static str,
}

/// Both authorities, and who answers for that of user authentication when it is asked about a card.
#[derive(Debug)]
pub struct Jpki {
    auth: Authority,
    sign: Authority,
    responder: (CardKey, Certificate),
}

fn failed(error: impl std::fmt::Display) -> Refusal {
    Refusal::CardFailed(error.to_string())
}

fn extension(kind: &ObjectIdentifier, critical: bool, value: &[u8]) -> Vec<u8> {
    let flag = if critical { tlv(tag::BOOLEAN, &[0xff]) } else { Vec::new() };
    sequence(&[&object(kind), &flag, &tlv(tag::OCTET_STRING, value)])
}

impl Authority {
    fn found(arm: &'static str, now: Timestamp, random: &dyn Random) -> Result<Self, Refusal> {
        let name = DistinguishedName::builder()
            .country("JP")
            .organization("TEST JPKI")
            .unit(&format!("TEST JPKI for {arm}"))
            .unit("TEST Agency for Local Authority Information Systems")
            .build()
            .map_err(failed)?;
        let key = CardKey::generate().map_err(failed)?;
        let extensions = [
            extension(&oid::SUBJECT_KEY_IDENTIFIER, false, &own_identifier(key.spki_der())?),
            extension(
                &oid::KEY_USAGE,
                true,
                &KeyUsage::KEY_CERT_SIGN.and(KeyUsage::CRL_SIGN).der(),
            ),
            extension(&oid::BASIC_CONSTRAINTS, true, &sequence(&[&tlv(tag::BOOLEAN, &[0xff])])),
        ];
        let validity = Validity::authority(now.minus(86_400), 10);
        let certificate =
            certificate(&key, &name, &name, key.spki_der(), validity, &extensions, random)?;
        Ok(Self { key, name, certificate, arm })
    }

    fn issue(
        &self,
        spki_der: &[u8],
        policy: &ObjectIdentifier,
        more: &[Vec<u8>],
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<Vec<u8>, Refusal> {
        let mut number = [0; 16];
        random.fill(&mut number);
        let number: String = number.iter().map(|octet| format!("{octet:02X}")).collect();
        let subject = DistinguishedName::builder()
            .country("JP")
            .common_name(&format!("TEST{number}"))
            .build()
            .map_err(failed)?;
        let issuer = key_identifier(self.key.spki_der()).map_err(failed)?;
        let url = format!("http://jpki.test.example/crl/{}.crl", self.arm.replace(' ', "-"));
        let point = GeneralName::Uri(url).der();
        let point = constructed(tag::context_constructed(0), &[&point]);
        let point = sequence(&[&constructed(tag::context_constructed(0), &[&point])]);
        let mut extensions = vec![
            extension(
                &oid::AUTHORITY_KEY_IDENTIFIER,
                false,
                &sequence(&[&tlv(tag::context(0), &issuer)]),
            ),
            extension(&oid::SUBJECT_KEY_IDENTIFIER, false, &own_identifier(spki_der)?),
            extension(
                &oid::CERTIFICATE_POLICIES,
                true,
                &sequence(&[&sequence(&[&object(policy)])]),
            ),
            extension(&oid::CRL_DISTRIBUTION_POINTS, false, &sequence(&[&point])),
        ];
        extensions.extend_from_slice(more);
        let validity = Validity::years_from_day(now, 5);
        certificate(&self.key, &self.name, &subject, spki_der, validity, &extensions, random)
    }
}

fn own_identifier(spki_der: &[u8]) -> Result<Vec<u8>, Refusal> {
    Ok(tlv(tag::OCTET_STRING, &key_identifier(spki_der).map_err(failed)?))
}

fn certificate(
    key: &CardKey,
    issuer: &DistinguishedName,
    subject: &DistinguishedName,
    spki_der: &[u8],
    validity: Validity,
    extensions: &[Vec<u8>],
    random: &dyn Random,
) -> Result<Vec<u8>, Refusal> {
    let mut serial = [0; 8];
    random.fill(&mut serial);
    // Positive, and never shorter than its eight octets.
    serial[0] = serial[0] & 0x3f | 0x40;
    let algorithm = algorithm_identifier(SignatureAlgorithm::RsaSha256);
    let begin_end = [asn1::moment(validity.not_before), asn1::moment(validity.not_after)];
    let body = sequence(&[
        &constructed(tag::context_constructed(0), &[&asn1::number(2)]),
        &asn1::integer(&serial),
        &algorithm,
        issuer.der(),
        &sequence(&[&begin_end[0], &begin_end[1]]),
        subject.der(),
        spki_der,
        &constructed(tag::context_constructed(3), &[&sequence(&[&extensions.concat()])]),
    ]);
    let signature = key.sign(&body).map_err(failed)?;
    Ok(sequence(&[&body, &algorithm, &asn1::bit_string(&signature)]))
}

/// The authorities' keys and certificates in a file: who has it can certify residents of the town.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptJpki {
    auth: KeptKey,
    sign: KeptKey,
    responder: KeptKey,
}

/// A certificate that the authority revoked.
pub type RevokedSerial = (Vec<u8>, Revoked);

impl Jpki {
    /// The list of the authority of user authentication, DER. The town's authority keeps no books: it is
    /// told what it has revoked. After the model of HPKI's lists (RFC 5280 §5); how often the real one
    /// is issued was not at hand.
    ///
    /// # Errors
    /// `card-failed` where the list cannot be made.
    pub fn auth_list(
        &self,
        number: u64,
        revoked: &[RevokedSerial],
        now: Timestamp,
    ) -> Result<Vec<u8>, Refusal> {
        let own = Certificate::from_der(&self.auth.certificate).map_err(failed)?;
        let list = RevocationList {
            issuer: &Issuer::of(&own).map_err(failed)?,
            scope: Scope::All,
            number,
            this_update: now,
            entries: revoked,
        };
        let prepared = list.prepare().map_err(failed)?;
        let signature = self.auth.key.sign(prepared.der()).map_err(failed)?;
        Ok(prepared.assemble(&signature))
    }
}

const AUTH: &str = "user authentication";
const SIGN: &str = "digital signature";

impl Jpki {
    /// As a file.
    pub fn keep(&self) -> KeptJpki {
        let kept = |authority: &Authority| {
            KeptKey::new(&authority.key, authority.certificate.clone(), Vec::new())
        };
        let (key, certificate) = &self.responder;
        let responder = KeptKey::new(key, certificate.der().to_vec(), Vec::new());
        KeptJpki { auth: kept(&self.auth), sign: kept(&self.sign), responder }
    }

    /// From that file.
    ///
    /// # Errors
    /// `card-failed` for a damaged file.
    pub fn again(kept: &KeptJpki) -> Result<Self, Refusal> {
        let authority = |kept: &KeptKey, arm| -> Result<Authority, Refusal> {
            let certificate = kept.certificate()?;
            let name = Certificate::from_der(&certificate).map_err(failed)?.subject().clone();
            Ok(Authority { key: kept.key()?, name, certificate, arm })
        };
        let answers = Certificate::from_der(&kept.responder.certificate()?).map_err(failed)?;
        Ok(Self {
            auth: authority(&kept.auth, AUTH)?,
            sign: authority(&kept.sign, SIGN)?,
            responder: (kept.responder.key()?, answers),
        })
    }

    /// Two authorities with keys of their own.
    ///
    /// # Errors
    /// `card-failed`
    pub fn found(now: Timestamp, random: &dyn Random) -> Result<Self, Refusal> {
        let auth = Authority::found(AUTH, now, random)?;
        let responder = auth.responder(now, random)?;
        Ok(Self { auth, sign: Authority::found(SIGN, now, random)?, responder })
    }

    /// The certificates of the authorities: authentication, signature.
    pub fn certificates(&self) -> [&[u8]; 2] {
        [&self.auth.certificate, &self.sign.certificate]
    }

    /// A card for this resident, with keys made inside it.
    ///
    /// # Errors
    /// `card-failed`
    pub fn card(
        &self,
        resident: &Resident<'_>,
        auth_pin: &str,
        sign_pin: &str,
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<Kept, Refusal> {
        let (auth_key, sign_key) =
            (CardKey::generate().map_err(failed)?, CardKey::generate().map_err(failed)?);
        let usage = [extension(&oid::KEY_USAGE, true, &KeyUsage::DIGITAL_SIGNATURE.der())];
        let auth = self.auth.issue(auth_key.spki_der(), &POLICY_AUTH, &usage, now, random)?;
        let gender = resident.gender.to_string();
        let told = [resident.name, &gender, resident.birth_date, resident.address];
        let names = OTHER_NAMES.iter().zip(told).map(|(kind, text)| {
            let text = tlv(tag::UTF8_STRING, text.as_bytes());
            let value = constructed(tag::context_constructed(0), &[&text]);
            constructed(tag::context_constructed(0), &[&object(kind), &value])
        });
        let names: Vec<Vec<u8>> = names.collect();
        let more = [
            extension(
                &oid::KEY_USAGE,
                true,
                &KeyUsage::DIGITAL_SIGNATURE.and(KeyUsage::NON_REPUDIATION).der(),
            ),
            extension(&oid::SUBJECT_ALT_NAME, false, &sequence(&[&names.concat()])),
        ];
        let sign = self.sign.issue(sign_key.spki_der(), &POLICY_SIGN, &more, now, random)?;
        Ok(Kept::Jpki {
            auth: KeptKey::new(&auth_key, auth, vec![self.auth.certificate.clone()]),
            sign: KeptKey::new(&sign_key, sign, vec![self.sign.certificate.clone()]),
            auth_pin: Pin::new(auth_pin, JpkiCard::AUTH_TRIES),
            sign_pin: Pin::new(sign_pin, JpkiCard::SIGN_TRIES),
        })
    }
}
