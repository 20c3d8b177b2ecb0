//! OpenSSL as a foreign judge of the certificates and lists that the profiles make.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::process::Command;

use hpki::crl::{Reason, Revoked};
use hpki::profile::Validity;
use hpki::profile::crl::Scope;
use support::{estate, keys, now};

const POLICY: &str = "1.2.392.100495.1.5.1.1.3.1";

fn openssl(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("openssl").current_dir(folder).args(arguments).output();
    let output = output.expect("openssl must be installed: it judges our certificates");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn verify(folder: &Path, sub_ca: &str, own_list: &str, leaf: &str) -> (bool, String) {
    verify_for(POLICY, folder, sub_ca, own_list, leaf)
}

fn verify_for(
    policy: &str,
    folder: &Path,
    sub_ca: &str,
    own_list: &str,
    leaf: &str,
) -> (bool, String) {
    let at = now().plus(3600).seconds().to_string();
    openssl(
        folder,
        &[
            "verify",
            "-x509_strict",
            "-crl_check_all",
            "-attime",
            &at,
            "-policy",
            policy,
            "-explicit_policy",
            "-CAfile",
            "root.pem",
            "-untrusted",
            sub_ca,
            "-CRLfile",
            "rarl.crl.pem",
            "-CRLfile",
            "sarl.crl.pem",
            "-CRLfile",
            own_list,
            leaf,
        ],
    )
}

#[test]
fn openssl_accepts_both_layouts_with_all_lists_and_an_explicit_policy() {
    let folder = tempfile::tempdir().unwrap();
    estate().write(folder.path());
    for (sub_ca, list, leaf) in
        [("medis.pem", "medis.crl.pem", "doctor.pem"), ("jma.pem", "jma.crl.pem", "pharmacist.pem")]
    {
        let (accepted, text) = verify(folder.path(), sub_ca, list, leaf);
        assert!(accepted, "{text}");
    }
}

#[test]
fn openssl_accepts_a_cards_certificate_under_the_policy_of_authentication_alone() {
    let folder = tempfile::tempdir().unwrap();
    estate().write(folder.path());
    let arm = hpki::oid::POLICY_AUTHENTICATION.to_string();
    for (sub_ca, list, leaf) in [
        ("medis-auth.pem", "medis-auth.crl.pem", "doctor-card.pem"),
        ("jma-auth.pem", "jma-auth.crl.pem", "pharmacist-card.pem"),
    ] {
        let (accepted, text) = verify_for(&arm, folder.path(), sub_ca, list, leaf);
        assert!(accepted, "{text}");
        let (accepted, text) = verify(folder.path(), sub_ca, list, leaf);
        assert!(!accepted && text.contains("no explicit policy"), "{text}");
    }
}

#[test]
fn openssl_needs_every_list_and_sees_a_revoked_certificate() {
    let folder = tempfile::tempdir().unwrap();
    estate().write(folder.path());
    let (accepted, text) = verify(folder.path(), "medis.pem", "jma.crl.pem", "doctor.pem");
    assert!(!accepted && text.contains("unable to get certificate CRL"), "{text}");

    let revoked = Revoked { at: now().minus(60), reason: Reason::CessationOfOperation };
    let entries = [(estate().doctor.serial().to_vec(), revoked)];
    let list = support::list(&estate().medis, &keys().medis, Scope::All, now(), &entries);
    std::fs::write(folder.path().join("medis.crl.pem"), list.pem()).unwrap();
    let (accepted, text) = verify(folder.path(), "medis.pem", "medis.crl.pem", "doctor.pem");
    assert!(!accepted && text.contains("certificate revoked"), "{text}");
}

#[test]
fn openssl_refuses_a_test_policy_under_a_production_authority() {
    let folder = tempfile::tempdir().unwrap();
    estate().write(folder.path());
    let validity = Validity::years_from_day(now(), 5);
    let oid = hpki::oid::POLICY_SIGNING_TEST;
    let leaf = support::doctor_of(oid, &estate().medis, &keys().medis, validity);
    std::fs::write(folder.path().join("doctor.pem"), leaf.pem()).unwrap();
    let (accepted, text) = verify(folder.path(), "medis.pem", "medis.crl.pem", "doctor.pem");
    assert!(!accepted && text.contains("no explicit policy"), "{text}");
}

#[test]
fn openssl_accepts_the_tls_certificates_for_their_one_purpose() {
    let folder = tempfile::tempdir().unwrap();
    estate().write(folder.path());
    let at = now().plus(3600).seconds().to_string();
    for (purpose, leaf, expected) in [
        ("sslclient", "gateway.pem", true),
        ("sslserver", "gateway.pem", false),
        ("sslserver", "server.pem", true),
        ("sslclient", "server.pem", false),
    ] {
        let arguments = [
            "verify",
            "-x509_strict",
            "-crl_check",
            "-attime",
            &at,
            "-purpose",
            purpose,
            "-CAfile",
            "tls-ca.pem",
            "-CRLfile",
            "tls.crl.pem",
            leaf,
        ];
        let (accepted, text) = openssl(folder.path(), &arguments);
        assert_eq!(accepted, expected, "{purpose} {leaf}: {text}");
    }
}

#[test]
fn openssl_shows_the_role_in_the_certificate() {
    let folder = tempfile::tempdir().unwrap();
    estate().write(folder.path());
    let (_, text) = openssl(folder.path(), &["asn1parse", "-in", "doctor.pem"]);
    let vector = "303430320606288185420001312831263024A0223120A00C060A2A830886910F01060101A2100C0E4D65646963616C20446F63746F72";
    assert!(text.contains(vector), "{text}");
    assert!(text.contains("X509v3 Subject Directory Attributes"), "{text}");
}
