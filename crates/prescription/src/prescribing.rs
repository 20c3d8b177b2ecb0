//! What a prescription record says, for people.
//!
//! Known from published documents: which number holds what, and the order inside records 1, 5 and
//! 201. Everything else is our reading and is marked so.

use hpki::kind::DocumentKind;

use crate::day::Day;
use crate::record::{self, Line, Record};
use crate::{Refusal, show};

/// A prescription record (`SJ1`), complete enough to be read.
///
/// Our reading of what must be there: institution (1), physician (5), patient (11), issue date
/// (51) and at least one drug (201) in a group (101). The others may be absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrescriptionRecord<'a> {
    record: Record<'a>,
    groups: Vec<Group<'a>>,
}

/// The prescribing institution (record 1: type, code, prefecture, name; 2 address; 3 telephone).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Institution<'a> {
    /// The type of the code (our reading: the fee table, 1 medical, 3 dental, 4 pharmacy).
    pub table: &'a str,
    /// The institution code.
    pub code: &'a str,
    /// The prefecture number.
    pub prefecture: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Record 2, postal code and address (our reading: every field that has something in it).
    pub address: Vec<&'a str>,
    /// Record 3 (our reading: its first field that has something in it).
    pub telephone: Option<&'a str>,
}

impl Institution<'_> {
    /// The ten digits by which facilities are known, if type, prefecture and code make them up
    /// (our reading: prefecture 2, type 1, code 7).
    pub fn facility(&self) -> Option<hpki::id::FacilityCode> {
        format!("{}{}{}", self.prefecture, self.table, self.code).parse().ok()
    }
}

/// The physician (record 5: id, kana, name).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Physician<'a> {
    /// The institution's own identifier; often empty.
    pub id: &'a str,
    /// The name in half-width kana.
    pub kana: &'a str,
    /// The name.
    pub name: &'a str,
}

/// The patient (records 11, 12, 13).
///
/// Our reading of record 11: the field in half-width kana is the kana name and the first field in
/// another Japanese script is the name, whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patient<'a> {
    /// The name.
    pub name: &'a str,
    /// The name in half-width kana, if given.
    pub kana: Option<&'a str>,
    /// Record 12.
    pub sex: Option<Sex<'a>>,
    /// Record 13, as written and as a day if it is one.
    pub birth: Option<(&'a str, Option<Day>)>,
}

/// Record 12. Our reading: 1 male, 2 female, as elsewhere in Japanese health-care records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sex<'a> {
    /// 1
    Male,
    /// 2
    Female,
    /// Anything else, as written.
    Other(&'a str),
}

/// One of the records 21 to 31, shown as it stands (our reading gives names to 22 and 23 only).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Insurance<'a> {
    /// The record number.
    pub number: u16,
    /// Its fields that have something in them.
    pub fields: Vec<&'a str>,
}

/// One RP group (101) with its usage (111), its supplements (181) and its drugs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group<'a> {
    /// The group's number (our reading: first field of 101).
    pub number: &'a str,
    /// Form and quantity: the other fields of 101 that have something in them (their code values
    /// are not known to us, so they are shown as written).
    pub form: Vec<&'a str>,
    /// How to take it (our reading: the last field of each 111).
    pub usage: Vec<&'a str>,
    /// Supplements to the usage (our reading: the last field of each 181).
    pub notes: Vec<&'a str>,
    /// The drugs.
    pub drugs: Vec<Drug<'a>>,
}

/// One drug (201: …, code type, code, name, amount, unit) and its supplements (211 to 281).
///
/// Our reading of what stands before the code type: group number, number in the group, kind of
/// information. Our reading of what follows the amount: the unit is the last field that has
/// something in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drug<'a> {
    /// The line of record 201 in the file, from 1: what the service's conversions refer to.
    pub line: usize,
    /// Which code list the code is from.
    pub code_type: &'a str,
    /// The drug code (nine digits where it is a receipt-computer code).
    pub code: &'a str,
    /// Its name.
    pub name: &'a str,
    /// How much.
    pub amount: &'a str,
    /// Of what: 錠, ｍＬ, ｇ …
    pub unit: &'a str,
    /// Supplements: record number and the last field of each of 211, 221, 231, 241, 281.
    pub notes: Vec<(u16, &'a str)>,
}

