//! What the authorities publish: certificates and revocation lists, for anyone.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Platform;
use crate::http::ask::At;
use crate::http::problem::Trouble;

/// `/repository/{name}.crl|.pem` and the description of the interfaces.
pub(crate) fn routes() -> Router<Arc<Platform>> {
    Router::new().route("/repository/{name}", get(publication)).route("/openapi.json", get(openapi))
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], crate::openapi::json()).into_response()
}

async fn publication(
    State(platform): State<Arc<Platform>>,
    At(name): At<String>,
) -> Result<Response, Trouble> {
    let unknown = || Trouble::refused("publication-unknown", name.clone());
    if let Some(list) = name.strip_suffix(".crl") {
        let der = platform.ca.published_list(list).await?.ok_or_else(unknown)?;
        return Ok(([(header::CONTENT_TYPE, "application/pkix-crl")], der).into_response());
    }
    let wanted = name.strip_suffix(".pem").ok_or_else(unknown)?;
    let authorities = platform.ca.authorities().await?;
    let found = authorities.into_iter().find(|(authority, _)| authority.name() == wanted);
    let (_, certificate) = found.ok_or_else(unknown)?;
    Ok(([(header::CONTENT_TYPE, "application/x-pem-file")], certificate.pem()).into_response())
}
