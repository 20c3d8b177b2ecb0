//! A code is redeemed once, by the client that it was issued to, with the verifier of its challenge
//! and over the certificate that pushed its request. Whoever shows it a second time ends what was
//! made from it (RFC 6749 §4.1.2): then somebody has it who should not.

use approval::{Approval, Means};
use hpki::encoding::{Digest32, sha256};
use hpki::id::{CeremonyId, KeyId, PersonId, TokenId};
use hpki::time::Timestamp;
use ledger::{Failed, Fault, Tx};
use wire::token::base64url_encode;

use super::CODE_S;
use super::client::Client;
use super::login::LoginRow;
use super::refusal::Wrong;
use super::request::Scope;
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::{Secret, same};
use crate::session::end_unreleased;

/// A code that was redeemed just now: what may be made from it. There is one for each code.
#[derive(Debug)]
pub struct Spent {
    pub(crate) code: Digest32,
    pub(crate) client: String,
    pub(crate) sector: String,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) nonce: Option<String>,
    pub(crate) redeemed: Redeemed,
}

/// What stands behind a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redeemed {
    /// Who logged in.
    Login {
        /// Who.
        person: PersonId,
        /// By which key's means.
        key: KeyId,
        /// When.
        auth_time: Timestamp,
        /// Until when she agreed that the service is told.
        until: Timestamp,
        /// Whether the passkey cannot leave its device.
        hardware: bool,
        /// How she was authenticated.
        means: Means,
    },
    /// A signing session, whose token waits for the certificate that asked for it.
    Session {
        /// Its ceremony.
        ceremony: CeremonyId,
        /// The certificate.
        x5t: Digest32,
    },
}

impl Spent {
    /// What stands behind it.
    pub fn redeemed(&self) -> &Redeemed {
        &self.redeemed
    }
    /// What was approved.
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }
}

/// What the client shows with a code.
#[derive(Debug, Clone, Copy)]
pub struct Showing<'a> {
    /// `code`
    pub code: &'a str,
    /// `redirect_uri`
    pub redirect_uri: Option<&'a str>,
    /// `code_verifier`
    pub verifier: Option<&'a str>,
    /// SHA-256 of the client certificate on this connection.
    pub x5t: Option<Digest32>,
}

fn wrong<T>(wrong: Wrong) -> Result<T, Failed<Refusal>> {
    Err(Failed::Refused(Refusal::Provider(wrong)))
}

/// RFC 7636 §4.1 and §4.6.
fn verifies(verifier: Option<&str>, challenge: &str) -> bool {
    let Some(verifier) = verifier else { return false };
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let formed = (43..=128).contains(&verifier.len()) && verifier.bytes().all(unreserved);
    let made = base64url_encode(&sha256(verifier.as_bytes()));
    formed && same(&sha256(made.as_bytes()), &sha256(challenge.as_bytes()))
}