/// Records that stand once (our reading). A second one could be what another reader shows.
const ONCE: &[u16] = &[1, 2, 3, 4, 5, 11, 12, 13, 14, 51, 52];

impl<'a> PrescriptionRecord<'a> {
    /// Reads a prescription record.
    pub fn parse(octets: &'a [u8]) -> Result<Self, Refusal> {
        let record = record::parse(octets)?.expect(DocumentKind::Prescription)?;
        record.once(ONCE)?;
        let institution = record.need(1, "医療機関")?;
        if institution.field(4).is_empty() {
            return Err(Refusal::RecordMissing { number: 1, what: "医療機関の名称" });
        }
        if record.need(5, "医師")?.field(3).is_empty() {
            return Err(Refusal::RecordMissing { number: 5, what: "医師の氏名" });
        }
        if person_name(record.need(11, "患者")?).is_empty() {
            return Err(Refusal::RecordMissing { number: 11, what: "患者の氏名" });
        }
        record.need(51, "交付年月日")?;
        let groups = groups(&record)?;
        record.need(101, "RP")?;
        record.need(201, "薬品")?;
        Ok(Self { record, groups })
    }

    /// The record underneath.
    pub fn record(&self) -> &Record<'a> {
        &self.record
    }

    /// Records 1, 2 and 3.
    pub fn institution(&self) -> Institution<'a> {
        let field = |number, position| self.record.line(number).map_or("", |l| l.field(position));
        Institution {
            table: field(1, 1),
            code: field(1, 2),
            prefecture: field(1, 3),
            name: field(1, 4),
            address: self.record.line(2).map_or_else(Vec::new, filled),
            telephone: self.record.line(3).and_then(|line| filled(line).first().copied()),
        }
    }

    /// Record 4 (our reading: its last field is the department's name).
    pub fn department(&self) -> Option<&'a str> {
        self.last(4)
    }

    /// Record 5.
    pub fn physician(&self) -> Physician<'a> {
        let field = |position| self.record.line(5).map_or("", |line| line.field(position));
        Physician { id: field(1), kana: field(2), name: field(3) }
    }

    /// Records 11, 12 and 13.
    pub fn patient(&self) -> Patient<'a> {
        let sex = self.last(12).map(|code| match code {
            "1" => Sex::Male,
            "2" => Sex::Female,
            other => Sex::Other(other),
        });
        Patient {
            name: self.record.line(11).map_or("", person_name),
            kana: self.record.line(11).and_then(kana_name),
            sex,
            birth: self.last(13).map(|text| (text, Day::parse(text))),
        }
    }

    /// Records 21 to 31.
    pub fn insurance(&self) -> Vec<Insurance<'a>> {
        let lines = self.record.lines().iter();
        lines
            .filter(|line| (21..=31).contains(&line.number()) && !line.is_blank())
            .map(|line| Insurance { number: line.number(), fields: filled(line) })
            .collect()
    }

    /// Record 51: the issue date as written, and as a day if it is one.
    pub fn issued(&self) -> (&'a str, Option<Day>) {
        let text = self.last(51).unwrap_or("");
        (text, Day::parse(text))
    }

    /// Record 52: the last day of use.
    pub fn expires(&self) -> Option<(&'a str, Option<Day>)> {
        self.last(52).map(|text| (text, Day::parse(text)))
    }

    /// Records 81 and 82 (our reading: the last field of each).
    pub fn remarks(&self) -> Vec<&'a str> {
        let lines = self.record.lines().iter();
        lines
            .filter(|line| matches!(line.number(), 81 | 82))
            .map(Line::last)
            .filter(|text| !text.is_empty())
            .collect()
    }

    /// The RP groups, in order.
    pub fn groups(&self) -> &[Group<'a>] {
        &self.groups
    }

    /// Lines whose record number has no place in this view, so that nothing is hidden.
    pub fn other_lines(&self) -> impl Iterator<Item = &Line<'a>> {
        self.record.lines().iter().filter(|line| {
            !matches!(
                line.number(),
                1..=5 | 11..=13 | 21..=31 | 51 | 52 | 81 | 82 | 101 | 111 | 181
                    | 201 | 211 | 221 | 231 | 241 | 281
            )
        })
    }

    /// The prescription as a pharmacist would want to read it, in Japanese.
    pub fn show_ja(&self) -> String {
        show::prescription(self, &show::JA)
    }

    /// The same with English labels; what the record says stays in its own language.
    pub fn show_en(&self) -> String {
        show::prescription(self, &show::EN)
    }

    fn last(&self, number: u16) -> Option<&'a str> {
        self.record.line(number).map(Line::last).filter(|text| !text.is_empty())
    }
}

