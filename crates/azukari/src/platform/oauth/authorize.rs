//! Where a login begins: pushed by its client (RFC 9126), or brought along by the browser.

use std::sync::Arc;

use authn::provider::{Back, Denied, Parameters, Wrong};
use axum::Json;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hpki::refusal::Refuse as _;
use wire::oauth;
use wire::refusal::lookup;

use super::form::Posted;
use super::page::to_client;
use super::refusal::{No, described, word};
use crate::clock::now;
use crate::http::browser;
use crate::http::problem::Trouble;
use crate::pages::{CSP, Lang, phone};
use crate::platform::Platform;
use crate::platform::pages::shown;

/// ログインや署名の許可を、先に預けておく（RFC 9126）
#[utoipa::path(post, path = "/oauth/par", tag = "oauth",
    request_body(content = oauth::Asked, content_type = "application/x-www-form-urlencoded"),
    security((), ("facility" = [])),
    responses((status = 201, body = oauth::Pushed), (status = "4XX", body = oauth::Error)))]
pub(crate) async fn push(
    State(platform): State<Arc<Platform>>,
    posted: Posted,
) -> Result<Response, No> {
    let proven = posted.prove(&platform, "/oauth/par").await?;
    let place = proven.place.as_ref();
    let pushed = platform.authn.push(&proven.client, posted.asked, place, now()).await?;
    let body =
        Json(oauth::Pushed { request_uri: pushed.request_uri, expires_in: pushed.expires_in });
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], body).into_response())
}

type Pairs = Vec<(String, String)>;

/// 利用者のブラウザーで始める。QR コードのページ、または登録済みの宛先への断り
#[utoipa::path(get, path = "/oauth/authorize", tag = "oauth",
    params(("client_id" = String, Query, description = "the registered name"), ("request_uri" = Option<String>, Query, description = "what was pushed; or the members of OauthAsked")),
    responses((status = 200, content_type = "text/html"), (status = 303), (status = 400, content_type = "text/html")))]
pub(crate) async fn by_query(
    State(platform): State<Arc<Platform>>,
    headers: HeaderMap,
    asked: Result<Query<Pairs>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Trouble> {
    let pairs = asked.map(|Query(pairs)| pairs).ok();
    open(&platform, &headers, pairs).await
}

/// 利用者のブラウザーで始める。フォームは GET として続く（OpenID Connect Core §3.1.2.1）
///
/// The form may come from any client's page,
/// and so without our cookie (`SameSite=Lax`), in whose place a new one would end the logins that are
/// open in that browser: it goes on as a GET, which has it.
#[utoipa::path(post, path = "/oauth/authorize", tag = "oauth",
    request_body(content = oauth::Asked, content_type = "application/x-www-form-urlencoded"),
    responses((status = 303)))]
pub(crate) async fn by_form(
    asked: Result<Form<Pairs>, axum::extract::rejection::FormRejection>,
) -> Result<Response, Trouble> {
    let pairs = asked.map(|Form(pairs)| pairs).unwrap_or_default();
    let location = with_members("/oauth/authorize".into(), pairs.iter().map(|(n, v)| (n, v)));
    let location = HeaderValue::from_str(&location).map_err(|why| Trouble::fault(&why))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}

async fn open(
    platform: &Platform,
    headers: &HeaderMap,
    pairs: Option<Pairs>,
) -> Result<Response, Trouble> {
    let asked = pairs.ok_or(Wrong::RequestMalformed).and_then(Parameters::of);
    let asked = match asked {
        Ok(asked) => asked,
        Err(wrong) => return refused(platform, wrong.into(), Lang::Ja),
    };
    let lang = match asked.get("ui_locales").or_else(|| asked.get("lang")) {
        Some(tags) if tags.split(' ').next().is_some_and(|tag| tag.starts_with("en")) => Lang::En,
        _ => Lang::Ja,
    };
    let cookie = browser::cookie(headers, browser::LOGIN);
    let opened = match platform.authn.open_login(asked, cookie, now()).await? {
        Ok(opened) => opened,
        Err(denied) => return refused(platform, denied, lang),
    };
    let html = phone::login(lang, &opened.login.to_string());
    let mut answer = shown(html)?;
    if let Some(secret) = opened.browser {
        let (name, value) = browser::set_login(&secret);
        let value = HeaderValue::from_str(&value).map_err(|why| Trouble::fault(&why))?;
        answer.headers_mut().insert(name, value);
    }
    Ok(answer)
}

/// The client is told at its registered address; where there is none, the person is.
fn refused(platform: &Platform, denied: Denied, lang: Lang) -> Result<Response, Trouble> {
    let code = denied.wrong.code();
    match denied.back {
        Some(back) => Ok(to_client(platform, &back, &denial(code))),
        None => {
            let html = phone::login_refused(lang, lookup(code).as_ref(), code);
            let html = html.map_err(|error| Trouble::fault(&error))?;
            let mut answer = browser::page(html, CSP, false);
            *answer.status_mut() = StatusCode::BAD_REQUEST;
            Ok(answer)
        }
    }
}

/// The members of an error response (RFC 6749 §4.1.2.1).
pub(super) fn denial(code: &str) -> Vec<(&'static str, String)> {
    vec![("error", word(code).1.to_owned()), ("error_description", described(code))]
}

/// Where an answer goes: its address with these members, the client's state, and who answers
/// (RFC 9207).
pub(super) fn address(back: &Back, members: &[(&str, String)], issuer: &str) -> String {
    let state = back.state.as_ref().map(|state| ("state", state.clone()));
    let all = members.iter().cloned().chain(state).chain([("iss", issuer.to_owned())]);
    with_members(back.uri.clone(), all)
}

/// An address with these members at the end of its query.
fn with_members<N: AsRef<str>, V: AsRef<str>>(
    mut address: String,
    members: impl Iterator<Item = (N, V)>,
) -> String {
    for (name, value) in members {
        address.push(if address.contains('?') { '&' } else { '?' });
        encode(&mut address, name.as_ref());
        address.push('=');
        encode(&mut address, value.as_ref());
    }
    address
}

fn encode(address: &mut String, text: &str) {
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                address.push(octet.into());
            }
            other => address.push_str(&format!("%{other:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_keeps_the_clients_address_and_says_who_answers() {
        let back = |uri: &str| Back { uri: uri.into(), state: Some("a b&c=\r\nd/é".into()) };
        let members = [("code", "x_y-z".to_owned())];
        assert_eq!(
            address(&back("https://c.test/cb"), &members, "https://us.test"),
            "https://c.test/cb?code=x_y-z&state=a%20b%26c%3D%0D%0Ad%2F%C3%A9&iss=https%3A%2F%2Fus.test"
        );
        let with_query = address(&back("https://c.test/cb?a=1"), &members, "https://us.test");
        assert!(with_query.starts_with("https://c.test/cb?a=1&code=x_y-z&state="));
    }
}
