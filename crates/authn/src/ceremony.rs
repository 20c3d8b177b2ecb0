//! One ceremony across terminal and phone, as it stands in memory for its few minutes. After a
//! crash it is gone and the person scans again; what she approved is a row.

use approval::{Approval, AssertionResponse, CardMeans, SessionStatement, Statement};
use hpki::encoding::Digest32;
use hpki::id::{BindingId, BudgetId, FacilityCode, KeyId, PersonId, TokenId};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use wire::{CeremonyStep, Terminal, TokenAnswer};

use crate::by_card::Card;
use crate::config::{CARD_CLAIM_S, FINISH_S, QR_LIFE_S, TOKEN_KEPT_S};
use crate::daily::Approved;
use crate::refusal::Refusal;

/// The institution at the other end of the connection, as the platform's register knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its code.
    pub facility: FacilityCode,
    /// Its registered name; never what the gateway says.
    pub name: String,
    /// SHA-256 of the client certificate that TLS proved.
    pub x5t: Digest32,
}

/// A ceremony.
pub(crate) struct Ceremony {
    pub(crate) place: Place,
    pub(crate) terminal: Terminal,
    pub(crate) expected: Option<PersonId>,
    pub(crate) subject: Subject,
    pub(crate) secret_hash: Digest32,
    pub(crate) started: Timestamp,
    pub(crate) step: Step,
    /// The card by which alone it can be approved, anywhere and by the secret of its QR code: where
    /// a client of OAuth asks for cards.
    pub(crate) wanted: Option<CardMeans>,
}

/// What the person is asked.
pub(crate) enum Subject {
    /// To let her key be used here for a while.
    Session {
        kinds: Vec<DocumentKind>,
        count: u32,
        /// Seconds.
        life: u64,
    },
    /// To have exactly these documents signed.
    Documents(Documents),
}

/// Documents that custody has prepared for one approval, as far as this room has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documents {
    /// What custody calls them; it says nothing here.
    pub reference: [u8; 16],
    /// Who has to approve.
    pub person: PersonId,
    /// The key that is to sign.
    pub key: KeyId,
    /// The kinds among them, each once.
    pub kinds: Vec<DocumentKind>,
    /// How many.
    pub count: u32,
    /// The tree over their commitments.
    pub root: Digest32,
    /// Until when they may be signed.
    pub until: Timestamp,
}

/// How far it is.
pub(crate) enum Step {
    /// The QR is shown.
    Waiting,
    /// A phone has claimed it, or a card is in the terminal's reader.
    Claimed(Box<Claim>),
    /// The person has approved.
    Approved(Box<Given>),
    /// The person has approved documents: custody may have it.
    Agreed(Box<Approval>),
    /// The person refused, or her phone was unlinked meanwhile.
    Refused,
    /// The number was not carried to the terminal.
    Unconfirmed,
}

/// Who has claimed it, and what she is asked.
#[derive(Clone)]
pub(crate) struct Claim {
    pub(crate) at: Timestamp,
    pub(crate) binding: BindingId,
    /// Absent where a phone has claimed it.
    pub(crate) card: Option<Card>,
    pub(crate) statement: Statement,
}

/// What she approved.
pub(crate) struct Given {
    pub(crate) at: Timestamp,
    pub(crate) statement: SessionStatement,
    pub(crate) approval: Approval,
    pub(crate) backup_eligible: bool,
    pub(crate) number: Option<Number>,
    pub(crate) token: Option<Token>,
}

/// The three digits.
pub(crate) struct Number {
    pub(crate) digits: String,
    pub(crate) left: u8,
    pub(crate) typed: bool,
}

/// A token that waits to be fetched. It stands in clear here only.
pub(crate) struct Token {
    pub(crate) id: TokenId,
    pub(crate) budget: BudgetId,
    pub(crate) answer: TokenAnswer,
    pub(crate) released: Option<Timestamp>,
}

impl Ceremony {
    /// Whether it is about this key.
    pub(crate) fn is_about(&self, key: KeyId) -> bool {
        match &self.step {
            Step::Claimed(claim) => claim.statement.key() == key,
            Step::Approved(given) => given.statement.key == key,
            Step::Agreed(approval) => approval.statement.key() == key,
            _ => false,
        }
    }

    /// Whether what was prepared may no longer be signed.
    fn over(&self, now: Timestamp) -> bool {
        matches!(&self.subject, Subject::Documents(documents) if now >= documents.until)
    }

