//! What a signature must satisfy beyond cryptography: the law says who may sign what.

use hpki::kind::DocumentKind;
use hpki::qualification::Qualification;
use hpki::refusal::Refuse;

/// A rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The certificate states no qualification that we know.
    #[error("the certificate states no known qualification")]
    QualificationMissing,
    /// The qualification in the certificate may not sign this kind of document.
    #[error("a {} may not sign this: {}", .0.role().unwrap_or("holder of this role"), .1.name())]
    QualificationNotAllowed(Qualification, DocumentKind),
}

impl Refuse for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::QualificationMissing => "qualification-missing",
            Self::QualificationNotAllowed(..) => "qualification-not-allowed",
        }
    }
}

/// Whether a holder of this qualification may sign this kind
/// (医師法施行規則 21 条, 歯科医師法施行規則 20 条, 薬剤師法 26 条).
///
/// # Errors
/// The rule that is broken.
pub fn check(kind: DocumentKind, qualification: Option<Qualification>) -> Result<(), Refusal> {
    let qualification = qualification.ok_or(Refusal::QualificationMissing)?;
    if kind.may_be_signed_by(qualification) {
        Ok(())
    } else {
        Err(Refusal::QualificationNotAllowed(qualification, kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_whom_the_law_names_may_sign() {
        for qualification in Qualification::all() {
            use Qualification::{Dentist, MedicalDoctor, Pharmacist};
            let prescribes = matches!(qualification, MedicalDoctor | Dentist);
            let kinds = [DocumentKind::Prescription, DocumentKind::Dispensing];
            let may = kinds.map(|kind| check(kind, Some(qualification)).is_ok());
            assert_eq!(may, [prescribes, qualification == Pharmacist], "{qualification:?}");
        }
        assert_eq!(check(DocumentKind::Prescription, None), Err(Refusal::QualificationMissing));
    }
}
