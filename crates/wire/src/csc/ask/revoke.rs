//! Ending a token: `auth/revoke`.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::csc::{Given, Wrong};

/// `auth/revoke`, either version.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CscRevokeRequest, example = json!({"token": "eyJ…", "token_type_hint": "access_token"}))]
pub struct Revoke {
    /// The access token.
    #[serde(default)]
    #[schema(value_type = String)]
    pub token: Given<String>,
    /// `access_token`; refresh tokens are not given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub token_type_hint: Given<String>,
    /// Ignored.
    #[serde(default, rename = "clientData")]
    #[schema(value_type = Option<String>)]
    pub client_data: Given<String>,
}

impl Revoke {
    /// Which token.
    pub fn read(self) -> Result<String, Wrong> {
        let hint = self.token_type_hint.optional("token_type_hint")?;
        match hint.as_deref() {
            None | Some("access_token" | "refresh_token") => self.token.required("token"),
            Some(_) => Err(Wrong::Invalid("token_type_hint")),
        }
    }
}
