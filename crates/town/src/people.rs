//! Who lives in the town and where they work. Everybody and everything here is made up, and says
//! so: 架空 (fictitious), 見本 (specimen), 例示 (example), TEST; facility numbers begin with 999.

use hpki::kind::DocumentKind;
use hpki::qualification::Qualification;

/// The certification authority that issued a person's certificate, and with it the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Authority {
    /// 日本医師会: subject is C, CN, serialNumber; no subjectAltName.
    Jma,
    /// 日本薬剤師会: the layout of the JMA.
    Jpa,
    /// MEDIS: subject also has O, and a Japanese subjectAltName.
    Medis,
}

/// A health professional of the town.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// A short name for programs, e.g. `hanako`; unique in the town.
    pub slug: &'static str,
    /// Family and given name with a full-width space between, as certificates write it.
    pub name_ja: &'static str,
    /// The same in half-width kana, as prescription records write it.
    pub kana: &'static str,
    /// Given and family name in romaji, as the certificate's CN writes it.
    pub romaji: &'static str,
    /// `YYYYMMDD`: the password of the initial-registration sheet.
    pub birth_date: &'static str,
    /// The one qualification of the certificate.
    pub qualification: Qualification,
    /// Who certified it.
    pub authority: Authority,
    /// 本人ID, and the serialNumber of the subject.
    pub display_id: &'static str,
    /// The code of the facility where this person works, ten digits.
    pub facility: &'static str,
}

impl Person {
    /// The facility where this person works.
    pub fn workplace(&self) -> &'static Facility {
        // `everybody_works_somewhere` holds that the search ends well.
        FACILITIES.into_iter().find(|facility| facility.code == self.facility).unwrap_or(&HOSPITAL)
    }

    /// What this person may sign.
    pub fn kinds(&self) -> Vec<DocumentKind> {
        DocumentKind::COMPOSED
            .into_iter()
            .filter(|kind| kind.may_be_signed_by(self.qualification))
            .collect()
    }

    /// The name with an ordinary space, for pages.
    pub fn display_ja(&self) -> String {
        self.name_ja.replace('\u{3000}', " ")
    }
}

/// What a facility is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FacilityKind {
    /// 病院
    Hospital,
    /// 薬局
    Pharmacy,
    /// A place for outside programs, where both professions can sign.
    Sandbox,
}

/// One terminal of a facility.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// The identifier in the facility's own register.
    pub id: &'static str,
    /// What people call it; the phone shows it.
    pub label: &'static str,
    /// The same in English.
    pub label_en: &'static str,
}

/// One member of a facility's staff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Staff {
    /// 職員ID
    pub id: &'static str,
    /// The person's [`Person::slug`].
    pub person: &'static str,
}

/// A hospital, a pharmacy, or the place for outside programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facility {
    /// Ten digits: prefecture (2), table (1), number (7).
    pub code: &'static str,
    /// What it is.
    pub kind: FacilityKind,
    /// The registered name.
    pub name_ja: &'static str,
    /// The name in romaji or English.
    pub name_en: &'static str,
    /// The gateway's identifier inside the facility.
    pub gateway: &'static str,
    /// `postal code,address` as prescription records write it.
    pub address: (&'static str, &'static str),
    /// Telephone number, of the range that is never assigned.
    pub phone: &'static str,
    /// The department and its code where prescriptions are written.
    pub department: (&'static str, &'static str),
    /// Its terminals.
    pub terminals: &'static [Terminal],
    /// Its staff.
    pub staff: &'static [Staff],
}

impl Facility {
    /// The two digits of the prefecture.
    pub fn prefecture(&self) -> &'static str {
        self.code.get(..2).unwrap_or_default()
    }

    /// The digit of the points table: 1 medical, 3 dental, 4 pharmacy.
    pub fn table(&self) -> &'static str {
        self.code.get(2..3).unwrap_or_default()
    }

    /// The seven digits of the number.
    pub fn number(&self) -> &'static str {
        self.code.get(3..).unwrap_or_default()
    }

    /// The staff ID of this person here, if she works here.
    pub fn staff_id(&self, person: &Person) -> Option<&'static str> {
        self.staff.iter().find(|staff| staff.person == person.slug).map(|staff| staff.id)
    }
}

