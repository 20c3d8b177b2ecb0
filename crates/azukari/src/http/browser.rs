//! What a browser brings along by itself: cookies, which it sends for whoever makes it ask, and the
//! origin of the page that made it ask. What a page may do, and who may make it do so, is judged
//! here once for all pages.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};

use hpki::encoding::Statement;
use wire::token::base64url_encode;

use super::problem::Trouble;

/// The device cookie: says whose phone this is, and proves nothing without the phone's key.
pub(crate) const DEVICE: &str = "__Host-azukari-device";
/// The cookie of an officer's sign-in at the authority's desk.
pub(crate) const DESK: &str = "__Host-azukari-desk";
/// The cookie of a browser that logs in elsewhere: says that it is the one that began.
pub(crate) const LOGIN: &str = "__Host-azukari-login";
/// Every cookie by which we know somebody.
pub(crate) const KNOWN: &[&str] = &[DEVICE, HOLDER, DESK, LOGIN];
/// What a page of a signed-in person sends along; only her own sign-in was told the value.
pub(crate) const CSRF: &str = "x-azukari-csrf";
/// How long a browser that logs in is the same one.
const LOGIN_S: u64 = 86_400;
/// Browsers keep no cookie for longer.
const DEVICE_DAYS: u64 = 400;

/// The value of a cookie. Two of the same name are none: somebody wants us to take the wrong one.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut found = lines.flat_map(|line| line.split(';')).filter_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    });
    let value = found.next()?;
    found.next().is_none().then_some(value)
}

/// A cookie for this host alone (`__Host-`), that no script reads and no other site's page makes a
/// browser send.
pub(crate) fn set_cookie(name: &str, value: &str, seconds: u64) -> (HeaderName, String) {
    let attributes = "Path=/; Secure; HttpOnly; SameSite=Strict";
    (header::SET_COOKIE, format!("{name}={value}; Max-Age={seconds}; {attributes}"))
}

/// The cookie of a browser that logs in elsewhere. It comes along when another site's page leads here
/// (`Lax`): that page is the service to which it logs in.
pub(crate) fn set_login(secret: &str) -> (HeaderName, String) {
    let (name, value) = set_cookie(LOGIN, secret, LOGIN_S);
    (name, value.replace("SameSite=Strict", "SameSite=Lax"))
}

/// The cookie by which a phone is known from now on.
pub(crate) fn set_device(secret: &str) -> (HeaderName, String) {
    set_cookie(DEVICE, secret, DEVICE_DAYS * 86_400)
}

/// The device secret of the asking browser, if it has one.
pub(crate) struct Device(Option<String>);

impl Device {
    pub(crate) fn secret(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Device {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(cookie(&parts.headers, DEVICE).map(str::to_owned)))
    }
}

/// The cookie of a visit to the owner's page.
pub(crate) const HOLDER: &str = "__Host-azukari-holder";

/// What a page sends along with everything that it does in a visit: made from the visit's secret, which
/// no script reads, so only who was answered in this visit knows it.
pub(crate) fn csrf(secret: &str) -> String {
    let digest = Statement::new("azukari/csrf/v1").text(secret).digest();
    base64url_encode(&digest[..16])
}

/// The secret of a visit, asked for by a page that knows its CSRF value.
pub(crate) fn visited<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Trouble> {
    let secret = cookie(headers, name);
    let shown = headers.get(CSRF).and_then(|value| value.to_str().ok());
    match secret {
        Some(secret) if shown != Some(csrf(secret).as_str()) => {
            Err(Trouble::refused("csrf-wrong", "the page did not show the value of this visit"))
        }
        secret => Ok(secret),
    }
}

/// Lets only our own pages act: a layer over every route that a page calls.
///
/// SameSite and the JSON content type already keep other sites' forms out; this does not rely on
/// them. A request without an Origin comes from no page, as every browser sends one with a POST; it
/// is let in only without cookies, when there is nothing that somebody else could be borrowing.
pub(crate) async fn own_pages(
    State(origins): State<Arc<[String]>>,
    request: Request,
    next: Next,
) -> Response {
    match may_act(request.method(), request.headers(), &origins) {
        true => next.run(request).await,
        false => Trouble::refused("origin-foreign", "the request comes from another site's page")
            .into_response(),
    }
}

