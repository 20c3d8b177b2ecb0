//! Checkpoints: `origin`, size and root, signed with Ed25519 as a C2SP signed note.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpki::encoding::{Digest32, sha256};
use hpki::sign::{DeviceFault, Sign, SignatureAlgorithm};
use std::sync::Arc;

use super::tree::verify_consistency;
use crate::refusal::Refusal;

/// Signature type identifier of plain Ed25519 (C2SP signed-note, "Signature types").
pub(super) const ED25519_TYPE: u8 = 0x01;
/// DER of an Ed25519 SubjectPublicKeyInfo before its 32 key octets (RFC 8410 §4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0];
/// A note is refused beyond this size or number of signatures.
const NOTE_OCTETS_MAX: usize = 64 * 1024;
const SIGNATURES_MAX: usize = 64;

/// The head of a tree: what a log stands for at one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's identity.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Digest32,
}

impl Checkpoint {
    /// The text that is signed.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// Checks that this tree begins with the whole tree of an earlier checkpoint of the same log;
    /// `path` is what the log answers for these two sizes (RFC 6962 §2.1.2).
    pub fn continues(&self, earlier: &Self, path: &[Digest32]) -> Result<(), Refusal> {
        let same = self.origin == earlier.origin;
        let (old, new) = (earlier, self);
        if same && verify_consistency(old.size, &old.root, new.size, &new.root, path) {
            return Ok(());
        }
        Err(Refusal::ConsistencyWrong(format!("{} and {} entries", old.size, new.size)))
    }

    /// Reads the signed text; whose it is, nobody has checked yet.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let wrong = |what: &str| Refusal::CheckpointMalformed(what.to_owned());
        let body = text.strip_suffix('\n').ok_or_else(|| wrong("its text does not end a line"))?;
        let mut lines = body.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(wrong("it has fewer than three lines"));
        };
        if origin.is_empty() || lines.any(str::is_empty) {
            return Err(wrong("it has an empty line"));
        }
        let root = STANDARD.decode(root).ok().and_then(|root| root.try_into().ok());
        Ok(Self {
            origin: origin.to_owned(),
            size: decimal(size).ok_or_else(|| wrong("its size is not a number"))?,
            root: root.ok_or_else(|| wrong("its root is not 32 octets in base64"))?,
        })
    }
}

/// ASCII decimal without sign or leading zeroes.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (digits && (text == "0" || !text.starts_with('0'))).then(|| text.parse().ok()).flatten()
}

/// Whether a log can be called so: signed-note forbids spaces and `+` in key names.
pub(super) fn name_is_usable(origin: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    !origin.is_empty() && origin.len() <= 200 && !origin.contains(odd)
}

/// `SHA-256(name ‖ 0A ‖ type ‖ public key)[..4]`.
pub(super) fn key_id(name: &str, kind: u8, public: &[u8; 32]) -> [u8; 4] {
    let mut octets = Vec::with_capacity(name.len() + 34);
    octets.extend_from_slice(name.as_bytes());
    octets.extend_from_slice(&[b'\n', kind]);
    octets.extend_from_slice(public);
    let [a, b, c, d, ..] = sha256(&octets);
    [a, b, c, d]
}

/// The Ed25519 key in DER SubjectPublicKeyInfo.
pub(super) fn ed25519(spki_der: &[u8]) -> Option<[u8; 32]> {
    spki_der.strip_prefix(&SPKI_PREFIX)?.try_into().ok()
}

/// `name+<key id, 8 hexadecimal digits>+base64(type ‖ public key)` (C2SP signed-note, "Verifier
/// keys").
pub(super) fn show_key(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    kind: u8,
    public: &[u8; 32],
) -> fmt::Result {
    let mut key = [kind; 33];
    key[1..].copy_from_slice(public);
    let id = u32::from_be_bytes(key_id(name, kind, public));
    write!(f, "{name}+{id:08x}+{}", STANDARD.encode(key))
}

/// Reads [`show_key`] back: name and key, or what is wrong.
pub(super) fn read_key(text: &str, kind: u8) -> Result<(&str, [u8; 32]), &'static str> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("it does not have three parts joined by '+'");
    };
    if !name_is_usable(name) {
        return Err("its name cannot be used");
    }
    let key = STANDARD.decode(key).map_err(|_| "its key is not base64")?;
    let public = key.strip_prefix(&[kind]).and_then(|key| key.try_into().ok());
    let public = public.ok_or("its key is not an Ed25519 key of this use")?;
    let named = (id.len() == 8).then(|| u32::from_str_radix(id, 16).ok()).flatten();
    if named != Some(u32::from_be_bytes(key_id(name, kind, &public))) {
        return Err("its key id does not fit its key");
    }
    Ok((name, public))
}

/// A signed note taken apart: what is signed, and who claims to have signed it.
pub(super) struct Note<'a> {
    pub(super) text: &'a str,
    pub(super) lines: Vec<Line<'a>>,
}

/// One signature line.
pub(super) struct Line<'a> {
    pub(super) whole: &'a str,
    pub(super) name: &'a str,
    pub(super) id: [u8; 4],
    pub(super) value: Vec<u8>,
}

impl<'a> Note<'a> {
    pub(super) fn parse(note: &'a str) -> Result<Self, Refusal> {
        let malformed = |what: &str| Refusal::CheckpointMalformed(what.to_owned());
        if note.len() > NOTE_OCTETS_MAX {
            return Err(malformed("it is too long"));
        }
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(malformed("it has control characters"));
        }
        let end = note.rfind("\n\n").ok_or_else(|| malformed("it has no signature"))?;
        Ok(Self { text: &note[..=end], lines: lines(&note[end + 2..])? })
    }
}

