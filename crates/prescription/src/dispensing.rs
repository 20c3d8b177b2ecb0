//! What a dispensing record says, for people.
//!
//! Known from published documents: which number holds what. The order inside the lines is our
//! reading throughout.

use hpki::kind::DocumentKind;

use crate::day::Day;
use crate::prescribing::{filled, person_name};
use crate::record::{self, Line, Record};
use crate::{Refusal, show};

/// A dispensing record (`CJ1,`), complete enough to be read.
///
/// Our reading of what must be there: dispensing date (5), prescription ID (7), pharmacy (11),
/// pharmacist (15) and at least one drug (201).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispensingRecord<'a> {
    record: Record<'a>,
    drugs: Vec<DispensedDrug<'a>>,
}

/// One dispensed drug (201) with its supplements and usage (281, 291, 301, 311, 391).
///
/// Our reading of 201: group number, name, amount, unit, code type, code. Our reading of 301:
/// group number, usage, then quantity and unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispensedDrug<'a> {
    /// The line of record 201 in the file, from 1.
    pub line: usize,
    /// The RP group it belongs to.
    pub group: &'a str,
    /// Its name.
    pub name: &'a str,
    /// How much.
    pub amount: &'a str,
    /// Of what.
    pub unit: &'a str,
    /// Which code list the code is from.
    pub code_type: &'a str,
    /// The drug code.
    pub code: &'a str,
    /// Record number and text of what follows it.
    pub notes: Vec<(u16, Vec<&'a str>)>,
}

/// Records that stand once (our reading).
const ONCE: &[u16] = &[1, 5, 7, 11, 15, 51];

impl<'a> DispensingRecord<'a> {
    /// Reads a dispensing record.
    pub fn parse(octets: &'a [u8]) -> Result<Self, Refusal> {
        let record = record::parse(octets)?.expect(DocumentKind::Dispensing)?;
        record.once(ONCE)?;
        record.need(5, "調剤年月日")?;
        record.need(7, "処方箋ID")?;
        record.need(11, "薬局")?;
        if person_name(record.need(15, "薬剤師")?).is_empty() {
            return Err(Refusal::RecordMissing { number: 15, what: "薬剤師の氏名" });
        }
        let drugs = drugs(&record)?;
        record.need(201, "薬品")?;
        Ok(Self { record, drugs })
    }

    /// The record underneath.
    pub fn record(&self) -> &Record<'a> {
        &self.record
    }

    /// Record 7: which prescription was dispensed.
    pub fn prescription_id(&self) -> &'a str {
        self.record.line(7).map_or("", |line| line.field(1))
    }

    /// Record 1: the patient's name.
    pub fn patient(&self) -> Option<&'a str> {
        self.name(1)
    }

    /// Record 5: the day of dispensing as written, and as a day if it is one.
    pub fn dispensed(&self) -> (&'a str, Option<Day>) {
        let text = self.record.line(5).map_or("", |line| line.field(1));
        (text, Day::parse(text))
    }

    /// Record 11: the pharmacy's name.
    pub fn pharmacy(&self) -> &'a str {
        self.name(11).unwrap_or("")
    }

    /// Record 15: the pharmacist's name.
    pub fn pharmacist(&self) -> &'a str {
        self.name(15).unwrap_or("")
    }

    /// Record 51: the prescribing institution's name.
    pub fn institution(&self) -> Option<&'a str> {
        self.name(51)
    }

    /// Record 55: the prescribing physician's name.
    pub fn physician(&self) -> Option<&'a str> {
        self.name(55)
    }

    /// The drugs, in order.
    pub fn drugs(&self) -> &[DispensedDrug<'a>] {
        &self.drugs
    }

    /// Lines whose record number has no place in this view, so that nothing is hidden.
    pub fn other_lines(&self) -> impl Iterator<Item = &Line<'a>> {
        self.record.lines().iter().filter(|line| {
            !matches!(
                line.number(),
                1 | 5 | 7 | 11 | 15 | 51 | 55 | 201 | 281 | 291 | 301 | 311 | 391
            )
        })
    }

    /// The dispensing result as a person would want to read it, in Japanese.
    pub fn show_ja(&self) -> String {
        show::dispensing(self, &show::JA)
    }

    /// The same with English labels; what the record says stays in its own language.
    pub fn show_en(&self) -> String {
        show::dispensing(self, &show::EN)
    }

    fn name(&self, number: u16) -> Option<&'a str> {
        self.record.line(number).map(person_name).filter(|name| !name.is_empty())
    }
}

