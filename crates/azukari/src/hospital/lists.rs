//! The revocation lists by which this gateway verifies, as its platform publishes them.
//!
//! The platform is believed in nothing here: a list is taken if an authority that this gateway was
//! configured with signed it, and never in the place of a newer one. What lists it has is memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use hpki::Certificate;
use hpki::crl::Crl;
use hpki::time::Timestamp;

use super::Hospital;
use crate::clock::now;
use crate::newer_list::{Held, Unfit, fit};

/// Revocation lists that signatures, and the cards that approved them, are verified with; lists of
/// authorities that are not configured here are left alone.
const LISTS: [&str; 8] =
    ["rarl", "sarl", "jma", "jpa", "medis", "jma-auth", "jpa-auth", "medis-auth"];

/// The lists that came last, by their names.
#[derive(Default)]
pub(super) struct Lists(Mutex<BTreeMap<&'static str, Crl>>);

impl Lists {
    /// One takes the place of the former of its name, if one of these authorities signed it and it is
    /// no older. `false` where none of them is its issuer.
    fn put<'a>(
        &self,
        name: &'static str,
        list: Crl,
        authorities: impl Iterator<Item = &'a Certificate>,
        now: Timestamp,
    ) -> Result<bool, Unfit> {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = lists.get(name);
        if held.is_some_and(|held| held.issuer() != list.issuer()) {
            return Err(hpki::Refusal::CrlSignatureWrong(list.issuer().to_string()).into());
        }
        let mut said = None;
        // After a renewal two authorities have one name.
        for authority in authorities.filter(|one| one.subject() == list.issuer()) {
            match fit(&list, authority, held.map(Held::from), now) {
                Ok(()) => {
                    lists.insert(name, list);
                    return Ok(true);
                }
                Err(unfit) => said = Some(unfit),
            }
        }
        said.map_or(Ok(false), Err)
    }

    fn all(&self) -> Vec<Crl> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl Hospital {
    /// Fetches the published revocation lists. One that does not come now, or must not be believed,
    /// leaves the former where it was; once stale that refuses, as it should. Whether all of them came.
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
                Ok(list) => all &= self.take_list(name, list),
                Err(why) => {
                    all = false;
                    tracing::warn!(name, %why, "no list");
                }
            }
        }
        self.gateway.set_crls(self.lists.all());
        all
    }

    fn take_list(&self, name: &'static str, list: Crl) -> bool {
        let config = self.gateway.config();
        let anchors = config.anchors.iter().map(|anchor| &anchor.certificate);
        match self.lists.put(name, list, anchors.chain(&config.intermediates), now()) {
            Ok(taken) => {
                if !taken {
                    tracing::debug!(name, "a list of an authority that is not configured here");
                }
                true
            }
            Err(Unfit::Older) => {
                tracing::error!(
                    name,
                    "失効リストが以前のものに戻されています。手元の新しいリストを使い続けます (an older revocation list is served than the one that is held; the newer one stays)"
                );
                false
            }
            Err(why) => {
                tracing::warn!(name, %why, "a list that is not believed");
                false
            }
        }
    }
}
