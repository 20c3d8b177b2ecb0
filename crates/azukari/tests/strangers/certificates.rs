//! OpenSSL and pkilint judge certificates and revocation lists.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::support::*;

/// Who signed, with the CA and the string of the qualification.
const SIGNERS: [(&str, &str, &str); 2] = [
    ("physician.pem", "ca-jma.pem", "Medical Doctor"),
    ("pharmacist.pem", "ca-medis.pem", "Pharmacist"),
];
/// The extension values of domain facts §1.5, taken from real certificates.
const MEDICAL_DOCTOR: &str = "303430320606288185420001312831263024A0223120A00C060A2A830886910F01060101A2100C0E4D65646963616C20446F63746F72";
const PHARMACIST: &str = "3030302E0606288185420001312431223020A01E311CA00C060A2A830886910F01060101A20C0C0A506861726D6163697374";

pub(crate) fn openssl<A: AsRef<std::ffi::OsStr>>(arguments: &[A]) -> Ran {
    judge("openssl", arguments)
}

/// These lists in one PEM file, as `openssl verify` wants them.
pub(crate) fn lists_of(name: &str, wanted: &[&str]) -> PathBuf {
    let mut text = String::new();
    for list in wanted {
        let file = paper(&format!("crl/{list}.crl"));
        let ran = openssl(&[
            "crl".as_ref(),
            "-inform".as_ref(),
            "DER".as_ref(),
            "-in".as_ref(),
            file.as_os_str(),
        ]);
        assert!(ran.well() && ran.out.contains("BEGIN X509 CRL"), "{ran:?}");
        text.push_str(&ran.out);
    }
    let file = scratch(&format!("lists-{name}")).join("lists.pem");
    std::fs::write(&file, text).unwrap();
    file
}

fn all_lists() -> PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| lists_of("all", &["rarl", "sarl", "jma", "jpa", "medis"])).clone()
}

fn chain(leaf: &str, authority: &str, policy: &str, lists: PathBuf, root: PathBuf) -> Ran {
    let arguments: Vec<OsString> = vec![
        "verify".into(),
        "-x509_strict".into(),
        "-crl_check_all".into(),
        "-policy".into(),
        policy.into(),
        "-explicit_policy".into(),
        "-CAfile".into(),
        root.into(),
        "-untrusted".into(),
        paper(authority).into(),
        "-CRLfile".into(),
        lists.into(),
        paper(leaf).into(),
    ];
    openssl(&arguments)
}

#[test]
fn openssl_accepts_both_chains_strictly_with_every_list_and_an_explicit_policy() {
    for (leaf, authority, _) in SIGNERS {
        let ran = chain(leaf, authority, POLICY, all_lists(), paper("root.pem"));
        assert!(ran.well() && ran.out.contains(": OK"), "{ran:?}");
    }
}

#[test]
fn openssl_refuses_both_chains_for_the_other_arm_of_the_policy() {
    for (leaf, authority, _) in SIGNERS {
        let ran = chain(leaf, authority, OTHER_ARM, all_lists(), paper("root.pem"));
        assert!(!ran.well() && ran.text().contains("no explicit policy"), "{ran:?}");
    }
}

#[test]
fn openssl_needs_every_list_of_the_chain() {
    for (case, kept, why) in [
        ("no-own", ["rarl", "sarl", "jpa", "medis"], "unable to get certificate CRL"),
        // The lists of the root say for whom they are: one does not stand in for the other.
        ("no-rarl", ["sarl", "jma", "jpa", "medis"], "different CRL scope"),
        ("no-sarl", ["rarl", "jma", "jpa", "medis"], "different CRL scope"),
    ] {
        let lists = lists_of(case, &kept);
        let ran = chain("physician.pem", "ca-jma.pem", POLICY, lists, paper("root.pem"));
        assert!(!ran.well() && ran.text().contains(why), "{case}: {ran:?}");
    }
}

