//! The proof that a record is durable and in the journal.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use hpki::encoding::Digest32;

use crate::gathering::InHand;
use crate::journal::Appended;
use crate::record::{EntryKind, Record};
use crate::tlog::proof_text;
use crate::writer::Sealed;

/// Proof that a record of kind `K` is durable and stands under a signed checkpoint.
///
/// It cannot be cloned, and only the writer of a ledger makes one, after the commit. Whoever asks
/// for a `Receipt<Intention>` by value thereby asks for one durable intention, once.
pub struct Receipt<K> {
    appended: Appended,
    sealed: Arc<Sealed>,
    kind: PhantomData<fn() -> K>,
    /// The writer counts the receipts that somebody has in hand.
    _in_hand: InHand,
}

impl<K: EntryKind> Receipt<K> {
    /// The only place where a receipt is made; `sealed` exists after commit and signing only.
    pub(crate) fn issue(appended: Appended, sealed: Arc<Sealed>) -> Self {
        let _in_hand = InHand::new(&sealed.gathering);
        Self { appended, sealed, kind: PhantomData, _in_hand }
    }

    /// Its place in the journal.
    pub const fn index(&self) -> u64 {
        self.appended.index
    }

    /// What was recorded.
    pub const fn record(&self) -> &Record {
        &self.appended.opening.record
    }

    /// Its place in its stream.
    pub const fn seq(&self) -> u64 {
        self.appended.opening.seq
    }

    /// Its commitment, which is the head of its stream now.
    pub const fn commitment(&self) -> &Digest32 {
        &self.appended.commitment
    }

    /// The signed checkpoint of its group.
    pub fn checkpoint(&self) -> &str {
        &self.sealed.note
    }

    /// The proof for strangers: `c2sp.org/tlog-proof@v1` with the opening as extra data.
    pub fn proof(&self) -> String {
        let Appended { index, salt, label, octets, .. } = &self.appended;
        let path = self.sealed.growth.inclusion(*index);
        proof_text(salt, label, octets, *index, &path, &self.sealed.note)
    }
}

impl<K> fmt::Debug for Receipt<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receipt of entry {}", self.appended.index)
    }
}
