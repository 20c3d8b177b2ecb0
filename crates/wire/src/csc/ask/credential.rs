//! Asking for credentials: `credentials/list` and `credentials/info`.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::csc::{Given, Wrong};

/// Which certificates are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificates {
    /// None.
    None,
    /// The signer's.
    Single,
    /// The signer's, its authority's and the root.
    Chain,
}

/// How much is to be told of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detail {
    /// Which certificates.
    pub certificates: Certificates,
    /// What the certificate says, read out.
    pub certificate_info: bool,
    /// How the owner authorises.
    pub authorization_info: bool,
}

fn detail(
    certificates: Given<String>,
    certificate_info: Given<bool>,
    authorization_info: Given<bool>,
) -> Result<Detail, Wrong> {
    Ok(Detail {
        certificates: match certificates.optional("certificates")?.as_deref() {
            None | Some("single") => Certificates::Single,
            Some("none") => Certificates::None,
            Some("chain") => Certificates::Chain,
            Some(_) => return Err(Wrong::Invalid("certificates")),
        },
        certificate_info: certificate_info.optional("certInfo")?.unwrap_or(false),
        authorization_info: authorization_info.optional("authInfo")?.unwrap_or(false),
    })
}

/// `credentials/list`, version 1.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CscListRequestV1, example = json!({"maxResults": 10}))]
pub struct ListV1 {
    /// Must be absent: the access token says whose credentials are meant.
    #[serde(default, rename = "userID")]
    #[schema(value_type = Option<String>)]
    pub user: Given<String>,
    /// How many at most.
    #[serde(default, rename = "maxResults")]
    #[schema(value_type = Option<u32>)]
    pub max_results: Given<i64>,
    /// Where the former answer ended.
    #[serde(default, rename = "pageToken")]
    #[schema(value_type = Option<String>)]
    pub page_token: Given<String>,
    /// Ignored.
    #[serde(default, rename = "clientData")]
    #[schema(value_type = Option<String>)]
    pub client_data: Given<String>,
}

/// What `credentials/list` of version 1 asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Whose, if the caller says.
    pub user: Option<String>,
    /// How many at most.
    pub max: Option<usize>,
    /// After which credential.
    pub after: Option<String>,
}

impl ListV1 {
    /// What it means.
    pub fn read(self) -> Result<Page, Wrong> {
        let max = match self.max_results.optional("maxResults")? {
            None => None,
            Some(max) if max < 1 => return Err(Wrong::Invalid("maxResults")),
            Some(max) => Some(usize::try_from(max).unwrap_or(usize::MAX)),
        };
        Ok(Page {
            user: self.user.optional("userID")?,
            max,
            after: self.page_token.optional("pageToken")?,
        })
    }
}

/// `credentials/list`, version 2.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CscListRequestV2, example = json!({"credentialInfo": true, "certificates": "chain", "certInfo": true, "authInfo": true, "onlyValid": true}))]
pub struct ListV2 {
    /// Must be absent: the access token says whose credentials are meant.
    #[serde(default, rename = "userID")]
    #[schema(value_type = Option<String>)]
    pub user: Given<String>,
    /// Whether each credential is to be described.
    #[serde(default, rename = "credentialInfo")]
    #[schema(value_type = Option<bool>)]
    pub credential_info: Given<bool>,
    /// `none`, `single` (if absent) or `chain`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub certificates: Given<String>,
    /// Whether the certificate is to be read out.
    #[serde(default, rename = "certInfo")]
    #[schema(value_type = Option<bool>)]
    pub certificate_info: Given<bool>,
    /// Whether the means of authorisation are to be described.
    #[serde(default, rename = "authInfo")]
    #[schema(value_type = Option<bool>)]
    pub authorization_info: Given<bool>,
    /// Only those that can sign now.
    #[serde(default, rename = "onlyValid")]
    #[schema(value_type = Option<bool>)]
    pub only_valid: Given<bool>,
    /// The language that is preferred.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub lang: Given<String>,
    /// Ignored.
    #[serde(default, rename = "clientData")]
    #[schema(value_type = Option<String>)]
    pub client_data: Given<String>,
}

/// What `credentials/list` of version 2 asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Whose, if the caller says.
    pub user: Option<String>,
    /// How much to tell of each; nothing if absent.
    pub detail: Option<Detail>,
    /// Only those that can sign now.
    pub only_valid: bool,
}

impl ListV2 {
    /// What it means.
    pub fn read(self) -> Result<Listing, Wrong> {
        let wanted = self.credential_info.optional("credentialInfo")?.unwrap_or(false);
        let detail = detail(self.certificates, self.certificate_info, self.authorization_info)?;
        Ok(Listing {
            user: self.user.optional("userID")?,
            detail: wanted.then_some(detail),
            only_valid: self.only_valid.optional("onlyValid")?.unwrap_or(false),
        })
    }
}

/// `credentials/info`, either version.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CscCredentialRequest, example = json!({"credentialID": "00112233445566778899aabbccddeeff.statement", "certificates": "chain", "certInfo": true, "authInfo": true}))]
pub struct Credential {
    /// Which.
    #[serde(default, rename = "credentialID")]
    #[schema(value_type = String)]
    pub credential: Given<String>,
    /// `none`, `single` (if absent) or `chain`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub certificates: Given<String>,
    /// Whether the certificate is to be read out.
    #[serde(default, rename = "certInfo")]
    #[schema(value_type = Option<bool>)]
    pub certificate_info: Given<bool>,
    /// Whether the means of authorisation are to be described.
    #[serde(default, rename = "authInfo")]
    #[schema(value_type = Option<bool>)]
    pub authorization_info: Given<bool>,
    /// The language that is preferred.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub lang: Given<String>,
    /// Ignored.
    #[serde(default, rename = "clientData")]
    #[schema(value_type = Option<String>)]
    pub client_data: Given<String>,
}

impl Credential {
    /// What it means.
    pub fn read(self) -> Result<(String, Detail), Wrong> {
        let credential = self.credential.required("credentialID")?;
        let detail = detail(self.certificates, self.certificate_info, self.authorization_info)?;
        Ok((credential, detail))
    }
}
