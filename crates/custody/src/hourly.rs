//! How many signatures one token, and one facility, may ask for within one hour of the clock.
//!
//! These limits stand beside those of each budget: they also hold for what is approved document by
//! document, which draws from no budget, and for many budgets of one facility together.
//!
//! A signature counts from the moment at which it is asked of the device (commit A). One that was
//! interrupted counts too, and again when it is taken up; what commit A refused does not. An answer
//! that is repeated costs nothing, also above the limit.
//!
//! **With two processes.** Each counts in its own memory, so that no statement is added to a
//! signature: what it let through itself, and what the tables held when it first met the token or
//! the facility in this hour. What the others let through after that it does not see. So within one
//! hour at most `limit × processes` pass, and after a start no process forgets what was signed
//! before. The limits of a budget are counted in the database and hold across all processes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hpki::encoding::sha256;
use hpki::id::{BudgetId, FacilityCode, TokenId};
use hpki::time::Timestamp;
use ledger::{Fault, Tx};

use crate::alarm::AlarmKind;
use crate::batch::TRIES;
use crate::budget::BudgetRow;
use crate::limits::{Limits, hour};
use crate::refusal::Refusal;
use crate::room::Inner;
use crate::{Failed as Bad, refused};

/// Which limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Token,
    Facility,
}

impl Over {
    pub(crate) fn refusal(self) -> Refusal {
        match self {
            Self::Token => Refusal::TokenLimit,
            Self::Facility => Refusal::FacilityLimit,
        }
    }
}

/// What this process knows of this hour.
#[derive(Default)]
pub(crate) struct Hourly(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    hour: u64,
    tokens: HashMap<TokenId, u64>,
    facilities: HashMap<FacilityCode, u64>,
}

/// What was counted for one commit. Given back when dropped, unless [`Claim::keep`] was called.
pub(crate) struct Claim {
    hourly: Arc<Hourly>,
    hour: u64,
    token: TokenId,
    facility: FacilityCode,
    count: u64,
}

impl Claim {
    /// The commit went through, or may have.
    pub(crate) fn keep(mut self) {
        self.count = 0;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.count == 0 {
            return;
        }
        let mut counts = self.hourly.lock();
        if counts.hour != self.hour {
            return;
        }
        let less = |used: &mut u64| *used = used.saturating_sub(self.count);
        counts.tokens.get_mut(&self.token).map(less);
        counts.facilities.get_mut(&self.facility).map(less);
    }
}

impl Hourly {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts so many, if both limits let them pass. `None`: not met in this hour, so the tables
    /// must be asked.
    fn claim(
        self: &Arc<Self>,
        limits: &Limits,
        token: TokenId,
        facility: &FacilityCode,
        count: u32,
        now: Timestamp,
    ) -> Option<Result<Claim, Over>> {
        let mut counts = self.lock();
        let counts = counts.at(now);
        let count = u64::from(count);
        let of_token = counts.tokens.get_mut(&token)?;
        let of_facility = counts.facilities.get_mut(facility)?;
        if *of_token + count > limits.token_hourly().into() {
            return Some(Err(Over::Token));
        }
        if *of_facility + count > limits.facility_hourly().into() {
            return Some(Err(Over::Facility));
        }
        *of_token += count;
        *of_facility += count;
        let hour = counts.hour;
        let hourly = Arc::clone(self);
        Some(Ok(Claim { hourly, hour, token, facility: facility.clone(), count }))
    }
}

impl Counts {
    /// The counts of the hour of this moment. A moment of the hour before, from a clock that was
    /// read a second earlier, counts into the present one.
    fn at(&mut self, now: Timestamp) -> &mut Self {
        if hour(now) > self.hour {
            *self = Self { hour: hour(now), ..Self::default() };
        }
        self
    }
}