/// Signature lines, each ended by a line feed.
pub(super) fn lines(text: &str) -> Result<Vec<Line<'_>>, Refusal> {
    let malformed = |what: &str| Refusal::CheckpointMalformed(what.to_owned());
    let text = text.strip_suffix('\n').ok_or_else(|| malformed("its last line is open"))?;
    let mut found = Vec::new();
    for whole in text.split('\n') {
        if found.len() >= SIGNATURES_MAX {
            return Err(malformed("it has too many signatures"));
        }
        let (name, value) = whole
            .strip_prefix("\u{2014} ")
            .and_then(|rest| rest.split_once(' '))
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| malformed("a signature line is malformed"))?;
        let value = STANDARD.decode(value).unwrap_or_default();
        let (id, value) =
            value.split_first_chunk::<4>().ok_or_else(|| malformed("a signature is malformed"))?;
        found.push(Line { whole, name, id: *id, value: value.to_vec() });
    }
    Ok(found)
}

/// The public key of a log, with the name it signs under: what everybody pins.
///
/// As text: `name+<key id, 8 hexadecimal digits>+base64(01 ‖ public key)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyKey {
    name: String,
    public: [u8; 32],
    id: [u8; 4],
}

impl VerifyKey {
    /// The key of the log with this origin, from DER SubjectPublicKeyInfo.
    pub fn from_spki(origin: &str, spki_der: &[u8]) -> Result<Self, Refusal> {
        let wrong = |what: &str| Refusal::LogKeyWrong(what.to_owned());
        if !name_is_usable(origin) {
            return Err(wrong("the origin is empty, too long, or has spaces or '+'"));
        }
        let public = ed25519(spki_der).ok_or_else(|| wrong("the log key is not Ed25519"))?;
        Ok(Self { name: origin.to_owned(), public, id: key_id(origin, ED25519_TYPE, &public) })
    }

    /// The log's name, which is also the origin of its checkpoints.
    pub fn origin(&self) -> &str {
        &self.name
    }

    /// The 32 octets of the Ed25519 public key (RFC 8032 §5.1.5).
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Checks a signed checkpoint of this log.
    ///
    /// Signatures by others (witnesses) are ignored; of this log's, every one must be good and
    /// there must be at least one.
    pub fn verify(&self, note: &str) -> Result<Checkpoint, Refusal> {
        let parsed = Note::parse(note)?;
        let mut good = false;
        for line in &parsed.lines {
            if line.name != self.name || line.id != self.id {
                continue;
            }
            UnparsedPublicKey::new(&ED25519, &self.public)
                .verify(parsed.text.as_bytes(), &line.value)
                .map_err(|_| Refusal::CheckpointSignatureWrong("the signature is bad".into()))?;
            good = true;
        }
        if !good {
            return Err(Refusal::CheckpointSignatureWrong(format!("none by {}", self.name)));
        }
        let checkpoint = Checkpoint::parse(parsed.text)?;
        if checkpoint.origin != self.name {
            return Err(Refusal::CheckpointSignatureWrong(format!(
                "it is of {}, not of {}",
                checkpoint.origin, self.name
            )));
        }
        Ok(checkpoint)
    }
}

impl fmt::Display for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_key(f, &self.name, ED25519_TYPE, &self.public)
    }
}

impl FromStr for VerifyKey {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let (name, public) = read_key(text, ED25519_TYPE)
            .map_err(|what| Refusal::LogKeyMalformed(what.to_owned()))?;
        Ok(Self { name: name.to_owned(), public, id: key_id(name, ED25519_TYPE, &public) })
    }
}

/// The log's side: signs checkpoints with the key that was handed in.
pub(crate) struct NoteSigner {
    key: Arc<dyn Sign>,
    pub(crate) public: VerifyKey,
}

impl NoteSigner {
    pub(crate) fn new(origin: &str, key: Arc<dyn Sign>) -> Result<Self, Refusal> {
        if key.algorithm() != SignatureAlgorithm::Ed25519 {
            return Err(Refusal::LogKeyWrong("the log key is not Ed25519".into()));
        }
        let public = VerifyKey::from_spki(origin, key.spki_der())?;
        Ok(Self { key, public })
    }

    pub(crate) fn sign(&self, size: u64, root: Digest32) -> Result<String, DeviceFault> {
        let checkpoint = Checkpoint { origin: self.public.name.clone(), size, root };
        let mut note = checkpoint.text();
        let signature = self.key.sign(note.as_bytes())?;
        let mut value = Vec::with_capacity(4 + signature.len());
        value.extend_from_slice(&self.public.id);
        value.extend_from_slice(&signature);
        note.push_str("\n\u{2014} ");
        note.push_str(&self.public.name);
        note.push(' ');
        STANDARD.encode_string(value, &mut note);
        note.push('\n');
        Ok(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the signed-note page: a real key and note, not made by us.
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn a_published_key_is_read_and_written_unchanged() {
        let key: VerifyKey = PETER.parse().unwrap();
        assert_eq!(key.to_string(), PETER);
    }

    #[test]
    fn a_key_whose_id_does_not_fit_is_refused() {
        let wrong = PETER.replace("c74f20a3", "c74f20a4");
        assert!(matches!(wrong.parse::<VerifyKey>(), Err(Refusal::LogKeyMalformed(_))));
    }

    #[test]
    fn sizes_are_plain_decimals() {
        assert_eq!(decimal("0"), Some(0));
        assert_eq!(decimal("18446744073709551615"), Some(u64::MAX));
        for odd in ["", "00", "01", "+1", "-1", " 1", "1 ", "18446744073709551616", "1_0"] {
            assert_eq!(decimal(odd), None, "{odd:?}");
        }
    }
}
