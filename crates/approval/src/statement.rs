//! What a person approves, and the challenge that stands for it.
//!
//! The page on the phone computes the same challenge from what it displays, so the fields here are
//! exactly what is shown, in the encoding of [`hpki::encoding`].

use hpki::encoding::{Digest32, Statement as Encoded};
use hpki::id::{CeremonyId, FacilityCode, KeyId, PersonId, SessionId, SheetId};
use hpki::kind::DocumentKind;
use hpki::merkle::{leaf_hash, path_of, root_of, verify_inclusion};
use hpki::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::login::LoginStatement;
use crate::owners::{
    ChangeStatement, DisputeStatement, LinkCardStatement, LossStatement, RestartStatement,
    SheetStatement, StopStatement, UnlinkCardStatement,
};

/// Linking a phone to a person's kept key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LinkStatement {
    /// The platform, as in tokens.
    pub issuer: String,
    /// The relying party of the credential.
    pub rp_id: String,
    /// The sheet that was opened.
    pub sheet: SheetId,
    /// The sitting in which it was opened.
    pub session: SessionId,
    /// Fresh for this sitting.
    #[serde(with = "crate::b64")]
    pub nonce: [u8; 32],
    /// Whose phone it becomes.
    pub person: PersonId,
    /// For which kept key.
    pub key: KeyId,
    /// SHA-256 of the terms that were shown.
    #[serde(with = "crate::b64")]
    pub terms_hash: Digest32,
}

impl LinkStatement {
    /// `H("azukari/approve/link/v1"; issuer, rpId, sheet, session, nonce, person, key, termsHash)`.
    pub fn challenge(&self) -> Digest32 {
        Encoded::new("azukari/approve/link/v1")
            .text(&self.issuer)
            .text(&self.rp_id)
            .octets_field(self.sheet.octets())
            .octets_field(self.session.octets())
            .octets_field(&self.nonce)
            .octets_field(self.person.octets())
            .octets_field(self.key.octets())
            .octets_field(&self.terms_hash)
            .digest()
    }
}

/// Letting a key be used at an institution for a while: the daily authentication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionStatement {
    /// The platform, as in tokens.
    pub issuer: String,
    /// The relying party of the credential.
    pub rp_id: String,
    /// The ceremony across terminal and phone.
    pub ceremony: CeremonyId,
    /// Fresh for this ceremony.
    #[serde(with = "crate::b64")]
    pub nonce: [u8; 32],
    /// The institution.
    pub facility_id: FacilityCode,
    /// Its name from the registry, never from the gateway.
    pub facility_name: String,
    /// SHA-256 of the facility's client certificate (RFC 8705 `x5t#S256`).
    #[serde(with = "crate::b64")]
    pub x5t_s256: Digest32,
    /// The terminal.
    pub terminal_id: String,
    /// What people there call it.
    pub terminal_label: String,
    /// Who approves.
    pub person: PersonId,
    /// Which kept key may be used.
    pub key: KeyId,
    /// For which kinds of document.
    pub kinds: Vec<DocumentKind>,
    /// How many signatures at most.
    pub max_count: u32,
    /// From when.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// How many entries the key's journal stream has: the approval acknowledges its history.
    pub head_seq: u64,
    /// The last commitment of that stream; absent while it is empty.
    #[serde(with = "crate::b64::optional")]
    pub head_commitment: Option<Digest32>,
}

impl SessionStatement {
    /// `H("azukari/approve/session/v1"; issuer, rpId, ceremony, nonce, facilityId, facilityName,
    /// x5tS256, terminalId, terminalLabel, person, key, [kinds sorted], maxCount, notBefore,
    /// notAfter, headSeq, headCommitment)`.
    pub fn challenge(&self) -> Digest32 {
        let mut kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.name()).collect();
        kinds.sort_unstable();
        Encoded::new("azukari/approve/session/v1")
            .text(&self.issuer)
            .text(&self.rp_id)
            .octets_field(self.ceremony.octets())
            .octets_field(&self.nonce)
            .text(self.facility_id.as_str())
            .text(&self.facility_name)
            .octets_field(&self.x5t_s256)
            .text(&self.terminal_id)
            .text(&self.terminal_label)
            .octets_field(self.person.octets())
            .octets_field(self.key.octets())
            .list(&kinds)
            .number(u64::from(self.max_count))
            .time(self.not_before)
            .time(self.not_after)
            .number(self.head_seq)
            .optional(self.head_commitment.as_ref().map(<[u8; 32]>::as_slice))
            .digest()
    }
}

/// Having exactly these documents signed, and no others: the approval per document or batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DocumentsStatement {
    /// The platform, as in tokens.
    pub issuer: String,
    /// The relying party of the credential.
    pub rp_id: String,
    /// The ceremony across terminal and phone.
    pub ceremony: CeremonyId,
    /// Fresh for this ceremony.
    #[serde(with = "crate::b64")]
    pub nonce: [u8; 32],
    /// The institution.
    pub facility_id: FacilityCode,
    /// Its name from the registry, never from the gateway.
    pub facility_name: String,
    /// SHA-256 of the facility's client certificate (RFC 8705 `x5t#S256`).
    #[serde(with = "crate::b64")]
    pub x5t_s256: Digest32,
    /// The terminal.
    pub terminal_id: String,
    /// What people there call it.
    pub terminal_label: String,
    /// Who approves.
    pub person: PersonId,
    /// Which kept key is to sign.
    pub key: KeyId,
    /// The kinds among the documents, each once.
    pub kinds: Vec<DocumentKind>,
    /// How many documents.
    pub count: u32,
    /// The tree over their commitments ([`root`]).
    #[serde(with = "crate::b64")]
    pub root: Digest32,
    /// Until when they may be signed.
    pub not_after: Timestamp,
}

