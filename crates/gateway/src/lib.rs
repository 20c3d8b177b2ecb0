//! 医療機関側: the software inside a hospital or pharmacy.
//!
//! This room is the EHR's door to a signature. It decides which staff member a token belongs to,
//! builds the document, sends its digest (never the document) to the platform, and believes
//! nothing that comes back: the signature must be over the digest that was sent, the journal must
//! hold it under the pinned log key, the journal must continue the one seen before, and the
//! finished document must pass the verifier that everyone else will run. Only then does the EHR
//! get it.
//!
//! It refuses to hold a private signing key, to link a room that does (`hsm`, `ca`, `custody`,
//! `authn`), and to know HTTP or the clock: the outside is one trait, [`Platform`], and `now` is a
//! parameter.
//!
//! What it keeps is one small store of its own: orders (each durable before it is sent, so that a
//! retry carries the same number), the token shelf, who is bound to which staff ID, and the last
//! checkpoint of the journal. Tokens and documents are sealed in it under the gateway's
//! [`ShelfKey`].
//!
//! A prescription can also be signed here, by its owner's HPKI card in a reader of this host
//! ([`Gateway::sign_with_card`]); such a card answers a challenge of the platform, too. [`reader`] is
//! the only place that knows cards, and the private keys stay in them. What the facility has cards
//! sign stands in a journal of its own, under a key of its own ([`FacilityKey`]).
//!
//! Start reading at [`Gateway::prescribe`] in `desk` (or [`Gateway::ask_approval`] where the owner
//! approves each document), then `sending` (the retry rules) and `answer`
//! (what is believed).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod answer;
mod approving;
mod authentication;
mod batch;
mod batched;
mod by_card;
mod card_orders;
mod carddesk;
mod checkpoint;
mod config;
mod desk;
pub mod evidence;
mod facility_key;
mod local;
mod migrations;
mod names;
mod orders;
mod platform;
pub mod reader;
mod refusal;
mod seal;
mod sending;
mod shelf;
mod turns;
mod waiting;

pub use approving::{Approving, ApprovingState, Paper};
pub use authentication::{Authentication, AuthenticationState, Light, StaffState};
pub use batch::DocumentOutcome;
pub use card_orders::CardOrderState;
pub use carddesk::{CardDesk, CardHost, CardPolicy, Entered, Keeping};
pub use config::{GatewayConfig, Staff};
pub use desk::{Gateway, Resumed, Signed};
pub use facility_key::FacilityKey;
pub use local::{CardAsked, SignedHere};
pub use migrations::MIGRATIONS;
pub use names::{GatewayId, NotAName, StaffId, TerminalId};
pub use platform::{Bearer, Call, Method, Platform, Reply, Unreachable};
pub use refusal::{CODES, Refusal};
pub use seal::ShelfKey;
