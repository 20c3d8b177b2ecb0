//! Made-up records of the real shape, for the demonstration town and for tests.
//!
//! Every person, institution and drug here is invented, and says so.

use std::fmt::Write as _;

/// Who prescribes, and when, in a made-up prescription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prescribed {
    /// Ten-digit facility code: prefecture 2, type 1, number 7.
    pub facility: String,
    /// The institution's name.
    pub institution: String,
    /// The physician's name in half-width kana.
    pub physician_kana: String,
    /// The physician's name.
    pub physician: String,
    /// Issue date, `YYYYMMDD`.
    pub issued: String,
    /// Last day of use, `YYYYMMDD`.
    pub expires: String,
}

impl Default for Prescribed {
    fn default() -> Self {
        Self {
            facility: "1319999901".into(),
            institution: "架空総合病院（TEST）".into(),
            physician_kana: "ｶｸｳ ﾀﾛｳ".into(),
            physician: "架空　太郎".into(),
            issued: "20261121".into(),
            expires: "20261124".into(),
        }
    }
}

/// Who dispenses, and when, in a made-up dispensing result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispensed {
    /// The prescription this answers.
    pub prescribed: Prescribed,
    /// Ten-digit facility code of the pharmacy.
    pub facility: String,
    /// The pharmacy's name.
    pub pharmacy: String,
    /// The pharmacist's name.
    pub pharmacist: String,
    /// Day of dispensing, `YYYYMMDD`.
    pub day: String,
}

impl Default for Dispensed {
    fn default() -> Self {
        Self {
            prescribed: Prescribed::default(),
            facility: "1349999902".into(),
            pharmacy: "架空薬局（TEST）".into(),
            pharmacist: "架空　薬子".into(),
            day: "20261121".into(),
        }
    }
}

fn code_parts(facility: &str) -> (&str, &str, &str) {
    (
        facility.get(..2).unwrap_or("13"),
        facility.get(2..3).unwrap_or("1"),
        facility.get(3..).unwrap_or("9999901"),
    )
}

/// A made-up prescription record of about one kilobyte.
pub fn prescription(p: &Prescribed) -> Vec<u8> {
    let (prefecture, table, number) = code_parts(&p.facility);
    let mut text = String::from("SJ1\n");
    // Writing into a String cannot fail.
    let _ = write!(
        text,
        "1,{table},{number},{prefecture},{institution}\n\
         2,100-0000,架空県見本市試験町１－２－３\n\
         3,00-0000-0000\n\
         4,1,01,内科\n\
         5,,{kana},{name}\n\
         11,,見本　花子,ﾐﾎﾝ ﾊﾅｺ\n\
         12,2\n\
         13,19580303\n\
         14,1\n\
         21,1\n\
         22,99999999\n\
         23,見本,９９９,1,01\n\
         51,{issued}\n\
         52,{expires}\n\
         62,1\n\
         81,1,,すべて架空の試験用データである\n\
         101,1,1,内服,14\n\
         111,1,1,1013044400000000,１日３回毎食後服用\n\
         201,1,1,1,2,699999901,架空プラセボ錠５ｍｇ（試験用）,3,1,錠\n\
         201,1,2,1,2,699999902,架空胃薬カプセル１０ｍｇ（試験用）,3,1,カプセル\n\
         281,1,2,1,,粉砕しない\n\
         101,2,1,内服,14\n\
         111,2,1,1011000090000000,１日１回就寝前服用\n\
         181,2,1,,眠れないときのみ\n\
         201,2,1,1,2,699999903,架空安眠錠０．２５ｍｇ（試験用）,1,1,錠\n",
        institution = p.institution,
        kana = p.physician_kana,
        name = p.physician,
        issued = p.issued,
        expires = p.expires,
    );
    text.into_bytes()
}

/// A made-up dispensing record for the prescription with this ID.
pub fn dispensing(d: &Dispensed, prescription_id: &str) -> Vec<u8> {
    let (prefecture, table, number) = code_parts(&d.facility);
    let (from_prefecture, from_table, from_number) = code_parts(&d.prescribed.facility);
    let mut text = String::from("CJ1,\n");
    let _ = write!(
        text,
        "1,見本　花子,2,19580303,,,,ﾐﾎﾝ ﾊﾅｺ\n\
         2,,1\n\
         4,,1\n\
         5,{day},1\n\
         6,99999999,見本,９９９\n\
         7,{prescription_id}\n\
         11,{pharmacy},{prefecture},{table},{number},100-0000,架空県見本市試験町４－５－６,00-0000-0001\n\
         15,{pharmacist},00-0000-0001,1\n\
         51,{institution},{from_prefecture},{from_table},{from_number},1\n\
         55,{physician},内科,1\n\
         201,1,架空プラセボ錠５ｍｇ（試験用）,3,錠,2,699999901,1\n\
         301,1,１日３回毎食後服用,14,日分,1,1,,1\n\
         201,1,架空胃薬カプセル１０ｍｇ（試験用）,3,カプセル,2,699999902,1\n\
         281,1,粉砕しない,1\n\
         301,1,１日３回毎食後服用,14,日分,1,1,,1\n\
         201,2,架空安眠錠０．２５ｍｇ（試験用）,1,錠,2,699999903,1\n\
         301,2,１日１回就寝前服用,14,日分,1,1,,1\n\
         401,,すべて架空の試験用データである,1\n",
        day = d.day,
        pharmacy = d.pharmacy,
        pharmacist = d.pharmacist,
        institution = d.prescribed.institution,
        physician = d.prescribed.physician,
    );
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_have_the_size_of_real_records() {
        let prescription = prescription(&Prescribed::default());
        assert!((800..1400).contains(&prescription.len()), "{}", prescription.len());
        assert!(prescription.starts_with(b"SJ1\n1,1,9999901,13,"));
        let dispensing = dispensing(&Dispensed::default(), "0192f1d2-7c3a-7b11-8f0e-0123456789ab");
        assert!((800..1600).contains(&dispensing.len()), "{}", dispensing.len());
        assert!(dispensing.starts_with(b"CJ1,\n"));
        assert!(!prescription.contains(&b'\r') && !dispensing.contains(&b'\r'));
    }
}
