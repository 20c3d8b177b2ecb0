//! The one place where a room's no becomes an HTTP answer (RFC 9457), and where a fault becomes a
//! reference number outside and one log line inside.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hpki::refusal::Refuse;
use hpki::sign::Random;
use ledger::Failed;
use wire::refusal::{Problem, lookup};

/// What a handler answers when it does not answer well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The rules say no; the code is in the refusal table.
    #[error("{code}: {detail}")]
    Refused { code: &'static str, detail: String },
    /// We or a device broke; the log has the chain under this reference.
    #[error("a fault, logged under {reference}")]
    Fault { reference: String },
}

impl Trouble {
    /// A refusal of the HTTP layer itself.
    pub(crate) fn refused(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Refused { code, detail: detail.into() }
    }

    /// Logs the whole chain once and keeps only a reference.
    pub(crate) fn fault(error: &dyn std::error::Error) -> Self {
        let mut octets = [0; 6];
        hsm::SystemRandom.fill(&mut octets);
        let reference = hex::encode(octets);
        let mut chain = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            chain.push_str(": ");
            chain.push_str(&inner.to_string());
            source = inner.source();
        }
        tracing::error!(%reference, %chain, "a fault was answered with 500");
        Self::Fault { reference }
    }

    /// The problem document.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::Refused { code, detail } => Problem::refused(code, detail),
            Self::Fault { reference } => Problem::fault(reference),
        }
    }
}

impl<E: Refuse> From<Failed<E>> for Trouble {
    fn from(failed: Failed<E>) -> Self {
        match failed {
            Failed::Refused(refusal) => {
                Self::Refused { code: refusal.code(), detail: refusal.to_string() }
            }
            Failed::Fault(fault) => Self::fault(&fault),
        }
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let problem = self.problem();
        let status = match &self {
            Self::Refused { code, .. } => lookup(code).map_or(400, |text| text.status),
            Self::Fault { .. } => 500,
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}
