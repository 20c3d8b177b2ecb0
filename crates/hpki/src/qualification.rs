//! The qualifications that an HPKI certificate can state: 27 national licences and 5 administrator
//! roles, as data.
//!
//! The English strings are what stands in `hcRole`. Only those marked [`Evidence::Confirmed`] were
//! read in a real certificate; the others are inferred and must be checked against the certificate
//! policy before production use. Two licences have no known string and so cannot be certified yet.

/// How sure we are of the English string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// Read in a real certificate.
    Confirmed,
    /// Seen in another system's public code.
    Reported,
    /// Inferred from the usual translation.
    Inferred,
    /// Inferred, and the spelling is doubtful.
    Doubtful,
    /// Not known: certifying this role is refused.
    Unknown,
}

/// A qualification (資格) or administrator role (管理者).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qualification {
    /// 医師
    MedicalDoctor,
    /// 歯科医師
    Dentist,
    /// 薬剤師
    Pharmacist,
    /// 臨床検査技師
    MedicalTechnologist,
    /// 診療放射線技師
    RadiologicalTechnologist,
    /// 看護師
    GeneralNurse,
    /// 保健師
    PublicHealthNurse,
    /// 助産師
    Midwife,
    /// 理学療法士
    PhysicalTherapist,
    /// 作業療法士
    OccupationalTherapist,
    /// 視能訓練士
    Orthoptist,
    /// 言語聴覚士
    SpeechTherapist,
    /// 歯科技工士
    DentalTechnician,
    /// 管理栄養士
    NationalRegisteredDietitian,
    /// 社会福祉士
    CertifiedSocialWorker,
    /// 介護福祉士
    CertifiedCareWorker,
    /// 救急救命士
    EmergencyMedicalTechnician,
    /// 精神保健福祉士
    PsychiatricSocialWorker,
    /// 臨床工学技士
    ClinicalEngineer,
    /// あん摩マッサージ指圧師
    Masseur,
    /// はり師
    Acupuncturist,
    /// きゅう師
    MoxibustionPractitioner,
    /// 歯科衛生士
    DentalHygienist,
    /// 義肢装具士
    ProstheticsOrthotic,
    /// 柔道整復師
    JudoTherapist,
    /// 衛生検査技師
    HygieneLaboratoryTechnician,
    /// 公認心理師
    CertifiedPublicPsychologist,
    /// 病院長
    DirectorOfHospital,
    /// 診療所院長
    DirectorOfClinic,
    /// 管理薬剤師
    SupervisorOfPharmacy,
    /// 薬局開設者
    ProprietorOfPharmacy,
    /// その他の保健医療福祉機関の管理責任者
    Director,
}

struct Row {
    qualification: Qualification,
    ja: &'static str,
    role: &'static str,
    evidence: Evidence,
}

const fn row(
    qualification: Qualification,
    ja: &'static str,
    role: &'static str,
    evidence: Evidence,
) -> Row {
    Row { qualification, ja, role, evidence }
}

use Evidence::{Confirmed, Doubtful, Inferred, Reported, Unknown};
use Qualification as Q;

