//! What a client gets for its code: an ID token, and an access token for userinfo. Both are signed
//! by the key that signs every token here; they are told apart by type and audience, and custody
//! takes neither.

use approval::Means;
use hpki::encoding::{Digest32, Statement, sha256};
use hpki::id::{KeyId, PersonId, TokenId};
use hpki::sign::Mac as _;
use hpki::time::Timestamp;
use ledger::{Failed, Fault, Row};
use serde_json::{Map, Value, json};
use wire::token::{Confirmation, base64url_encode, compact};

use super::code::{Redeemed, Spent};
use super::refusal::Wrong;
use super::request::Scope;
use super::{ACCESS_S, ID_TOKEN_S};
use crate::refusal::Refusal;
use crate::room::Authn;

/// Claims about the person that another room knows, by scope.
pub type Claimed = Map<String, Value>;

/// What is issued for a code.
#[derive(Debug, Clone)]
pub struct Issued {
    /// `access_token`
    pub access_token: String,
    /// `id_token`
    pub id_token: String,
    /// Seconds.
    pub expires_in: u64,
    /// `scope`
    pub scope: String,
}

/// What is known of an access token.
#[derive(Debug, Clone)]
pub struct AccessFacts {
    /// Its own id.
    pub id: TokenId,
    /// To whom it was issued.
    pub client: String,
    /// About whom.
    pub person: PersonId,
    /// By which key's means.
    pub key: KeyId,
    /// What it opens.
    pub scopes: Vec<Scope>,
    /// The certificate that it is bound to.
    pub x5t: Option<Digest32>,
    /// By which means she authenticated.
    pub means: Means,
    /// When she authenticated.
    pub auth_time: Timestamp,
    /// When it was made.
    pub made: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

impl AccessFacts {
    const COLUMNS: &'static str =
        "id, client, person, key, scopes, x5t, auth_time, made, until, ended, means";

    fn read(row: &Row, now: Timestamp) -> Result<Option<Self>, Fault> {
        let until = row.time(8)?;
        if row.opt_time(9)?.is_some() || now >= until {
            return Ok(None);
        }
        let scopes = Scope::list(row.text(4)?);
        Ok(Some(Self {
            id: TokenId::from_octets(row.array(0)?),
            client: row.text(1)?.to_owned(),
            person: PersonId::from_octets(row.array(2)?),
            key: KeyId::from_octets(row.array(3)?),
            scopes: scopes.ok_or_else(|| Fault::Row("an access token's scopes".into()))?,
            x5t: row.opt_array(5)?,
            means: Means::from_name(row.text(10)?)
                .ok_or_else(|| Fault::Row("an access token's means".into()))?,
            auth_time: row.time(6)?,
            made: row.time(7)?,
            until,
        }))
    }

    /// The scopes as text.
    pub fn scope(&self) -> String {
        Scope::text(&self.scopes)
    }
}

impl Authn {
    /// By which name the services of this sector know a person (OpenID Connect Core §8.1): a keyed
    /// hash, so that two sectors cannot find out that they know the same one.
    ///
    /// # Errors
    /// The device failed.
    pub fn pairwise(&self, sector: &str, person: PersonId) -> Result<String, Failed<Refusal>> {
        let statement = Statement::new("azukari/pairwise/v1");
        let statement = statement.text(sector).octets_field(person.octets());
        Ok(base64url_encode(&self.desk.mac(&statement)?))
    }

