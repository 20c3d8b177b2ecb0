//! The card's side of a login: a command claims the login by the address that the page shows, with an
//! HPKI card or a My Number Card in any reader, and has the card sign what a phone would.
//!
//! A card is never the browser that logs in, so three digits are carried to it every time.

use std::sync::Arc;

use approval::{LoginStatement, Statement};
use hpki::time::Timestamp;
use ledger::Failed;

use super::phone::{approvable, claimable, shown_by};
use super::refusal::Wrong;
use crate::by_card::{Card, still_linked};
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::three_digits;

fn no<T>(refusal: Refusal) -> Result<T, Failed<Refusal>> {
    Err(Failed::Refused(refusal))
}

impl Authn {
    /// A card claims the login of this address: what it is asked to sign.
    ///
    /// # Errors
    /// `ceremony-unknown` for whoever does not have the secret; with it `oauth-means-differs`,
    /// `qr-already-used`, `qr-expired`, `not-the-expected-person`.
    pub async fn claim_login_by_card(
        &self,
        ceremony: &str,
        secret: &str,
        card: &Card,
        now: Timestamp,
    ) -> Result<LoginStatement, Failed<Refusal>> {
        let row = self.login_row(ceremony).await?;
        let row = shown_by(row, secret).map_err(Failed::Refused)?;
        if row.asked.means.card() != Some(card.means) {
            return no(Refusal::Provider(Wrong::MeansDiffers));
        }
        claimable(&row, now).map_err(Failed::Refused)?;
        if row.hint.is_some_and(|hint| hint != card.key) {
            return no(Refusal::NotTheExpectedPerson);
        }
        let statement = self.login_statement(&row, (card.person, card.key), now)?;
        self.keep_claim(&row, card.binding, &statement, false, now).await?;
        Ok(statement)
    }

    /// The card that claimed it approves; gives the digits for the browser. The evidence, her notice
    /// and the journal's entry are one commit. The same signature again is answered the same.
    ///
    /// # Errors
    /// `ceremony-unknown`, `ceremony-expired`, `ceremony-refused`, `ceremony-out-of-step`;
    /// `question-unknown` for another card than the one that claimed it; whatever is refused of it.
    pub async fn approve_login_by_card(
        &self,
        ceremony: &str,
        secret: &str,
        card: &Card,
        signature: Vec<u8>,
        now: Timestamp,
    ) -> Result<String, Failed<Refusal>> {
        let row = self.login_row(ceremony).await?;
        let row = shown_by(row, secret).map_err(Failed::Refused)?;
        let before = row.evidence.as_ref().and_then(|kept| kept.proof.card());
        if let (Some(before), Some(digits)) = (before, &row.digits)
            && before.signature == signature
        {
            return Ok(digits.clone());
        }
        approvable(&row, now).map_err(Failed::Refused)?;
        let statement = match (row.binding, row.statement) {
            (Some(bound), Some(statement)) if bound == card.binding => statement,
            _ => return no(Refusal::QuestionUnknown),
        };
        let said = Statement::Login(statement);
        let approval = self.approved_by(card, said, signature, now)?;
        let digits = three_digits(&*self.random);
        let (means, linked, desk) = (card.means, card.binding, Arc::clone(&self.desk));
        let still = move |tx: &ledger::Tx<'_>| still_linked(tx, means, linked, &desk);
        self.keep_login_approval(row.id, approval, Some(digits.clone()), true, still, now).await?;
        Ok(digits)
    }
}
