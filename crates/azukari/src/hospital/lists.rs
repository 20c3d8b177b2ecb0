//! The revocation lists by which this gateway verifies, as its platform publishes them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use hpki::crl::Crl;

use super::Hospital;

/// Revocation lists that signatures, and the cards that approved them, are verified with; lists of
/// other authorities do no harm.
const LISTS: [&str; 8] =
    ["rarl", "sarl", "jma", "jpa", "medis", "jma-auth", "jpa-auth", "medis-auth"];

/// The lists that came last, by their names.
#[derive(Default)]
pub(super) struct Lists(Mutex<BTreeMap<&'static str, Crl>>);

impl Lists {
    /// One takes the place of the former of its name.
    fn put(&self, name: &'static str, list: Crl) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, list);
    }

    fn all(&self) -> Vec<Crl> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl Hospital {
    /// Fetches the published revocation lists. One that does not come now stays as it was; once
    /// stale it refuses, as it should. Whether all of them came.
    pub(crate) async fn renew_lists(&self) -> bool {
        let mut all = true;
        for name in LISTS {
            let path = format!("/repository/{name}.crl");
            let said = match self.platform.send("GET", &path, None, None).await {
                Ok(answer) if answer.status == 200 => {
                    Crl::from_der(&answer.body).map_err(|refusal| refusal.to_string())
                }
                Ok(answer) => Err(format!("status {}", answer.status)),
                Err(fault) => Err(fault.to_string()),
            };
            match said {
                Ok(list) => {
                    self.lists.put(name, list);
                }
                Err(why) => {
                    all = false;
                    tracing::warn!(name, %why, "no list");
                }
            }
        }
        self.gateway.set_crls(self.lists.all());
        all
    }
}
