//! Certificates that are right for a kept key in everything but what they are for.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use hpki::profile::ToBeSigned;

/// What a certificate is for instead of signatures alone.
#[derive(Debug, Clone, Copy)]
pub enum Misuse {
    /// digitalSignature: the cards' other key.
    Authentication,
    /// digitalSignature and nonRepudiation.
    Both,
    /// nonRepudiation, and it may issue certificates.
    Authority,
}

/// keyUsage as signing certificates have it: critical, nonRepudiation alone.
const SIGNING: [u8; 14] =
    [0x06, 0x03, 0x55, 0x1d, 0x0f, 0x01, 0x01, 0xff, 0x04, 0x04, 0x03, 0x02, 0x06, 0x40];
/// basicConstraints, critical, CA:TRUE.
const IS_CA: [u8; 17] = [
    0x30, 0x0f, 0x06, 0x03, 0x55, 0x1d, 0x13, 0x01, 0x01, 0xff, 0x04, 0x05, 0x30, 0x03, 0x01, 0x01,
    0xff,
];

impl Misuse {
    pub const ALL: [Self; 3] = [Self::Authentication, Self::Both, Self::Authority];

    /// The same, to be signed for this use.
    pub fn of(self, right: &ToBeSigned) -> ToBeSigned {
        let der = match self {
            // Unused bits, then the bits from the highest on.
            Self::Authentication => with_usage(right.der(), [0x07, 0x80]),
            Self::Both => with_usage(right.der(), [0x06, 0xc0]),
            Self::Authority => with_extension(right.der(), &IS_CA),
        };
        ToBeSigned::restore(right.profile(), right.algorithm(), der)
    }
}

fn with_usage(tbs: &[u8], bits: [u8; 2]) -> Vec<u8> {
    let at = tbs.windows(SIGNING.len()).position(|found| found == SIGNING).unwrap();
    let mut der = tbs.to_vec();
    der[at + SIGNING.len() - 2..at + SIGNING.len()].copy_from_slice(&bits);
    der
}

/// One more at the end of the list of extensions, which is the end of everything: three lengths
/// grow, each of two octets.
fn with_extension(tbs: &[u8], extension: &[u8]) -> Vec<u8> {
    let length = |at: usize| usize::from(u16::from_be_bytes([tbs[at + 2], tbs[at + 3]]));
    let ends = |at: usize, tag: u8| {
        tbs[at] == tag && tbs[at + 1] == 0x82 && at + 4 + length(at) == tbs.len()
    };
    let list = (0..tbs.len() - 8).find(|at| ends(*at, 0xa3) && ends(at + 4, 0x30)).unwrap();
    assert!(ends(0, 0x30));
    let mut der = [tbs, extension].concat();
    for at in [0, list, list + 4] {
        let grown = u16::try_from(length(at) + extension.len()).unwrap();
        der[at + 2..at + 4].copy_from_slice(&grown.to_be_bytes());
    }
    der
}
