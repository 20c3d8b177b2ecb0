//! `c2sp.org/tlog-proof@v1`: the text that travels with each answer.
//!
//! The extra data is `salt ‖ label ‖ opening`. Salt and opening give the commitment; the label
//! is needed too, because only the platform and the owner can compute it, and the leaf is
//! `01 ‖ label ‖ commitment`. Nothing of it is trusted until the leaf made from it is found in the
//! checkpointed tree.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpki::encoding::Digest32;

use super::note::decimal;
use super::tree::{leaf_hash, verify_inclusion};
use super::{Checkpoint, Cosigned, Quorum, VerifyKey};
use crate::opening::{LeafOpening, commitment, entry};
use crate::refusal::Refusal;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// A tree of 2⁶⁴ leaves has paths no longer than this.
const PATH_MAX: usize = 64;
/// A proof is refused beyond this size.
const PROOF_OCTETS_MAX: usize = 128 * 1024;

/// A parsed, not yet believed proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The index that is claimed.
    pub index: u64,
    salt: [u8; 32],
    label: Digest32,
    opening: Vec<u8>,
    path: Vec<Digest32>,
    /// The signed note, verbatim.
    pub checkpoint: String,
}

/// An entry that stands in the log: made by [`Proof::verify`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEntry {
    /// Its place in the journal.
    pub index: u64,
    /// Its public label.
    pub label: Digest32,
    /// Its public commitment.
    pub commitment: Digest32,
    /// What it says.
    pub opening: LeafOpening,
    /// The checkpoint whose tree it stands in.
    pub checkpoint: Checkpoint,
}

impl Proof {
    /// Reads the text of a proof.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let wrong = |what: &str| Refusal::ProofMalformed(what.to_owned());
        if text.len() > PROOF_OCTETS_MAX {
            return Err(wrong("it is too long"));
        }
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or_else(|| wrong("it has no checkpoint"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(FIRST_LINE) {
            return Err(wrong("its first line is another"));
        }
        let extra = lines.next().and_then(|line| line.strip_prefix("extra "));
        let extra = extra.ok_or_else(|| wrong("it has no extra data"))?;
        let extra = STANDARD.decode(extra).map_err(|_| wrong("its extra data is not base64"))?;
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(decimal);
        let index = index.ok_or_else(|| wrong("it has no index"))?;
        let mut path = Vec::new();
        for line in lines {
            let hash = STANDARD.decode(line).ok().and_then(|hash| hash.try_into().ok());
            path.push(hash.ok_or_else(|| wrong("a hash is not 32 octets in base64"))?);
            if path.len() > PATH_MAX {
                return Err(wrong("it has too many hashes"));
            }
        }
        let short = || wrong("its extra data is too short");
        let (salt, rest) = extra.split_first_chunk::<32>().ok_or_else(short)?;
        let (label, opening) = rest.split_first_chunk::<32>().ok_or_else(short)?;
        Ok(Self {
            index,
            salt: *salt,
            label: *label,
            opening: opening.to_vec(),
            path,
            checkpoint: checkpoint.to_owned(),
        })
    }

    /// Believes the proof if the pinned log signed a tree in which this very entry stands.
    pub fn verify(&self, log: &VerifyKey) -> Result<VerifiedEntry, Refusal> {
        self.verify_under(&log.verify(&self.checkpoint)?)
    }

    /// Believes the proof if, besides, enough witnesses have seen that tree.
    pub fn verify_witnessed(&self, quorum: &Quorum) -> Result<(VerifiedEntry, Cosigned), Refusal> {
        let cosigned = quorum.verify(&self.checkpoint)?;
        let entry = self.verify_under(&cosigned.checkpoint)?;
        Ok((entry, cosigned))
    }

    /// Only with a checkpoint that the log's key has verified as this proof's own.
    pub(super) fn verify_under(&self, checkpoint: &Checkpoint) -> Result<VerifiedEntry, Refusal> {
        let commitment = commitment(&self.salt, &self.opening);
        let leaf = leaf_hash(&entry(&self.label, &commitment));
        if !verify_inclusion(&leaf, self.index, checkpoint.size, &self.path, &checkpoint.root) {
            return Err(Refusal::ProofWrong);
        }
        let opening = LeafOpening::decode(&self.opening)
            .ok_or_else(|| Refusal::ProofMalformed("its opening is malformed".into()))?;
        let (index, label, checkpoint) = (self.index, self.label, checkpoint.clone());
        Ok(VerifiedEntry { index, label, commitment, opening, checkpoint })
    }
}

/// Writes a proof.
pub(crate) fn proof_text(
    salt: &[u8; 32],
    label: &Digest32,
    opening: &[u8],
    index: u64,
    path: &[Digest32],
    checkpoint: &str,
) -> String {
    use std::fmt::Write as _;
    let mut extra = Vec::with_capacity(64 + opening.len());
    extra.extend_from_slice(salt);
    extra.extend_from_slice(label);
    extra.extend_from_slice(opening);
    let mut text =
        String::with_capacity(64 + extra.len() * 4 / 3 + path.len() * 45 + checkpoint.len());
    text.push_str(FIRST_LINE);
    text.push_str("\nextra ");
    STANDARD.encode_string(&extra, &mut text);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\nindex {index}");
    for hash in path {
        STANDARD.encode_string(hash, &mut text);
        text.push('\n');
    }
    text.push('\n');
    text.push_str(checkpoint);
    text
}
