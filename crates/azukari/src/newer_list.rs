//! Whether a revocation list that came over the network may take the place of the one that is held:
//! only its authority's, and no older one. Who answers in the platform's or an authority's place could
//! otherwise make a revoked certificate good again with a list that was true last week.

use hpki::path::authentic;
use hpki::time::Timestamp;
use hpki::{Certificate, Crl};

/// So far the authority's clock may be ahead of ours.
const CLOCKS_S: u64 = 300;

/// What is known of the list that is held.
#[derive(Clone, Copy)]
pub(crate) struct Held<'a> {
    /// When it was made.
    pub(crate) made: Timestamp,
    /// Its cRLNumber, big endian without sign octet; empty where none is known.
    pub(crate) number: &'a [u8],
}

impl<'a> From<&'a Crl> for Held<'a> {
    fn from(list: &'a Crl) -> Self {
        Self { made: list.this_update(), number: number(list) }
    }
}

/// Why a list is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// Its authority did not sign it.
    #[error("{0}")]
    NotAuthentic(#[from] hpki::Refusal),
    /// Held, it would keep every true one away until then.
    #[error("it begins in the future")]
    Early,
    /// Somebody serves what was true once.
    #[error("it is older than the one that is held")]
    Older,
}

/// Whether this list of this authority may take the place of the one that is held.
pub(crate) fn fit(
    list: &Crl,
    authority: &Certificate,
    held: Option<Held<'_>>,
    now: Timestamp,
) -> Result<(), Unfit> {
    authentic(list, authority, now)?;
    if list.this_update() > now.plus(CLOCKS_S) {
        return Err(Unfit::Early);
    }
    let size = |number: &[u8]| (number.len(), number.to_vec());
    match held {
        Some(held) if list.this_update() < held.made => Err(Unfit::Older),
        Some(held) if size(number(list)) < size(held.number) => Err(Unfit::Older),
        _ => Ok(()),
    }
}

fn number(list: &Crl) -> &[u8] {
    list.number_octets().unwrap_or_default()
}
