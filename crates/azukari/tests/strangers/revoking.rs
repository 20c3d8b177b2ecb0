//! A certificate is revoked by the operator; strangers hear of it from the lists.

use std::fs;

use crate::support::{azukari, judge, scratch};

/// A town of its own: revoking changes its books.
fn town(name: &str) -> std::path::PathBuf {
    let out = scratch(name);
    let told = azukari(&["demo".as_ref(), "--once".as_ref(), "--out".as_ref(), out.as_os_str()]);
    assert!(told.well(), "{told:?}");
    out
}

fn revoke(out: &std::path::Path, certificate: &str, reason: &str) -> crate::support::Ran {
    azukari(&[
        "revoke".as_ref(),
        "--config".as_ref(),
        out.join("town/platform.toml").as_os_str(),
        "--certificate".as_ref(),
        out.join(certificate).as_os_str(),
        "--reason".as_ref(),
        reason.as_ref(),
        "--out".as_ref(),
        out.as_os_str(),
    ])
}

#[test]
fn a_revoked_physicians_prescription_is_invalid_and_openssl_agrees() {
    let out = town("revoked");
    let verify = |file: &str| {
        let file = out.join(file);
        let (root, crl) = (out.join("root.pem"), out.join("crl"));
        azukari(&[
            "verify".as_ref(),
            file.as_os_str(),
            "--anchor".as_ref(),
            root.as_os_str(),
            "--crl".as_ref(),
            crl.as_os_str(),
            "--json".as_ref(),
        ])
    };
    assert_eq!(verify("prescription.xml").code, 0);
    let revoked = revoke(&out, "physician.pem", "keyCompromise");
    assert!(revoked.well(), "{revoked:?}");

    let report = verify("prescription.xml");
    assert_eq!(report.code, 1, "{report:?}");
    let refusal = &report.json()["signatures"][0]["refusal"]["code"];
    assert_eq!(refusal, "certificate-revoked");
    // The pharmacist's own signature stands, the prescription inside does not.
    let dispensing = verify("dispensing.xml");
    assert_eq!(dispensing.code, 1);
    assert!(dispensing.json()["signatures"][0]["refusal"].is_null());

    let mut lists = String::new();
    for name in ["rarl", "sarl", "jma"] {
        let der = out.join("crl").join(format!("{name}.crl"));
        let pem = judge("openssl", &["crl", "-inform", "DER", "-in", der.to_str().unwrap()]);
        assert!(pem.well(), "{pem:?}");
        lists.push_str(&pem.out);
    }
    let crls = out.join("all-crls.pem");
    fs::write(&crls, lists).unwrap();
    let path = |name: &str| out.join(name).to_str().unwrap().to_owned();
    let judged = judge(
        "openssl",
        &[
            "verify".to_owned(),
            "-crl_check_all".to_owned(),
            "-CAfile".to_owned(),
            path("root.pem"),
            "-untrusted".to_owned(),
            path("ca-jma.pem"),
            "-CRLfile".to_owned(),
            crls.to_str().unwrap().to_owned(),
            path("physician.pem"),
        ],
    );
    assert!(!judged.well() && judged.text().contains("revoked"), "{judged:?}");

    let again = revoke(&out, "physician.pem", "keyCompromise");
    assert!(again.code == 1 && again.text().contains("certificate-already-revoked"), "{again:?}");
}

#[test]
fn a_reason_that_does_not_exist_and_a_foreign_certificate_are_refused() {
    let out = town("revoked-not");
    let wrong = revoke(&out, "pharmacist.pem", "because");
    assert!(wrong.code == 1 && wrong.text().contains("because"), "{wrong:?}");
    let foreign = revoke(&out, "town/tls/platform.pem", "certificateHold");
    assert_eq!(foreign.code, 1, "{foreign:?}");
    assert!(foreign.text().contains("revocation-reason-not-allowed"), "{foreign:?}");
}
