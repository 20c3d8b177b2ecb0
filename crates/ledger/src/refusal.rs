//! Everything that this room refuses.

use hpki::refusal::Refuse;

/// Why a store was not opened, or a proof not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another process (or another opening in this one) owns the folder.
    #[error("the store in {0} is in use by another process")]
    StoreInUse(String),
    /// The engine would not promise that a commit survives a power cut.
    #[error("the store cannot promise durability: {0}")]
    StoreNotDurable(String),
    /// The store was written by a newer program.
    #[error("the store is newer than this program: {0}")]
    StoreNewer(String),
    /// A migration that was already applied has another text now, or their order is broken.
    #[error("the migrations do not fit this store: {0}")]
    MigrationChanged(String),
    /// A migration touches a table that does not carry its room's name.
    #[error("a migration reaches outside its room: {0}")]
    MigrationForeign(String),
    /// The journal in the database is older than, or differs from, the head kept outside.
    #[error("the journal was rolled back or replaced: {0}")]
    JournalRolledBack(String),
    /// The journal has entries, but the head kept outside the database is gone.
    #[error("the file with the journal head is missing or unreadable: {0}")]
    JournalHeadMissing(String),
    /// The journal contradicts itself.
    #[error("the journal contradicts itself: {0}")]
    JournalBroken(String),
    /// The log key or the origin handed in is not the one that this journal was begun with, or is
    /// no Ed25519 key, or the origin cannot stand in a checkpoint.
    #[error("the log key or origin cannot be used: {0}")]
    LogKeyWrong(String),
    /// A verification key is not in the form of C2SP signed-note.
    #[error("not a log verification key: {0}")]
    LogKeyMalformed(String),
    /// Not a checkpoint (C2SP tlog-checkpoint).
    #[error("not a checkpoint: {0}")]
    CheckpointMalformed(String),
    /// The checkpoint is of another log, or bears no good signature of this one.
    #[error("the checkpoint is not signed by this log: {0}")]
    CheckpointSignatureWrong(String),
    /// Not a proof (C2SP tlog-proof), or its extra data is not ours.
    #[error("not a journal proof: {0}")]
    ProofMalformed(String),
    /// The entry is not where the proof says.
    #[error("the proof does not lead from this entry to the checkpoint")]
    ProofWrong,
    /// Two checkpoints contradict each other.
    #[error("the journal of these two checkpoints is not the same: {0}")]
    ConsistencyWrong(String),
    /// No entry, or no tree of that size, exists.
    #[error("the journal has no such entry or size: {0}")]
    JournalNoSuchEntry(u64),
}

impl Refusal {
    /// Every code of this room.
    pub const CODES: &'static [&'static str] = CODES;
}

/// Every code of this room.
pub const CODES: &[&str] = &[
    "store-in-use",
    "store-not-durable",
    "store-newer",
    "migration-changed",
    "migration-foreign",
    "journal-rolled-back",
    "journal-head-missing",
    "journal-broken",
    "log-key-wrong",
    "log-key-malformed",
    "checkpoint-malformed",
    "checkpoint-signature-wrong",
    "proof-malformed",
    "proof-wrong",
    "consistency-wrong",
    "journal-no-such-entry",
];

impl Refuse for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::StoreInUse(_) => "store-in-use",
            Self::StoreNotDurable(_) => "store-not-durable",
            Self::StoreNewer(_) => "store-newer",
            Self::MigrationChanged(_) => "migration-changed",
            Self::MigrationForeign(_) => "migration-foreign",
            Self::JournalRolledBack(_) => "journal-rolled-back",
            Self::JournalHeadMissing(_) => "journal-head-missing",
            Self::JournalBroken(_) => "journal-broken",
            Self::LogKeyWrong(_) => "log-key-wrong",
            Self::LogKeyMalformed(_) => "log-key-malformed",
            Self::CheckpointMalformed(_) => "checkpoint-malformed",
            Self::CheckpointSignatureWrong(_) => "checkpoint-signature-wrong",
            Self::ProofMalformed(_) => "proof-malformed",
            Self::ProofWrong => "proof-wrong",
            Self::ConsistencyWrong(_) => "consistency-wrong",
            Self::JournalNoSuchEntry(_) => "journal-no-such-entry",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_own_listed_code() {
        let text = String::new;
        let every = [
            Refusal::StoreInUse(text()),
            Refusal::StoreNotDurable(text()),
            Refusal::StoreNewer(text()),
            Refusal::MigrationChanged(text()),
            Refusal::MigrationForeign(text()),
            Refusal::JournalRolledBack(text()),
            Refusal::JournalHeadMissing(text()),
            Refusal::JournalBroken(text()),
            Refusal::LogKeyWrong(text()),
            Refusal::LogKeyMalformed(text()),
            Refusal::CheckpointMalformed(text()),
            Refusal::CheckpointSignatureWrong(text()),
            Refusal::ProofMalformed(text()),
            Refusal::ProofWrong,
            Refusal::ConsistencyWrong(text()),
            Refusal::JournalNoSuchEntry(0),
        ];
        let codes: Vec<_> = every.iter().map(Refuse::code).collect();
        assert_eq!(codes, CODES);
    }
}
