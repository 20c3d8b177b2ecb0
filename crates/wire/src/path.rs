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
