//! No octet of anything that is signed can be changed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::*;
use xades::parse;

/// Where the octets of everything that is signed stand, and those of the signature values.
fn signed_octets(octets: &[u8]) -> Vec<usize> {
    let document = parse(octets).unwrap();
    let mut at: Vec<usize> = document
        .elements()
        .filter_map(|node| match node.tag_name().name() {
            "PrescriptionDocument"
            | "Dispensing"
            | "SignedInfo"
            | "KeyInfo"
            | "SignedProperties" => Some(node.range()),
            // The value is not signed, and its Id may be anything; but the value itself counts.
            "SignatureValue" => Some(node.first_child().unwrap().range()),
            _ => None,
        })
        .flatten()
        .collect();
    at.sort_unstable();
    at.dedup();
    at
}

/// Changes every octet of everything that is signed, one at a time. White space is also changed
/// into every other white space, which canonicalization would often forgive.
fn change_every_octet(octets: &[u8], changes: impl Fn(u8) -> Vec<u8>) {
    assert_eq!(judge(octets), Ok(()));
    let mut changed = octets.to_vec();
    for at in signed_octets(octets) {
        let original = octets[at];
        let mut others = changes(original);
        if original.is_ascii_whitespace() {
            others.extend(b" \t\n\r");
        }
        for octet in others.into_iter().filter(|octet| *octet != original) {
            changed[at] = octet;
            let around = &octets[at.saturating_sub(40)..(at + 40).min(octets.len())];
            assert!(
                judge(&changed).is_err(),
                "octet {at} may be {octet:#x} instead of {original:#x}: {}",
                String::from_utf8_lossy(around)
            );
        }
        changed[at] = original;
    }
}

#[test]
fn no_octet_of_a_signed_prescription_can_be_changed() {
    change_every_octet(&signed_prescription(), |octet| vec![octet ^ 1, octet ^ 0x20, b'A', b'=']);
}

/// Here the whole prescription, with its signature, is a signed part too.
#[test]
fn no_octet_of_a_signed_dispensing_result_can_be_changed() {
    change_every_octet(&signed_dispensing(), |octet| vec![octet ^ 1]);
}
