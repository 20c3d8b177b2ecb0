//! What a log hands to a witness: `POST <prefix>/add-checkpoint` (C2SP tlog-witness).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpki::encoding::Digest32;

use super::note::decimal;
use crate::refusal::Refusal;

/// More hashes than this no consistency proof has.
const PATH_MAX: usize = 63;

/// A checkpoint, and the proof that it continues the one that the witness knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The size that the witness has cosigned last; 0 if none.
    pub old: u64,
    /// RFC 6962 §2.1.2, from that size.
    pub path: Vec<Digest32>,
    /// The signed note.
    pub checkpoint: String,
}

impl Submission {
    /// The body of the request.
    pub fn text(&self) -> String {
        let mut out = format!("old {}\n", self.old);
        for hash in &self.path {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{}", STANDARD.encode(hash));
        }
        out.push('\n');
        out.push_str(&self.checkpoint);
        out
    }

    /// Reads the body of a request.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let wrong = |what: &str| Refusal::WitnessRequestMalformed(what.to_owned());
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or_else(|| wrong("it has no checkpoint"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(decimal);
        let old = old.ok_or_else(|| wrong("its first line is not 'old' and a size"))?;
        let mut path = Vec::new();
        for line in lines {
            let hash = STANDARD.decode(line).ok().and_then(|hash| hash.try_into().ok());
            path.push(hash.ok_or_else(|| wrong("a hash is not 32 octets in base64"))?);
            if path.len() > PATH_MAX {
                return Err(wrong("it has too many hashes"));
            }
        }
        Ok(Self { old, path, checkpoint: checkpoint.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submission_reads_back_as_it_was_written_and_nothing_else_reads() {
        for path in [vec![], vec![[1; 32], [2; 32]]] {
            let whole = Submission { old: 7, path, checkpoint: "a\n8\nb\n\n\u{2014} c d\n".into() };
            assert_eq!(Submission::parse(&whole.text()).unwrap(), whole);
        }
        let many = format!("old 1\n{}\nx", format!("{}\n", STANDARD.encode([0; 32])).repeat(64));
        for text in
            ["", "old 1\n", "old 01\n\nx", "old -1\n\nx", "new 1\n\nx", "old 1\nAAAA\n\nx", &many]
        {
            assert!(
                matches!(Submission::parse(text), Err(Refusal::WitnessRequestMalformed(_))),
                "{text:?}"
            );
        }
    }
}
