//! The pages that browsers in the facility have open, each by a secret of its own in the fragment of
//! its address. Memory: after a restart the EHR begins anew.
//!
//! A page can be renewed without the EHR's key, so that whoever sits before it gets a new QR code. It
//! ends all the same: whoever once saw an address must not begin ceremonies with it for ever.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hpki::encoding::{Digest32, sha256};
use hpki::sign::Random as _;
use hpki::time::Timestamp;
use wire::token::base64url_encode;

use crate::http::problem::Trouble;

/// For how long a page is known after it was opened or renewed.
const LIFE_S: u64 = 600;
/// No page is known for longer, however often it is renewed.
const LONGEST_S: u64 = 3_600;
/// So often a page is renewed.
const RENEWED_MOST: u32 = 10;

/// Pages that show a `T`, by the SHA-256 of their secrets.
pub(super) struct OpenPages<T>(Mutex<HashMap<Digest32, Page<T>>>);

struct Page<T> {
    opened: Timestamp,
    since: Timestamp,
    renewed: u32,
    shown: T,
}

impl<T> Page<T> {
    fn lives(&self, now: Timestamp) -> bool {
        now.since(self.since) < LIFE_S && now.since(self.opened) < LONGEST_S
    }
}

/// Which page, for whoever may close it.
#[derive(Clone, Copy)]
pub(super) struct PageName(Digest32);

impl<T> Default for OpenPages<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> OpenPages<T> {
    /// Opens one; gives its secret and its name.
    pub(super) fn open(&self, shown: T, now: Timestamp) -> (String, PageName) {
        let mut octets = [0; 16];
        hsm::SystemRandom.fill(&mut octets);
        let secret = base64url_encode(&octets);
        let name = sha256(secret.as_bytes());
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pages.retain(|_, page| page.lives(now));
        pages.insert(name, Page { opened: now, since: now, renewed: 0, shown });
        (secret, PageName(name))
    }

    /// What the page with this secret shows.
    pub(super) fn get(&self, secret: &str, now: Timestamp) -> Result<T, Trouble> {
        self.update(secret, now, |shown| shown.clone())
    }

    /// Changes what it shows, and nothing that somebody else changes meanwhile: `with` sees it as it
    /// is now.
    pub(super) fn update<R>(
        &self,
        secret: &str,
        now: Timestamp,
        with: impl FnOnce(&mut T) -> R,
    ) -> Result<R, Trouble> {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match pages.get_mut(&sha256(secret.as_bytes())) {
            Some(page) if page.lives(now) => Ok(with(&mut page.shown)),
            _ => Err(unknown()),
        }
    }

    /// Its time begins anew; once it was so too often it is closed instead.
    pub(super) fn renew(&self, secret: &str, now: Timestamp) -> Result<(), Trouble> {
        let name = sha256(secret.as_bytes());
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let page = pages.get_mut(&name).filter(|page| page.lives(now)).ok_or_else(unknown)?;
        if page.renewed >= RENEWED_MOST {
            pages.remove(&name);
            return Err(unknown());
        }
        page.renewed += 1;
        page.since = now;
        Ok(())
    }

    /// Nobody knows it any more.
    pub(super) fn close(&self, page: PageName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&page.0);
    }
}

fn unknown() -> Trouble {
    Trouble::refused("terminal-page-unknown", "no such page, or its time is over")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_seconds(1_790_000_000);

    fn known(pages: &OpenPages<u8>, secret: &str, after_s: u64) -> bool {
        pages.get(secret, NOON.plus(after_s)).is_ok()
    }

    #[test]
    fn a_page_is_known_for_ten_minutes_after_each_renewal_and_for_an_hour_at_the_most() {
        let pages = OpenPages::default();
        let (secret, _) = pages.open(1, NOON);
        assert!(known(&pages, &secret, 599) && !known(&pages, &secret, 600));
        assert!(pages.renew(&secret, NOON.plus(600)).is_err());
        for minutes in [9, 18, 27, 36, 45, 54] {
            pages.renew(&secret, NOON.plus(minutes * 60)).unwrap();
        }
        assert!(known(&pages, &secret, 3_599) && !known(&pages, &secret, 3_600));
        assert!(pages.renew(&secret, NOON.plus(3_600)).is_err());
    }

    #[test]
    fn a_page_that_is_renewed_again_and_again_is_closed() {
        let pages = OpenPages::default();
        let (secret, _) = pages.open(1, NOON);
        let (other, name) = pages.open(2, NOON);
        for _ in 0..RENEWED_MOST {
            pages.renew(&secret, NOON).unwrap();
        }
        assert!(pages.renew(&secret, NOON).is_err());
        assert!(!known(&pages, &secret, 0) && known(&pages, &other, 0));
        pages.close(name);
        assert!(!known(&pages, &other, 0));
    }
}