fn may_act(method: &Method, headers: &HeaderMap, origins: &[String]) -> bool {
    if method == Method::GET || method == Method::HEAD {
        return true;
    }
    let site = headers.get("sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin") {
        return false;
    }
    let mut given = headers.get_all(header::ORIGIN).iter();
    match (given.next(), given.next()) {
        (None, _) => !headers.contains_key(header::COOKIE),
        (Some(origin), None) => origins.iter().any(|own| origin == own.as_str()),
        _ => false,
    }
}

/// An answer that is a page: never stored, never framed, telling nobody where its reader came from,
/// and allowed only what `policy` says. `camera` is for the pages that scan.
pub(crate) fn page(html: String, policy: &'static str, camera: bool) -> Response {
    let features = match camera {
        true => "camera=(self), microphone=(), geolocation=()",
        false => "camera=(), microphone=(), geolocation=()",
    };
    let mut answer = Html(html).into_response();
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("permissions-policy"), features),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name_and_only_if_it_is_there_once() {
        let one = headers(&[("cookie", "a=1; __Host-azukari-device=AbC; b=2")]);
        assert_eq!(cookie(&one, DEVICE), Some("AbC"));
        assert_eq!(cookie(&one, "b"), Some("2"));
        for lines in [
            &[("cookie", "x__Host-azukari-device=AbC")][..],
            &[("cookie", "__Host-azukari-device=1; __Host-azukari-device=2")],
            &[("cookie", "__Host-azukari-device=1"), ("cookie", "__Host-azukari-device=2")],
            &[("cookie", "__Host-azukari-device")],
            &[],
        ] {
            assert_eq!(cookie(&headers(lines), DEVICE), None, "{lines:?}");
        }
    }

    #[test]
    fn a_visit_acts_only_with_the_value_that_its_page_was_given() {
        let line = format!("{HOLDER}=AbC");
        let right = csrf("AbC");
        let with = |value: &str| headers(&[("cookie", line.as_str()), (CSRF, value)]);
        assert_eq!(visited(&with(&right), HOLDER).ok().flatten(), Some("AbC"));
        for wrong in ["", "AbC", csrf("AbD").as_str()] {
            let refused = visited(&with(wrong), HOLDER).err().unwrap();
            assert_eq!(refused.problem().code, "csrf-wrong");
        }
        assert!(visited(&headers(&[("cookie", line.as_str())]), HOLDER).is_err());
        assert_eq!(visited(&headers(&[]), HOLDER).ok(), Some(None));
    }

    #[test]
    fn a_device_cookie_stays_with_this_host_and_away_from_scripts() {
        let (name, value) = set_device("AbC");
        assert_eq!(name, "set-cookie");
        assert_eq!(
            value,
            "__Host-azukari-device=AbC; Max-Age=34560000; Path=/; Secure; HttpOnly; SameSite=Strict"
        );
    }

    #[test]
    fn only_our_own_pages_act_and_who_says_nothing_has_no_cookies() {
        let own = ["https://azukari.example.jp".to_owned()];
        let (ours, theirs) = ("https://azukari.example.jp", "https://evil.example");
        for (lines, may) in [
            (&[("origin", ours), ("cookie", "a=1")][..], true),
            (&[("origin", ours), ("sec-fetch-site", "same-origin")], true),
            (&[], true),
            (&[("cookie", "a=1")], false),
            (&[("origin", theirs)], false),
            (&[("origin", "null")], false),
            (&[("origin", "https://azukari.example.jp.evil.example")], false),
            (&[("origin", "http://azukari.example.jp")], false),
            (&[("origin", ours), ("origin", theirs)], false),
            (&[("origin", ours), ("sec-fetch-site", "same-site")], false),
            (&[("origin", ours), ("sec-fetch-site", "cross-site")], false),
        ] {
            assert_eq!(may_act(&Method::POST, &headers(lines), &own), may, "{lines:?}");
            assert!(may_act(&Method::GET, &headers(lines), &own));
        }
        assert!(!may_act(&Method::DELETE, &headers(&[("origin", theirs)]), &own));
    }
}