fn drugs<'a>(record: &Record<'a>) -> Result<Vec<DispensedDrug<'a>>, Refusal> {
    let mut drugs: Vec<DispensedDrug<'a>> = Vec::new();
    for line in record.lines() {
        match line.number() {
            201 => {
                let drug = DispensedDrug {
                    line: line.at(),
                    group: line.field(1),
                    name: line.field(2),
                    amount: line.field(3),
                    unit: line.field(4),
                    code_type: line.field(5),
                    code: line.field(6),
                    notes: Vec::new(),
                };
                if drug.name.is_empty() || drug.amount.is_empty() {
                    let why = "a drug needs a name and an amount";
                    return Err(Refusal::RecordLineMalformed { line: line.at(), why });
                }
                drugs.push(drug);
            }
            number @ (281 | 291 | 301 | 311 | 391) => {
                let misplaced = Refusal::RecordMisplaced { number, line: line.at() };
                let text = filled(line).into_iter().skip(1).collect();
                drugs.last_mut().ok_or(misplaced)?.notes.push((number, text));
            }
            _ => {}
        }
    }
    Ok(drugs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    const ID: &str = "0192f1d2-7c3a-7b11-8f0e-0123456789ab";

    fn refusal(text: &str) -> Refusal {
        DispensingRecord::parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_dispensing_result_is_read_as_it_was_meant() {
        let octets = sample::dispensing(&sample::Dispensed::default(), ID);
        let record = DispensingRecord::parse(&octets).unwrap();
        assert_eq!(record.prescription_id(), ID);
        assert_eq!(record.patient(), Some("見本　花子"));
        assert_eq!(record.pharmacy(), "架空薬局（TEST）");
        assert_eq!(record.pharmacist(), "架空　薬子");
        assert_eq!(record.institution(), Some("架空総合病院（TEST）"));
        assert_eq!(record.physician(), Some("架空　太郎"));
        assert_eq!(record.dispensed().1.unwrap().to_string(), "2026-11-21");
        assert_eq!(record.drugs().len(), 3);
        assert_eq!(record.drugs()[0].unit, "錠");
    }

    #[test]
    fn what_a_dispensing_result_must_have_is_missed() {
        let octets = sample::dispensing(&sample::Dispensed::default(), ID);
        let text = String::from_utf8(octets).unwrap();
        for number in [5, 7, 11, 15] {
            let without = text.replacen(&format!("\n{number},"), "\n999,", 1);
            let refusal = refusal(&without);
            assert!(
                matches!(refusal, Refusal::RecordMissing { number: n, .. } if n == number),
                "{number}: {refusal:?}"
            );
        }
        let without: String = text
            .lines()
            .filter(|line| !["201,", "281,", "301,"].iter().any(|start| line.starts_with(start)))
            .map(|line| format!("{line}\n"))
            .collect();
        assert!(matches!(refusal(&without), Refusal::RecordMissing { number: 201, .. }));
    }

    #[test]
    fn records_out_of_place_are_refused() {
        let base = "CJ1,\n5,20261121\n7,x\n11,x\n15,x\n";
        for (tail, code) in [
            ("301,1,a\n201,1,a,1,錠", "record-misplaced"),
            ("201,1,a", "record-line-malformed"),
            ("201,1,a,1,錠\n7,y", "record-repeated"),
        ] {
            let refusal = refusal(&format!("{base}{tail}"));
            assert_eq!(hpki::refusal::Refuse::code(&refusal), code, "{tail}");
        }
        assert_eq!(refusal("SJ1\n1,x"), Refusal::RecordWrongKind { expected: "CJ1" });
    }
}
