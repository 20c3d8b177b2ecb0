//! The policy table: which kinds of document may be signed here at all, and by which decision of
//! the owner.
//!
//! Prescriptions and dispensing results are on, under the approval of a session. Every other kind
//! is off until the platform's configuration switches it on.

use hpki::kind::DocumentKind;

use crate::refusal::Refusal;

/// By which decision of its owner a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Mode (a): the approval of a session opens a budget, from which signatures are drawn.
    Session,
    /// Mode (b): the owner approves each document, or each batch, by what exactly is signed.
    EachDocument,
}

/// The rule of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Whether the kind is signed here at all.
    pub enabled: bool,
    /// The least decision that it takes. Under [`Mode::Session`] an approval of each document is
    /// as good.
    pub approval: Mode,
}

impl Rule {
    /// Not signed here.
    pub const OFF: Self = Self { enabled: false, approval: Mode::EachDocument };
    /// Signed under the approval of a session.
    pub const SESSION: Self = Self { enabled: true, approval: Mode::Session };
    /// Signed under the approval of each document.
    pub const EACH_DOCUMENT: Self = Self { enabled: true, approval: Mode::EachDocument };
}

/// A rule for every kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    rules: [Rule; DocumentKind::ALL.len()],
}

impl Default for Policy {
    fn default() -> Self {
        let mut policy = Self { rules: [Rule::OFF; DocumentKind::ALL.len()] };
        for kind in DocumentKind::COMPOSED {
            policy.set(kind, Rule::SESSION);
        }
        policy
    }
}

impl Policy {
    /// The rule of this kind.
    pub fn rule(&self, kind: DocumentKind) -> Rule {
        self.rules[kind as usize]
    }

    /// Gives a kind another rule.
    pub fn set(&mut self, kind: DocumentKind, rule: Rule) {
        self.rules[kind as usize] = rule;
    }

    /// The kinds that are signed here, with their rules.
    pub fn enabled(&self) -> impl Iterator<Item = (DocumentKind, Rule)> {
        let rules = DocumentKind::ALL.map(|kind| (kind, self.rule(kind)));
        rules.into_iter().filter(|(_, rule)| rule.enabled)
    }

    /// Whether this kind may be signed by this decision.
    ///
    /// Refused: `kind-not-enabled`, `approval-needed`.
    pub(crate) fn allow(&self, kind: DocumentKind, mode: Mode) -> Result<(), Refusal> {
        match self.rule(kind) {
            Rule { enabled: false, .. } => Err(Refusal::KindNotEnabled),
            Rule { approval: Mode::EachDocument, .. } if mode == Mode::Session => {
                Err(Refusal::ApprovalNeeded)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use hpki::refusal::Refuse;

    use super::*;

    #[test]
    fn prescriptions_and_dispensing_results_are_on_and_everything_else_is_off() {
        let policy = Policy::default();
        let on: Vec<_> = policy.enabled().collect();
        assert_eq!(on, DocumentKind::COMPOSED.map(|kind| (kind, Rule::SESSION)));
        let refused = policy.allow(DocumentKind::Referral, Mode::EachDocument).unwrap_err();
        assert_eq!(refused.code(), "kind-not-enabled");
    }

    #[test]
    fn a_kind_whose_documents_are_approved_each_is_not_drawn_from_a_session() {
        let mut policy = Policy::default();
        policy.set(DocumentKind::Referral, Rule::EACH_DOCUMENT);
        let refused = policy.allow(DocumentKind::Referral, Mode::Session).unwrap_err();
        assert_eq!(refused.code(), "approval-needed");
        assert!(policy.allow(DocumentKind::Referral, Mode::EachDocument).is_ok());
        // More than is asked is as good.
        assert!(policy.allow(DocumentKind::Prescription, Mode::EachDocument).is_ok());
    }

    #[test]
    fn every_kind_has_its_own_rule() {
        for kind in DocumentKind::ALL {
            let mut policy = Policy::default();
            policy.set(kind, Rule::EACH_DOCUMENT);
            for other in DocumentKind::ALL.into_iter().filter(|other| *other != kind) {
                assert_eq!(policy.rule(other), Policy::default().rule(other));
            }
        }
    }
}