#[test]
fn openssl_refuses_both_chains_under_another_root_of_the_same_name() {
    for (leaf, authority, _) in SIGNERS {
        let ran = chain(leaf, authority, POLICY, all_lists(), other_papers().join("root.pem"));
        assert!(!ran.well(), "{ran:?}");
    }
}

#[test]
fn openssl_accepts_every_authority_with_the_lists_of_the_root() {
    for authority in ["ca-jma.pem", "ca-jpa.pem", "ca-medis.pem"] {
        let ran = chain(authority, "root.pem", POLICY, all_lists(), paper("root.pem"));
        assert!(ran.well(), "{ran:?}");
    }
}

/// Where the value of this extension begins in the certificate.
fn extension_offset(leaf: &str) -> (String, String) {
    let file = paper(leaf);
    let whole = openssl(&["asn1parse".as_ref(), "-in".as_ref(), file.as_os_str()]);
    assert!(whole.well(), "{whole:?}");
    let mut lines = whole.out.lines();
    lines.find(|line| line.contains("X509v3 Subject Directory Attributes")).unwrap();
    let value = lines.next().unwrap();
    assert!(value.contains("OCTET STRING"), "the extension is not critical: {value}");
    let offset = value.split(':').next().unwrap().trim().to_owned();
    let dump = value.rsplit(':').next().unwrap().to_owned();
    (offset, dump)
}

#[test]
fn openssl_shows_each_qualification_as_the_exact_octets_of_real_certificates() {
    for ((leaf, _, role), octets) in SIGNERS.into_iter().zip([MEDICAL_DOCTOR, PHARMACIST]) {
        let (offset, dump) = extension_offset(leaf);
        assert_eq!(dump, octets, "{leaf}");
        let file = paper(leaf);
        let inside = openssl(&[
            "asn1parse".as_ref(),
            "-in".as_ref(),
            file.as_os_str(),
            "-strparse".as_ref(),
            offset.as_ref(),
        ]);
        for words in
            ["OBJECT            :1.0.17090.0.1", "OBJECT            :1.2.392.100495.1.6.1.1"]
        {
            assert!(inside.out.contains(words), "{leaf}: {}", inside.out);
        }
        assert!(inside.out.contains(&format!("UTF8STRING        :{role}")), "{}", inside.out);
    }
}

#[test]
fn openssl_reads_the_names_and_layouts_of_the_models() {
    let subject = |name: &str| {
        let file = paper(name);
        let ran = openssl(&[
            "x509".as_ref(),
            "-in".as_ref(),
            file.as_os_str(),
            "-noout".as_ref(),
            "-subject".as_ref(),
            "-nameopt".as_ref(),
            "sep_comma_plus_space,sname".as_ref(),
        ]);
        ran.out.trim().to_owned()
    };
    let root = subject("root.pem");
    assert!(root.contains("OU=TEST MHLW HPKI Root CA"), "{root}");
    assert_eq!((root.matches("OU=").count(), root.matches("CN=").count()), (2, 0), "{root}");
    for authority in ["ca-jma.pem", "ca-jpa.pem", "ca-medis.pem"] {
        let name = subject(authority);
        assert!(name.contains("CN=HPKI-01-") && name.ends_with("-forNonRepudiation"), "{name}");
    }
    // The layout of the JMA has no organisation; that of MEDIS has one.
    assert!(!subject("physician.pem").contains("O="));
    assert!(subject("pharmacist.pem").contains("O=TEST"));

    let file = paper("root.pem");
    let dates = openssl(&["asn1parse".as_ref(), "-in".as_ref(), file.as_os_str()]);
    assert!(dates.out.contains("GENERALIZEDTIME   :20"), "the root ends after 2049: {}", dates.out);
}