impl Authn {
    /// Redeems a code.
    ///
    /// # Errors
    /// `oauth-code-wrong`, `oauth-code-replayed` (what was made from it is ended in this commit),
    /// `oauth-verifier-wrong`, `oauth-certificate-differs`, or a fault.
    pub async fn redeem(
        &self,
        client: &Client,
        showing: Showing<'_>,
        now: Timestamp,
    ) -> Result<Spent, Failed<Refusal>> {
        let Some(hash) = Secret::hash_of(showing.code) else { return wrong(Wrong::CodeWrong) };
        let (id, sector) = (client.id.as_str().to_owned(), client.sector.clone());
        let redirect = showing.redirect_uri.map(str::to_owned);
        let verifier = showing.verifier.map(str::to_owned);
        let x5t = showing.x5t;
        // A replay ends tokens, which must be kept although it is refused: so a value, not an error.
        let judged = self
            .ledger
            .write(move |tx| {
                let found = tx.query_opt(
                    "SELECT login, issued, spent FROM authn_code WHERE hash = $1",
                    &[hash.into()],
                )?;
                let Some(found) = found else { return Ok(Err(Wrong::CodeWrong)) };
                let login = LoginRow::of(tx, CeremonyId::from_octets(found.array(0)?))?;
                let Some(login) = login.filter(|login| login.client == id) else {
                    return Ok(Err(Wrong::CodeWrong));
                };
                // Whoever has the code alone, from a history or a log, ends nothing: a replay is known by
                // everything that its client would show.
                if redirect.as_deref() != Some(login.asked.redirect_uri.as_str()) {
                    return Ok(Err(Wrong::CodeWrong));
                }
                if !verifies(verifier.as_deref(), &login.asked.challenge) {
                    return Ok(Err(Wrong::VerifierWrong));
                }
                if login.x5t().is_some_and(|pushed| x5t != Some(pushed)) {
                    return Ok(Err(Wrong::CertificateDiffers));
                }
                if found.opt_time(2)?.is_some() {
                    end_all_of(tx, hash, now)?;
                    return Ok(Err(Wrong::CodeReplayed));
                }
                if now.since(found.time(1)?) > CODE_S {
                    return Ok(Err(Wrong::CodeWrong));
                }
                let redeemed = behind(&login)?;
                let spent = tx.exec(
                    "UPDATE authn_code SET spent = $2 WHERE hash = $1 AND spent IS NULL",
                    &[hash.into(), now.into()],
                )?;
                Ok::<_, Failed<Refusal>>(match spent {
                    1 => Ok((redeemed, login.asked.scopes, login.asked.nonce)),
                    _ => Err(Wrong::CodeWrong),
                })
            })
            .await?;
        let (redeemed, scopes, nonce) =
            judged.map_err(|wrong| Failed::Refused(Refusal::Provider(wrong)))?;
        Ok(Spent { code: hash, client: client.id.to_string(), sector, scopes, nonce, redeemed })
    }

    /// Notes which signing session was made from a code, so that a replay ends it. A replay that was
    /// faster has ended the code: the session ends at once.
    ///
    /// # Errors
    /// `oauth-code-replayed`, or a fault.
    pub async fn made_from(
        &self,
        spent: &Spent,
        token: &str,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let session = self.session_of(token).await?;
        let code = spent.code;
        let noted = self
            .ledger
            .write(move |tx| {
                let noted = tx.exec(
                    "UPDATE authn_code SET session = $2 WHERE hash = $1 AND replayed IS NULL",
                    &[code.into(), session.id.into()],
                )?;
                if noted != 1 {
                    end_unreleased(tx, session.id, session.budget, "code-replayed", now)?;
                }
                Ok::<_, Failed<Refusal>>(noted == 1)
            })
            .await?;
        if noted { Ok(()) } else { wrong(Wrong::CodeReplayed) }
    }
}

fn behind(login: &LoginRow) -> Result<Redeemed, Fault> {
    if let Some((ceremony, x5t)) = login.ceremony.zip(login.x5t()) {
        return Ok(Redeemed::Session { ceremony, x5t });
    }
    let Some((statement, auth_time)) = login.statement.as_ref().zip(login.approved) else {
        return Err(Fault::Row("a code of a login that nobody approved".into()));
    };
    Ok(Redeemed::Login {
        person: statement.person,
        key: statement.key,
        auth_time,
        until: statement.not_after,
        hardware: login.hardware,
        means: login.evidence.as_ref().map_or(Means::Phone, Approval::means),
    })
}

/// Ends everything that was made from a code; custody hears of a session through the outbox.
fn end_all_of(tx: &Tx<'_>, code: Digest32, now: Timestamp) -> Result<(), Fault> {
    tx.exec(
        "UPDATE authn_code SET replayed = coalesce(replayed, $2) WHERE hash = $1",
        &[code.into(), now.into()],
    )?;
    tx.exec(
        "UPDATE authn_access SET ended = $2 WHERE code = $1 AND ended IS NULL",
        &[code.into(), now.into()],
    )?;
    let sql = "SELECT s.id, s.budget FROM authn_code c JOIN authn_session s ON s.id = c.session
               WHERE c.hash = $1";
    if let Some(row) = tx.query_opt(sql, &[code.into()])? {
        let session = TokenId::from_octets(row.array(0)?);
        let budget = hpki::id::BudgetId::from_octets(row.array(1)?);
        end_unreleased(tx, session, budget, "code-replayed", now)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_rfc_7636_verifies_and_nothing_else_does() {
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(verifies(Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), challenge));
        for wrong in [
            None,
            Some(""),
            Some(challenge),
            Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK"),
            Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjX"),
        ] {
            assert!(!verifies(wrong, challenge), "{wrong:?}");
        }
    }
}
