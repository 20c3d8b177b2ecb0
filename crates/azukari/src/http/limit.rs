//! How often one address, and one person's browser, may ask in a minute. This stands before
//! everything that a browser can reach, knows no room, and says the same to everybody.
//!
//! A carrier lends one address to many phones, so the limit by address is wide; the limit by
//! browser (its cookies) is narrow. What is true if we die here: the minute begins again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hpki::encoding::{Digest32, sha256};
use hpki::time::Timestamp;

use super::browser;
use super::problem::Trouble;
use super::server::From;
use crate::clock::now;

/// More of them than this in one minute are counted together: memory stays bounded.
const KEPT_MAX: usize = 100_000;
const MINUTE_S: u64 = 60;

/// Who is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Whom {
    /// An IPv4 address, or the /64 of an IPv6 address: one subscriber has all of it.
    Address([u8; 16]),
    /// A browser that we know by a cookie: its hash.
    Browser(Digest32),
    /// Everybody who came after there was no more room.
    Rest,
}

impl Whom {
    fn at(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::Address(address.to_ipv6_mapped().octets()),
            IpAddr::V6(address) => {
                let mut octets = address.octets();
                octets[8..].fill(0);
                Self::Address(octets)
            }
        }
    }

    /// By the cookies of a person's sign-in or phone, whichever are there.
    fn with(headers: &HeaderMap) -> Option<Self> {
        let cookies = browser::KNOWN.iter().filter_map(|name| browser::cookie(headers, name));
        let all = cookies.collect::<Vec<_>>().join(";");
        (!all.is_empty()).then(|| Self::Browser(sha256(all.as_bytes())))
    }
}

/// The counts of one minute.
#[derive(Debug, Default)]
struct Minute {
    of: u64,
    counts: HashMap<Whom, u64>,
}

impl Minute {
    /// Counts one request of this minute; false once there were too many.
    fn count(&mut self, whom: Whom, most: u64, now: Timestamp) -> bool {
        let minute = now.seconds() / MINUTE_S;
        if self.of != minute {
            *self = Self { of: minute, counts: HashMap::new() };
        }
        let full = self.counts.len() >= KEPT_MAX && !self.counts.contains_key(&whom);
        let count = self.counts.entry(if full { Whom::Rest } else { whom }).or_default();
        *count += 1;
        *count <= most
    }
}

/// The limits and this minute's counts.
#[derive(Debug)]
pub(crate) struct Limits {
    of_address: u64,
    of_browser: u64,
    minute: Mutex<Minute>,
}

impl Limits {
    /// So many requests a minute.
    pub(crate) fn new(of_address: u64, of_browser: u64) -> Arc<Self> {
        Arc::new(Self { of_address, of_browser, minute: Mutex::default() })
    }

    fn allow(&self, from: Option<IpAddr>, headers: &HeaderMap, now: Timestamp) -> bool {
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        // The address first: whoever changes cookies fills no table beyond it.
        from.is_none_or(|from| minute.count(Whom::at(from), self.of_address, now))
            && Whom::with(headers).is_none_or(|whom| minute.count(whom, self.of_browser, now))
    }
}

/// A layer over every route that browsers reach.
pub(crate) async fn within(
    State(limits): State<Arc<Limits>>,
    request: Request,
    next: Next,
) -> Response {
    let from = request.extensions().get::<From>().map(|from| from.0);
    let now = now();
    if limits.allow(from, request.headers(), now) {
        return next.run(request).await;
    }
    let mut answer =
        Trouble::refused("slow-down", "too many requests in this minute").into_response();
    let wait = MINUTE_S - now.seconds() % MINUTE_S;
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_795_000_020);

    fn with(cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
        headers
    }

    fn from(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn an_address_and_a_browser_each_have_their_number_in_each_minute() {
        let limits = Limits::new(3, 2);
        let nobody = HeaderMap::new();
        let address = from("192.0.2.1");
        let phone = with("__Host-azukari-device=AbC; other=1");
        assert!(limits.allow(address, &phone, NOW) && limits.allow(address, &phone, NOW));
        assert!(!limits.allow(address, &phone, NOW), "the third of this browser");
        assert!(!limits.allow(address, &nobody, NOW), "the fourth of this address");
        // Elsewhere the same browser is known; another one there is free.
        assert!(!limits.allow(from("192.0.2.2"), &phone, NOW));
        assert!(limits.allow(from("192.0.2.2"), &with("__Host-azukari-device=Xyz"), NOW));
        assert!(limits.allow(address, &phone, NOW.plus(60)), "the next minute");
    }

    #[test]
    fn addresses_of_one_subscriber_count_together_in_either_spelling() {
        let limits = Limits::new(1, 9);
        let nobody = HeaderMap::new();
        assert!(limits.allow(from("2001:db8:1:2::1"), &nobody, NOW));
        assert!(!limits.allow(from("2001:db8:1:2:ffff::9"), &nobody, NOW));
        assert!(limits.allow(from("2001:db8:1:3::1"), &nobody, NOW));
        assert!(limits.allow(from("192.0.2.7"), &nobody, NOW));
        assert!(!limits.allow(from("::ffff:192.0.2.7"), &nobody, NOW));
    }

    #[test]
    fn whoever_comes_after_a_flood_of_addresses_is_counted_with_the_rest() {
        let mut minute = Minute::default();
        for number in 0..KEPT_MAX as u128 {
            assert!(minute.count(Whom::Address((number << 64).to_be_bytes()), 2, NOW));
        }
        let late = |number: u128| Whom::Address(((number + KEPT_MAX as u128) << 64).to_be_bytes());
        assert!(minute.count(late(1), 2, NOW) && minute.count(late(2), 2, NOW));
        assert!(!minute.count(late(3), 2, NOW));
        assert!(minute.count(Whom::Address([0; 16]), 2, NOW), "who came before is still himself");
        assert_eq!(minute.counts.len(), KEPT_MAX + 1);
    }
}
