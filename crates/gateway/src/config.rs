//! What the facility configures.

use hpki::certificate::Certificate;
use hpki::encoding::Digest32;
use hpki::id::{FacilityCode, PersonId};
use hpki::kind::DocumentKind;
use hpki::path::Anchor;
use ledger::tlog::{Quorum, VerifyKey};

use crate::names::{GatewayId, StaffId, TerminalId};

/// One person of the staff list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staff {
    /// 職員ID
    pub id: StaffId,
    /// What the gateway's own screens call this person.
    pub name: String,
    /// Who this is at the platform, where the facility knows. Where it does not, the first person
    /// who authenticates for this staff ID is bound to it.
    pub person: Option<PersonId>,
    /// The name that records written for this person must carry (spaces are ignored); `None` where
    /// it is not checked.
    pub name_in_records: Option<String>,
    /// The number of the person (本人ID) on the HPKI card that signs for this staff ID. Where the
    /// list does not say, the first card that signs for it is bound to it.
    pub card: Option<String>,
    /// The kinds of document this person signs.
    pub kinds: Vec<DocumentKind>,
}

/// Everything that a gateway has to know before it opens.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// The institution code of the facility, as in its client certificate.
    pub facility: FacilityCode,
    /// What the gateway's own screens call the facility; phones show the platform's name for it.
    pub name: String,
    /// SHA-256 of its client certificate (`x5t#S256`).
    pub x5t: Digest32,
    /// This gateway.
    pub gateway: GatewayId,
    /// The staff list.
    pub staff: Vec<Staff>,
    /// The registered terminals and what people call them.
    pub terminals: Vec<(TerminalId, String)>,
    /// The pinned key of the platform's journal, and the witnesses that are counted, if any.
    pub quorum: Quorum,
    /// The pinned anchors of the verifier.
    pub anchors: Vec<Anchor>,
    /// Certification authorities below them; untrusted until they chain to an anchor.
    pub intermediates: Vec<Certificate>,
    /// Accepted certificate policies.
    pub policies: Vec<const_oid::ObjectIdentifier>,
    /// How many signatures are asked for with one authentication.
    pub count: u64,
    /// For how many hours; the platform allows 18 at most.
    pub hours: u64,
}

impl GatewayConfig {
    /// The pinned key of the platform's journal.
    pub const fn log(&self) -> &VerifyKey {
        self.quorum.log()
    }

    /// The staff member of this ID.
    pub fn staff(&self, id: &StaffId) -> Option<&Staff> {
        self.staff.iter().find(|staff| staff.id == *id)
    }

    /// What people call this terminal.
    pub fn terminal(&self, id: &TerminalId) -> Option<&str> {
        self.terminals.iter().find(|(known, _)| known == id).map(|(_, label)| label.as_str())
    }

    /// The staff ID to which the facility has bound this person.
    pub(crate) fn staff_of(&self, person: &PersonId) -> Option<&Staff> {
        self.staff.iter().find(|staff| staff.person.as_ref() == Some(person))
    }
}