/// What the tables say that one token drew from its budget in this hour, and had approved by itself.
fn of_token(
    tx: &Tx<'_>,
    token: TokenId,
    budget: BudgetId,
    facility: &FacilityCode,
    hour: u64,
) -> Result<u64, Fault> {
    let drawn = tx.query_one(
        "SELECT COALESCE(CAST(SUM(hour_used) AS BIGINT), 0) FROM custody_counter
         WHERE budget = $1 AND hour = $2",
        &[budget.into(), hour.into()],
    )?;
    let approved = tx.query_one(
        "SELECT COUNT(*) FROM custody_activation
         WHERE prepared IS NOT NULL AND facility = $1 AND reserved >= $2 AND bearer = $3
             AND state IN ('reserved', 'consumed', 'released', 'failed')",
        &[facility.into(), (hour * 3600).into(), token.into()],
    )?;
    Ok(drawn.number(0)? + approved.number(0)?)
}

/// The same of a whole facility: as many rows as it has open budgets.
fn of_facility(tx: &Tx<'_>, facility: &FacilityCode, hour: u64) -> Result<u64, Fault> {
    let begin = hour * 3600;
    let drawn = tx.query_one(
        "SELECT COALESCE(CAST(SUM(hour_used) AS BIGINT), 0)
         FROM custody_budget JOIN custody_counter ON custody_counter.budget = custody_budget.id
         WHERE facility = $1 AND until >= $2 AND hour = $3",
        &[facility.into(), begin.into(), hour.into()],
    )?;
    let approved = tx.query_one(
        "SELECT COUNT(*) FROM custody_activation
         WHERE prepared IS NOT NULL AND facility = $1 AND reserved >= $2
             AND state IN ('reserved', 'consumed', 'released', 'failed')",
        &[facility.into(), begin.into()],
    )?;
    Ok(drawn.number(0)? + approved.number(0)?)
}

impl Inner {
    /// Counts so many for this token and its budget's facility. The first time in each hour, the
    /// tables are read; otherwise this touches memory alone.
    pub(crate) async fn claim(
        &self,
        token: TokenId,
        budget: &BudgetRow,
        count: u32,
        now: Timestamp,
    ) -> Result<Result<Claim, Over>, Bad> {
        let limits = &self.config.limits;
        let facility = &budget.facility;
        // Once more: the hour can turn while the tables are read.
        for _ in 0..TRIES {
            if let Some(claimed) = self.hourly.claim(limits, token, facility, count, now) {
                return Ok(claimed);
            }
            // The facility's sum is long, and known once the first of its tokens was met.
            let met = self.hourly.lock().at(now).facilities.contains_key(facility);
            let (id, place, of) = (budget.id, facility.clone(), hour(now));
            let (by_token, by_facility) = self
                .ledger
                .read(move |tx| {
                    let by_facility = (!met).then(|| of_facility(tx, &place, of)).transpose()?;
                    Ok::<_, Bad>((of_token(tx, token, id, &place, of)?, by_facility))
                })
                .await?;
            let mut counts = self.hourly.lock();
            let counts = counts.at(now);
            counts.tokens.entry(token).or_insert(by_token);
            if let Some(sum) = by_facility {
                counts.facilities.entry(facility.clone()).or_insert(sum);
            }
        }
        refused(Refusal::OrderInProgress)
    }

    /// The alarm of a limit that was reached: about the token's key, or about the facility.
    pub(crate) fn limit_reached(&self, over: Over, budget: &BudgetRow, now: Timestamp) {
        match over {
            Over::Token => {
                let words = budget.id.to_string();
                self.raise(AlarmKind::TokenLimit, Some(budget.key), &words, now);
            }
            Over::Facility => {
                let mut concerned = [0; 16];
                concerned.copy_from_slice(&sha256(budget.facility.as_str().as_bytes())[..16]);
                let words = budget.facility.as_str();
                self.raise_about(AlarmKind::FacilityLimit, concerned, words, now);
            }
        }
    }
}
