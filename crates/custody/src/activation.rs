//! 鍵認可: the last door. An [`Activation`] is the decision that this key signs exactly this hash
//! once, for the bearer of this token, out of what its owner approved.
//!
//! It has private fields, cannot be copied, and is made by [`Activation::open`] (out of a session's
//! budget) and [`Activation::approved`] (a document approved by itself) alone, which ask every rule
//! of the house. It is used up by `Strongroom::sign`.

use hpki::encoding::Digest32;
use hpki::id::{ActivationId, KeyId, TokenId};
use hpki::kind::DocumentKind;
use hpki::sign::Random;
use hpki::time::Timestamp;

use crate::bearer::Bearer;
use crate::budget::BudgetRow;
use crate::key::{Certified, Kept, KeyState, StopReason, stops};
use crate::prepared::{Document, PreparedRow};
use crate::refusal::Refusal;
use crate::token::VerifiedToken;

/// A decision for one signature. See the module.
pub(crate) struct Activation {
    id: ActivationId,
    key: KeyId,
    kind: DocumentKind,
    dtbsr: Digest32,
    bearer: TokenId,
}

impl Activation {
    /// Asks every rule: the budget is this token's, its person owns the key, the key is held, its
    /// certificate is in force, token, budget and qualification allow the kind. Whether anything is
    /// left to draw is asked by the same commit that draws it.
    pub(crate) fn open(
        token: &VerifiedToken,
        budget: &BudgetRow,
        kept: &Kept,
        kind: DocumentKind,
        dtbsr: Digest32,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        budget.is_of(token)?;
        if kept.row.id != budget.key || kept.row.owner != budget.person {
            return Err(Refusal::BudgetUnknown);
        }
        if now >= budget.until {
            return Err(Refusal::TokenExpired);
        }
        let certified = usable(kept, now)?;
        let allowed =
            token.allows(kind) && budget.kinds.contains(&kind) && may_sign(certified, kept, kind);
        if !allowed {
            return Err(Refusal::KindNotAllowed);
        }
        Ok(Self {
            id: ActivationId::random(random),
            key: kept.row.id,
            kind,
            dtbsr,
            bearer: token.id(),
        })
    }

    /// As [`Activation::open`], where the owner approved exactly this: `approved` is what her
    /// phone signed for, its seal checked, and holds this document.
    pub(crate) fn approved(
        bearer: &Bearer,
        approved: &PreparedRow,
        document: &Document,
        id: ActivationId,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let theirs = approved.approved.is_some()
            && approved.is_of(bearer)
            && approved.documents.contains(document)
            && bearer.kept.row.id == approved.key
            && bearer.kept.row.owner == approved.person;
        if !theirs {
            return Err(Refusal::HashNotAuthorised);
        }
        let certified = usable(&bearer.kept, now)?;
        if !may_sign(certified, &bearer.kept, document.kind) {
            return Err(Refusal::KindNotAllowed);
        }
        Ok(Self {
            id,
            key: approved.key,
            kind: document.kind,
            dtbsr: document.dtbsr,
            bearer: bearer.token.id(),
        })
    }

    pub(crate) fn id(&self) -> ActivationId {
        self.id
    }
    pub(crate) fn key(&self) -> KeyId {
        self.key
    }
    pub(crate) fn kind(&self) -> DocumentKind {
        self.kind
    }
    pub(crate) fn dtbsr(&self) -> &Digest32 {
        &self.dtbsr
    }
    /// Whose token asked for it.
    pub(crate) fn bearer(&self) -> TokenId {
        self.bearer
    }
}

/// The certificate of a key that may sign now.
pub(crate) fn usable(kept: &Kept, now: Timestamp) -> Result<&Certified, Refusal> {
    match kept.row.state {
        KeyState::Held => {}
        KeyState::Suspended if stops(&kept.row.reason).contains(&StopReason::SelfCheck) => {
            return Err(Refusal::KeyFrozen);
        }
        KeyState::Suspended => return Err(Refusal::KeySuspended),
        other => return Err(Refusal::KeyWrongState(other.name())),
    }
    let certified = kept.certified.as_ref().ok_or(Refusal::KeyWrongState("generated"))?;
    let certificate = &certified.certificate;
    let subject = || certificate.common_name().unwrap_or_default().to_owned();
    if now < certificate.not_before() {
        return Err(Refusal::Certificate(hpki::Refusal::CertificateNotYetValid {
            subject: subject(),
            not_before: certificate.not_before(),
        }));
    }
    if now > certificate.not_after() {
        return Err(Refusal::Certificate(hpki::Refusal::CertificateExpired {
            subject: subject(),
            not_after: certificate.not_after(),
        }));
    }
    Ok(certified)
}

/// Whether the key was made for this kind, and the qualification in the certificate, which is the
/// one that was ordered, lets its holder sign it.
pub(crate) fn may_sign(certified: &Certified, kept: &Kept, kind: DocumentKind) -> bool {
    kept.row.purpose.serves(kind)
        && certified
            .certificate
            .qualification()
            .is_some_and(|found| found == kept.row.qualification && kind.may_be_signed_by(found))
}

#[cfg(test)]
mod tests {
    use super::Activation;

    /// Two ways to be this if it is `Clone`, one if it is not: asking "which?" compiles only for
    /// what cannot be cloned.
    trait Single<Way> {
        fn way() {}
    }
    struct ByClone;
    impl<T> Single<()> for T {}
    impl<T: Clone> Single<ByClone> for T {}

    #[test]
    fn an_activation_cannot_be_copied() {
        <Activation as Single<_>>::way();
    }
}
