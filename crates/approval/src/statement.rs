//! What a person approves, and the challenge that stands for it.
//!
//! The page on the phone computes the same challenge from what it displays, so the fields here are
//! exactly what is shown, in the encoding of [`hpki::encoding`].

use hpki::encoding::{Digest32, Statement as Encoded};
use hpki::id::{CeremonyId, FacilityCode, KeyId, PersonId, SessionId, SheetId};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use serde::{Deserialize, Serialize};

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

/// Any statement that an assertion can approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Statement {
    /// Linking a phone, approved by a means linked before.
    Link(LinkStatement),
    /// Daily authentication.
    Session(SessionStatement),
}

impl Statement {
    /// The challenge that stands for it.
    pub fn challenge(&self) -> Digest32 {
        match self {
            Self::Link(statement) => statement.challenge(),
            Self::Session(statement) => statement.challenge(),
        }
    }
    /// Who approves.
    pub fn person(&self) -> PersonId {
        match self {
            Self::Link(statement) => statement.person,
            Self::Session(statement) => statement.person,
        }
    }
    /// Which kept key it is about.
    pub fn key(&self) -> KeyId {
        match self {
            Self::Link(statement) => statement.key,
            Self::Session(statement) => statement.key,
        }
    }
    /// The relying party that the statement names.
    pub fn rp_id(&self) -> &str {
        match self {
            Self::Link(statement) => &statement.rp_id,
            Self::Session(statement) => &statement.rp_id,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn link() -> LinkStatement {
        LinkStatement {
            issuer: "https://platform.test".into(),
            rp_id: "localhost".into(),
            sheet: SheetId::from_octets([1; 16]),
            session: SessionId::from_octets([2; 16]),
            nonce: [3; 32],
            person: PersonId::from_octets([4; 16]),
            key: KeyId::from_octets([5; 16]),
            terms_hash: [6; 32],
        }
    }

    pub(crate) fn session() -> SessionStatement {
        SessionStatement {
            issuer: "https://platform.test".into(),
            rp_id: "localhost".into(),
            ceremony: CeremonyId::from_octets([1; 16]),
            nonce: [2; 32],
            facility_id: "1310000001".parse().unwrap(),
            facility_name: "テスト病院".into(),
            x5t_s256: [3; 32],
            terminal_id: "t1".into(),
            terminal_label: "第1診察室".into(),
            person: PersonId::from_octets([4; 16]),
            key: KeyId::from_octets([5; 16]),
            kinds: vec![DocumentKind::Prescription, DocumentKind::Dispensing],
            max_count: 300,
            not_before: Timestamp::from_seconds(1_000),
            not_after: Timestamp::from_seconds(65_800),
            head_seq: 7,
            head_commitment: Some([8; 32]),
        }
    }

    #[test]
    fn each_field_of_a_link_is_in_its_challenge() {
        let base = link();
        let changes: [fn(&mut LinkStatement); 8] = [
            |s| s.issuer.push('x'),
            |s| s.rp_id.push('x'),
            |s| s.sheet = SheetId::from_octets([9; 16]),
            |s| s.session = SessionId::from_octets([9; 16]),
            |s| s.nonce[0] ^= 1,
            |s| s.person = PersonId::from_octets([9; 16]),
            |s| s.key = KeyId::from_octets([9; 16]),
            |s| s.terms_hash[31] ^= 1,
        ];
        for change in changes {
            let mut other = base.clone();
            change(&mut other);
            assert_ne!(other.challenge(), base.challenge());
        }
    }

    #[test]
    fn each_field_of_a_session_is_in_its_challenge() {
        let base = session();
        let changes: [fn(&mut SessionStatement); 17] = [
            |s| s.issuer.push('x'),
            |s| s.rp_id.push('x'),
            |s| s.ceremony = CeremonyId::from_octets([9; 16]),
            |s| s.nonce[0] ^= 1,
            |s| s.facility_id = "1310000002".parse().unwrap(),
            |s| s.facility_name.push('x'),
            |s| s.x5t_s256[0] ^= 1,
            |s| s.terminal_id.push('x'),
            |s| s.terminal_label.push('x'),
            |s| s.person = PersonId::from_octets([9; 16]),
            |s| s.key = KeyId::from_octets([9; 16]),
            |s| s.kinds.truncate(1),
            |s| s.max_count += 1,
            |s| s.not_before = s.not_before.plus(1),
            |s| s.not_after = s.not_after.plus(1),
            |s| s.head_seq += 1,
            |s| s.head_commitment = None,
        ];
        for change in changes {
            let mut other = base.clone();
            change(&mut other);
            assert_ne!(other.challenge(), base.challenge());
        }
    }

    #[test]
    fn the_order_of_kinds_does_not_matter() {
        let mut other = session();
        other.kinds.reverse();
        assert_eq!(other.challenge(), session().challenge());
    }

    #[test]
    fn a_statement_survives_json_and_unknown_or_doubled_members_do_not() {
        let statement = Statement::Session(session());
        let text = serde_json::to_string(&statement).unwrap();
        assert_eq!(serde_json::from_str::<Statement>(&text).unwrap(), statement);
        let extra = text.replacen('{', r#"{"extra":1,"#, 1);
        assert!(serde_json::from_str::<Statement>(&extra).is_err());
        let doubled = text.replacen('{', r#"{"maxCount":301,"#, 1);
        assert!(serde_json::from_str::<Statement>(&doubled).is_err());
    }
}
