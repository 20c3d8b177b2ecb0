//! How a record becomes a leaf: its opening, the commitment to it, the label, the 65-byte entry.
//!
//! ```text
//! opening    = u32be(15) ‖ fr(event) ‖ fr(stream) ‖ fr(seq) ‖ fr(previous commitment) ‖ fr(time)
//!              ‖ fr(key) ‖ fr(person) ‖ fr(facility) ‖ fr(kind) ‖ fr(dtbsr) ‖ fr(evidence)
//!              ‖ fr(activation) ‖ fr(signature hash) ‖ fr(intention index) ‖ fr(stream key hash)
//! commitment = H("azukari/journal/leaf/v1"; salt32, opening)
//! label      = HMAC(k_stream, fr("azukari/journal/label/v1") ‖ u64be(seq))
//! entry      = 01 ‖ label ‖ commitment                                        (65 octets)
//! ```
//!
//! An absent field is empty, numbers are u64be, names are text. The salt makes a leaf say nothing
//! to outsiders; once salt and opening are destroyed, nobody can open it, and the tree stays.

use aws_lc_rs::hmac;
use hpki::encoding::{Digest32, Statement, fr};
use hpki::id::{ActivationId, FacilityCode, KeyId, PersonId, StreamId};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;

use crate::event::Event;
use crate::record::{OutcomeFields, Record};

/// Octets of an entry.
pub const ENTRY_LENGTH: usize = 65;
/// One entry: version 1, label, commitment.
pub type Entry = [u8; ENTRY_LENGTH];

const VERSION: u8 = 1;
const FIELDS: u32 = 15;

/// What the commitment of an entry commits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafOpening {
    /// What the room asked to remember.
    pub record: Record,
    /// Place in its stream; the first is 1.
    pub seq: u64,
    /// Commitment of the entry before it in the stream; absent in the first.
    pub previous: Option<Digest32>,
    /// Hash of the stream key; stands in the first entry only.
    pub stream_key_hash: Option<Digest32>,
}

impl LeafOpening {
    /// The octets that are committed to.
    pub fn encode(&self) -> Vec<u8> {
        let record = &self.record;
        let mut out = Vec::with_capacity(420);
        out.extend_from_slice(&FIELDS.to_be_bytes());
        fr(&mut out, record.event.name().as_bytes());
        fr(&mut out, record.stream.octets());
        fr(&mut out, &self.seq.to_be_bytes());
        optional(&mut out, self.previous.as_ref());
        fr(&mut out, &record.time.seconds().to_be_bytes());
        optional(&mut out, record.key.as_ref().map(KeyId::octets));
        optional(&mut out, record.person.as_ref().map(PersonId::octets));
        fr(&mut out, record.facility.as_ref().map_or("", FacilityCode::as_str).as_bytes());
        fr(&mut out, record.kind.map_or("", DocumentKind::name).as_bytes());
        optional(&mut out, record.dtbsr.as_ref());
        optional(&mut out, record.evidence.as_ref());
        optional(&mut out, record.activation.as_ref().map(ActivationId::octets));
        let outcome = record.outcome.as_ref();
        optional(&mut out, outcome.and_then(|outcome| outcome.signature_hash.as_ref()));
        optional(&mut out, outcome.map(|o| o.intention_index.to_be_bytes()).as_ref());
        optional(&mut out, self.stream_key_hash.as_ref());
        out
    }

    /// Reads [`LeafOpening::encode`] back; `None` unless every octet is as it would write it.
    pub fn decode(octets: &[u8]) -> Option<Self> {
        let mut rest = octets.strip_prefix(&FIELDS.to_be_bytes())?;
        let mut fields: [&[u8]; FIELDS as usize] = [&[]; FIELDS as usize];
        for field in &mut fields {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            (*field, rest) = after.split_at_checked(length)?;
        }
        let [
            event,
            stream,
            seq,
            previous,
            time,
            key,
            person,
            facility,
            kind,
            dtbsr,
            evidence,
            activation,
            signature_hash,
            intention_index,
            stream_key_hash,
        ] = fields;
        let signature_hash = absent_or(signature_hash)?;
        let intention_index = absent_or(intention_index)?.map(u64::from_be_bytes);
        let opening = Self {
            record: Record {
                event: std::str::from_utf8(event).ok()?.parse::<Event>().ok()?,
                stream: StreamId::from_slice(stream)?,
                time: Timestamp::from_seconds(u64::from_be_bytes(time.try_into().ok()?)),
                key: absent_or(key)?.map(KeyId::from_octets),
                person: absent_or(person)?.map(PersonId::from_octets),
                facility: absent_or_text::<FacilityCode>(facility)?,
                kind: absent_or_text::<DocumentKind>(kind)?,
                dtbsr: absent_or(dtbsr)?,
                evidence: absent_or(evidence)?,
                activation: absent_or(activation)?.map(ActivationId::from_octets),
                outcome: intention_index
                    .map(|intention_index| OutcomeFields { signature_hash, intention_index }),
            },
            seq: u64::from_be_bytes(seq.try_into().ok()?),
            previous: absent_or(previous)?,
            stream_key_hash: absent_or(stream_key_hash)?,
        };
        // Whatever slipped through (a signature hash without an intention, trailing octets, a time
        // after the year 9999) does not encode to the same octets.
        (rest.is_empty() && opening.encode() == octets).then_some(opening)
    }
}

