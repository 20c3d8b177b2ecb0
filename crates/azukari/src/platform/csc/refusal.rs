//! What is answered instead of an answer on the paths of the Cloud Signature Consortium (§10): a
//! status, one of the specification's words, and its sentence where it has one.
//!
//! Our own codes mean the same here as elsewhere; this file says how the specification says it.
//! What belongs to somebody else is said exactly as what does not exist.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hpki::refusal::Refuse;
use ledger::Failed;
use wire::csc::{Error, Wrong};
use wire::refusal::lookup;

use crate::http::problem::Trouble;

/// A refusal or a fault in the specification's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct No {
    status: StatusCode,
    error: &'static str,
    description: String,
}

/// How the specification says one of our codes: status, word, sentence. Without a sentence of the
/// specification ours is said, with the code.
type Row = (&'static str, u16, &'static str, Option<&'static str>);

const INVALID: &str = "invalid_request";
const DENIED: &str = "access_denied";
const CREDENTIAL: Option<&str> = Some("Invalid parameter credentialID");
const SAD: Option<&str> = Some("Invalid parameter SAD");
const HANDLE: Option<&str> = Some("Invalid parameter handle");
const REQUEST: Option<&str> = Some("Invalid parameter requestID");

/// Every code that is not simply `access_denied`.
const TABLE: &[Row] = &[
    // The connection and the client.
    ("client-certificate-missing", 401, "unauthorized_client", None),
    ("facility-unknown", 401, "unauthorized_client", None),
    ("facility-certificate-revoked", 401, "unauthorized_client", None),
    ("facility-certificate-expired", 401, "unauthorized_client", None),
    ("client-unknown", 400, "unauthorized_client", None),
    ("raw-hashes-not-allowed", 400, "unauthorized_client", None),
    // The access token.
    ("token-missing", 400, INVALID, Some("Malformed authorization header")),
    ("token-malformed", 401, "invalid_token", None),
    ("token-key-unknown", 401, "invalid_token", None),
    ("token-signature-wrong", 401, "invalid_token", None),
    ("token-wrong-issuer", 401, "invalid_token", None),
    ("token-wrong-audience", 401, "invalid_token", None),
    ("token-wrong-scope", 401, "invalid_scope", None),
    ("token-times-wrong", 401, "invalid_token", None),
    ("token-wrong-certificate", 401, "invalid_token", None),
    ("token-wrong-facility", 401, "invalid_token", None),
    ("budget-unknown", 401, "invalid_token", None),
    ("token-expired", 401, "expired_token", None),
    ("token-ended", 401, "expired_token", None),
    // The credential. One that is another's, or for prescriptions, is like none.
    ("credential-unknown", 400, INVALID, CREDENTIAL),
    ("key-unknown", 400, INVALID, CREDENTIAL),
    ("kind-not-allowed", 400, INVALID, CREDENTIAL),
    ("kind-wrong-door", 400, INVALID, CREDENTIAL),
    ("key-suspended", 400, INVALID, Some("The credential identified by credentialID is disabled")),
    (
        "key-wrong-state",
        400,
        INVALID,
        Some("The credential identified by credentialID is disabled"),
    ),
    ("key-frozen", 400, INVALID, Some("The credential identified by credentialID is disabled")),
    ("certificate-expired", 400, INVALID, Some("Signing certificate is expired")),
    // The SAD.
    ("sad-unknown", 400, INVALID, SAD),
    ("activation-spent", 400, INVALID, SAD),
    ("sad-expired", 400, INVALID, Some("SAD expired")),
    ("activation-expired", 400, INVALID, Some("SAD expired")),
    ("sad-exhausted", 400, INVALID, Some("Numbers of signatures is too high")),
    ("batch-size-wrong", 400, INVALID, Some("Numbers of signatures is too high")),
    ("hash-not-authorised", 400, INVALID, Some("Hash is not authorized by the SAD")),
    ("prepared-unknown", 400, INVALID, HANDLE),
    ("ceremony-unknown", 400, INVALID, HANDLE),
    ("request-unknown", 400, INVALID, REQUEST),
    // What is not a request.
    ("request-malformed", 400, INVALID, None),
    ("request-too-large", 400, INVALID, None),
    // What passes by itself.
    ("status-unknown", 503, "temporarily_unavailable", None),
    ("clock-unsure", 503, "temporarily_unavailable", None),
];

impl No {
    /// A parameter is not as it should be.
    pub(crate) fn invalid(description: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error: INVALID, description: description.into() }
    }

    /// One of our codes, in the specification's words.
    pub(crate) fn code(code: &str, detail: &str) -> Self {
        let row = TABLE.iter().find(|(known, ..)| *known == code);
        let (status, error, sentence) = row
            .map_or((400, DENIED, None), |(_, status, error, sentence)| {
                (*status, *error, *sentence)
            });
        let ours = || {
            let title = lookup(code).map_or(detail, |text| text.title_en);
            if error == INVALID && !detail.is_empty() {
                format!("{title}: {detail} ({code})")
            } else {
                format!("{title} ({code})")
            }
        };
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
            error,
            description: sentence.map_or_else(ours, str::to_owned),
        }
    }

    /// The signatures are not there yet (§11.12): an error by its form, a success by its status.
    pub(crate) fn not_yet() -> Self {
        Self {
            status: StatusCode::ACCEPTED,
            error: "accepted_request",
            description: "The previous asynchronous signature request has been accepted but not \
                          yet completed"
                .into(),
        }
    }

    /// The same of `signDoc`, which words one case by itself (§11.11).
    pub(crate) fn of_documents(self) -> Self {
        if self == Self::code("hash-not-authorised", "") {
            Self::invalid("documentDigests or documents are not authorized by the SAD")
        } else {
            self
        }
    }

    /// A method that the specification has and this service has not, or none of either.
    pub(crate) fn not_there() -> Self {
        Self {
            status: StatusCode::NOT_IMPLEMENTED,
            error: INVALID,
            description: "This service does not have this method; info lists those it has".into(),
        }
    }
}

