//! What is answered instead of an answer: a status and the standards' word (RFC 6749 §5.2, RFC 9126
//! §2.3, OpenID Connect Core §3.1.2.6), with our code in the description. Our codes mean the same here
//! as elsewhere; this file says how the standards say them.

use authn::provider::Wrong;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hpki::refusal::Refuse;
use ledger::Failed;
use serde_json::json;
use wire::refusal::lookup;

use crate::http::problem::Trouble;

/// A refusal or a fault in the standards' form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct No {
    status: StatusCode,
    error: &'static str,
    description: String,
    challenge: Option<&'static str>,
}

/// Every code that is not simply `invalid_request`.
const TABLE: &[(&str, u16, &str)] = &[
    ("oauth-client-unknown", 401, "invalid_client"),
    ("oauth-client-not-proven", 401, "invalid_client"),
    ("facility-unknown", 401, "invalid_client"),
    ("facility-certificate-revoked", 401, "invalid_client"),
    ("facility-certificate-expired", 401, "invalid_client"),
    ("oauth-client-not-allowed", 400, "unauthorized_client"),
    ("oauth-request-unknown", 400, "invalid_request_uri"),
    ("oauth-request-object-wrong", 400, "invalid_request_object"),
    ("oauth-response-type-wrong", 400, "unsupported_response_type"),
    ("oauth-scope-not-allowed", 400, "invalid_scope"),
    ("oauth-details-wrong", 400, "invalid_authorization_details"),
    ("allowance-not-allowed", 400, "invalid_authorization_details"),
    ("terminal-malformed", 400, "invalid_authorization_details"),
    ("oauth-login-required", 400, "login_required"),
    ("oauth-means-differs", 400, "unmet_authentication_requirements"),
    ("oauth-authority-off", 400, "access_denied"),
    ("oauth-certificate-ended", 400, "access_denied"),
    ("ceremony-refused", 400, "access_denied"),
    ("place-not-confirmed", 400, "access_denied"),
    ("oauth-code-wrong", 400, "invalid_grant"),
    ("oauth-code-replayed", 400, "invalid_grant"),
    ("oauth-verifier-wrong", 400, "invalid_grant"),
    ("oauth-certificate-differs", 400, "invalid_grant"),
    // The signing session behind a code is gone: ended, not confirmed, or lost in a restart.
    ("ceremony-unknown", 400, "invalid_grant"),
    ("ceremony-out-of-step", 400, "invalid_grant"),
    ("session-unknown", 400, "invalid_grant"),
    // A device asks again (RFC 8628 §3.5); wrong digits can be typed again.
    ("oauth-pending", 400, "authorization_pending"),
    ("number-wrong", 400, "authorization_pending"),
    ("oauth-device-expired", 400, "expired_token"),
    ("oauth-binding-wrong", 400, "invalid_binding_message"),
    ("oauth-grant-unsupported", 400, "unsupported_grant_type"),
    ("oauth-access-unknown", 401, "invalid_token"),
    ("token-missing", 401, "invalid_token"),
    ("slow-down", 503, "temporarily_unavailable"),
];

/// The standards' word for one of our codes.
pub(super) fn word(code: &str) -> (u16, &'static str) {
    let row = TABLE.iter().find(|(known, ..)| *known == code);
    row.map_or((400, "invalid_request"), |(_, status, error)| (*status, *error))
}

/// What a program's maker reads: plain ASCII, as RFC 6749 §5.2 asks of a description.
pub(super) fn described(code: &str) -> String {
    let title = lookup(code).map_or("refused", |text| text.title_en);
    let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ';
    format!("{} ({code})", title.chars().filter(|c| plain(*c)).collect::<String>())
}

impl No {
    fn code(code: &str) -> Self {
        let (status, error) = word(code);
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
            error,
            description: described(code),
            challenge: None,
        }
    }

    /// The same with the header that its authentication scheme asks for.
    pub(super) fn challenged(mut self, challenge: &'static str) -> Self {
        self.challenge = Some(challenge);
        self
    }
}

impl From<Wrong> for No {
    fn from(wrong: Wrong) -> Self {
        Self::code(wrong.code())
    }
}

impl From<Trouble> for No {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused { code, .. } => Self::code(code),
            Trouble::Fault { reference } => Self {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                error: "server_error",
                description: format!("something broke on our side, reference {reference}"),
                challenge: None,
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
        let body = json!({"error": self.error, "error_description": self.description});
        let mut answer = (self.status, axum::Json(body)).into_response();
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_provider_has_a_text_and_its_word_is_one_of_the_standards() {
        for code in authn::provider::CODES {
            assert!(lookup(code).is_some(), "{code} is in no refusal table");
        }
        for (code, status, error) in TABLE {
            assert!(lookup(code).is_some(), "{code} is in no refusal table");
            assert!(StatusCode::from_u16(*status).is_ok(), "{code}");
            assert!(
                [
                    // RFC 6749 §4.1.2.1 and §5.2
                    "invalid_request",
                    "invalid_client",
                    "invalid_grant",
                    "unauthorized_client",
                    "access_denied",
                    "unsupported_response_type",
                    "unsupported_grant_type",
                    "invalid_scope",
                    "temporarily_unavailable",
                    // RFC 9101 §7, RFC 9396 §5, RFC 6750 §3.1
                    "invalid_request_uri",
                    "invalid_request_object",
                    "invalid_authorization_details",
                    "invalid_token",
                    // RFC 8628 §3.5
                    "authorization_pending",
                    "expired_token",
                    // OpenID CIBA Core §13
                    "invalid_binding_message",
                    // OpenID Connect Core §3.1.2.6, and its Unmet Authentication Requirements
                    "login_required",
                    "unmet_authentication_requirements",
                ]
                .contains(error),
                "{error} is no word of the standards"
            );
        }
    }

    #[test]
    fn a_description_is_plain_ascii() {
        for code in authn::provider::CODES {
            let said = described(code);
            assert!(said.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\'));
        }
    }
}