/// The fields that have something in them.
pub(crate) fn filled<'a>(line: &Line<'a>) -> Vec<&'a str> {
    line.fields().iter().map(|field| field.trim()).filter(|field| !field.is_empty()).collect()
}

fn is_kana(text: &str) -> bool {
    // U+FF61 to U+FF9F: half-width katakana with its marks.
    !text.is_empty()
        && text.chars().all(|c| matches!(c, '\u{ff61}'..='\u{ff9f}' | ' ' | '\u{3000}'))
}

/// The first field that is neither kana nor an ASCII code; where there is none, the first field
/// with letters in it (a name in Roman letters).
pub(crate) fn person_name<'a>(line: &Line<'a>) -> &'a str {
    let fields = filled(line);
    let japanese = fields.iter().find(|field| !field.is_ascii() && !is_kana(field));
    let roman = fields.iter().find(|field| field.chars().any(|c| c.is_ascii_alphabetic()));
    japanese.or(roman).or_else(|| fields.iter().find(|field| is_kana(field))).copied().unwrap_or("")
}

/// The first field that is wholly half-width kana.
pub(crate) fn kana_name<'a>(line: &Line<'a>) -> Option<&'a str> {
    filled(line).into_iter().find(|field| is_kana(field))
}

fn groups<'a>(record: &Record<'a>) -> Result<Vec<Group<'a>>, Refusal> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for line in record.lines() {
        let number = line.number();
        let misplaced = Refusal::RecordMisplaced { number, line: line.at() };
        match number {
            101 => groups.push(Group {
                number: line.field(1),
                form: filled(line).into_iter().skip(1).collect(),
                usage: Vec::new(),
                notes: Vec::new(),
                drugs: Vec::new(),
            }),
            111 => groups.last_mut().ok_or(misplaced)?.usage.push(line.last()),
            181 => groups.last_mut().ok_or(misplaced)?.notes.push(line.last()),
            201 => groups.last_mut().ok_or(misplaced)?.drugs.push(drug(line)?),
            211 | 221 | 231 | 241 | 281 => {
                let drug = groups.last_mut().and_then(|group| group.drugs.last_mut());
                drug.ok_or(misplaced)?.notes.push((number, line.last()));
            }
            _ => {}
        }
    }
    if let Some(empty) = groups.iter().position(|group| group.drugs.is_empty()) {
        let line = record.lines().iter().filter(|line| line.number() == 101).nth(empty);
        let line = line.map_or(0, Line::at);
        return Err(Refusal::RecordLineMalformed { line, why: "its group has no drug (201)" });
    }
    Ok(groups)
}

