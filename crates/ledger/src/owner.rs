//! What the owner of a key can check alone: that nothing in her key's history was left out, told
//! twice, or told differently.
//!
//! She holds the key of her stream, so she can compute the label of her n-th entry for every n and
//! look for it among the entries that everybody reads. The platform hands her the openings; each
//! of her approvals has signed where her stream stood then.

use std::collections::HashMap;
use std::fmt;

use hpki::encoding::Digest32;
use zeroize::Zeroizing;

use crate::opening::{LeafOpening, commitment, entry_parts, label, stream_key_hash};
use crate::refusal::Refusal;
use crate::tlog::tree::root_of;
use crate::tlog::{Cosigned, Missed, Quorum, Source, entries_from, leaf_hash};

/// How far beyond the last number we know of entries are looked for: more than this many cannot
/// be left out in a row unnoticed.
const AHEAD: u64 = 4096;

/// The key of a stream. Whoever has it can find the stream's entries among all others, and
/// nothing else; it opens no entry and signs nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamKey(Zeroizing<Digest32>);

impl StreamKey {
    /// The key from its 32 octets.
    pub fn from_octets(octets: Digest32) -> Self {
        Self(Zeroizing::new(octets))
    }

    /// Its octets, for whoever keeps it.
    pub fn octets(&self) -> &Digest32 {
        &self.0
    }

    /// The label of the stream's entry with this number; the first is 1.
    pub fn label(&self, seq: u64) -> Digest32 {
        label(&self.0, seq)
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamKey")
    }
}

/// An entry of the stream as the platform hands it to its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedOver {
    /// Where it stands in the journal.
    pub index: u64,
    /// The salt of its commitment.
    pub salt: [u8; 32],
    /// What it says, encoded.
    pub opening: Vec<u8>,
}

/// What the owner knows.
pub struct Owner<'a> {
    /// The log's pinned key, and the witnesses whom she counts.
    pub quorum: &'a Quorum,
    /// The key of her stream.
    pub key: &'a StreamKey,
    /// What the platform handed over.
    pub handed: &'a [HandedOver],
    /// Where her stream stood when she approved something, as her phone signed it: the number of
    /// the last entry and its commitment.
    pub heads: &'a [(u64, Digest32)],
}

/// Her whole history, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Index in the journal and what the entry says; the n-th has number n + 1.
    pub entries: Vec<(u64, LeafOpening)>,
    /// The commitment of the last of them; zeros where there is none.
    pub head: Digest32,
    /// The checkpoint under which it was checked, and who has seen that.
    pub cosigned: Cosigned,
}

impl Owner<'_> {
    /// Checks her history against what everybody reads.
    ///
    /// Caught: `stream-gap` (a number is left out), `stream-forked` (a number stands twice, or
    /// another entry stands where she approved), `stream-not-in-log` (handed over or approved, and
    /// not in the log), `stream-withheld` (in the log, and not handed over), `stream-renumbered`
    /// (the contents contradict number, predecessor or stream), and as the monitor
    /// `checkpoint-…`, `quorum-missing`, `log-hidden`, `log-entry-changed`.
    pub async fn check<S: Source>(&self, source: &S) -> Result<History, Missed> {
        let note = source.get("checkpoint").await?;
        let note = note.ok_or_else(|| Refusal::LogHidden("checkpoint".into()))?;
        let cosigned = self.quorum.verify(&String::from_utf8_lossy(&note))?;
        let checkpoint = &cosigned.checkpoint;
        let all = entries_from(source, 0, checkpoint.size).await?;
        let leaves: Vec<_> = all.iter().map(|entry| leaf_hash(entry)).collect();
        if root_of(&leaves) != checkpoint.root {
            return Err(Refusal::LogEntryChanged(0).into());
        }
        let mut places: HashMap<Digest32, Vec<(u64, Digest32)>> = HashMap::new();
        for (index, entry) in (0..).zip(&all) {
            let (label, committed) = entry_parts(entry).ok_or(Refusal::LogEntryChanged(index))?;
            places.entry(label).or_default().push((index, committed));
        }
        let (entries, head) = self.judge(&places)?;
        Ok(History { entries, head, cosigned })
    }

    /// Her entries among all, from the first number on, and the commitment of the last.
    fn judge(
        &self,
        places: &HashMap<Digest32, Vec<(u64, Digest32)>>,
    ) -> Result<(Vec<(u64, LeafOpening)>, Digest32), Refusal> {
        let mine = self.mine(places)?;
        for (seq, commitment) in self.heads.iter().filter(|(seq, _)| *seq > 0) {
            let found = usize::try_from(seq - 1).ok().and_then(|at| mine.get(at));
            let (_, found) = found.ok_or(Refusal::StreamNotInLog(*seq))?;
            if found != commitment {
                return Err(Refusal::StreamForked(*seq));
            }
        }
        let handed: HashMap<u64, &HandedOver> =
            self.handed.iter().map(|handed| (handed.index, handed)).collect();
        let mut entries: Vec<(u64, LeafOpening)> = Vec::with_capacity(mine.len());
        let mut previous = None;
        for (seq, (index, committed)) in (1..).zip(&mine) {
            let renumbered = || Refusal::StreamRenumbered(seq);
            let handed = handed.get(index).ok_or(Refusal::StreamWithheld(seq))?;
            if commitment(&handed.salt, &handed.opening) != *committed {
                return Err(renumbered());
            }
            let opening = LeafOpening::decode(&handed.opening).ok_or_else(renumbered)?;
            let stated = (seq == 1).then(|| stream_key_hash(self.key.octets()));
            let stream = entries.first().map(|(_, first)| first.record.stream);
            if opening.seq != seq
                || opening.previous != previous
                || opening.stream_key_hash != stated
                || stream.is_some_and(|stream| stream != opening.record.stream)
            {
                return Err(renumbered());
            }
            previous = Some(*committed);
            entries.push((*index, opening));
        }
        // Whatever else was handed over must be hers, and so in the log under one of her labels.
        let stray = self.handed.iter().find(|handed| !mine.iter().any(|(i, _)| *i == handed.index));
        match stray {
            Some(stray) => Err(Refusal::StreamNotInLog(
                LeafOpening::decode(&stray.opening).map_or(0, |opening| opening.seq),
            )),
            None => Ok((entries, previous.unwrap_or_default())),
        }
    }

    /// Where her entries stand, by their labels: consecutive from 1, each once.
    fn mine(
        &self,
        places: &HashMap<Digest32, Vec<(u64, Digest32)>>,
    ) -> Result<Vec<(u64, Digest32)>, Refusal> {
        let claimed = self.heads.iter().map(|(seq, _)| *seq).max().unwrap_or(0);
        let mut mine = Vec::new();
        let mut missing = None;
        for seq in 1.. {
            match places.get(&self.key.label(seq)).map(Vec::as_slice) {
                Some([one]) => {
                    if let Some(missing) = missing {
                        return Err(Refusal::StreamGap(missing));
                    }
                    mine.push(*one);
                }
                Some(_) => return Err(Refusal::StreamForked(seq)),
                None => {
                    missing = missing.or(Some(seq));
                    let reach = mine.len() as u64 + AHEAD;
                    if seq > reach.max(claimed) {
                        break;
                    }
                }
            }
        }
        Ok(mine)
    }
}
