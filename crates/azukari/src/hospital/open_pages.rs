//! The pages that browsers in the facility have open, each by a secret of its own in the fragment of
//! its address. Memory: after a restart the EHR begins anew.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hpki::encoding::{Digest32, sha256};
use hpki::sign::Random as _;
use hpki::time::Timestamp;
use wire::token::base64url_encode;

use crate::http::problem::Trouble;

/// For how long a page is known.
const LIFE_S: u64 = 600;

/// Pages that show a `T`, by the SHA-256 of their secrets.
pub(super) struct OpenPages<T>(Mutex<HashMap<Digest32, (Timestamp, T)>>);

impl<T> Default for OpenPages<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> OpenPages<T> {
    /// Opens one; gives its secret.
    pub(super) fn open(&self, shown: T, now: Timestamp) -> String {
        let mut octets = [0; 16];
        hsm::SystemRandom.fill(&mut octets);
        let secret = base64url_encode(&octets);
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pages.retain(|_, (at, _)| now.since(*at) < LIFE_S);
        pages.insert(sha256(secret.as_bytes()), (now, shown));
        secret
    }

    /// What the page with this secret shows.
    pub(super) fn get(&self, secret: &str, now: Timestamp) -> Result<T, Trouble> {
        let pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match pages.get(&sha256(secret.as_bytes())) {
            Some((at, shown)) if now.since(*at) < LIFE_S => Ok(shown.clone()),
            _ => {
                Err(Trouble::refused("terminal-page-unknown", "no such page, or its time is over"))
            }
        }
    }

    /// It shows something else; its time runs on, or from `again`.
    pub(super) fn change(&self, secret: &str, shown: T, again: Option<Timestamp>) {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = pages.get_mut(&sha256(secret.as_bytes())) {
            *page = (again.unwrap_or(page.0), shown);
        }
    }
}
