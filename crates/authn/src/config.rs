//! What an operator may set, within bounds that code holds.

use approval::webauthn::Makers;
use approval::{CardMeans, RelyingParty};
use hpki::encoding::Digest32;

/// No approval allows more signatures than this, whatever is configured (protocols §5).
pub const COUNT_CEILING: u64 = 2_000;

/// The longest life of a token, from the authentication: 18 h (S001).
pub(crate) const LIFETIME_CEILING_S: u64 = 64_800;
/// How long a sheet can be used: about three months (S001).
pub(crate) const SHEET_LIFE_S: u64 = 92 * 86_400;
/// Wrong birth dates until a sheet is locked (S002).
pub(crate) const BIRTH_TRIES: u64 = 5;
/// One sitting at the linking desk.
pub(crate) const SITTING_S: u64 = 15 * 60;
/// How long a QR can be claimed.
pub(crate) const QR_LIFE_S: u64 = 60;
/// How long it can be claimed by a card anywhere: a command is typed more slowly than a code is
/// scanned.
pub(crate) const CARD_CLAIM_S: u64 = 300;
/// How long a person may read and approve after claiming, and how long the number may be typed
/// after approving.
pub(crate) const FINISH_S: u64 = 120;
/// A visit to the owner's page, at most and without a request.
pub(crate) const VISIT_S: u64 = 2 * 3_600;
pub(crate) const VISIT_IDLE_S: u64 = 30 * 60;
/// A change of phones, from the QR on the old one to the approval there.
pub(crate) const CHANGE_S: u64 = 10 * 60;
/// A code on a card's face: the page shows a new one every half minute.
pub(crate) const CARD_CODE_S: u64 = 60;
/// How often a wrong number may be typed; the last one kills the ceremony.
pub(crate) const NUMBER_TRIES: u8 = 3;
/// How long an invitation to the desk can be used.
pub(crate) const INVITATION_S: u64 = 86_400;
/// An officer of the desk who does nothing for so long has left it.
pub(crate) const DESK_IDLE_S: u64 = 15 * 60;
/// An officer of the desk signs in again after so long in any case.
pub(crate) const DESK_LONGEST_S: u64 = 4 * 3_600;
/// How long an act of two officers waits for the second.
pub(crate) const DESK_ORDER_S: u64 = 86_400;
/// For how long a released token is answered again, so that a lost answer costs nothing.
pub(crate) const TOKEN_KEPT_S: u64 = 60;
/// For how long the end of a ceremony can be asked about.
pub(crate) const CEREMONY_KEPT_S: u64 = 600;

/// What the room is told about the world.
#[derive(Debug, Clone)]
pub struct AuthnConfig {
    /// Who mints: `iss` of tokens and first field of each statement.
    pub issuer: String,
    /// For whom: `aud`, custody's signing interface.
    pub audience: String,
    /// The relying party of the phones' credentials: a domain name.
    pub rp_id: String,
    /// What phones call the relying party.
    pub rp_name: String,
    /// The origins of our own pages.
    pub origins: Vec<String>,
    /// Where phones reach us, without a slash at the end: QR codes are `{url}/r#…` and `{url}/q#…`.
    pub url: String,
    /// SHA-256 of the terms that the linking page shows.
    pub terms_hash: Digest32,
    /// The life of a token in seconds from the authentication; more than 64,800 (18 h) is taken
    /// as 64,800.
    pub token_lifetime_s: u64,
    /// Whose authenticators may be linked; without a list, everybody's.
    pub makers: Makers,
    /// By which cards a sheet for a new phone is ordered on the screen; by none where it is empty.
    pub sheet_by_card: Vec<CardMeans>,
    /// Whether the birth date is not enough for a first phone: only a sheet that her card ordered
    /// links one then, and the card's proof takes the place of the birth date.
    pub require_card_proof: bool,
    /// How many signatures one approval may allow; more than [`COUNT_CEILING`] is taken as that.
    pub count_max: u64,
}

impl AuthnConfig {
    pub(crate) fn bounded(mut self) -> Self {
        self.token_lifetime_s = self.token_lifetime_s.clamp(1, LIFETIME_CEILING_S);
        self.count_max = self.count_max.clamp(1, COUNT_CEILING);
        self
    }

    pub(crate) fn relying_party(&self) -> RelyingParty {
        RelyingParty { rp_id: self.rp_id.clone(), origins: self.origins.clone() }
    }
}