fn drug<'a>(line: &Line<'a>) -> Result<Drug<'a>, Refusal> {
    let drug = Drug {
        line: line.at(),
        code_type: line.field(4),
        code: line.field(5),
        name: line.field(6),
        amount: line.field(7),
        unit: if line.fields().len() > 7 { line.last() } else { "" },
        notes: Vec::new(),
    };
    if drug.name.is_empty() || drug.amount.is_empty() {
        let why = "a drug needs a name and an amount";
        return Err(Refusal::RecordLineMalformed { line: line.at(), why });
    }
    Ok(drug)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn changed(from: &str, to: &str) -> String {
        let sample = String::from_utf8(sample::prescription(&sample::Prescribed::default()));
        let sample = sample.unwrap();
        assert!(sample.contains(from), "{from}");
        sample.replacen(from, to, 1)
    }

    fn refusal(text: &str) -> Refusal {
        PrescriptionRecord::parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_prescription_is_read_as_it_was_meant() {
        let octets = sample::prescription(&sample::Prescribed::default());
        let record = PrescriptionRecord::parse(&octets).unwrap();
        assert_eq!(record.record().octets(), octets);
        assert_eq!(record.institution().name, "架空総合病院（TEST）");
        assert_eq!(record.institution().facility().unwrap().as_str(), "1319999901");
        assert_eq!(record.physician().name, "架空　太郎");
        assert_eq!(record.physician().kana, "ｶｸｳ ﾀﾛｳ");
        assert_eq!(record.patient().name, "見本　花子");
        assert_eq!(record.patient().kana, Some("ﾐﾎﾝ ﾊﾅｺ"));
        assert_eq!(record.patient().sex, Some(Sex::Female));
        assert_eq!(record.issued().1.unwrap().to_string(), "2026-11-21");
        assert_eq!(record.groups().len(), 2);
        let first = &record.groups()[0];
        assert_eq!(first.number, "1");
        assert_eq!(first.usage, ["１日３回毎食後服用"]);
        assert_eq!(first.drugs.len(), 2);
        assert_eq!(first.drugs[0].amount, "3");
        assert_eq!(first.drugs[0].unit, "錠");
        assert_eq!(first.drugs[0].code.len(), 9);
        assert_eq!(first.drugs[1].notes, [(281, "粉砕しない")]);
    }

    #[test]
    fn what_a_prescription_must_have_is_missed() {
        for (from, to, number) in [
            ("\n1,", "\n6,", 1),
            (",架空総合病院（TEST）", "", 1),
            ("\n5,", "\n6,", 5),
            ("\n5,,ｶｸｳ ﾀﾛｳ,架空　太郎", "\n5,,ｶｸｳ ﾀﾛｳ, ", 5),
            ("\n11,", "\n10,", 11),
            ("\n51,20261121", "\n51,", 51),
        ] {
            let refusal = refusal(&changed(from, to));
            assert!(
                matches!(refusal, Refusal::RecordMissing { number: n, .. } if n == number),
                "{from}: {refusal:?}"
            );
        }
        assert!(matches!(
            refusal("SJ1\n1,1,9999999,13,x\n5,,,x\n11,x\n51,20260101"),
            Refusal::RecordMissing { number: 101, .. }
        ));
    }

    #[test]
    fn records_out_of_place_are_refused() {
        let base = "SJ1\n1,1,9999999,13,x\n5,,,x\n11,x\n51,20260101\n";
        for (tail, code) in [
            ("201,1,1,1,2,699999901,a,1,錠\n101,1", "record-misplaced"),
            ("111,1,,,x\n101,1", "record-misplaced"),
            ("101,1\n281,1,1,x\n201,1,1,1,2,699999901,a,1,錠", "record-misplaced"),
            ("101,1\n101,2\n201,2,1,1,2,699999901,a,1,錠", "record-line-malformed"),
            ("101,1\n201,1,1,1,2,699999901,,1,錠", "record-line-malformed"),
            ("101,1\n201,1,1,1,2,699999901,a,,錠", "record-line-malformed"),
            ("101,1\n201,1", "record-line-malformed"),
            ("101,1\n201,1,1,1,2,699999901,a,1,錠\n5,,,y", "record-repeated"),
        ] {
            let refusal = refusal(&format!("{base}{tail}"));
            assert_eq!(hpki::refusal::Refuse::code(&refusal), code, "{tail}");
        }
    }

    #[test]
    fn a_dispensing_record_is_no_prescription() {
        let refusal = refusal("CJ1,\n1,x");
        assert_eq!(refusal, Refusal::RecordWrongKind { expected: "SJ1" });
    }

    #[test]
    fn a_name_is_found_whichever_field_it_stands_in() {
        for line in ["SJ1\n11,,ﾐﾎﾝ ﾊﾅｺ,見本　花子", "SJ1\n11,123,見本　花子,ﾐﾎﾝ ﾊﾅｺ"]
        {
            let record = record::parse(line.as_bytes()).unwrap();
            assert_eq!(person_name(&record.lines()[0]), "見本　花子");
            assert_eq!(kana_name(&record.lines()[0]), Some("ﾐﾎﾝ ﾊﾅｺ"));
        }
    }
}
