//! What a client finds out by itself: OpenID Connect Discovery 1.0 and RFC 8414, in one document.

use std::sync::Arc;

use authn::provider::request::SIGN_DETAILS;
use authn::provider::{ALGORITHMS, Scope};
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::token::{CIBA_GRANT, DEVICE_GRANT};
use crate::platform::Platform;

/// ここでできること（OpenID Connect Discovery 1.0、RFC 8414）
#[utoipa::path(get, path = "/.well-known/openid-configuration", tag = "oauth", responses((status = 200)))]
pub(crate) async fn metadata(State(platform): State<Arc<Platform>>) -> Json<Value> {
    let url = &platform.config.url;
    let at = |path: &str| format!("{url}{path}");
    let proofs = ["none", "private_key_jwt", "tls_client_auth"];
    Json(json!({
        "issuer": url,
        "authorization_endpoint": at("/oauth/authorize"),
        "pushed_authorization_request_endpoint": at("/oauth/par"),
        "token_endpoint": at("/oauth/token"),
        "device_authorization_endpoint": at("/oauth/device_authorization"),
        "userinfo_endpoint": at("/oauth/userinfo"),
        "introspection_endpoint": at("/oauth/introspect"),
        "revocation_endpoint": at("/oauth/revoke"),
        "jwks_uri": at("/.well-known/jwks.json"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", DEVICE_GRANT, CIBA_GRANT],
        "backchannel_authentication_endpoint": at("/oauth/bc-authorize"),
        "backchannel_token_delivery_modes_supported": ["poll"],
        "backchannel_user_code_parameter_supported": false,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "scopes_supported": Scope::ALL.map(Scope::name),
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "acr_values_supported": approval::Means::ALL.map(approval::Means::acr),
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash",
            "name", "name#ja", "qualification", "qualification#ja", "qualification_authority",
            "registration_number",
        ],
        "claims_parameter_supported": false,
        "request_parameter_supported": true,
        "request_uri_parameter_supported": false,
        "request_object_signing_alg_values_supported": ALGORITHMS,
        "prompt_values_supported": ["login", "consent", "select_account"],
        "token_endpoint_auth_methods_supported": proofs,
        "token_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "introspection_endpoint_auth_methods_supported": proofs,
        "introspection_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "revocation_endpoint_auth_methods_supported": proofs,
        "revocation_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "tls_client_certificate_bound_access_tokens": true,
        "authorization_details_types_supported": [SIGN_DETAILS],
        "ui_locales_supported": ["ja", "en"],
    }))
}