#[test]
fn openssl_sees_the_shape_of_each_list() {
    for (name, only_ca) in
        [("rarl", true), ("sarl", true), ("jma", false), ("jpa", false), ("medis", false)]
    {
        let file = paper(&format!("crl/{name}.crl"));
        let ran = openssl(&[
            "crl".as_ref(),
            "-inform".as_ref(),
            "DER".as_ref(),
            "-in".as_ref(),
            file.as_os_str(),
            "-noout".as_ref(),
            "-text".as_ref(),
        ]);
        assert!(ran.out.contains("X509v3 CRL Number"), "{name}: {}", ran.out);
        assert!(ran.out.contains("X509v3 Authority Key Identifier"), "{name}: {}", ran.out);
        let critical = ran.out.contains("X509v3 Issuing Distribution Point: critical")
            && ran.out.contains("Only CA Certificates");
        assert_eq!(critical, only_ca, "{name}: {}", ran.out);
    }
}

/// What pkilint finds of severity ERROR or worse.
pub(crate) fn pkilint(linter: &str, arguments: &[&str], file: &std::path::Path) -> Ran {
    let mut all: Vec<OsString> = vec!["lint".into()];
    all.extend(arguments.iter().map(OsString::from));
    all.extend(["-s".into(), "ERROR".into(), file.into()]);
    judge(kept_judge(linter), &all)
}

#[test]
fn pkilint_finds_no_error_in_any_certificate() {
    for name in [
        "root.pem",
        "ca-jma.pem",
        "ca-jpa.pem",
        "ca-medis.pem",
        "ca-jma-auth.pem",
        "ca-jpa-auth.pem",
        "ca-medis-auth.pem",
        "physician.pem",
        "pharmacist.pem",
    ] {
        let ran = pkilint("lint_pkix_cert", &[], &paper(name));
        assert!(ran.well() && ran.out.trim().is_empty(), "{name}: {ran:?}");
    }
}

/// Known findings: pkilint wants a dotted name where the town's platform is at `localhost`, and takes
/// the `urn:` URI of a gateway for malformed (RFC 8141 does not).
#[test]
fn pkilint_finds_only_what_is_known_in_the_certificates_of_connections() {
    for (name, known) in [
        ("facility-ca.pem", None),
        ("platform.pem", Some("\"localhost\"")),
        ("1319990001.pem", Some("\"urn:azukari:facility:1319990001:gateway:gw1\"")),
    ] {
        let ran = pkilint("lint_pkix_cert", &[], &paper(&format!("town/tls/{name}")));
        let found: Vec<_> = ran.out.lines().filter(|line| line.contains("(ERROR)")).collect();
        let expected = known.is_none_or(|known| found.iter().all(|line| line.ends_with(known)));
        assert!(expected && found.len() == usize::from(known.is_some()), "{name}: {ran:?}");
    }
}

#[test]
fn pkilint_finds_no_error_in_any_list() {
    for (name, kind) in [
        ("rarl", "ARL"),
        ("sarl", "ARL"),
        ("jma", "CRL"),
        ("jpa", "CRL"),
        ("medis", "CRL"),
        ("jma-auth", "CRL"),
        ("jpa-auth", "CRL"),
        ("medis-auth", "CRL"),
    ] {
        let file = paper(&format!("crl/{name}.crl"));
        let ran = pkilint("lint_crl", &["-t", kind, "-p", "PKIX"], &file);
        assert!(ran.well() && ran.out.trim().is_empty(), "{name}: {ran:?}");
    }
}

/// The linter is awake: a root with an empty subject is an error to it.
#[test]
fn pkilint_finds_the_error_in_a_bad_certificate() {
    let folder = scratch("bad-certificate");
    let (file, key) = (folder.join("bad.pem"), folder.join("bad.key"));
    let made = openssl(&[
        "req".as_ref(),
        "-x509".as_ref(),
        "-newkey".as_ref(),
        "rsa:2048".as_ref(),
        "-nodes".as_ref(),
        "-subj".as_ref(),
        "/".as_ref(),
        "-keyout".as_ref(),
        key.as_os_str(),
        "-out".as_ref(),
        file.as_os_str(),
    ]);
    assert!(made.well(), "{made:?}");
    let ran = pkilint("lint_pkix_cert", &[], &file);
    assert!(!ran.well() && ran.out.contains("ERROR"), "{ran:?}");
}
