//! Logging in elsewhere: the owner of a key tells another service who she is. It allows no signature
//! and says nothing to custody; what it says to whom is all in the statement.

use hpki::encoding::{Digest32, Statement as Encoded};
use hpki::id::{CeremonyId, KeyId, PersonId};
use hpki::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Telling a registered service who she is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoginStatement {
    /// The platform, as in tokens.
    pub issuer: String,
    /// The relying party of the credential.
    pub rp_id: String,
    /// The ceremony across browser and phone.
    pub ceremony: CeremonyId,
    /// Fresh for this ceremony.
    #[serde(with = "crate::b64")]
    pub nonce: [u8; 32],
    /// The service, as it is registered (`client_id`).
    pub client_id: String,
    /// Its name from the registry, never from the request.
    pub client_name: String,
    /// The host to which the browser goes back with the answer.
    pub redirect_host: String,
    /// What it is told (OAuth scopes).
    pub scopes: Vec<String>,
    /// Who logs in.
    pub person: PersonId,
    /// By which kept key's means.
    pub key: KeyId,
    /// Until when the service may ask for what it is told.
    pub not_after: Timestamp,
}

impl LoginStatement {
    /// `H("azukari/approve/login/v1"; issuer, rpId, ceremony, nonce, clientId, clientName,
    /// redirectHost, [scopes sorted], person, key, notAfter)`.
    pub fn challenge(&self) -> Digest32 {
        let mut scopes: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        scopes.sort_unstable();
        Encoded::new("azukari/approve/login/v1")
            .text(&self.issuer)
            .text(&self.rp_id)
            .octets_field(self.ceremony.octets())
            .octets_field(&self.nonce)
            .text(&self.client_id)
            .text(&self.client_name)
            .text(&self.redirect_host)
            .list(&scopes)
            .octets_field(self.person.octets())
            .octets_field(self.key.octets())
            .time(self.not_after)
            .digest()
    }
}

#[cfg(test)]
mod tests {
    use hpki::encoding::sha256;

    use super::*;

    fn login() -> LoginStatement {
        LoginStatement {
            issuer: "https://platform.test".into(),
            rp_id: "localhost".into(),
            ceremony: CeremonyId::from_octets([1; 16]),
            nonce: [2; 32],
            client_id: "network".into(),
            client_name: "テスト医療連携ネット".into(),
            redirect_host: "network.test".into(),
            scopes: vec!["qualification".into(), "openid".into()],
            person: PersonId::from_octets([4; 16]),
            key: KeyId::from_octets([5; 16]),
            not_after: Timestamp::from_seconds(1_720),
        }
    }

    /// The encoding of `hpki::encoding`, written out by hand a second time.
    #[test]
    fn the_challenge_is_the_hash_of_its_fields_in_order() {
        let fr = |x: &[u8]| [&u32::try_from(x.len()).unwrap().to_be_bytes()[..], x].concat();
        let scopes = [&2_u32.to_be_bytes()[..], &fr(b"openid"), &fr(b"qualification")].concat();
        let fields: [&[u8]; 11] = [
            b"https://platform.test",
            b"localhost",
            &[1; 16],
            &[2; 32],
            b"network",
            "テスト医療連携ネット".as_bytes(),
            b"network.test",
            &scopes,
            &[4; 16],
            &[5; 16],
            &1_720_u64.to_be_bytes(),
        ];
        let mut octets = fr(b"azukari/approve/login/v1");
        octets.extend_from_slice(&11_u32.to_be_bytes());
        octets.extend(fields.iter().flat_map(|field| fr(field)));
        assert_eq!(login().challenge(), sha256(&octets));
    }

    #[test]
    fn each_field_is_in_the_challenge_and_the_order_of_scopes_is_not() {
        let base = login();
        let changes: [fn(&mut LoginStatement); 11] = [
            |s| s.issuer.push('x'),
            |s| s.rp_id.push('x'),
            |s| s.ceremony = CeremonyId::from_octets([9; 16]),
            |s| s.nonce[0] ^= 1,
            |s| s.client_id.push('x'),
            |s| s.client_name.push('x'),
            |s| s.redirect_host.push('x'),
            |s| s.scopes.push("profile".into()),
            |s| s.person = PersonId::from_octets([9; 16]),
            |s| s.key = KeyId::from_octets([9; 16]),
            |s| s.not_after = s.not_after.plus(1),
        ];
        for change in changes {
            let mut other = base.clone();
            change(&mut other);
            assert_ne!(other.challenge(), base.challenge());
        }
        let mut other = base.clone();
        other.scopes.reverse();
        assert_eq!(other.challenge(), base.challenge());
    }
}
