//! `credentials/list` and `credentials/info` (§11.4, §11.5): the bearer's own credentials that this
//! client may use. Anybody else's is answered like one that does not exist.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use custody::{Credential, KeyFacts, Mode, StopReason};
use hpki::certificate::Certificate;
use hpki::kind::DocumentKind;
use hpki::policy::KeyKind;
use hpki::time::Timestamp;
use wire::csc::ask::{Certificates, Detail};
use wire::csc::{CredentialId, PHONE, RSA, RSA_SHA256, answer, ask};
use wire::token::base64_encode;

use super::ask::{Caller, Said};
use super::info::Tongue;
use super::refusal::No;
use crate::clock::now;
use crate::platform::Platform;

/// The identifier of a credential; what cannot be one is answered like one that nobody has.
pub(super) fn identifier(text: &str) -> Result<CredentialId, No> {
    text.parse().map_err(|_| No::code("credential-unknown", ""))
}

/// One credential as both versions describe it: a key for one kind.
struct Described {
    id: CredentialId,
    mode: Mode,
    multisign: u32,
    key: answer::Key,
    cert: answer::Certificate,
    usable: bool,
}

/// The bearer's credentials for this client, without any detail.
pub(super) async fn own(
    platform: &Platform,
    caller: &Caller,
) -> Result<Vec<(CredentialId, Mode, Credential)>, No> {
    let found = platform.custody.csc_credentials(&caller.token, &caller.peer(), now()).await?;
    let mut own = Vec::new();
    for credential in found {
        for &(kind, mode) in &credential.kinds {
            own.push((CredentialId { key: credential.id, kind }, mode, credential.clone()));
        }
    }
    Ok(own)
}

async fn describe(
    platform: &Platform,
    (id, mode, credential): (CredentialId, Mode, Credential),
    detail: Detail,
) -> Result<Described, No> {
    let certificate =
        Certificate::from_der(&credential.certificate).map_err(ledger::Failed::Refused)?;
    let facts = platform.custody.key(id.key).await?;
    let status = status(&facts, &certificate, now());
    let usable = credential.enabled && status == "valid";
    let chain = match detail.certificates {
        Certificates::None => None,
        Certificates::Single => Some(vec![certificate.clone()]),
        Certificates::Chain => Some(chain(platform, &certificate).await?),
    };
    let base64 = |certificate: &Certificate| base64_encode(certificate.der());
    let told = |text: String| detail.certificate_info.then_some(text);
    Ok(Described {
        id,
        mode,
        multisign: credential.multisign,
        usable,
        key: answer::Key {
            status: if credential.enabled { "enabled" } else { "disabled" }.into(),
            algo: vec![RSA.into(), RSA_SHA256.into()],
            len: match KeyKind::of(certificate.spki_der()) {
                Ok(KeyKind::Rsa(bits)) => bits,
                _ => 0,
            },
        },
        cert: answer::Certificate {
            status: status.into(),
            certificates: chain.map(|chain| chain.iter().map(base64).collect()),
            issuer: told(certificate.issuer().rfc4514()),
            serial: told(certificate.serial_hex().to_uppercase()),
            subject: told(certificate.subject().rfc4514()),
            valid_from: told(generalized(certificate.not_before())),
            valid_to: told(generalized(certificate.not_after())),
        },
    })
}

/// `valid`, `expired`, `revoked` or `suspended`. A key that was stopped otherwise has a valid
/// certificate: it is the key that is disabled.
fn status(facts: &KeyFacts, certificate: &Certificate, now: Timestamp) -> &'static str {
    if facts.stops.contains(&StopReason::Revoked) {
        "revoked"
    } else if certificate.not_after() < now {
        "expired"
    } else {
        "valid"
    }
}

/// The certificate, its authority's and the root's.
pub(super) async fn chain(platform: &Platform, leaf: &Certificate) -> Result<Vec<Certificate>, No> {
    let authorities = platform.ca.authorities().await?;
    let mut chain = vec![leaf.clone()];
    while let Some(last) = chain.last() {
        let issuer = authorities.iter().map(|(_, authority)| authority).find(|authority| {
            authority.subject() == last.issuer() && authority.subject() != last.subject()
        });
        let Some(issuer) = issuer else { break };
        chain.push(issuer.clone());
    }
    Ok(chain)
}

/// GeneralizedTime: `YYYYMMDDhhmmssZ`.
fn generalized(time: Timestamp) -> String {
    time.rfc3339().chars().filter(char::is_ascii_digit).take(14).chain(['Z']).collect()
}

fn description(kind: DocumentKind, tongue: Tongue) -> String {
    tongue.pick(kind.ja(), kind.en())
}

/// `signatureQualifier`: country, legislation, type.
pub(super) fn qualifier(kind: DocumentKind) -> String {
    format!("jp_hpki_{kind}")
}

fn scal(mode: Mode) -> String {
    match mode {
        Mode::Session => "1".into(),
        Mode::EachDocument => "2".into(),
    }
}

impl Described {
    fn v1(self, tongue: Tongue) -> answer::CredentialV1 {
        answer::CredentialV1 {
            description: description(self.id.kind, tongue),
            key: self.key,
            cert: self.cert,
            auth_mode: "implicit".into(),
            scal: scal(self.mode),
            multisign: self.multisign,
            lang: tongue.tag(),
        }
    }

