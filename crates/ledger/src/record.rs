//! What a room asks the journal to remember.

use hpki::encoding::Digest32;
use hpki::id::{ActivationId, FacilityCode, KeyId, PersonId, StreamId};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;

use crate::event::Event;

/// One thing to remember. No patient data and no home address ever stands here: digests do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What happened.
    pub event: Event,
    /// Whose history this is part of: one stream for each key, officer or CA.
    pub stream: StreamId,
    /// When, by the platform's clock.
    pub time: Timestamp,
    /// The key concerned.
    pub key: Option<KeyId>,
    /// The person concerned.
    pub person: Option<PersonId>,
    /// The facility from which it was asked.
    pub facility: Option<FacilityCode>,
    /// The kind of document (the facility's claim).
    pub kind: Option<DocumentKind>,
    /// Data to be signed, as represented (SHA-256 of the canonical SignedInfo or of the
    /// to-be-signed certificate or list).
    pub dtbsr: Option<Digest32>,
    /// Hash of the evidence on which this rests (an approval, a transcript, a certificate).
    pub evidence: Option<Digest32>,
    /// The activation that was spent.
    pub activation: Option<ActivationId>,
    /// Where this closes an intention: how it ended.
    pub outcome: Option<OutcomeFields>,
}

/// How an intention ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeFields {
    /// SHA-256 of the signature value; absent where none was made.
    pub signature_hash: Option<Digest32>,
    /// The index of the intention in the journal.
    pub intention_index: u64,
}

impl Record {
    /// A record with nothing but what every record has.
    pub const fn new(event: Event, stream: StreamId, time: Timestamp) -> Self {
        Self {
            event,
            stream,
            time,
            key: None,
            person: None,
            facility: None,
            kind: None,
            dtbsr: None,
            evidence: None,
            activation: None,
            outcome: None,
        }
    }

    /// A record in the stream of this key.
    pub const fn of_key(event: Event, key: KeyId, time: Timestamp) -> Self {
        let mut record = Self::new(event, key.stream(), time);
        record.key = Some(key);
        record
    }
}

/// An act is about to happen. Its receipt opens the door to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intention(pub Record);

/// An act has happened, or certainly will not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome(pub Record);

/// Something happened that needed no intention (a phone was linked, a budget opened).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note(pub Record);

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Intention {}
    impl Sealed for super::Outcome {}
    impl Sealed for super::Note {}
}

/// [`Intention`], [`Outcome`] or [`Note`]; nothing else can be.
pub trait EntryKind: sealed::Sealed + Send + Sync + 'static {
    /// The record itself.
    fn into_record(self) -> Record;
    /// Whether a record of this event, with or without outcome fields, may be of this kind.
    fn fits(record: &Record) -> bool;
}

impl EntryKind for Intention {
    fn into_record(self) -> Record {
        self.0
    }
    fn fits(record: &Record) -> bool {
        record.event.is_intention() && record.outcome.is_none()
    }
}

impl EntryKind for Outcome {
    fn into_record(self) -> Record {
        self.0
    }
    fn fits(record: &Record) -> bool {
        record.event.is_outcome() && record.outcome.is_some()
    }
}

impl EntryKind for Note {
    fn into_record(self) -> Record {
        self.0
    }
    fn fits(record: &Record) -> bool {
        !record.event.is_intention() && !record.event.is_outcome() && record.outcome.is_none()
    }
}
