//! OpenSSL and pkilint judge the certificates that stand on the town's cards.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::certificates::{lists_of, openssl, pkilint};
use crate::support::*;

const AUTHENTICATION: &str = "1.2.392.100495.1.5.1.2.3.1";

/// The certificate of one application of a card in this file, as PEM.
pub(crate) fn certificate(card: &Path, application: &str, name: &str) -> PathBuf {
    let card: Value = serde_json::from_slice(&std::fs::read(card).unwrap()).unwrap();
    let der = card[application]["certificate"].as_str().unwrap();
    let folder = scratch(&format!("card-{name}-{application}"));
    let (file, pem) = (folder.join("card.der"), folder.join("card.pem"));
    std::fs::write(&file, STANDARD.decode(der).unwrap()).unwrap();
    let told = openssl(&[
        "x509".as_ref(),
        "-inform".as_ref(),
        "DER".as_ref(),
        "-in".as_ref(),
        file.as_os_str(),
        "-out".as_ref(),
        pem.as_os_str(),
    ]);
    assert!(told.well(), "{told:?}");
    pem
}

#[test]
fn both_certificates_of_an_hpki_card_lead_to_the_root_under_their_own_policy() {
    let lists = lists_of("cards", &["rarl", "sarl", "jma", "jma-auth", "medis", "medis-auth"]);
    for (holder, authority) in [("hanako", "jma"), ("jiro", "medis")] {
        let card = paper(&format!("town/cards/hpki-card-{holder}.json"));
        for (application, policy, other, above) in [
            ("signing", POLICY, AUTHENTICATION, format!("ca-{authority}.pem")),
            ("authentication", AUTHENTICATION, POLICY, format!("ca-{authority}-auth.pem")),
        ] {
            let leaf = certificate(&card, application, holder);
            let chain = |policy: &str| {
                openssl(&[
                    "verify".into(),
                    "-x509_strict".into(),
                    "-crl_check_all".into(),
                    "-policy".into(),
                    policy.into(),
                    "-explicit_policy".into(),
                    "-CAfile".into(),
                    paper("root.pem").into_os_string(),
                    "-untrusted".into(),
                    paper(&above).into_os_string(),
                    "-CRLfile".into(),
                    lists.clone().into_os_string(),
                    leaf.clone().into_os_string(),
                ])
            };
            let judged = chain(policy);
            assert!(judged.well() && judged.out.contains(": OK"), "{application}: {judged:?}");
            let refused = chain(other);
            assert!(
                !refused.well() && refused.text().contains("no explicit policy"),
                "{refused:?}"
            );
            let ran = pkilint("lint_pkix_cert", &[], &leaf);
            assert!(ran.well() && ran.out.trim().is_empty(), "{holder} {application}: {ran:?}");
            let usage = openssl(&[
                "x509".as_ref(),
                "-in".as_ref(),
                leaf.as_os_str(),
                "-noout".as_ref(),
                "-ext".as_ref(),
                "keyUsage".as_ref(),
            ]);
            let wanted =
                if application == "signing" { "Non Repudiation" } else { "Digital Signature" };
            assert_eq!(usage.out.lines().last().unwrap().trim(), wanted, "and nothing else");
        }
    }
}

#[test]
fn pkilint_finds_no_error_in_the_certificates_of_a_my_number_card() {
    let folder = scratch("my-number-card");
    let made = azukari(&["card".as_ref(), "create".as_ref(), "--out".as_ref(), folder.as_os_str()]);
    assert!(made.well(), "{made:?}");
    let card = folder.join("my-number-card-hanako.json");
    for (application, authority) in [("auth", "jpki-auth-ca.pem"), ("sign", "jpki-sign-ca.pem")] {
        let leaf = certificate(&card, application, "my-number");
        for file in [&leaf, &folder.join(authority)] {
            let ran = pkilint("lint_pkix_cert", &[], file);
            assert!(ran.well() && ran.out.trim().is_empty(), "{}: {ran:?}", file.display());
        }
        let judged = openssl(&[
            "verify".as_ref(),
            "-x509_strict".as_ref(),
            "-CAfile".as_ref(),
            folder.join(authority).as_os_str(),
            leaf.as_os_str(),
        ]);
        assert!(judged.well(), "{judged:?}");
    }
}
