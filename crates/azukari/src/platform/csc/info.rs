//! `info`: what this service is and which methods it has (§11.1). Anyone may ask.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use wire::csc::{RSA, RSA_SHA256, SignatureFormat, Version, answer, ask};

use super::ask::Said;
use super::refusal::No;
use crate::platform::Platform;

/// Where the logo is.
pub(super) const LOGO: &str = "/csc/logo.png";

/// The methods of version 1 that are there.
pub(super) const METHODS_V1: &[&str] = &[
    "info",
    "auth/revoke",
    "credentials/list",
    "credentials/info",
    "credentials/authorize",
    "credentials/extendTransaction",
    "signatures/signHash",
];

/// The methods of version 2 that are there.
pub(super) const METHODS_V2: &[&str] = &[
    "info",
    "auth/revoke",
    "credentials/list",
    "credentials/info",
    "credentials/authorize",
    "credentials/authorizeCheck",
    "credentials/getChallenge",
    "credentials/extendTransaction",
    "signatures/signHash",
    "signatures/signDoc",
    "signatures/signPolling",
    "oauth2/authorize",
    "oauth2/pushed_authorize",
    "oauth2/token",
    "oauth2/revoke",
];

/// In which language the texts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tongue {
    Japanese,
    English,
}

impl Tongue {
    /// The nearest to what is preferred; English where nothing is said.
    pub(super) fn of(preferred: Option<&str>) -> Self {
        match preferred {
            Some(tag) if tag.split('-').next().is_some_and(|l| l.eq_ignore_ascii_case("ja")) => {
                Self::Japanese
            }
            _ => Self::English,
        }
    }
    pub(super) fn tag(self) -> String {
        match self {
            Self::Japanese => "ja-JP".into(),
            Self::English => "en-US".into(),
        }
    }
    pub(super) fn pick(self, ja: &str, en: &str) -> String {
        match self {
            Self::Japanese => ja.to_owned(),
            Self::English => en.to_owned(),
        }
    }
}

fn name() -> String {
    "Azukari".into()
}

fn description(tongue: Tongue) -> String {
    tongue.pick(
        "HPKI セカンド電子証明書の鍵を預かり、本人の承認があるときだけ署名します",
        "Keeps the keys of HPKI second certificates and signs by their owners' approval alone",
    )
}

fn methods(of: &[&str]) -> Vec<String> {
    of.iter().map(|&method| method.to_owned()).collect()
}

/// サービスの説明（CSC 1.0.4.0）
#[utoipa::path(post, path = "/csc/v1/info", tag = "csc", request_body = ask::Info,
    responses((status = 200, body = answer::InfoV1), (status = "4XX", body = wire::csc::Error)))]
pub(crate) async fn info_v1(
    State(platform): State<Arc<Platform>>,
    Said(asked): Said<ask::Info>,
) -> Result<Json<answer::InfoV1>, No> {
    let tongue = Tongue::of(asked.lang.optional("lang")?.as_deref());
    Ok(Json(answer::InfoV1 {
        specs: Version::V1.specs().into(),
        name: name(),
        logo: format!("{}{LOGO}", platform.config.url),
        region: "JP".into(),
        lang: tongue.tag(),
        description: description(tongue),
        auth_type: vec!["TLS".into()],
        methods: methods(METHODS_V1),
    }))
}

/// サービスの説明（CSC 2.0.0.2）
#[utoipa::path(post, path = "/csc/v2/info", tag = "csc", request_body = ask::Info,
    responses((status = 200, body = answer::InfoV2), (status = "4XX", body = wire::csc::Error)))]
pub(crate) async fn info_v2(
    State(platform): State<Arc<Platform>>,
    Said(asked): Said<ask::Info>,
) -> Result<Json<answer::InfoV2>, No> {
    let tongue = Tongue::of(asked.lang.optional("lang")?.as_deref());
    Ok(Json(answer::InfoV2 {
        specs: Version::V2.specs().into(),
        name: name(),
        logo: format!("{}{LOGO}", platform.config.url),
        region: "JP".into(),
        lang: tongue.tag(),
        description: description(tongue),
        auth_type: vec!["TLS".into(), "oauth2code".into()],
        oauth2: format!("{}/csc/v2", platform.config.url),
        asynchronous: true,
        methods: methods(METHODS_V2),
        validation_info: true,
        sign_algorithms: answer::SignAlgorithms { algos: vec![RSA.into(), RSA_SHA256.into()] },
        signature_formats: answer::SignatureFormats {
            formats: SignatureFormat::ALL.iter().map(|one| one.letter().into()).collect(),
            envelope_properties: SignatureFormat::ALL
                .iter()
                .map(|one| one.envelopes().iter().map(|&name| name.into()).collect())
                .collect(),
        },
        conformance_levels: vec!["Ades-B-B".into()],
    }))
}

/// The logo: a key on a red seal, drawn for this project.
pub(super) async fn logo() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "image/png")], include_bytes!("logo.png").as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_nearest_to_what_is_preferred() {
        assert_eq!(Tongue::of(Some("ja")), Tongue::Japanese);
        assert_eq!(Tongue::of(Some("JA-JP")), Tongue::Japanese);
        for other in [None, Some("en"), Some("jav"), Some("")] {
            assert_eq!(Tongue::of(other), Tongue::English);
        }
    }

    #[test]
    fn the_logo_is_a_png_no_larger_than_the_specification_allows() {
        let png = include_bytes!("logo.png");
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        assert!(side(16) <= 256 && side(20) <= 256);
    }
}