/// The town's physician.
pub static HANAKO: Person = Person {
    slug: "hanako",
    name_ja: "架空\u{3000}花子",
    kana: "ｶｸｳ ﾊﾅｺ",
    romaji: "Hanako Kakuu",
    birth_date: "19800102",
    qualification: Qualification::MedicalDoctor,
    authority: Authority::Jma,
    display_id: "TEST100001",
    facility: "1319990001",
};

/// The town's pharmacist.
pub static JIRO: Person = Person {
    slug: "jiro",
    name_ja: "見本\u{3000}次郎",
    kana: "ﾐﾎﾝ ｼﾞﾛｳ",
    romaji: "Jiro Mihon",
    birth_date: "19850304",
    qualification: Qualification::Pharmacist,
    authority: Authority::Medis,
    display_id: "TEST300002",
    facility: "1349990002",
};

/// A second pharmacist, certified by the third authority.
pub static MISAKI: Person = Person {
    slug: "misaki",
    name_ja: "例示\u{3000}美咲",
    kana: "ﾚｲｼﾞ ﾐｻｷ",
    romaji: "Misaki Reiji",
    birth_date: "19900506",
    qualification: Qualification::Pharmacist,
    authority: Authority::Jpa,
    display_id: "TEST300003",
    facility: "1349990002",
};

/// Everybody; the physician first, then the pharmacist.
pub static PEOPLE: [&Person; 3] = [&HANAKO, &JIRO, &MISAKI];

/// A dentist who signs certificates and letters as hashes, and nothing else.
pub static HARUKO: Person = Person {
    slug: "haruko",
    name_ja: "仮名\u{3000}春子",
    kana: "ｶﾘﾅ ﾊﾙｺ",
    romaji: "Haruko Karina",
    birth_date: "19820708",
    qualification: Qualification::Dentist,
    authority: Authority::Medis,
    display_id: "TEST200004",
    facility: "1319990003",
};

/// A physician who does the same; nobody has linked his phone yet.
pub static NATSUO: Person = Person {
    slug: "natsuo",
    name_ja: "例示\u{3000}夏男",
    kana: "ﾚｲｼﾞ ﾅﾂｵ",
    romaji: "Natsuo Reiji",
    birth_date: "19880910",
    qualification: Qualification::MedicalDoctor,
    authority: Authority::Jma,
    display_id: "TEST100005",
    facility: "1319990003",
};

/// Those whose keys sign hashes: they live in the town only where it is founded with them.
pub static WRITERS: [&Person; 2] = [&HARUKO, &NATSUO];

/// A physician who has just come to the town: she has her sheet, and no phone is linked yet.
pub static AKIKO: Person = Person {
    slug: "akiko",
    name_ja: "架空\u{3000}秋子",
    kana: "ｶｸｳ ｱｷｺ",
    romaji: "Akiko Kakuu",
    birth_date: "19911112",
    qualification: Qualification::MedicalDoctor,
    authority: Authority::Jma,
    display_id: "TEST100006",
    facility: "1319990001",
};

/// A pharmacist who has just come.
pub static FUYUO: Person = Person {
    slug: "fuyuo",
    name_ja: "見本\u{3000}冬雄",
    kana: "ﾐﾎﾝ ﾌﾕｵ",
    romaji: "Fuyuo Mihon",
    birth_date: "19931213",
    qualification: Qualification::Pharmacist,
    authority: Authority::Jpa,
    display_id: "TEST300007",
    facility: "1349990002",
};

/// Those who have just come, for whoever wants to link a phone himself: they live in the town only
/// where it is founded with them.
pub static NEWCOMERS: [&Person; 2] = [&AKIKO, &FUYUO];

/// The town's hospital.
pub static HOSPITAL: Facility = Facility {
    code: "1319990001",
    kind: FacilityKind::Hospital,
    name_ja: "テスト架空病院",
    name_en: "TEST Kakuu Hospital",
    gateway: "gw1",
    address: ("100-0000", "東京都架空区見本町１－１"),
    phone: "03-0000-0001",
    department: ("01", "内科"),
    terminals: &[
        Terminal { id: "opd-1", label: "外来１診", label_en: "Outpatient room 1" },
        Terminal { id: "ward-3", label: "３階病棟", label_en: "Ward, 3rd floor" },
    ],
    staff: &[Staff { id: "D0001", person: "hanako" }, Staff { id: "D0006", person: "akiko" }],
};

