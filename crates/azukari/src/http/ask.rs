//! JSON bodies and paths, refused as problem documents when they are not what was agreed.

use std::time::Duration;

use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Json, Path, Query, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::problem::Trouble;

/// How long a body may take to arrive: whoever sends it drop by drop must not keep one of the
/// connections for ever.
pub(crate) const ARRIVAL: Duration = Duration::from_secs(30);

/// A JSON object as body.
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
    let malformed = |why: &str| Trouble::refused("request-malformed", why);
    if !is_json(request.headers()) {
        return Err(malformed("the body must be application/json"));
    }
    let body = tokio::time::timeout(arrival, Bytes::from_request(request, state)).await;
    let body = body.map_err(|_| malformed("the body did not arrive in time"))??;
    // A list would be read as an object without names.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(malformed("the body is not a JSON object"));
    }
    Ok(Ask(Json::from_bytes(&body)?.0))
}

fn is_json(headers: &HeaderMap) -> bool {
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    said.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// A part of the path.
#[derive(FromRequestParts)]
#[from_request(via(Path), rejection(Trouble))]
pub(crate) struct At<T>(pub(crate) T);

/// A query.
#[derive(FromRequestParts)]
#[from_request(via(Query), rejection(Trouble))]
pub(crate) struct With<T>(pub(crate) T);

impl From<BytesRejection> for Trouble {
    fn from(rejection: BytesRejection) -> Self {
        let large = rejection.status().as_u16() == 413;
        let code = if large { "request-too-large" } else { "request-malformed" };
        Self::refused(code, rejection.body_text())
    }
}

impl From<JsonRejection> for Trouble {
    fn from(rejection: JsonRejection) -> Self {
        Self::refused("request-malformed", rejection.body_text())
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

    async fn given(content_type: &str, body: &'static str) -> Result<wire::NumberRequest, Trouble> {
        let request =
            Request::builder().header("content-type", content_type).body(Body::from(body)).unwrap();
        read(request, &(), ARRIVAL).await.map(|Ask(read)| read)
    }

    #[tokio::test]
    async fn a_list_is_not_an_object_without_names() {
        let read = given("application/json; charset=utf-8", " {\"number\": \"042\"}").await;
        assert_eq!(read.unwrap().number, "042");
        for (content_type, body) in [
            ("application/json", "[\"042\"]"),
            ("application/json", "[]"),
            ("application/json", "\"042\""),
            ("application/json", ""),
            ("application/json", "{\"number\": \"042\"} {}"),
            ("application/json", "{\"numer\": \"042\"}"),
            ("text/plain", "{\"number\": \"042\"}"),
        ] {
            let refused = given(content_type, body).await.unwrap_err().problem().code;
            assert_eq!(refused, "request-malformed", "{content_type}: {body}");
        }
    }
}
