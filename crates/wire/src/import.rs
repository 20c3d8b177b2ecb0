//! Handing over a key that an authority made (`/v1/import`).

use hpki::id::{DirectiveId, KeyId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::Base64;

/// The key to which an authority wraps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportKeyAnswer {
    /// 受け入れ鍵 (RSA)。PEM
    pub key: String,
}

/// A key, wrapped to the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// 二人の係員が確認した指図
    #[schema(value_type = String)]
    pub directive: DirectiveId,
    /// RSA-OAEP のダイジェスト: sha1 または sha256
    pub digest: String,
    /// 受け入れ鍵で包んだ AES-256 の鍵
    pub wrapped_aes: Base64,
    /// AES 鍵で包んだ PKCS#8 (RFC 5649)
    pub wrapped_key: Base64,
    /// 署名用証明書 (DER)
    pub certificate: Base64,
}

/// The receipt for the authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportAnswer {
    /// 預かり鍵の番号
    #[schema(value_type = String)]
    pub key: KeyId,
    /// 受領証 (JSON)。その SHA-256 が署名記録にある
    pub receipt: String,
    /// 署名記録の番号
    pub index: u64,
    /// c2sp.org/tlog-proof@v1
    pub proof: String,
}