    /// What was answered to this very assertion before.
    pub(crate) fn approved_by(&self, response: &AssertionResponse) -> Option<Approved> {
        let (approval, number) = match &self.step {
            Step::Approved(given) => (&given.approval, given.number.as_ref()),
            Step::Agreed(approval) => (&**approval, None),
            _ => return None,
        };
        approval.proof.is_of(response).then(|| Approved {
            approval: approval.clone(),
            number: number.map(|number| number.digits.clone()),
        })
    }

    /// What was answered to this very signature of a card before.
    pub(crate) fn approved_by_card(&self, signature: &[u8]) -> Option<Approved> {
        let (approval, number) = match &self.step {
            Step::Approved(given) => (&given.approval, given.number.as_ref()),
            Step::Agreed(approval) => (&**approval, None),
            _ => return None,
        };
        let same = approval.proof.card().is_some_and(|card| card.signature == signature);
        same.then(|| Approved {
            approval: approval.clone(),
            number: number.map(|number| number.digits.clone()),
        })
    }

    /// Whether a card may come into the terminal's reader at this moment: as a phone may claim, or
    /// in the place of another card that has not answered.
    pub(crate) fn card_may_come(&self, now: Timestamp) -> Result<(), Refusal> {
        match &self.step {
            Step::Claimed(claim) if claim.card.is_some() => self.approvable(now).map(|_| ()),
            _ => self.claimable(now),
        }
    }

    /// For how long it can be claimed: a command is typed more slowly than a code is scanned.
    pub(crate) const fn claim_life_s(&self) -> u64 {
        if self.wanted.is_some() { CARD_CLAIM_S } else { QR_LIFE_S }
    }

    /// Whether its QR may be claimed at this moment.
    pub(crate) fn claimable(&self, now: Timestamp) -> Result<(), Refusal> {
        match self.step {
            Step::Waiting if now.since(self.started) > self.claim_life_s() || self.over(now) => {
                Err(Refusal::QrExpired)
            }
            Step::Waiting => Ok(()),
            _ => Err(Refusal::QrAlreadyUsed),
        }
    }

    /// The claim, if its owner may still approve it.
    pub(crate) fn approvable(&self, now: Timestamp) -> Result<&Claim, Refusal> {
        match &self.step {
            Step::Claimed(claim) if now.since(claim.at) > FINISH_S || self.over(now) => {
                Err(Refusal::CeremonyExpired)
            }
            Step::Claimed(claim) => Ok(claim),
            Step::Waiting => Err(Refusal::CeremonyOutOfStep("not claimed")),
            Step::Approved(_) | Step::Agreed(_) => {
                Err(Refusal::CeremonyOutOfStep("approved already"))
            }
            Step::Refused => Err(Refusal::CeremonyRefused),
            Step::Unconfirmed => Err(Refusal::PlaceNotConfirmed),
        }
    }

    /// What the terminal is told, tokens apart.
    pub(crate) fn seen(&self, now: Timestamp) -> CeremonyStep {
        match &self.step {
            Step::Waiting if now.since(self.started) > self.claim_life_s() => CeremonyStep::Expired,
            Step::Waiting | Step::Claimed(_) if self.over(now) => CeremonyStep::Expired,
            Step::Claimed(claim) if now.since(claim.at) > FINISH_S => CeremonyStep::Expired,
            Step::Waiting => CeremonyStep::Waiting,
            Step::Claimed(_) => CeremonyStep::Claimed,
            Step::Agreed(_) => CeremonyStep::Approved,
            Step::Approved(given) if given.number_missing() => CeremonyStep::Number,
            Step::Approved(given) if given.token.is_none() => CeremonyStep::Approved,
            Step::Approved(_) => CeremonyStep::Released,
            Step::Refused | Step::Unconfirmed => CeremonyStep::Refused,
        }
    }
}

impl Given {
    /// Whether the number is still to be typed.
    pub(crate) fn number_missing(&self) -> bool {
        self.number.as_ref().is_some_and(|number| !number.typed)
    }

    /// Whether it is too late for that.
    pub(crate) fn number_late(&self, now: Timestamp) -> bool {
        self.number_missing() && now.since(self.at) > FINISH_S
    }
}

impl Token {
    /// Whether it may still be answered: until fetched, and a minute longer.
    pub(crate) fn fetchable(&self, now: Timestamp) -> bool {
        self.released.is_none_or(|at| now.since(at) <= TOKEN_KEPT_S)
    }
}
