//! The door for authorities that hand keys over. Each connects with the client certificate that is
//! pinned for it; what it may hand over, two officers have decided.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use custody::Importer;
use hpki::certificate::Certificate;
use hsm::{OaepDigest, Package};
use wire::{ImportAnswer, ImportKeyAnswer, ImportRequest};

use super::Platform;
use crate::clock::now;
use crate::config::ImporterConfig;
use crate::http::ask::Ask;
use crate::http::problem::Trouble;
use crate::http::tls::Peer;
use crate::runtime::Stop;

type Rooms = State<Arc<Platform>>;

/// The authorities' routes.
pub(crate) fn routes() -> Router<Arc<Platform>> {
    Router::new().route("/v1/import/key", get(key)).route("/v1/import", post(import))
}

/// The registered authorities, as configured.
pub(crate) fn importers(configured: &[ImporterConfig]) -> Result<Vec<Importer>, Stop> {
    configured
        .iter()
        .map(|importer| {
            Ok(Importer {
                name: importer.name.clone(),
                x5t: crate::verify::certificate(&importer.certificate)?.sha256(),
                authority: crate::verify::certificate(&importer.authority)?,
            })
        })
        .collect()
}

fn authority(peer: Option<Extension<Arc<Peer>>>) -> Result<Certificate, Trouble> {
    match peer {
        Some(Extension(peer)) if peer.0.is_valid_at(now()) => Ok(peer.0.clone()),
        _ => Err(Trouble::refused(
            "client-certificate-missing",
            "this connection showed no client certificate of an authority in force",
        )),
    }
}

/// 鍵を包むための受け入れ鍵（登録した認証局だけ）
#[utoipa::path(get, path = "/v1/import/key", tag = "authority",
    security(("authority" = [])),
    responses((status = 200, body = ImportKeyAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn key(
    State(platform): Rooms,
    peer: Option<Extension<Arc<Peer>>>,
) -> Result<Json<ImportKeyAnswer>, Trouble> {
    let spki = platform.custody.import_key(&authority(peer)?.sha256())?;
    Ok(Json(ImportKeyAnswer { key: pem("PUBLIC KEY", &spki) }))
}

/// 認証局が作った鍵を受け入れる。二人の係員の指図が要る
#[utoipa::path(post, path = "/v1/import", tag = "authority", request_body = ImportRequest,
    security(("authority" = [])),
    responses((status = 200, body = ImportAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn import(
    State(platform): Rooms,
    peer: Option<Extension<Arc<Peer>>>,
    Ask(request): Ask<ImportRequest>,
) -> Result<Json<ImportAnswer>, Trouble> {
    let peer = authority(peer)?;
    let digest = match request.digest.as_str() {
        "sha1" => OaepDigest::Sha1,
        "sha256" => OaepDigest::Sha256,
        _ => return Err(Trouble::refused("request-malformed", "digest is sha1 or sha256")),
    };
    let package =
        Package { digest, wrapped_aes: request.wrapped_aes.0, wrapped_key: request.wrapped_key.0 };
    let certificate = Certificate::from_der(&request.certificate.0)
        .map_err(|refusal| Trouble::from(custody::Failed::Refused(refusal.into())))?;
    let custody = &platform.custody;
    let imported =
        custody.import(request.directive, &peer.sha256(), &package, &certificate, now()).await?;
    custody.hold(imported.key, now()).await?;
    let receipt = imported.receipt;
    Ok(Json(ImportAnswer {
        key: imported.key,
        receipt: receipt.words,
        index: receipt.index,
        proof: receipt.proof,
    }))
}

/// PEM of DER octets (RFC 7468).
fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}
