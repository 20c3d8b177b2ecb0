//! The owner's approval per document or batch (protocols §6), across terminal and phone.
//!
//! The ceremony is that of the daily authentication: the same QR, once within 60 seconds, then 120
//! seconds to read and decide; only the expected person; the institution's registered name and the
//! terminal on the phone. No digits are carried over: documents are prepared only for the bearer of
//! a live token of this person at this institution, whose beginning has confirmed the place.
//!
//! What is approved is a root over commitments that custody made. This room refuses to know a
//! document; custody verifies the approval again before it signs.

use approval::{Approval, DocumentsStatement};
use hpki::encoding::Digest32;
use hpki::id::{BindingId, CeremonyId, KeyId, PersonId};
use hpki::time::Timestamp;
use ledger::Failed;
use wire::{CeremonyStep, StartAnswer, Terminal};

use crate::ceremony::{Ceremony, Documents, Place, Step, Subject};
use crate::config::COUNT_CEILING;
use crate::refusal::Refusal;
use crate::room::Authn;

/// How far an approval of documents is, for the certificate that began it.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentsState {
    /// Where it stands.
    pub step: CeremonyStep,
    /// What the phone shows and signs, once it was claimed.
    pub statement: Option<DocumentsStatement>,
}

impl Authn {
    /// A terminal of this facility asks a person to approve prepared documents. `documents` come
    /// from custody, which has checked the token of that person at this place.
    ///
    /// # Errors
    /// `allowance-not-allowed`, `terminal-malformed`, `slow-down`, `ceremony-expired`.
    pub async fn start_documents(
        &self,
        place: Place,
        terminal: Terminal,
        mut documents: Documents,
        now: Timestamp,
    ) -> Result<StartAnswer, Failed<Refusal>> {
        documents.kinds.sort_unstable_by_key(|kind| kind.name());
        documents.kinds.dedup();
        if documents.kinds.is_empty() {
            return Err(Failed::Refused(Refusal::AllowanceNotAllowed("no kind of document")));
        }
        if documents.count == 0 || u64::from(documents.count) > COUNT_CEILING {
            return Err(Failed::Refused(Refusal::AllowanceNotAllowed("count")));
        }
        if now >= documents.until {
            return Err(Failed::Refused(Refusal::CeremonyExpired));
        }
        let expected = Some(documents.person);
        let until = documents.until;
        let mut answer =
            self.begin(place, terminal, expected, Subject::Documents(documents), now)?;
        answer.until = answer.until.min(until);
        Ok(answer)
    }

    /// The statement that the claiming phone, or the card, is shown.
    pub(crate) fn documents_statement(
        &self,
        id: CeremonyId,
        nonce: [u8; 32],
        ceremony: &Ceremony,
        documents: &Documents,
        (person, key): (PersonId, KeyId),
    ) -> Result<DocumentsStatement, Refusal> {
        if key != documents.key {
            // Hers, but for another of her keys.
            return Err(Refusal::PhoneNotLinked);
        }
        Ok(DocumentsStatement {
            issuer: self.config.issuer.clone(),
            rp_id: self.config.rp_id.clone(),
            ceremony: id,
            nonce,
            facility_id: ceremony.place.facility.clone(),
            facility_name: ceremony.place.name.clone(),
            x5t_s256: ceremony.place.x5t,
            terminal_id: ceremony.terminal.id.clone(),
            terminal_label: ceremony.terminal.label.clone(),
            person,
            key,
            kinds: documents.kinds.clone(),
            count: documents.count,
            root: documents.root,
            not_after: documents.until,
        })
    }

    /// How far an approval of documents is. Only over the certificate that began it.
    ///
    /// # Errors
    /// `ceremony-unknown`, also for a ceremony that is about something else.
    pub async fn documents_state(
        &self,
        ceremony: CeremonyId,
        x5t: Digest32,
        now: Timestamp,
    ) -> Result<DocumentsState, Failed<Refusal>> {
        self.by_certificate(ceremony, x5t, |found| {
            let Subject::Documents(_) = &found.subject else {
                return Err(Refusal::CeremonyUnknown);
            };
            let statement = match &found.step {
                Step::Claimed(claim) => Some(&claim.statement),
                Step::Agreed(approval) => Some(&approval.statement),
                _ => None,
            };
            let statement = match statement {
                Some(approval::Statement::Documents(statement)) => Some(statement.clone()),
                _ => None,
            };
            Ok(DocumentsState { step: found.seen(now), statement })
        })
    }

    /// What was approved, and what custody calls it: for custody to verify again and sign by.
    ///
    /// # Errors
    /// `ceremony-unknown`, `ceremony-refused`, `ceremony-expired`; `ceremony-out-of-step` before
    /// it was approved.
    pub async fn agreed(
        &self,
        ceremony: CeremonyId,
        x5t: Digest32,
        now: Timestamp,
    ) -> Result<([u8; 16], Approval), Failed<Refusal>> {
        self.by_certificate(ceremony, x5t, |found| {
            let Subject::Documents(documents) = &found.subject else {
                return Err(Refusal::CeremonyUnknown);
            };
            match (&found.step, found.seen(now)) {
                (Step::Agreed(approval), _) => Ok((documents.reference, (**approval).clone())),
                (_, CeremonyStep::Refused) => Err(Refusal::CeremonyRefused),
                (_, CeremonyStep::Expired) => Err(Refusal::CeremonyExpired),
                _ => Err(Refusal::CeremonyOutOfStep("not approved yet")),
            }
        })
    }

    /// Where the journal says that this phone was linked: its entry commits to the phone's public
    /// key (`approval::binding_commitment`). `None` for a linking that never was.
    ///
    /// # Errors
    /// A fault.
    pub async fn linked_at(&self, binding: BindingId) -> Result<Option<u64>, Failed<Refusal>> {
        self.ledger
            .read(move |tx| {
                let sql = "SELECT leaf FROM authn_binding WHERE id = $1";
                let row = tx.query_opt(sql, &[binding.into()])?;
                Ok(row.as_ref().map(|row| row.number(0)).transpose()?)
            })
            .await
    }
}
