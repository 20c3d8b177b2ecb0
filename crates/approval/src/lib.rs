//! 意思確認: what a person approves, and the proof that she did.
//!
//! This room turns a statement ("this key, at this institution, these kinds, until then") into the
//! one challenge that stands for it, checks that a phone or a card signed that challenge, and keeps
//! the evidence in a form that anybody can check again. `authn` checks it when it arrives;
//! `custody` checks it again before it believes `authn`; a verifier may check it years later.
//!
//! It is pure: no database, no session, no clock. It refuses to know where a statement came from.
//!
//! Start reading at [`statement`], [`owners`], [`login`] and [`desk`] (what is approved, by owners and by
//! officers), then [`evidence`] (what is kept), [`bundle`]
//! (what a stranger is given of it), then [`webauthn`] and [`card`] (how the signatures of phones and cards are judged).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod b64;
pub mod bundle;
pub mod card;
pub mod desk;
pub mod evidence;
pub mod login;
pub mod owners;
mod proof;
mod refusal;
#[cfg(any(test, feature = "simulator"))]
pub mod simulator;
pub mod statement;
pub mod webauthn;

pub use bundle::Bundle;
pub use card::{CardEvidence, CardMeans, CardTrust, card_commitment, check_hpki, check_jpki};
pub use desk::{
    DeskAct, DeskApproval, DeskSigninStatement, DeskStatement, OfficerEvidence, OfficerStatement,
    check_desk, check_officer, order_evidence,
};
pub use evidence::{
    Approval, AssertionEvidence, ChangeEvidence, LinkEvidence, binding_commitment, check,
    check_change, check_link,
};
pub use login::LoginStatement;
pub use owners::{
    ChangeStatement, DisputeStatement, LinkCardStatement, LossStatement, RestartStatement,
    SheetStatement, SigninStatement, StopStatement, UnlinkCardStatement,
};
pub use proof::{Means, Proof};
pub use refusal::{CODES, Refusal};
pub use statement::{DocumentsStatement, LinkStatement, SessionStatement, Statement};
pub use webauthn::{
    AssertionOutcome, AssertionResponse, Credential, RegistrationResponse, RelyingParty,
};
