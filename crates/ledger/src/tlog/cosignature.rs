//! Cosignatures of witnesses: somebody else has seen this checkpoint and found that it continues
//! every earlier one (C2SP tlog-cosignature, type 0x04: Ed25519 over `cosignature/v1`, a time and
//! the checkpoint's text).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpki::sign::{DeviceFault, Sign, SignatureAlgorithm};
use hpki::time::Timestamp;

use super::note::{Line, Note, ed25519, key_id, lines, name_is_usable, read_key, show_key};
use super::{Checkpoint, VerifyKey};
use crate::refusal::Refusal;

/// Signature type identifier of an Ed25519 cosignature.
const COSIGNATURE_TYPE: u8 = 0x04;

/// What a witness signs: the time it looked, and the text of the checkpoint.
fn message(time: Timestamp, text: &str) -> String {
    format!("cosignature/v1\ntime {}\n{text}", time.seconds())
}

/// The public key of a witness, with the name it signs under: what whoever counts witnesses pins.
///
/// As text: `name+<key id, 8 hexadecimal digits>+base64(04 ‖ public key)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    public: [u8; 32],
    id: [u8; 4],
}

impl WitnessKey {
    fn new(name: &str, public: [u8; 32]) -> Self {
        Self { name: name.to_owned(), public, id: key_id(name, COSIGNATURE_TYPE, &public) }
    }

    /// The witness's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn is_by(&self, line: &Line<'_>) -> bool {
        line.name == self.name && line.id == self.id
    }

    /// When this witness cosigned the text; a bad signature under its name is refused.
    fn time(&self, text: &str, line: &Line<'_>) -> Result<Timestamp, Refusal> {
        let wrong = || Refusal::CosignatureWrong(self.name.clone());
        let (time, signature) = line.value.split_first_chunk::<8>().ok_or_else(wrong)?;
        let time = Timestamp::from_seconds(u64::from_be_bytes(*time));
        UnparsedPublicKey::new(&ED25519, &self.public)
            .verify(message(time, text).as_bytes(), signature)
            .map_err(|_| wrong())?;
        Ok(time)
    }

    /// Puts this witness's answer under the note, in the place of an older one of the same witness.
    ///
    /// Other lines of the answer are ignored; a bad one of this witness, or none, is refused.
    pub fn attach(&self, note: &str, answer: &str) -> Result<String, Refusal> {
        let parsed = Note::parse(note)?;
        let answered = lines(answer)?;
        let missing = || Refusal::CosignatureWrong(self.name.clone());
        let line = answered.iter().find(|line| self.is_by(line)).ok_or_else(missing)?;
        self.time(parsed.text, line)?;
        let mut out = format!("{}\n", parsed.text);
        let others = parsed.lines.iter().filter(|line| !self.is_by(line));
        for line in others.chain([line]) {
            out.push_str(line.whole);
            out.push('\n');
        }
        Ok(out)
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_key(f, &self.name, COSIGNATURE_TYPE, &self.public)
    }
}

impl FromStr for WitnessKey {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let malformed = |what: &str| Refusal::WitnessKeyMalformed(what.to_owned());
        let (name, public) = read_key(text, COSIGNATURE_TYPE).map_err(malformed)?;
        Ok(Self::new(name, public))
    }
}

/// A log and those who watch it: how many of them must have seen a checkpoint.
#[derive(Debug, Clone)]
pub struct Quorum {
    log: VerifyKey,
    witnesses: Vec<WitnessKey>,
    needed: usize,
}

/// A checkpoint of the log that enough witnesses have seen: made by [`Quorum::verify`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Who has seen it, and when.
    pub by: Vec<(String, Timestamp)>,
}

impl Quorum {
    /// Refused as `quorum-impossible` where fewer witnesses than needed are named. One key under
    /// two names is one witness (a cosignature does not say under which name it was made), and the
    /// log is no witness of itself.
    pub fn new(log: VerifyKey, witnesses: Vec<WitnessKey>, needed: usize) -> Result<Self, Refusal> {
        let mut keys: Vec<_> = witnesses.iter().map(|witness| witness.public).collect();
        keys.retain(|key| key != log.public());
        keys.sort_unstable();
        keys.dedup();
        if keys.len() < needed || keys.len() < witnesses.len() {
            let why = format!("{needed} needed of {} different witnesses", keys.len());
            return Err(Refusal::QuorumImpossible(why));
        }
        Ok(Self { log, witnesses, needed })
    }

    /// The log.
    pub const fn log(&self) -> &VerifyKey {
        &self.log
    }

    /// How many must have seen a checkpoint.
    pub const fn needed(&self) -> usize {
        self.needed
    }

    /// Believes a checkpoint if the log signed it and enough witnesses have seen it.
    pub fn verify(&self, note: &str) -> Result<Cosigned, Refusal> {
        let checkpoint = self.log.verify(note)?;
        let parsed = Note::parse(note)?;
        let mut by = Vec::new();
        for witness in &self.witnesses {
            let mut seen = None;
            for line in parsed.lines.iter().filter(|line| witness.is_by(line)) {
                seen = seen.max(Some(witness.time(parsed.text, line)?));
            }
            by.extend(seen.map(|time| (witness.name.clone(), time)));
        }
        if by.len() < self.needed {
            return Err(Refusal::QuorumMissing { seen: by.len(), needed: self.needed });
        }
        Ok(Cosigned { checkpoint, by })
    }
}

/// A witness's side: signs with the key that was handed in.
pub(crate) struct Cosigner {
    key: Arc<dyn Sign>,
    pub(crate) public: WitnessKey,
}

impl Cosigner {
    pub(crate) fn new(name: &str, key: Arc<dyn Sign>) -> Result<Self, Refusal> {
        let wrong = |what: &str| Refusal::WitnessKeyMalformed(what.to_owned());
        if !name_is_usable(name) {
            return Err(wrong("the name is empty, too long, or has spaces or '+'"));
        }
        let public = ed25519(key.spki_der())
            .filter(|_| key.algorithm() == SignatureAlgorithm::Ed25519)
            .ok_or_else(|| wrong("the key is not Ed25519"))?;
        Ok(Self { key, public: WitnessKey::new(name, public) })
    }

    /// One signature line over the text of this note.
    pub(crate) fn cosign(&self, note: &str, now: Timestamp) -> Result<String, DeviceFault> {
        let end = note.rfind("\n\n").unwrap_or(note.len().saturating_sub(1));
        let signature = self.key.sign(message(now, &note[..=end]).as_bytes())?;
        let mut value = Vec::with_capacity(12 + signature.len());
        value.extend_from_slice(&self.public.id);
        value.extend_from_slice(&now.seconds().to_be_bytes());
        value.extend_from_slice(&signature);
        Ok(format!("\u{2014} {} {}\n", self.public.name, STANDARD.encode(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checkpoint and cosignature printed in C2SP tlog-cosignature; the keys are not printed,
    /// so only the form is compared.
    const PRINTED: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

    #[test]
    fn the_printed_example_is_taken_apart_as_it_says() {
        let note = Note::parse(PRINTED).unwrap();
        assert_eq!(note.lines.len(), 2);
        let (time, signature) = note.lines[1].value.split_first_chunk::<8>().unwrap();
        assert_eq!((u64::from_be_bytes(*time), signature.len()), (1_679_315_147, 64));
        assert_eq!(
            message(Timestamp::from_seconds(1_679_315_147), note.text),
            "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
        );
    }
}
