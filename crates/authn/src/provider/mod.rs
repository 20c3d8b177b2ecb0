//! 認可・ログイン連携: OAuth 2.0 and OpenID Connect over the ceremonies of this room.
//!
//! A client sends its user's browser here ([`Authn::push`], [`Authn::open_login`]); the browser shows
//! a QR code, and the person approves on her phone what she would approve for a terminal – or, where
//! no signature is asked for, a statement of its own that names the service and what it is told
//! (`approval::login`). What the client then gets for its code is the same token over the same budget
//! as everywhere ([`Authn::start`]), or who she is, under a name that no other service knows her by.
//!
//! There is no session of the browser with us: each login is approved anew. There are no refresh
//! tokens: the end of the token is the end (18 h, or ten minutes for userinfo).
//!
//! Start reading at [`client`] (who may ask), then [`request`] (what), `login` (the ceremony),
//! `code` and `tokens` (what comes of it), `consent` (what the owner sees and takes back).

mod card;
pub mod client;
mod code;
pub(crate) mod consent;
mod device;
mod jose;
mod keys;
mod login;
mod page;
mod phone;
mod refusal;
mod registry;
pub mod request;
mod tokens;

pub use client::{Client, ClientId, ClientProof, MeansWanted, Redirect};
pub use code::{Redeemed, Showing, Spent};
pub use consent::Consent;
pub use device::{BackchannelBegun, DeviceBegun, WaitingLogin};
pub use jose::{ALGORITHMS, ClientKey};
pub use login::{Opened, Pushed};
pub use page::{PageStep, Seen};
pub use phone::LoginApproved;
pub use refusal::{Back, Denied, Wrong};
pub use registry::{Proving, Registry};
pub use request::{Parameters, Scope};
pub use tokens::{AccessFacts, Claimed, Issued};

/// The codes of [`Wrong`].
pub const CODES: &[&str] = Wrong::CODES;

/// How long a pushed request waits for its browser (RFC 9126 §2.2 `expires_in`).
pub(crate) const PUSHED_S: u64 = 60;
/// How long a browser may take from opening the page to going back.
pub(crate) const LOGIN_S: u64 = 600;
/// How long a code can be redeemed (RFC 6749 §4.1.2 asks for at most ten minutes).
pub(crate) const CODE_S: u64 = 60;
/// The life of an access token for userinfo: a bearer's, so short (protocols §4).
pub(crate) const ACCESS_S: u64 = 600;
/// The life of an ID token: it is read once, at once.
pub(crate) const ID_TOKEN_S: u64 = 300;
/// Logins that nobody approved are forgotten after this time, when none can be going on any more.
pub(crate) const IDLE_S: u64 = PUSHED_S + LOGIN_S;
/// Codes and access tokens are kept for longer than anything that was made from them can live.
pub(crate) const SPENT_S: u64 = 2 * 86_400;