impl DocumentsStatement {
    /// `H("azukari/approve/documents/v1"; issuer, rpId, ceremony, nonce, facilityId, facilityName,
    /// x5tS256, terminalId, terminalLabel, person, key, [kinds sorted], count, root, notAfter)`.
    pub fn challenge(&self) -> Digest32 {
        let mut kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.name()).collect();
        kinds.sort_unstable();
        Encoded::new("azukari/approve/documents/v1")
            .text(&self.issuer)
            .text(&self.rp_id)
            .octets_field(self.ceremony.octets())
            .octets_field(&self.nonce)
            .text(self.facility_id.as_str())
            .text(&self.facility_name)
            .octets_field(&self.x5t_s256)
            .text(&self.terminal_id)
            .text(&self.terminal_label)
            .octets_field(self.person.octets())
            .octets_field(self.key.octets())
            .list(&kinds)
            .number(u64::from(self.count))
            .octets_field(&self.root)
            .time(self.not_after)
            .digest()
    }

    /// What terminal and phone both show, so that a person sees that they speak of the same
    /// documents.
    pub fn short_code(&self) -> String {
        short_code(&self.root)
    }
}

/// The commitment to one document: `H("azukari/document/v1"; kind, hashOid, documentDigest, dtbsr)`.
///
/// `hash_oid` is the dotted object identifier of the digest algorithm, `digest` the digest of the
/// document and `dtbsr` that of what the key signs.
pub fn document_commitment(
    kind: DocumentKind,
    hash_oid: &str,
    digest: &[u8],
    dtbsr: &[u8],
) -> Digest32 {
    Encoded::new("azukari/document/v1")
        .text(kind.name())
        .text(hash_oid)
        .octets_field(digest)
        .octets_field(dtbsr)
        .digest()
}

fn leaves(commitments: &[Digest32]) -> Vec<Digest32> {
    commitments.iter().map(|commitment| leaf_hash(commitment)).collect()
}

/// The root of the RFC 6962 tree whose entries are these commitments, in the order of the batch.
pub fn root(commitments: &[Digest32]) -> Digest32 {
    root_of(&leaves(commitments))
}

/// The proof that the document at `index` belongs to the batch; it reveals no other document.
pub fn path(commitments: &[Digest32], index: usize) -> Vec<Digest32> {
    path_of(&leaves(commitments), index)
}

/// Whether this commitment stands at `index` in the batch of `count` documents with this root.
pub fn belongs(
    commitment: &Digest32,
    index: u64,
    count: u32,
    path: &[Digest32],
    root: &Digest32,
) -> bool {
    verify_inclusion(&leaf_hash(commitment), index, u64::from(count), path, root)
}

/// The first 40 bits of a root as eight characters of Base32 (RFC 4648 §6).
pub fn short_code(root: &Digest32) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits = root[..5].iter().fold(0_u64, |bits, octet| bits << 8 | u64::from(*octet));
    (0..8_u32)
        .rev()
        .map(|place| char::from(ALPHABET[(bits >> (5 * place) & 31) as usize]))
        .collect()
}

/// Any statement that an assertion can approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Statement {
    /// Linking a phone, approved by a means linked before.
    Link(LinkStatement),
    /// Daily authentication.
    Session(SessionStatement),
    /// Documents, one by one or in a batch.
    Documents(DocumentsStatement),
    /// The owner's stop of her own key.
    Stop(StopStatement),
    /// The end of such a stop.
    Restart(RestartStatement),
    /// The owner's phone is lost.
    Loss(LossStatement),
    /// The owner disowns an entry of the journal.
    Dispute(DisputeStatement),
    /// Another phone takes the place of this one.
    Change(ChangeStatement),
    /// Telling another service who she is.
    Login(LoginStatement),
    /// A new sheet, by card.
    Sheet(SheetStatement),
    /// A My Number Card is linked.
    #[serde(rename = "link-card")]
    LinkCard(LinkCardStatement),
    /// A My Number Card is linked no more.
    #[serde(rename = "unlink-card")]
    UnlinkCard(UnlinkCardStatement),
}

/// The same asked of whichever statement it is.
macro_rules! of_each {
    ($self:ident, $statement:ident => $asked:expr) => {
        match $self {
            Self::Link($statement) => $asked,
            Self::Session($statement) => $asked,
            Self::Documents($statement) => $asked,
            Self::Stop($statement) => $asked,
            Self::Restart($statement) => $asked,
            Self::Loss($statement) => $asked,
            Self::Dispute($statement) => $asked,
            Self::Change($statement) => $asked,
            Self::Login($statement) => $asked,
            Self::Sheet($statement) => $asked,
            Self::LinkCard($statement) => $asked,
            Self::UnlinkCard($statement) => $asked,
        }
    };
}

impl Statement {
    /// The challenge that stands for it.
    pub fn challenge(&self) -> Digest32 {
        of_each!(self, statement => statement.challenge())
    }
    /// The platform that it was made for.
    pub fn issuer(&self) -> &str {
        of_each!(self, statement => &statement.issuer)
    }
    /// Who approves.
    pub fn person(&self) -> PersonId {
        of_each!(self, statement => statement.person)
    }
    /// Which kept key it is about.
    pub fn key(&self) -> KeyId {
        of_each!(self, statement => statement.key)
    }
    /// The relying party that the statement names.
    pub fn rp_id(&self) -> &str {
        of_each!(self, statement => &statement.rp_id)
    }
}

#[cfg(test)]
#[path = "statement_tests.rs"]
pub(crate) mod tests;
