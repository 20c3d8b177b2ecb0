//! Judging our own work: what is about to be signed is read back and held against its profile, and
//! what came back from the key device is held against what was sent there.
//!
//! This reads with the same parser that judges strangers' certificates and shares no code with the
//! profiles that write, so a slip in one is caught by the other.

use const_oid::ObjectIdentifier;

use crate::certificate::{Certificate, Extension, KeyUsage};
use crate::crl::Crl;
use crate::name::GeneralName;
use crate::oid;
use crate::policy;
use crate::profile::{Profile, ToBeSigned};
use crate::refusal::Refusal;
use crate::time::Timestamp;

type Verdict = Result<(), Refusal>;

/// Holds what is about to be signed against its profile.
pub fn prepared(prepared: &ToBeSigned) -> Verdict {
    // The signature does not matter here, only that there is one to parse around.
    let trial = prepared.assemble(&[0]);
    if prepared.profile().is_list() {
        list(&Crl::from_der(&trial)?, prepared)
    } else {
        certificate(&Certificate::from_der(&trial)?, prepared)
    }
}

/// The certificate that came of what was prepared: the same octets to be signed, and a signature
/// that verifies under the issuer's key.
pub fn issued(
    prepared: &ToBeSigned,
    der: &[u8],
    issuer_spki: &[u8],
) -> Result<Certificate, Refusal> {
    let made = Certificate::from_der(der)?;
    if made.tbs() != prepared.der() {
        return Err(Refusal::NotAsProfiled("another certificate was signed"));
    }
    certificate(&made, prepared)?;
    policy::verify(prepared.algorithm(), issuer_spki, made.tbs(), made.signature())
        .map_err(|_| Refusal::CertificateSignatureWrong(made.subject().to_string()))?;
    Ok(made)
}

/// The list that came of what was prepared; as [`issued`].
pub fn issued_list(prepared: &ToBeSigned, der: &[u8], issuer_spki: &[u8]) -> Result<Crl, Refusal> {
    let made = Crl::from_der(der)?;
    if made.tbs() != prepared.der() {
        return Err(Refusal::NotAsProfiled("another list was signed"));
    }
    list(&made, prepared)?;
    policy::verify(prepared.algorithm(), issuer_spki, made.tbs(), made.signature())
        .map_err(|_| Refusal::CrlSignatureWrong(made.issuer().to_string()))?;
    Ok(made)
}

const YES: bool = true;
const NO: bool = false;

/// The extensions of each profile, all of them and in their order: which, and whether critical.
fn layout(profile: Profile) -> &'static [(ObjectIdentifier, bool)] {
    match profile {
        Profile::Root => &[
            (oid::SUBJECT_KEY_IDENTIFIER, NO),
            (oid::KEY_USAGE, YES),
            (oid::SUBJECT_ALT_NAME, NO),
            (oid::BASIC_CONSTRAINTS, YES),
            (oid::CRL_DISTRIBUTION_POINTS, NO),
        ],
        Profile::SubCa => &[
            (oid::AUTHORITY_KEY_IDENTIFIER, NO),
            (oid::SUBJECT_KEY_IDENTIFIER, NO),
            (oid::KEY_USAGE, YES),
            (oid::BASIC_CONSTRAINTS, YES),
            (oid::CRL_DISTRIBUTION_POINTS, NO),
            (oid::CERTIFICATE_POLICIES, YES),
        ],
        Profile::SigningMedis | Profile::AuthenticationMedis => &[
            (oid::AUTHORITY_KEY_IDENTIFIER, NO),
            (oid::SUBJECT_KEY_IDENTIFIER, NO),
            (oid::KEY_USAGE, YES),
            (oid::SUBJECT_ALT_NAME, NO),
            (oid::CRL_DISTRIBUTION_POINTS, NO),
            (oid::SUBJECT_DIRECTORY_ATTRIBUTES, NO),
            (oid::CERTIFICATE_POLICIES, YES),
        ],
        Profile::SigningJma | Profile::AuthenticationJma => &[
            (oid::AUTHORITY_KEY_IDENTIFIER, NO),
            (oid::SUBJECT_KEY_IDENTIFIER, NO),
            (oid::KEY_USAGE, YES),
            (oid::CRL_DISTRIBUTION_POINTS, NO),
            (oid::SUBJECT_DIRECTORY_ATTRIBUTES, NO),
            (oid::CERTIFICATE_POLICIES, YES),
        ],
        Profile::TlsCa => &[
            (oid::SUBJECT_KEY_IDENTIFIER, NO),
            (oid::KEY_USAGE, YES),
            (oid::BASIC_CONSTRAINTS, YES),
        ],
        Profile::FacilityTls | Profile::TlsServer => &[
            (oid::AUTHORITY_KEY_IDENTIFIER, NO),
            (oid::SUBJECT_KEY_IDENTIFIER, NO),
            (oid::KEY_USAGE, YES),
            (oid::EXTENDED_KEY_USAGE, NO),
            (oid::SUBJECT_ALT_NAME, NO),
            (oid::CRL_DISTRIBUTION_POINTS, NO),
        ],
        Profile::Crl => &[(oid::AUTHORITY_KEY_IDENTIFIER, NO), (oid::CRL_NUMBER, NO)],
        Profile::AuthorityCrl => &[
            (oid::AUTHORITY_KEY_IDENTIFIER, NO),
            (oid::CRL_NUMBER, NO),
            (oid::ISSUING_DISTRIBUTION_POINT, YES),
        ],
    }
}