fn optional<const N: usize>(out: &mut Vec<u8>, octets: Option<&[u8; N]>) {
    fr(out, octets.map_or(&[], <[u8; N]>::as_slice));
}

#[expect(clippy::option_option, reason = "outer: malformed; inner: absent")]
fn absent_or<const N: usize>(field: &[u8]) -> Option<Option<[u8; N]>> {
    if field.is_empty() { Some(None) } else { field.try_into().ok().map(Some) }
}

#[expect(clippy::option_option, reason = "outer: malformed; inner: absent")]
fn absent_or_text<T: std::str::FromStr>(field: &[u8]) -> Option<Option<T>> {
    if field.is_empty() {
        return Some(None);
    }
    std::str::from_utf8(field).ok()?.parse().ok().map(Some)
}

/// The statement whose keyed hash under the device's key is the key of this stream.
pub(crate) fn stream_key_statement(stream: &StreamId) -> Statement {
    Statement::new("azukari/stream/v1").octets_field(stream.octets())
}

/// What stands of a stream key in the stream's first entry.
pub(crate) fn stream_key_hash(stream_key: &Digest32) -> Digest32 {
    Statement::new("azukari/stream/key/v1").octets_field(stream_key).digest()
}

/// `H("azukari/journal/leaf/v1"; salt32, opening)`.
pub(crate) fn commitment(salt: &[u8; 32], opening: &[u8]) -> Digest32 {
    Statement::new("azukari/journal/leaf/v1").octets_field(salt).octets_field(opening).digest()
}

/// `HMAC(k_stream, fr("azukari/journal/label/v1") ‖ u64be(seq))`.
pub(crate) fn label(stream_key: &Digest32, seq: u64) -> Digest32 {
    let mut message = Vec::with_capacity(40);
    fr(&mut message, b"azukari/journal/label/v1");
    message.extend_from_slice(&seq.to_be_bytes());
    let key = hmac::Key::new(hmac::HMAC_SHA256, stream_key);
    let mut out = [0; 32];
    out.copy_from_slice(hmac::sign(&key, &message).as_ref());
    out
}

/// `01 ‖ label ‖ commitment`.
pub(crate) fn entry(label: &Digest32, commitment: &Digest32) -> Entry {
    let mut out = [VERSION; ENTRY_LENGTH];
    out[1..33].copy_from_slice(label);
    out[33..].copy_from_slice(commitment);
    out
}

/// Label and commitment of an entry; `None` if it is not of version 1.
pub(crate) fn entry_parts(entry: &[u8]) -> Option<(Digest32, Digest32)> {
    let (version, rest) = entry.split_first()?;
    let (label, commitment) = rest.split_first_chunk::<32>()?;
    (*version == VERSION).then_some(())?;
    Some((*label, commitment.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> LeafOpening {
        let mut record = Record::of_key(
            Event::SignatureMade,
            KeyId::from_octets([1; 16]),
            Timestamp::from_seconds(1_800_000_000),
        );
        record.person = Some(PersonId::from_octets([2; 16]));
        record.facility = "1310000001".parse().ok();
        record.kind = Some(DocumentKind::Prescription);
        record.dtbsr = Some([3; 32]);
        record.evidence = Some([4; 32]);
        record.activation = Some(ActivationId::from_octets([5; 16]));
        record.outcome = Some(OutcomeFields { signature_hash: Some([6; 32]), intention_index: 41 });
        LeafOpening { record, seq: 2, previous: Some([7; 32]), stream_key_hash: None }
    }

    #[test]
    fn an_opening_reads_back_as_it_was_written() {
        let full = full();
        assert_eq!(LeafOpening::decode(&full.encode()), Some(full.clone()));
        let record = Record::new(Event::CeremonyBegun, full.record.stream, full.record.time);
        let bare = LeafOpening { record, seq: 1, previous: None, stream_key_hash: Some([9; 32]) };
        assert_eq!(LeafOpening::decode(&bare.encode()), Some(bare));
    }

    #[test]
    fn an_opening_with_anything_added_removed_or_changed_is_another_or_none() {
        let octets = full().encode();
        let mut longer = octets.clone();
        longer.push(0);
        assert_eq!(LeafOpening::decode(&longer), None);
        for end in 0..octets.len() {
            assert_eq!(LeafOpening::decode(&octets[..end]), None);
        }
        for position in 0..octets.len() {
            let mut changed = octets.clone();
            changed[position] ^= 1;
            assert_ne!(LeafOpening::decode(&changed), Some(full()));
        }
    }

    #[test]
    fn a_signature_hash_without_an_intention_is_no_opening() {
        let mut octets = full().encode();
        // The intention index is the last field but one: fr(8 octets) ‖ fr(nothing).
        let start = octets.len() - 4 - 12;
        octets.drain(start..start + 12);
        octets.splice(start..start, 0_u32.to_be_bytes());
        assert_eq!(LeafOpening::decode(&octets), None);
    }
}