/// The town's pharmacy.
pub static PHARMACY: Facility = Facility {
    code: "1349990002",
    kind: FacilityKind::Pharmacy,
    name_ja: "テスト見本薬局",
    name_en: "TEST Mihon Pharmacy",
    gateway: "gw1",
    address: ("100-0000", "東京都架空区見本町２－２"),
    phone: "03-0000-0002",
    department: ("", ""),
    terminals: &[Terminal { id: "desk-1", label: "調剤台１", label_en: "Dispensing desk 1" }],
    staff: &[
        Staff { id: "P0002", person: "jiro" },
        Staff { id: "P0003", person: "misaki" },
        Staff { id: "P0007", person: "fuyuo" },
    ],
};

/// The place for outside programs, whose client certificate `demo.json` hands out.
pub static SANDBOX: Facility = Facility {
    code: "1319990003",
    kind: FacilityKind::Sandbox,
    name_ja: "テスト開発者用施設（外部プログラム用）",
    name_en: "TEST Developers' Sandbox Facility",
    gateway: "gw1",
    address: ("100-0000", "東京都架空区見本町３－３"),
    phone: "03-0000-0003",
    department: ("01", "内科"),
    terminals: &[Terminal {
        id: "dev-1", label: "外部プログラム", label_en: "Outside program"
    }],
    staff: &[
        Staff { id: "S0001", person: "hanako" },
        Staff { id: "S0002", person: "jiro" },
        Staff { id: "S0003", person: "misaki" },
        Staff { id: "S0006", person: "akiko" },
        Staff { id: "S0007", person: "fuyuo" },
    ],
};

/// Every facility of the town.
pub static FACILITIES: [&Facility; 3] = [&HOSPITAL, &PHARMACY, &SANDBOX];

/// The person of this slug.
pub fn person(slug: &str) -> Option<&'static Person> {
    PEOPLE.into_iter().chain(WRITERS).chain(NEWCOMERS).find(|person| person.slug == slug)
}

/// The facility of this ten-digit code.
pub fn facility(code: &str) -> Option<&'static Facility> {
    FACILITIES.into_iter().find(|facility| facility.code == code)
}

#[cfg(test)]
mod tests {
    use hpki::id::FacilityCode;

    use super::*;

    #[test]
    fn everybody_works_somewhere_and_is_on_the_staff_list() {
        for person in PEOPLE.into_iter().chain(NEWCOMERS) {
            assert_eq!(person.workplace().code, person.facility);
            assert!(person.workplace().staff_id(person).is_some());
            assert_eq!(person.birth_date.len(), 8);
            assert!(person.display_id.starts_with("TEST"));
        }
    }

    #[test]
    fn who_signs_hashes_is_made_up_too_and_works_at_the_place_for_programs() {
        for person in WRITERS {
            assert_eq!(person.workplace().code, SANDBOX.code);
            assert!(person.display_id.starts_with("TEST") && person.birth_date.len() == 8);
            assert_eq!(super::person(person.slug).map(|found| found.slug), Some(person.slug));
        }
    }

    #[test]
    fn every_facility_has_a_ten_digit_code_that_is_visibly_made_up() {
        for facility in FACILITIES {
            assert!(facility.code.parse::<FacilityCode>().is_ok());
            assert!(facility.number().starts_with("999"));
            assert!(facility.name_ja.starts_with("テスト"));
            for staff in facility.staff {
                assert!(person(staff.person).is_some());
            }
        }
    }

    #[test]
    fn both_real_certificate_layouts_and_all_three_authorities_appear() {
        let mut seen: Vec<_> = PEOPLE.iter().map(|person| person.authority).collect();
        seen.dedup();
        assert_eq!(seen, [Authority::Jma, Authority::Medis, Authority::Jpa]);
    }

    #[test]
    fn a_physician_signs_prescriptions_and_a_pharmacist_dispensing_results() {
        assert_eq!(HANAKO.kinds(), [DocumentKind::Prescription]);
        assert_eq!(JIRO.kinds(), [DocumentKind::Dispensing]);
    }
}