    fn v2(self, tongue: Tongue, detail: Detail, listed: bool) -> answer::CredentialV2 {
        let phone = answer::AuthObjectType {
            kind: "ChallengeResponseOOB".into(),
            id: PHONE.into(),
            label: tongue.pick("電話で承認", "Approval on the phone"),
            description: tongue.pick(
                "表示された QR を電話で読み、何に署名するかを確かめて承認してください",
                "Read the QR code with your phone, check what will be signed, and approve",
            ),
        };
        let asked = self.mode == Mode::EachDocument;
        answer::CredentialV2 {
            credential: listed.then(|| self.id.to_string()),
            description: description(self.id.kind, tongue),
            qualifier: qualifier(self.id.kind),
            key: self.key,
            cert: self.cert,
            auth: answer::Authorization {
                mode: "explicit".into(),
                expression: (detail.authorization_info && asked).then(|| PHONE.into()),
                objects: detail
                    .authorization_info
                    .then(|| if asked { vec![phone] } else { Vec::new() }),
            },
            scal: scal(self.mode),
            multisign: self.multisign,
            lang: tongue.tag(),
        }
    }
}

/// The access token names the person: the specification has another name refused, also her own.
fn nobody_else(user: Option<&str>) -> Result<(), No> {
    match user {
        None => Ok(()),
        Some(_) => Err(No::invalid("userID parameter MUST be null")),
    }
}

/// 本人の鍵の一覧（CSC 1.0.4.0）
#[utoipa::path(post, path = "/csc/v1/credentials/list", tag = "csc", request_body = ask::ListV1,
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = answer::ListV1), (status = "4XX", body = wire::csc::Error)))]
pub(crate) async fn list_v1(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    Said(asked): Said<ask::ListV1>,
) -> Result<Json<answer::ListV1>, No> {
    let page = asked.read()?;
    nobody_else(page.user.as_deref())?;
    let all: Vec<_> =
        own(&platform, &caller).await?.iter().map(|(id, ..)| id.to_string()).collect();
    let from = match &page.after {
        None => 0,
        Some(after) => {
            let at = all.iter().position(|id| id == after);
            1 + at.ok_or_else(|| No::invalid("Invalid parameter pageToken"))?
        }
    };
    let mut rest = all.into_iter().skip(from);
    let credentials: Vec<_> = rest.by_ref().take(page.max.unwrap_or(usize::MAX)).collect();
    let next = rest.next().and_then(|_| credentials.last().cloned());
    Ok(Json(answer::ListV1 { credentials, next }))
}

/// 本人の鍵の一覧（CSC 2.0.0.2）
#[utoipa::path(post, path = "/csc/v2/credentials/list", tag = "csc", request_body = ask::ListV2,
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = answer::ListV2), (status = "4XX", body = wire::csc::Error)))]
pub(crate) async fn list_v2(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    Said(mut asked): Said<ask::ListV2>,
) -> Result<Json<answer::ListV2>, No> {
    let tongue = Tongue::of(std::mem::take(&mut asked.lang).optional("lang")?.as_deref());
    let listing = asked.read()?;
    nobody_else(listing.user.as_deref())?;
    let bare = Detail {
        certificates: Certificates::None,
        certificate_info: false,
        authorization_info: false,
    };
    let detail = listing.detail.unwrap_or(bare);
    let mut infos = Vec::new();
    for found in own(&platform, &caller).await? {
        let described = describe(&platform, found, detail).await?;
        if described.usable || !listing.only_valid {
            infos.push(described.v2(tongue, detail, true));
        }
    }
    Ok(Json(answer::ListV2 {
        credentials: infos.iter().filter_map(|info| info.credential.clone()).collect(),
        infos: listing.detail.is_some().then_some(infos),
        only_valid: listing.only_valid.then_some(true),
    }))
}

async fn one(
    platform: &Platform,
    caller: &Caller,
    credential: &str,
    detail: Detail,
) -> Result<Described, No> {
    let id = identifier(credential)?;
    let found =
        platform.custody.csc_credential(&caller.token, &caller.peer(), id.key, now()).await?;
    let mode = found.kinds.iter().find(|(kind, _)| *kind == id.kind).map(|(_, mode)| *mode);
    let mode = mode.ok_or_else(|| No::code("credential-unknown", ""))?;
    describe(platform, (id, mode, found), detail).await
}

/// 鍵と証明書の説明（CSC 1.0.4.0）
#[utoipa::path(post, path = "/csc/v1/credentials/info", tag = "csc", request_body = ask::Credential,
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = answer::CredentialV1), (status = "4XX", body = wire::csc::Error)))]
pub(crate) async fn info_v1(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    Said(mut asked): Said<ask::Credential>,
) -> Result<Json<answer::CredentialV1>, No> {
    let tongue = Tongue::of(std::mem::take(&mut asked.lang).optional("lang")?.as_deref());
    let (credential, detail) = asked.read()?;
    Ok(Json(one(&platform, &caller, &credential, detail).await?.v1(tongue)))
}

/// 鍵と証明書の説明（CSC 2.0.0.2）
#[utoipa::path(post, path = "/csc/v2/credentials/info", tag = "csc", request_body = ask::Credential,
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = answer::CredentialV2), (status = "4XX", body = wire::csc::Error)))]
pub(crate) async fn info_v2(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    Said(mut asked): Said<ask::Credential>,
) -> Result<Json<answer::CredentialV2>, No> {
    let tongue = Tongue::of(std::mem::take(&mut asked.lang).optional("lang")?.as_deref());
    let (credential, detail) = asked.read()?;
    Ok(Json(one(&platform, &caller, &credential, detail).await?.v2(tongue, detail, false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_specification_writes_them() {
        assert_eq!(generalized(Timestamp::from_seconds(1_577_872_800)), "20200101100000Z");
    }
}