    /// Issues ID token and access token for a redeemed login. `x5t` binds the access token where
    /// the client showed a certificate (RFC 8705 §3).
    ///
    /// # Errors
    /// `oauth-code-replayed`, where the code was shown again meanwhile; a fault.
    pub async fn issue(
        &self,
        spent: Spent,
        about: &Claimed,
        x5t: Option<Digest32>,
        now: Timestamp,
    ) -> Result<Issued, Failed<Refusal>> {
        let Redeemed::Login { person, key, auth_time, until: agreed, hardware, means } =
            spent.redeemed
        else {
            return Err(Fault::Misuse("a session's code for a login".into()).into());
        };
        let (id, until) = (TokenId::random(&*self.random), now.plus(ACCESS_S).min(agreed));
        let sub = self.pairwise(&spent.sector, person)?;
        let scope = Scope::text(&spent.scopes);
        let acr = means.acr();
        let amr = match means {
            Means::Phone => [if hardware { "hwk" } else { "swk" }, "user", "mfa"],
            Means::Hpki | Means::Jpki => ["sc", "pin", "mfa"],
        };
        let mut access = json!({
            "iss": self.config.issuer, "aud": self.userinfo(), "sub": sub,
            "client_id": spent.client, "iat": now, "exp": until, "auth_time": auth_time,
            "jti": id, "scope": scope, "acr": acr, "amr": amr,
        });
        if let Some(x5t) = &x5t {
            access["cnf"] = serde_json::to_value(Confirmation::of(x5t)).unwrap_or_default();
        }
        let access_token = self.jws("at+jwt", &access)?;
        let hash = sha256(access_token.as_bytes());
        let mut said = about.clone();
        for (name, value) in [
            ("iss", json!(self.config.issuer)),
            ("sub", json!(sub)),
            ("aud", json!(spent.client)),
            ("iat", json!(now)),
            ("exp", json!(now.plus(ID_TOKEN_S))),
            ("auth_time", json!(auth_time)),
            ("acr", json!(acr)),
            ("amr", json!(amr)),
            // The left half of the access token's hash (OpenID Connect Core §3.1.3.6).
            ("at_hash", json!(base64url_encode(&hash[..16]))),
        ] {
            said.insert(name.to_owned(), value);
        }
        if let Some(nonce) = &spent.nonce {
            said.insert("nonce".into(), json!(nonce));
        }
        let id_token = self.jws("JWT", &Value::Object(said))?;
        let (code, client, scopes) = (spent.code, spent.client, scope.clone());
        let kept = self
            .ledger
            .write(move |tx| {
                let live = "SELECT 1 FROM authn_code WHERE hash = $1 AND replayed IS NULL";
                if tx.query_opt(live, &[code.into()])?.is_none() {
                    return Ok(false);
                }
                tx.exec(
                    "INSERT INTO authn_access (hash, id, code, client, person, key, scopes, x5t,
                        hardware, auth_time, made, until, means)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
                    &[
                        hash.into(),
                        id.into(),
                        code.into(),
                        (&client).into(),
                        person.into(),
                        key.into(),
                        (&scopes).into(),
                        x5t.into(),
                        hardware.into(),
                        auth_time.into(),
                        now.into(),
                        until.into(),
                        means.name().into(),
                    ],
                )?;
                Ok::<_, Failed<Refusal>>(true)
            })
            .await?;
        if !kept {
            return Err(Failed::Refused(Refusal::Provider(Wrong::CodeReplayed)));
        }
        Ok(Issued { access_token, id_token, expires_in: until.since(now), scope })
    }

    /// An ID token beside a signing session's token, about its person alone.
    ///
    /// # Errors
    /// `session-unknown`; a fault.
    pub async fn session_id_token(
        &self,
        spent: &Spent,
        token: &str,
        now: Timestamp,
    ) -> Result<String, Failed<Refusal>> {
        let session = self.session_of(token).await?;
        let said = wire::token::read(token).map(|read| read.claims);
        let claims = said.ok_or_else(|| Fault::Misuse("a token that is not ours".into()))?;
        let hash = sha256(token.as_bytes());
        let mut said = json!({
            "iss": self.config.issuer, "aud": spent.client,
            "sub": self.pairwise(&spent.sector, session.person)?,
            "iat": now, "exp": now.plus(ID_TOKEN_S), "auth_time": session.auth_time,
            "acr": claims.acr, "amr": claims.amr, "at_hash": base64url_encode(&hash[..16]),
        });
        if let Some(nonce) = &spent.nonce {
            said["nonce"] = json!(nonce);
        }
        self.jws("JWT", &said)
    }

    /// The audience of access tokens for userinfo.
    fn userinfo(&self) -> String {
        format!("{}/oauth/userinfo", self.config.issuer)
    }

    fn jws(&self, typ: &str, claims: &Value) -> Result<String, Failed<Refusal>> {
        let key = self.desk.current();
        let header = json!({"typ": typ, "alg": "ES256", "kid": key.kid()});
        let part = |value: &Value| base64url_encode(value.to_string().as_bytes());
        let input = format!("{}.{}", part(&header), part(claims));
        let signature = key.sign(input.as_bytes())?;
        Ok(compact(&input, &signature))
    }

    /// The access token for userinfo, if it is one that counts. Found by its hash: whoever shows it
    /// has it.
    ///
    /// # Errors
    /// A fault.
    pub async fn access(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<AccessFacts>, Failed<Refusal>> {
        let hash = sha256(token.as_bytes());
        self.ledger
            .read(move |tx| {
                let sql =
                    format!("SELECT {} FROM authn_access WHERE hash = $1", AccessFacts::COLUMNS);
                let row = tx.query_opt(&sql, &[hash.into()])?;
                Ok(row.as_ref().map(|row| AccessFacts::read(row, now)).transpose()?.flatten())
            })
            .await
    }

    /// Ends an access token of this client (RFC 7009); another's is answered like none.
    ///
    /// # Errors
    /// A fault.
    pub async fn revoke_access(
        &self,
        client: &str,
        token: &str,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let (hash, client) = (sha256(token.as_bytes()), client.to_owned());
        self.ledger
            .write(move |tx| {
                tx.exec(
                    "UPDATE authn_access SET ended = $3
                     WHERE hash = $1 AND client = $2 AND ended IS NULL",
                    &[hash.into(), (&client).into(), now.into()],
                )?;
                Ok(())
            })
            .await
    }
}
