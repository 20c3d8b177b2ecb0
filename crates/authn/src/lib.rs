//! 本人認証・紐付け: who is at the other end, and by which means we know.
//!
//! This room decides that a phone belongs to a person (the sheet that came by post, [`Authn::open`]
//! to [`Authn::finish_link`]) and that the person stands at a named terminal now and allows a
//! number of signatures ([`Authn::start`] to [`Authn::grant`]), or has exactly the named documents
//! signed ([`Authn::start_documents`]); it mints and ends the tokens that
//! say so. It refuses to know a kept key, a document or a certificate: what a token may draw from
//! is a budget that `custody` opens itself, after verifying again the approval that this room hands
//! out. So a stolen token key signs nothing.
//!
//! Officers of the authority's desk sign in here with passkeys of their own ([`Authn::invite`] to
//! [`Authn::finish_signin`]) and decide about holders' means ([`Authn::begin_act`]): alone what takes
//! power away, two of them what gives it.
//!
//! Services elsewhere learn who she is, and programs get their tokens, by OAuth and OpenID Connect over
//! the same ceremonies ([`provider`]).
//!
//! Start reading at [`Authn::issue_sheet`] for the phone, at [`Authn::start`] for the
//! daily authentication. What lives in memory only (QR secrets, tokens not yet fetched) is gone
//! after a crash and the person scans again; sheets, tries, bindings, approvals and sessions are
//! rows.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod answered;
mod asking;
mod at_home;
mod binding;
mod by_card;
mod card;
mod card_linking;
mod card_look;
mod card_status;
mod ceremony;
mod changing;
mod config;
mod daily;
mod desk;
mod documents;
mod grant;
mod history;
mod keeping;
mod label;
mod linking;
mod means;
mod my_number;
mod notice;
mod officer;
mod options;
mod owning;
pub mod provider;
mod refusal;
mod room;
mod secret;
mod session;
mod sheet;
mod sitting;
mod stopping;
mod tables;
mod terminal;
mod visit;

pub use at_home::{HomeAct, HomeAsked, HomeDone};
pub use by_card::{Card, CardAsked};
pub use card_linking::CardLinkBegun;
pub use card_look::{CardLook, CardToLookAt};
pub use ceremony::{Documents, Place};
pub use changing::TOPIC_PHONE_CHANGED;
pub use config::{AuthnConfig, COUNT_CEILING};
pub use daily::Approved;
pub use desk::{Asked, Done, Order, TOPIC_DESK_DECIDED};
pub use documents::DocumentsState;
pub use grant::Budget;
pub use linking::{Linked, TOPIC_PHONE_LINKED, TOPIC_PHONE_UNLINKED};
pub use means::{Holder, Means, PhoneFacts};
pub use my_number::{LinkedCard, TOPIC_CARD_LINKED, TOPIC_CARD_UNLINKED};
pub use notice::{Notice, NoticeKind};
pub use officer::{
    AskedOfBrowser, DeskOfficer, Invitation, SignedIn, TOPIC_OFFICER_DISMISSED,
    TOPIC_OFFICER_ENROLLED,
};
pub use owning::OwnersAct;
pub use refusal::{CODES, Refusal};
pub use room::Authn;
pub use session::{Session, TOPIC_SESSION_ENDED};
pub use sheet::{Enrolled, Sheet, SheetStanding, Standing};
pub use tables::MIGRATIONS;
pub use visit::{Visit, Visiting};