#[rustfmt::skip]
static TABLE: [Row; 32] = [
    row(Q::MedicalDoctor, "医師", "Medical Doctor", Confirmed),
    row(Q::Dentist, "歯科医師", "Dentist", Inferred),
    row(Q::Pharmacist, "薬剤師", "Pharmacist", Confirmed),
    row(Q::MedicalTechnologist, "臨床検査技師", "Medical Technologist", Inferred),
    row(Q::RadiologicalTechnologist, "診療放射線技師", "Radiological Technologist", Inferred),
    row(Q::GeneralNurse, "看護師", "General Nurse", Inferred),
    row(Q::PublicHealthNurse, "保健師", "Public Health Nurse", Inferred),
    row(Q::Midwife, "助産師", "Midwife", Inferred),
    row(Q::PhysicalTherapist, "理学療法士", "Physical Therapist", Inferred),
    row(Q::OccupationalTherapist, "作業療法士", "Occupational Therapist", Inferred),
    row(Q::Orthoptist, "視能訓練士", "Orthoptist", Inferred),
    row(Q::SpeechTherapist, "言語聴覚士", "Speech Therapist", Inferred),
    row(Q::DentalTechnician, "歯科技工士", "Dental Technician", Inferred),
    row(Q::NationalRegisteredDietitian, "管理栄養士", "National Registered Dietitian", Inferred),
    row(Q::CertifiedSocialWorker, "社会福祉士", "Certified Social Worker", Inferred),
    row(Q::CertifiedCareWorker, "介護福祉士", "Certified Care Worker", Inferred),
    row(Q::EmergencyMedicalTechnician, "救急救命士", "Emergency Medical Technician", Inferred),
    row(Q::PsychiatricSocialWorker, "精神保健福祉士", "Psychiatric Social Worker", Inferred),
    row(Q::ClinicalEngineer, "臨床工学技士", "Clinical Engineer", Inferred),
    row(Q::Masseur, "あん摩マッサージ指圧師", "Masseur", Inferred),
    row(Q::Acupuncturist, "はり師", "Acupuncturist", Inferred),
    row(Q::MoxibustionPractitioner, "きゅう師", "Moxibustion Practitioner", Inferred),
    row(Q::DentalHygienist, "歯科衛生士", "Dental Hygienist", Inferred),
    row(Q::ProstheticsOrthotic, "義肢装具士", "Prosthetics & Orthotic", Doubtful),
    row(Q::JudoTherapist, "柔道整復師", "Judo Therapist", Doubtful),
    row(Q::HygieneLaboratoryTechnician, "衛生検査技師", "", Unknown),
    row(Q::CertifiedPublicPsychologist, "公認心理師", "", Unknown),
    row(Q::DirectorOfHospital, "病院長", "Director of Hospital", Reported),
    row(Q::DirectorOfClinic, "診療所院長", "Director of Clinic", Reported),
    row(Q::SupervisorOfPharmacy, "管理薬剤師", "Supervisor of Pharmacy", Inferred),
    row(Q::ProprietorOfPharmacy, "薬局開設者", "Proprietor of Pharmacy", Inferred),
    row(Q::Director, "その他の保健医療福祉機関の管理責任者", "Director", Inferred),
];

impl Qualification {
    /// Every qualification, national licences first.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.qualification)
    }

    fn row(self) -> &'static Row {
        // The table is in the order of the enum; `the_table_is_in_order` holds that.
        &TABLE[self as usize]
    }

    /// The Japanese name.
    pub fn ja(self) -> &'static str {
        self.row().ja
    }

    /// The string in `hcRole`, or `None` where it is not known.
    pub fn role(self) -> Option<&'static str> {
        (self.row().evidence != Unknown).then_some(self.row().role)
    }

    /// How sure we are of [`Qualification::role`].
    pub fn evidence(self) -> Evidence {
        self.row().evidence
    }

    /// The qualification with exactly this `hcRole` string.
    pub fn from_role(role: &str) -> Option<Self> {
        TABLE
            .iter()
            .find(|row| row.evidence != Unknown && row.role == role)
            .map(|row| row.qualification)
    }

    /// Whether this is one of the five administrator roles, for which O and OU are mandatory.
    pub fn is_administrator(self) -> bool {
        self as usize >= Q::DirectorOfHospital as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        for (position, row) in TABLE.iter().enumerate() {
            assert_eq!(row.qualification as usize, position);
        }
        assert_eq!(TABLE.iter().filter(|row| !row.qualification.is_administrator()).count(), 27);
    }

    #[test]
    fn a_role_string_finds_its_qualification_exactly() {
        assert_eq!(Qualification::from_role("Medical Doctor"), Some(Q::MedicalDoctor));
        assert_eq!(Qualification::from_role("medical doctor"), None);
        assert_eq!(Qualification::from_role(""), None);
    }
}
