//! JSON bodies and paths, refused as problem documents when they are not what was agreed.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Json, Path, Query};

use super::problem::Trouble;

/// A JSON body.
#[derive(FromRequest)]
#[from_request(via(Json), rejection(Trouble))]
pub(crate) struct Ask<T>(pub(crate) T);

/// A part of the path.
#[derive(FromRequestParts)]
#[from_request(via(Path), rejection(Trouble))]
pub(crate) struct At<T>(pub(crate) T);

/// A query.
#[derive(FromRequestParts)]
#[from_request(via(Query), rejection(Trouble))]
pub(crate) struct With<T>(pub(crate) T);

impl From<JsonRejection> for Trouble {
    fn from(rejection: JsonRejection) -> Self {
        match rejection {
            JsonRejection::BytesRejection(why) if why.status().as_u16() == 413 => {
                Self::refused("request-too-large", why.body_text())
            }
            other => Self::refused("request-malformed", other.body_text()),
        }
    }
}

impl From<PathRejection> for Trouble {
    fn from(rejection: PathRejection) -> Self {
        Self::refused("request-malformed", rejection.body_text())
    }
}

impl From<QueryRejection> for Trouble {
    fn from(rejection: QueryRejection) -> Self {
        Self::refused("request-malformed", rejection.body_text())
    }
}
