//! 公的個人認証 of the town on the network: cards for residents, the list of what was revoked, and the
//! responder that answers about one card. In the real world J-LIS runs it; here it listens on loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use hpki::certificate::Certificate;
use hpki::crl::{Reason, Revoked};
use hpki::ocsp::Status;
use hpki::time::Timestamp;
use hsm::SystemRandom;
use town::card::Kept;
use town::jpki::{Jpki, Resident, RevokedSerial};
use town::people::Person;

use crate::clock::now;
use crate::http::problem::Trouble;
use crate::runtime::Stop;

/// Four digits, and the signature password, of every My Number Card of the town.
pub(crate) const PIN: &str = "1234";
const PASSWORD: &str = "TEST0123";

/// The office: both authorities and their books.
#[derive(Debug)]
pub(crate) struct Office {
    jpki: Jpki,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    issued: BTreeSet<Vec<u8>>,
    revoked: BTreeMap<Vec<u8>, Revoked>,
    lists: u64,
}

impl Office {
    /// The file of the authority's certificate, and where the office listens for the platform.
    pub(crate) const AUTHORITY: &str = "jpki-auth-ca.pem";
    pub(crate) const LIST: &str = "/user-authentication.crl";
    pub(crate) const ASK: &str = "/ocsp";

    /// An office with authorities of its own, whose certificates it leaves in this folder.
    pub(crate) fn found(folder: &Path) -> Result<Self, Stop> {
        let jpki = Jpki::found(now(), &SystemRandom)?;
        let names = [Self::AUTHORITY, "jpki-sign-ca.pem"];
        for (name, der) in names.into_iter().zip(jpki.certificates()) {
            std::fs::write(folder.join(name), Certificate::from_der(der)?.pem())?;
        }
        Ok(Self { jpki, books: Mutex::default() })
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A My Number Card for this person; the town does not know her gender, and her address is made up.
    pub(crate) fn card(&self, person: &Person) -> Result<Kept, Stop> {
        let resident = Resident {
            name: person.name_ja,
            gender: 3,
            birth_date: person.birth_date,
            address: "架空県見本市例示町一丁目",
        };
        let card = self.jpki.card(&resident, PIN, PASSWORD, now(), &SystemRandom)?;
        if let Kept::Jpki { auth, .. } = &card {
            let certificate = Certificate::from_der(&auth.certificate()?)?;
            self.books().issued.insert(certificate.serial().to_vec());
        }
        Ok(card)
    }

    /// What the office says of this serial number.
    fn standing(&self, serial: &[u8]) -> Status {
        let books = self.books();
        match books.revoked.get(serial) {
            Some(revoked) => Status::Revoked(*revoked),
            None if books.issued.contains(serial) => Status::Good,
            None => Status::Unknown,
        }
    }

    /// At the counter: the certificate of user authentication with this serial number counts no more.
    pub(crate) fn revoke(&self, serial: &[u8]) {
        let revoked = Revoked { at: now(), reason: Reason::Superseded };
        self.books().revoked.entry(serial.to_vec()).or_insert(revoked);
    }

    /// Whether it counts no more.
    pub(crate) fn has_revoked(&self, serial: &[u8]) -> bool {
        self.books().revoked.contains_key(serial)
    }

    /// The books are lost.
    #[cfg(test)]
    pub(crate) fn forget(&self) {
        self.books().issued.clear();
    }

    fn list(&self) -> Result<Vec<u8>, town::Refusal> {
        let mut books = self.books();
        books.lists += 1;
        let revoked: Vec<RevokedSerial> =
            books.revoked.iter().map(|(serial, revoked)| (serial.clone(), *revoked)).collect();
        self.jpki.auth_list(books.lists, &revoked, now())
    }

    /// Answers a question by the books.
    pub(crate) fn answer(&self, question: &[u8]) -> Result<Vec<u8>, town::Refusal> {
        self.answer_at(question, now())
    }

    /// What it said then, if the books were as they are.
    pub(crate) fn answer_at(
        &self,
        question: &[u8],
        at: Timestamp,
    ) -> Result<Vec<u8>, town::Refusal> {
        self.jpki.answer(question, |serial| self.standing(serial), at)
    }
}

/// The office's door: both ways to learn of revocations, for everybody.
pub(crate) fn router(office: Arc<Office>) -> Router {
    Router::new()
        .route(Office::LIST, get(list))
        .route(Office::ASK, post(ask))
        .layer(axum::extract::DefaultBodyLimit::max(16 * 1024))
        .with_state(office)
}

async fn list(State(office): State<Arc<Office>>) -> Result<impl IntoResponse, Trouble> {
    let list = office.list().map_err(|refusal| Trouble::fault(&refusal))?;
    Ok(([(header::CONTENT_TYPE, "application/pkix-crl")], list))
}

async fn ask(
    State(office): State<Arc<Office>>,
    question: Bytes,
) -> Result<impl IntoResponse, Trouble> {
    let answer = office.answer(&question).map_err(|refusal| Trouble::fault(&refusal))?;
    Ok(([(header::CONTENT_TYPE, "application/ocsp-response")], answer))
}
