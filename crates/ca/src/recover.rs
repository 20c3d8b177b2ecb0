//! Going on after a crash, on the way that normal running takes.

use hpki::time::Timestamp;

use crate::Ca;
use crate::refusal::{Failed, Refusal};
use crate::tables;

/// What recovery found open and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Announced certificates that now exist.
    pub certificates: usize,
    /// Announced lists that now exist.
    pub lists: usize,
    /// Announced things whose signing went wrong again; their intentions are closed.
    pub interrupted: usize,
}

impl Ca {
    /// Finishes everything that was announced and not closed: the stored octets are signed, judged
    /// and committed as if nothing had happened. Called at start, before anything else.
    ///
    /// # Errors
    /// `issuance-not-announced` where the stored octets are not those in the journal: the books
    /// were changed, nothing is signed, people must look. Or the device or store failed: what is
    /// open stays open.
    pub async fn recover(&self, now: Timestamp) -> Result<Recovered, Failed> {
        let open = self.ledger.read(|tx| {
            let mut open = tables::open_certificates(tx)?;
            open.extend(tables::open_lists(tx)?);
            Ok::<_, Failed>(open)
        });
        let mut recovered = Recovered::default();
        for work in open.await? {
            let is_list = work.prepared.profile().is_list();
            match self.resume(work, now).await {
                Ok(_) if is_list => recovered.lists += 1,
                Ok(_) => recovered.certificates += 1,
                Err(Failed::Refused(Refusal::IssuanceInterrupted(_))) => {
                    recovered.interrupted += 1;
                }
                Err(failed) => return Err(failed),
            }
        }
        Ok(recovered)
    }
}