fn extensions_fit(found: &[Extension], profile: Profile) -> Verdict {
    let expected = layout(profile);
    // An authentication certificate may also say that it is for TLS clients.
    let authentication =
        matches!(profile, Profile::AuthenticationMedis | Profile::AuthenticationJma);
    let optional = |extension: &&Extension| {
        authentication && extension.oid == oid::EXTENDED_KEY_USAGE && !extension.critical
    };
    let found: Vec<&Extension> = found.iter().filter(|one| !optional(one)).collect();
    let fits = found.len() == expected.len()
        && found.iter().zip(expected).all(|(extension, (oid, critical))| {
            extension.oid == *oid && extension.critical == *critical
        });
    must(fits, "extensions, their order or their criticality")
}

fn must(holds: bool, rule: &'static str) -> Verdict {
    if holds { Ok(()) } else { Err(Refusal::NotAsProfiled(rule)) }
}

fn certificate(made: &Certificate, prepared: &ToBeSigned) -> Verdict {
    let profile = prepared.profile();
    must(!profile.is_list(), "a certificate where a list was prepared")?;
    let algorithm = policy::in_certificates(made.signature_algorithm(), made.not_before())?;
    must(algorithm == prepared.algorithm().into(), "signature algorithm")?;
    policy::check_key(made.spki_der(), made.not_before())?;
    must(made.not_before() < made.not_after(), "validity")?;
    must(!made.subject().is_empty() && !made.issuer().is_empty(), "names")?;
    must(!made.serial().iter().all(|octet| *octet == 0), "a serial number is positive")?;
    extensions_fit(made.extensions(), profile)?;

    let self_signed = matches!(profile, Profile::Root | Profile::TlsCa);
    must((made.issuer() == made.subject()) == self_signed, "who issues whom")?;
    if let Some(aki) = made.aki() {
        must(
            aki.key_id.is_some() && aki.issuer.is_some() && aki.serial.is_some(),
            "the authority key identifier has three parts",
        )?;
    }
    must(made.ski().is_some_and(|id| id.len() == 20), "the key identifier has 160 bits")?;

    match profile {
        Profile::Root | Profile::SubCa | Profile::TlsCa => authority(made)?,
        Profile::SigningMedis | Profile::SigningJma => {
            must(made.key_usage() == Some(KeyUsage::NON_REPUDIATION), "non-repudiation only")?;
            person(made, profile == Profile::SigningJma)?;
        }
        Profile::AuthenticationMedis | Profile::AuthenticationJma => {
            must(made.key_usage() == Some(KeyUsage::DIGITAL_SIGNATURE), "digital signature only")?;
            let purposes = made.extended_key_usage();
            must(purposes.is_none_or(|found| found == [oid::CLIENT_AUTH]), "TLS client at most")?;
            person(made, profile == Profile::AuthenticationJma)?;
        }
        _ => tls(made, profile)?,
    }
    if profile == Profile::SubCa {
        one_policy(made)?;
    }
    Ok(())
}

