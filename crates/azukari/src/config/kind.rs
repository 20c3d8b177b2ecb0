//! `[[kind]]`: the policy table of document kinds.

use custody::{Mode, Policy, Rule};
use hpki::kind::DocumentKind;
use serde::Deserialize;

use super::ConfigRefusal;

/// `[[kind]]`: the rule of one kind of document.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KindFile {
    name: DocumentKind,
    enabled: bool,
    approval: ApprovalFile,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ApprovalFile {
    Session,
    Document,
}

/// What is not named keeps its rule. A kind named twice is refused: nobody should have to know
/// which of two lines counts.
pub(super) fn policy(written: &[KindFile]) -> Result<Policy, ConfigRefusal> {
    let mut policy = Policy::default();
    for (index, line) in written.iter().enumerate() {
        if written[..index].iter().any(|before| before.name == line.name) {
            return Err(ConfigRefusal::Value("kind.name", format!("{} (二度あります)", line.name)));
        }
        let approval = match line.approval {
            ApprovalFile::Session => Mode::Session,
            ApprovalFile::Document => Mode::EachDocument,
        };
        policy.set(line.name, Rule { enabled: line.enabled, approval });
    }
    Ok(policy)
}
