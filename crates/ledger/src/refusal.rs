//! Everything that this room refuses.

use hpki::refusal::Refuse;

/// Why a store was not opened, or a proof not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another process (or another opening in this one) owns the folder.
    #[error("the store in {0} is in use by another process")]
    StoreInUse(String),
    /// The address of the database is not one that we may use.
    #[error("the address of the database cannot be used: {0}")]
    StoreAddressWrong(String),
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
    /// A witness's key is not in the form of C2SP tlog-cosignature.
    #[error("not a witness key: {0}")]
    WitnessKeyMalformed(String),
    /// A cosignature under the name of a pinned witness is missing from its answer, or bad.
    #[error("the cosignature of {0} is wrong")]
    CosignatureWrong(String),
    /// More witnesses are asked for than there are.
    #[error("so many witnesses cannot be had: {0}")]
    QuorumImpossible(String),
    /// Too few of the pinned witnesses have seen the checkpoint.
    #[error("{seen} of the {needed} witnesses needed have seen the checkpoint")]
    QuorumMissing {
        /// Of the pinned witnesses, so many have.
        seen: usize,
        /// So many should.
        needed: usize,
    },
    /// Not a request of C2SP tlog-witness.
    #[error("not a request to a witness: {0}")]
    WitnessRequestMalformed(String),
    /// This witness does not watch that log.
    #[error("this witness does not watch {0:?}")]
    WitnessLogUnknown(String),
    /// The proof does not start at the size that this witness has cosigned last (which is told).
    #[error("the witness has cosigned {0} entries last")]
    WitnessSizeConflict(u64),
    /// Another root of the same size has been cosigned: the log has forked.
    #[error("the witness has cosigned another root for {0} entries")]
    WitnessRootConflict(u64),
    /// The log has no file of that name.
    #[error("the log has no {0:?}")]
    TileUnknown(String),
    /// A file of the log is not of its form.
    #[error("not a tile: {0}")]
    TileMalformed(String),
    /// The log does not show what its own checkpoint speaks of.
    #[error("the log does not show {0}")]
    LogHidden(String),
    /// The entries that the log shows are not those under its checkpoint.
    #[error("the entries shown from {0} on are not those that were signed")]
    LogEntryChanged(u64),
    /// The log has signed two histories.
    #[error("the log has signed another history of its first {0} entries")]
    LogForked(u64),
    /// The log shows less than it did.
    #[error("the log had {had} entries and shows {has}")]
    LogRolledBack {
        /// So many were seen.
        had: u64,
        /// So many are shown now.
        has: u64,
    },
    /// One label stands at two places: a stream was told twice.
    #[error("the entries {first} and {again} have the same label")]
    LogLabelTwice {
        /// Where it stood first.
        first: u64,
        /// Where it stands again.
        again: u64,
    },
    /// An entry of the owner's stream was left out.
    #[error("entry {0} of the stream is left out")]
    StreamGap(u64),
    /// An entry of the owner's stream stands twice, or another one stands where she approved.
    #[error("entry {0} of the stream was told twice, differently")]
    StreamForked(u64),
    /// The owner was shown, or has approved, an entry that is not in the log.
    #[error("entry {0} of the stream is not in the log")]
    StreamNotInLog(u64),
    /// An entry stands in the owner's stream that she was not told of.
    #[error("entry {0} of the stream was not handed over")]
    StreamWithheld(u64),
    /// An entry of the owner's stream contradicts its place.
    #[error("entry {0} of the stream is not what stands at its place")]
    StreamRenumbered(u64),
}

impl Refusal {
    /// Every code of this room.
    pub const CODES: &'static [&'static str] = CODES;
}

/// Every code of this room.
pub const CODES: &[&str] = &[
    "store-in-use",
    "store-address-wrong",
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
    "witness-key-malformed",
    "cosignature-wrong",
    "quorum-impossible",
    "quorum-missing",
    "witness-request-malformed",
    "witness-log-unknown",
    "witness-size-conflict",
    "witness-root-conflict",
    "tile-unknown",
    "tile-malformed",
    "log-hidden",
    "log-entry-changed",
    "log-forked",
    "log-rolled-back",
    "log-label-twice",
    "stream-gap",
    "stream-forked",
    "stream-not-in-log",
    "stream-withheld",
    "stream-renumbered",
];

impl Refuse for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::StoreInUse(_) => "store-in-use",
            Self::StoreAddressWrong(_) => "store-address-wrong",
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
            Self::WitnessKeyMalformed(_) => "witness-key-malformed",
            Self::CosignatureWrong(_) => "cosignature-wrong",
            Self::QuorumImpossible(_) => "quorum-impossible",
            Self::QuorumMissing { .. } => "quorum-missing",
            Self::WitnessRequestMalformed(_) => "witness-request-malformed",
            Self::WitnessLogUnknown(_) => "witness-log-unknown",
            Self::WitnessSizeConflict(_) => "witness-size-conflict",
            Self::WitnessRootConflict(_) => "witness-root-conflict",
            Self::TileUnknown(_) => "tile-unknown",
            Self::TileMalformed(_) => "tile-malformed",
            Self::LogHidden(_) => "log-hidden",
            Self::LogEntryChanged(_) => "log-entry-changed",
            Self::LogForked(_) => "log-forked",
            Self::LogRolledBack { .. } => "log-rolled-back",
            Self::LogLabelTwice { .. } => "log-label-twice",
            Self::StreamGap(_) => "stream-gap",
            Self::StreamForked(_) => "stream-forked",
            Self::StreamNotInLog(_) => "stream-not-in-log",
            Self::StreamWithheld(_) => "stream-withheld",
            Self::StreamRenumbered(_) => "stream-renumbered",
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
            Refusal::StoreAddressWrong(text()),
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
            Refusal::WitnessKeyMalformed(text()),
            Refusal::CosignatureWrong(text()),
            Refusal::QuorumImpossible(text()),
            Refusal::QuorumMissing { seen: 0, needed: 2 },
            Refusal::WitnessRequestMalformed(text()),
            Refusal::WitnessLogUnknown(text()),
            Refusal::WitnessSizeConflict(0),
            Refusal::WitnessRootConflict(0),
            Refusal::TileUnknown(text()),
            Refusal::TileMalformed(text()),
            Refusal::LogHidden(text()),
            Refusal::LogEntryChanged(0),
            Refusal::LogForked(0),
            Refusal::LogRolledBack { had: 2, has: 1 },
            Refusal::LogLabelTwice { first: 0, again: 1 },
            Refusal::StreamGap(0),
            Refusal::StreamForked(0),
            Refusal::StreamNotInLog(0),
            Refusal::StreamWithheld(0),
            Refusal::StreamRenumbered(0),
        ];
        let codes: Vec<_> = every.iter().map(Refuse::code).collect();
        assert_eq!(codes, CODES);
    }
}