impl From<Wrong> for No {
    fn from(wrong: Wrong) -> Self {
        Self::invalid(wrong.to_string())
    }
}

impl From<Trouble> for No {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused { code, detail } => Self::code(code, &detail),
            Trouble::Fault { reference } => Self {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                error: "server_error",
                description: format!(
                    "Something broke on our side; tell the operator the reference {reference}"
                ),
            },
        }
    }
}

impl<E: Refuse> From<Failed<E>> for No {
    fn from(failed: Failed<E>) -> Self {
        Trouble::from(failed).into()
    }
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        let body = Error { error: self.error.into(), error_description: self.description };
        (self.status, axum::Json(body)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_that_is_said_in_the_specifications_words_is_one_of_ours() {
        for (code, status, error, _) in TABLE {
            assert!(lookup(code).is_some(), "{code} is in no refusal table");
            assert!(StatusCode::from_u16(*status).is_ok(), "{code}");
            assert!(
                [
                    INVALID,
                    DENIED,
                    "unauthorized_client",
                    "invalid_scope",
                    "temporarily_unavailable",
                    "expired_token",
                    "invalid_token",
                ]
                .contains(error),
                "{error} is not a word of the specification"
            );
        }
    }

    #[test]
    fn what_is_anothers_is_said_like_what_does_not_exist() {
        let say = |code| No::code(code, "whatever only one of them knows");
        assert_eq!(say("credential-unknown"), say("key-unknown"));
        assert_eq!(say("sad-unknown").description, "Invalid parameter SAD");
        assert_eq!(say("activation-spent"), say("sad-unknown"));
    }

    #[test]
    fn a_code_without_words_of_the_specification_is_said_in_ours() {
        let no = No::code("budget-exhausted", "");
        assert_eq!((no.status.as_u16(), no.error), (400, "access_denied"));
        assert!(no.description.ends_with("(budget-exhausted)"), "{no:?}");
    }
}
