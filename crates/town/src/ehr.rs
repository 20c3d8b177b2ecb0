//! The electronic health record of the town's hospital, and the receipt computer of its pharmacy:
//! what writes the records that are signed.
//!
//! The records have the grammar and the record numbers of published sample documents; positions
//! beyond those are the reading of the room `prescription`. Patients and drugs are made up and say
//! so.

use std::fmt::Write as _;

use hpki::time::Timestamp;
use prescription::PrescriptionRecord;

use crate::people::{Facility, Person};

/// A prescription is valid for four days, the day of issue included (保険医療機関及び保険医療養担当
/// 規則 20 条).
const VALID_DAYS: u64 = 4;
const DAY: u64 = 86_400;

/// Today's sample prescription record, written by this physician at this facility: two made-up
/// drugs and an ointment for a made-up patient, issued on the day of `now` in Japan.
pub fn prescription_csv(physician: &Person, facility: &Facility, now: Timestamp) -> Vec<u8> {
    let mut text = String::from("SJ1\n");
    // Writing into a String cannot fail.
    let _ = write!(
        text,
        "1,{table},{number},{prefecture},{institution}\n\
         2,{postal},{address}\n\
         3,{phone}\n\
         4,1,{department_code},{department}\n\
         5,{staff},{kana},{name}\n\
         11,,仮名\u{3000}健太,ｶﾒｲ ｹﾝﾀ\n\
         12,1\n\
         13,19700707\n\
         14,1\n\
         21,1\n\
         22,06999999\n\
         23,見本,９９９,1,01\n\
         51,{issued}\n\
         52,{expires}\n\
         62,1\n\
         81,1,,架空の患者・架空の薬品による試験用処方箋（TEST）\n\
         101,1,1,内服,7\n\
         111,1,1,1013044400000000,１日３回毎食後服用\n\
         201,1,1,1,2,699999901,架空プラセボ錠５ｍｇ（試験用）,3,1,錠\n\
         201,1,2,1,2,699999902,架空胃薬カプセル１０ｍｇ（試験用）,3,1,カプセル\n\
         101,2,5,外用,1\n\
         111,2,1,2B74000000000000,１日２回両肩に塗布\n\
         201,2,1,1,2,699999904,架空軟膏０．１％（試験用）,20,1,ｇ\n",
        table = facility.table(),
        number = facility.number(),
        prefecture = facility.prefecture(),
        institution = facility.name_ja,
        postal = facility.address.0,
        address = facility.address.1,
        phone = facility.phone,
        department_code = facility.department.0,
        department = facility.department.1,
        staff = facility.staff_id(physician).unwrap_or_default(),
        kana = physician.kana,
        name = physician.name_ja,
        issued = now.jst_day(),
        expires = now.plus((VALID_DAYS - 1) * DAY).jst_day(),
    );
    text.into_bytes()
}

/// The dispensing record that answers this prescription, written by this pharmacist at this
/// facility on the day of `now`: every drug of the prescription dispensed as prescribed.
/// `prescription_csv` is the record inside the registered prescription.
pub fn dispensing_csv(
    prescription_csv: &[u8],
    prescription_id: &str,
    pharmacist: &Person,
    facility: &Facility,
    now: Timestamp,
) -> Result<Vec<u8>, prescription::Refusal> {
    let prescribed = PrescriptionRecord::parse(prescription_csv)?;
    let patient = prescribed.patient();
    let from = prescribed.institution();
    let field = |number: u16, position| {
        prescribed.record().line(number).map_or("", |line| line.field(position))
    };
    let mut text = String::from("CJ1,\n");
    let _ = write!(
        text,
        "1,{patient},{sex},{birth},,,,{kana}\n\
         2,,1\n\
         4,,1\n\
         5,{day},1\n\
         6,{insurer},{symbol},{insured}\n\
         7,{prescription_id}\n\
         11,{pharmacy},{prefecture},{table},{number},{postal},{address},{phone}\n\
         15,{pharmacist},{phone},1\n\
         51,{institution},{from_prefecture},{from_table},{from_code},1\n\
         55,{physician},{department},1\n",
        patient = patient.name,
        sex = field(12, 1),
        birth = patient.birth.map_or("", |(text, _)| text),
        kana = patient.kana.unwrap_or_default(),
        day = now.jst_day(),
        insurer = field(22, 1),
        symbol = field(23, 1),
        insured = field(23, 2),
        pharmacy = facility.name_ja,
        prefecture = facility.prefecture(),
        table = facility.table(),
        number = facility.number(),
        postal = facility.address.0,
        address = facility.address.1,
        phone = facility.phone,
        pharmacist = pharmacist.name_ja,
        institution = from.name,
        from_prefecture = from.prefecture,
        from_table = from.table,
        from_code = from.code,
        physician = prescribed.physician().name,
        department = prescribed.department().unwrap_or_default(),
    );
    for group in prescribed.groups() {
        let usage = group.usage.join("\u{3000}");
        let quantity = group.form.last().copied().unwrap_or("1");
        for drug in &group.drugs {
            let _ = write!(
                text,
                "201,{rp},{name},{amount},{unit},{code_type},{code},1\n\
                 301,{rp},{usage},{quantity},,1,1,,1\n",
                rp = group.number,
                name = drug.name,
                amount = drug.amount,
                unit = drug.unit,
                code_type = drug.code_type,
                code = drug.code,
            );
        }
    }
    text.push_str("401,,架空の患者・架空の薬品による試験用調剤結果（TEST）,1\n");
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use prescription::DispensingRecord;

    use super::*;
    use crate::people::{HANAKO, HOSPITAL, JIRO, PHARMACY};

    const ID: &str = "1439e0c5-0000-4000-8000-000000000001";

    #[test]
    fn the_sample_prescription_is_todays_and_names_its_physician() {
        // 23:30 UTC on the 21st is already the 22nd in Japan.
        let now = Timestamp::parse("2026-11-21T23:30:00Z").unwrap();
        let csv = prescription_csv(&HANAKO, &HOSPITAL, now);
        let record = PrescriptionRecord::parse(&csv).unwrap();
        assert_eq!(record.issued().1.unwrap().to_string(), "2026-11-22");
        assert_eq!(record.expires().unwrap().1.unwrap().to_string(), "2026-11-25");
        assert_eq!(record.physician().name, "架空　花子");
        assert_eq!(record.institution().facility().unwrap().as_str(), HOSPITAL.code);
        assert_eq!(record.groups().len(), 2);
    }

    #[test]
    fn the_dispensing_result_answers_the_prescription_it_was_made_for() {
        let now = Timestamp::parse("2026-11-21T01:00:00Z").unwrap();
        let prescribed = String::from_utf8(prescription_csv(&HANAKO, &HOSPITAL, now))
            .unwrap()
            .replace("試験用）,3,1,錠", "試験用）,6,1,錠");
        let csv = dispensing_csv(prescribed.as_bytes(), ID, &JIRO, &PHARMACY, now).unwrap();
        let record = DispensingRecord::parse(&csv).unwrap();
        assert_eq!(record.prescription_id(), ID);
        assert_eq!(record.pharmacist(), "見本　次郎");
        assert_eq!(record.patient(), Some("仮名　健太"));
        assert_eq!(record.drugs().len(), 3);
        assert_eq!(record.drugs()[0].amount, "6");
    }

    #[test]
    fn a_record_that_is_no_prescription_cannot_be_dispensed() {
        let now = Timestamp::from_seconds(0);
        assert!(dispensing_csv(b"CJ1,\n", ID, &JIRO, &PHARMACY, now).is_err());
    }
}