fn authority(made: &Certificate) -> Verdict {
    must(made.is_ca(), "an authority says that it is one")?;
    let usage = KeyUsage::KEY_CERT_SIGN.and(KeyUsage::CRL_SIGN);
    must(made.key_usage() == Some(usage), "an authority signs certificates and lists only")
}

fn one_policy(made: &Certificate) -> Verdict {
    let [policy] = made.policies() else {
        return must(false, "exactly one certificate policy");
    };
    must(*policy != oid::ANY_POLICY, "no open certificate policy")
}

fn person(made: &Certificate, jma: bool) -> Verdict {
    must(!made.is_ca(), "a subscriber is no authority")?;
    let qualification = made.qualification();
    must(qualification.is_some(), "a known qualification")?;
    one_policy(made)?;
    must(made.crl_urls().len() == 1, "one address of the revocation list")?;
    must(is_jst_midnight(made.not_before()), "validity begins at Japanese midnight")?;
    must(is_jst_midnight(made.not_after().plus(1)), "validity ends with a Japanese day")?;
    let subject = made.subject();
    must(
        subject.get(oid::COUNTRY) == Some("JP")
            && subject.common_name().is_some()
            && subject.serial_number().is_some(),
        "country, name and number of the subject",
    )?;
    if jma {
        return must(
            made.organization().is_none() && made.subject_alt_name().is_empty(),
            "no organisation and no alternative name",
        );
    }
    let [GeneralName::Directory(japanese)] = made.subject_alt_name() else {
        return must(false, "one Japanese name");
    };
    must(
        japanese.serial_number() == subject.serial_number() && japanese.common_name().is_some(),
        "the Japanese name is that of the subject",
    )?;
    let administrator = qualification.is_some_and(|role| role.is_administrator());
    must(
        !administrator
            || (made.organization().is_some()
                && subject.get(oid::ORGANIZATIONAL_UNIT) == Some("Director")),
        "an administrator's certificate names the institution",
    )
}

fn is_jst_midnight(at: Timestamp) -> bool {
    at.jst_midnight() == at
}

fn tls(made: &Certificate, profile: Profile) -> Verdict {
    must(made.key_usage() == Some(KeyUsage::DIGITAL_SIGNATURE), "digital signature only")?;
    must(!made.is_ca(), "a TLS peer is no authority")?;
    let purpose = if profile == Profile::FacilityTls { oid::CLIENT_AUTH } else { oid::SERVER_AUTH };
    must(made.extended_key_usage() == Some(&[purpose]), "one purpose")?;
    if profile == Profile::FacilityTls {
        let name = crate::profile::facility_tls::GatewayName::of(made);
        must(name.is_some(), "facility and gateway in one URI")?;
    }
    Ok(())
}

fn list(made: &Crl, prepared: &ToBeSigned) -> Verdict {
    let profile = prepared.profile();
    must(profile.is_list(), "a list where a certificate was prepared")?;
    let algorithm = policy::in_certificates(made.signature_algorithm(), made.this_update())?;
    must(algorithm == prepared.algorithm().into(), "signature algorithm")?;
    must(made.unknown_critical().is_none(), "critical extensions")?;
    extensions_fit(made.extensions(), profile)?;
    must(
        made.next_update().is_some_and(|next| {
            next.since(made.this_update()) == crate::profile::crl::NEXT_UPDATE_S
        }),
        "the next list follows within 96 hours",
    )?;
    if let Some(aki) = made.aki() {
        must(
            aki.key_id.is_some() && aki.issuer.is_some() && aki.serial.is_some(),
            "the authority key identifier has three parts",
        )?;
    }
    let mut earlier: Option<&[u8]> = None;
    for (serial, _) in made.entries() {
        must(earlier != Some(serial), "a certificate is listed once")?;
        earlier = Some(serial);
    }
    if profile == Profile::AuthorityCrl {
        let idp = made.idp().cloned().unwrap_or_default();
        must(
            idp.only_ca_certificates
                && matches!(idp.names.as_slice(), [GeneralName::Directory(_)])
                && !idp.indirect
                && !idp.only_some_reasons
                && !idp.only_user_certificates,
            "a root's list covers authorities of one directory name",
        )?;
    }
    Ok(())
}
