//! Who asks: a token that holds, the budget that its approval opened, and the key that it opens.

use std::sync::Arc;

use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use ledger::Failed;

use crate::activation::{may_sign, usable};
use crate::budget::BudgetRow;
use crate::key::{Certified, Kept};
use crate::policy::Mode;
use crate::refusal::Refusal;
use crate::room::Inner;
use crate::token::{Peer, VerifiedToken};
use crate::{Failed as Bad, refused};

/// The bearer of one request. What is remembered of budget and key may be stale; every commit
/// names their seals.
pub(crate) struct Bearer {
    pub(crate) token: VerifiedToken,
    pub(crate) budget: Arc<BudgetRow>,
    pub(crate) kept: Arc<Kept>,
}

impl Bearer {
    /// The certificate of the bearer's key, which may sign now.
    pub(crate) fn usable(&self, now: Timestamp) -> Result<&Certified, Refusal> {
        usable(&self.kept, now)
    }

    /// Whether the bearer may have this kind signed by this decision.
    pub(crate) fn may(
        &self,
        inner: &Inner,
        kind: DocumentKind,
        mode: Mode,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        inner.config.policy.allow(kind, mode)?;
        let certified = self.usable(now)?;
        let allowed = self.token.allows(kind)
            && self.budget.kinds.contains(&kind)
            && may_sign(certified, &self.kept, kind);
        if allowed { Ok(()) } else { Err(Refusal::KindNotAllowed) }
    }
}

impl Inner {
    /// Who asks.
    ///
    /// Refused: the token's codes, `budget-unknown`, `clock-unsure`.
    pub(crate) async fn bearer(
        &self,
        token: &str,
        peer: &Peer,
        now: Timestamp,
    ) -> Result<Bearer, Bad> {
        let token = self.tokens.check(token, peer, now).map_err(Failed::Refused)?;
        self.clock(now)?;
        let budget = self.budget_row(token.budget()).await?;
        budget.is_of(&token).map_err(Failed::Refused)?;
        if now >= budget.until {
            return refused(Refusal::TokenExpired);
        }
        let kept = self.kept(budget.key).await?;
        if kept.row.id != budget.key || kept.row.owner != budget.person {
            return refused(Refusal::BudgetUnknown);
        }
        Ok(Bearer { token, budget, kept })
    }

    /// Looks again at what is remembered of a bearer's budget and key, and says why nothing was
    /// given; `Ok` if only our memory was stale.
    pub(crate) async fn refresh(
        &self,
        bearer: &mut Bearer,
        wanted: u32,
        now: Timestamp,
    ) -> Result<(), Bad> {
        self.why_not_drawn(&bearer.budget, wanted, now).await?;
        bearer.budget = self.budget_row(bearer.budget.id).await?;
        bearer.kept = self.kept(bearer.budget.key).await?;
        Ok(())
    }
}
