//! Every path of the platform, in the spelling of the routes (`{name}` is a variable).

/// Ask for a signature (POST).
pub const SIGNATURES: &str = "/v1/signatures";
/// The stored answer of an order, for 24 h (GET).
pub const SIGNATURE: &str = "/v1/signatures/{order}";
/// Ask for many signatures under one number (POST).
pub const BATCHES: &str = "/v1/signatures/batch";
/// The stored answer of such an order, for 24 h (GET).
pub const BATCH: &str = "/v1/signatures/batch/{order}";
/// Ask a person to approve exactly these documents (POST).
pub const APPROVALS: &str = "/v1/approvals";
/// How an approval stands (GET).
pub const APPROVAL: &str = "/v1/approvals/{ceremony}";
/// The signatures of approved documents (POST).
pub const APPROVAL_SIGNATURES: &str = "/v1/approvals/{ceremony}/signatures";
/// The evidence of a signature that its owner approved by itself or in a batch (GET).
pub const EVIDENCE: &str = "/v1/signatures/{order}/evidence";
/// Begin an authentication at a terminal (POST).
pub const CEREMONIES: &str = "/v1/ceremonies";
/// How an authentication stands (GET).
pub const CEREMONY: &str = "/v1/ceremonies/{ceremony}";
/// The three digits that the phone shows, typed at the terminal (POST).
pub const CEREMONY_NUMBER: &str = "/v1/ceremonies/{ceremony}/number";
/// A card is in the terminal's reader: what it is asked to sign (POST).
pub const CEREMONY_CARD: &str = "/v1/ceremonies/{ceremony}/card";
/// The card's signature (POST).
pub const CEREMONY_CARD_ANSWER: &str = "/v1/ceremonies/{ceremony}/card/answer";
/// A card in the reader of any computer: what it is asked to sign (POST).
pub const CARD_BEGIN: &str = "/card/begin";
/// That card's signature (POST).
pub const CARD_FINISH: &str = "/card/finish";
/// A card claims the QR code of a login (POST).
pub const CARD_CLAIM: &str = "/card/claim";
/// It approves that login (POST).
pub const CARD_APPROVE: &str = "/card/approve";
/// A My Number Card is to be linked by its holder's phone: begin, ask, finish (POST).
pub const CARD_LINK_BEGIN: &str = "/card/link/begin";
/// How far that linking is (POST).
pub const CARD_LINK_STATE: &str = "/card/link/state";
/// The digits of the phone, and the card's signature (POST).
pub const CARD_LINK_FINISH: &str = "/card/link/finish";
/// Take a page that a card opened to this browser (POST, browser).
pub const SIGNIN_CARD: &str = "/me/signin/card";
/// End the presented token (POST).
pub const SESSIONS_END: &str = "/v1/sessions/end";
/// The newest signed checkpoint of the journal (GET).
pub const CHECKPOINT: &str = "/v1/checkpoint";
/// The checkpoint that is published for all, with its cosignatures (GET, a signed note).
pub const PUBLISHED: &str = "/journal/checkpoint";
/// Consistency of two journal sizes, `?from=&to=` (GET).
pub const CONSISTENCY: &str = "/v1/consistency";
/// Who the platform takes the caller for (GET).
pub const FACILITY: &str = "/v1/facility";

/// Open an initial-registration sheet (POST, phone).
pub const LINK_OPEN: &str = "/phone/link/open";
/// State the birth date (POST, phone).
pub const LINK_BIRTH: &str = "/phone/link/birth";
/// Say which credential the phone holds already (POST, phone).
pub const LINK_HELD: &str = "/phone/link/held";
/// Hand in the new credential (POST, phone).
pub const LINK_FINISH: &str = "/phone/link/finish";
/// Claim the QR of a terminal (POST, phone).
pub const SESSION_CLAIM: &str = "/phone/session/claim";
/// Approve what is shown (POST, phone).
pub const SESSION_APPROVE: &str = "/phone/session/approve";
/// Refuse what is shown (POST, phone).
pub const SESSION_REFUSE: &str = "/phone/session/refuse";
/// Ask to stop her own key (POST, phone).
pub const KEY_STOP_BEGIN: &str = "/phone/key/stop/begin";
/// Stop her own key (POST, phone).
pub const KEY_STOP_FINISH: &str = "/phone/key/stop/finish";

/// The history of her own key (POST, phone).
pub const KEY_HISTORY: &str = "/phone/key/history";

/// Sign in to the owner's page (POST, browser); everything below it needs that.
pub const SIGNIN_BEGIN: &str = "/me/signin/begin";
/// Hand in the passkey's answer (POST, browser).
pub const SIGNIN_FINISH: &str = "/me/signin/finish";
/// Leave (POST, browser).
pub const SIGNOUT: &str = "/me/signout";
/// What the owner's page shows (GET, browser).
pub const ME_STATE: &str = "/me/state";
/// End a session (POST, browser).
pub const ME_SESSION_END: &str = "/me/session/end";
/// Notices were read (POST, browser).
pub const ME_NOTICES_SEEN: &str = "/me/notices/seen";
/// Begin to decide something (POST, browser).
pub const ME_ACT_BEGIN: &str = "/me/act/begin";
/// Approve it (POST, browser).
pub const ME_ACT_FINISH: &str = "/me/act/finish";
/// A page of her history (POST, browser).
pub const ME_HISTORY: &str = "/me/history";
/// The journal's proof of one entry of hers (GET, browser).
pub const ME_PROOF: &str = "/me/proof/{index}";
/// The code on her card (POST, browser).
pub const ME_CARD: &str = "/me/card";
/// Begin a change of phones (POST, browser).
pub const ME_CHANGE_BEGIN: &str = "/me/change/begin";
/// How it stands (POST, browser).
pub const ME_CHANGE: &str = "/me/change";
/// Give it up (POST, browser).
pub const ME_CHANGE_REFUSE: &str = "/me/change/refuse";
/// The new phone has scanned the QR of a change (POST, phone).
pub const CHANGE_OPEN: &str = "/phone/change/open";
/// Hand in the new passkey (POST, phone).
pub const CHANGE_OFFER: &str = "/phone/change/offer";
/// How the change stands (POST, phone).
pub const CHANGE_STANDS: &str = "/phone/change/stands";
/// Check the QR on a card (POST, anybody).
pub const CARD_CHECK: &str = "/card/check";

/// The owner's page.
pub const HOLDER_PAGE: &str = "/me";
/// The page that the QR on the old phone opens; its secret is in the fragment.
pub const CHANGE_PAGE: &str = "/n";
/// The page that the QR on a card opens; its code is in the fragment.
pub const CARD_PAGE: &str = "/v";

/// Every edition of the terms.
pub const TERMS_PAGE: &str = "/terms";
/// One edition, by the base64url SHA-256 of its Japanese text.
pub const TERMS_TEXT: &str = "/terms/{hash}";

/// The page that a sheet's QR opens; its secret is in the fragment.
pub const LINK_PAGE: &str = "/r";
/// The page that a terminal's QR opens; its secret is in the fragment.
pub const SESSION_PAGE: &str = "/q";

/// The keys that sign tokens (RFC 7517).
pub const JWKS: &str = "/.well-known/jwks.json";
/// The description of this interface (OpenAPI 3.1).
pub const OPENAPI: &str = "/openapi.json";
/// Published certificates (`.pem`) and revocation lists (`.crl`).
pub const REPOSITORY: &str = "/repository/{name}";
