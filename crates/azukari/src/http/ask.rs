//! JSON bodies and paths, refused as problem documents when they are not what was agreed.

use std::time::Duration;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Json, Path, Query, Request};
use serde::de::DeserializeOwned;

use super::problem::Trouble;

/// How long a body may take to arrive: whoever sends it drop by drop must not keep one of the
/// connections for ever.
pub(crate) const ARRIVAL: Duration = Duration::from_secs(30);

/// A JSON body.
pub(crate) struct Ask<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Ask<T> {
    type Rejection = Trouble;

    async fn from_request(request: Request, state: &S) -> Result<Self, Trouble> {
        read(request, state, ARRIVAL).await
    }
}

async fn read<S: Send + Sync, T: DeserializeOwned>(
    request: Request,
    state: &S,
    arrival: Duration,
) -> Result<Ask<T>, Trouble> {
    match tokio::time::timeout(arrival, Json::<T>::from_request(request, state)).await {
        Ok(body) => Ok(Ask(body?.0)),
        Err(_) => Err(Trouble::refused("request-malformed", "the body did not arrive in time")),
    }
}

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

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use axum::body::Body;
    use bytes::Bytes;
    use hyper::body::{Body as Octets, Frame};

    use super::*;

    /// A body of which nothing more ever comes.
    struct Never;

    impl Octets for Never {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_body_that_never_arrives_is_not_waited_for_for_ever() {
        let request = Request::builder()
            .header("content-type", "application/json")
            .body(Body::new(Never))
            .unwrap();
        let read: Result<Ask<u8>, Trouble> = read(request, &(), Duration::from_millis(10)).await;
        assert_eq!(read.err().unwrap().problem().code, "request-malformed");
    }
}
