//! A prescription record shown as the paper form that everybody knows.

use std::collections::BTreeMap;

use prescription::{PrescriptionRecord, Sex};

use super::Lang;

/// A prescription as a page shows it.
pub(super) struct Paper {
    pub(super) institution: String,
    pub(super) address: String,
    pub(super) telephone: String,
    pub(super) department: String,
    pub(super) physician: String,
    pub(super) patient: String,
    pub(super) kana: String,
    pub(super) sex: String,
    pub(super) birth: String,
    pub(super) insurance: Vec<(String, String)>,
    pub(super) issued: String,
    pub(super) expires: String,
    pub(super) groups: Vec<PaperGroup>,
    pub(super) remarks: Vec<String>,
}

pub(super) struct PaperGroup {
    pub(super) number: String,
    pub(super) usage: String,
    pub(super) quantity: String,
    pub(super) notes: Vec<String>,
    pub(super) drugs: Vec<PaperDrug>,
}

pub(super) struct PaperDrug {
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) amount: String,
    pub(super) unit: String,
    pub(super) notes: Vec<String>,
}

impl Paper {
    /// The record as a form, or the reason why it cannot be read.
    pub(super) fn of(csv: &str, lang: Lang) -> Result<Self, prescription::Refusal> {
        let record = PrescriptionRecord::parse(csv.as_bytes())?;
        let institution = record.institution();
        let patient = record.patient();
        let day = |(text, day): (&str, Option<prescription::Day>)| match (day, lang) {
            (Some(day), Lang::Ja) => day.ja(),
            (Some(day), Lang::En) => day.to_string(),
            (None, _) => text.to_owned(),
        };
        let insurance = record
            .insurance()
            .into_iter()
            .filter_map(|line| {
                let label = match line.number {
                    22 => lang.of("保険者番号", "Insurer"),
                    23 => lang.of("記号・番号", "Insured as"),
                    _ => return None,
                };
                Some((label.to_owned(), line.fields.join("・")))
            })
            .collect();
        let groups = record
            .groups()
            .iter()
            .map(|group| PaperGroup {
                number: group.number.to_owned(),
                usage: group.usage.join("\u{3000}"),
                quantity: quantity(&group.form, lang),
                notes: group.notes.iter().map(|&note| note.to_owned()).collect(),
                drugs: group
                    .drugs
                    .iter()
                    .map(|drug| PaperDrug {
                        line: drug.line,
                        name: drug.name.to_owned(),
                        amount: drug.amount.to_owned(),
                        unit: drug.unit.to_owned(),
                        notes: drug.notes.iter().map(|(_, text)| (*text).to_owned()).collect(),
                    })
                    .collect(),
            })
            .collect();
        Ok(Self {
            institution: institution.name.to_owned(),
            address: institution.address.join(" "),
            telephone: institution.telephone.unwrap_or_default().to_owned(),
            department: record.department().unwrap_or_default().to_owned(),
            physician: record.physician().name.to_owned(),
            patient: patient.name.to_owned(),
            kana: patient.kana.unwrap_or_default().to_owned(),
            sex: match patient.sex {
                Some(Sex::Male) => lang.of("男", "male").to_owned(),
                Some(Sex::Female) => lang.of("女", "female").to_owned(),
                Some(Sex::Other(text)) => text.to_owned(),
                None => String::new(),
            },
            birth: patient.birth.map(day).unwrap_or_default(),
            insurance,
            issued: day(record.issued()),
            expires: record.expires().map(day).unwrap_or_default(),
            groups,
            remarks: record.remarks().into_iter().map(str::to_owned).collect(),
        })
    }
}

/// Our reading of record 101: the last field is for how many days or times, the one before it the
/// form in words.
fn quantity(form: &[&str], lang: Lang) -> String {
    let count = form.last().copied().unwrap_or_default();
    let words = form.iter().rev().nth(1).copied().unwrap_or_default();
    let unit = match (words, lang) {
        ("内服", Lang::Ja) => "日分",
        ("内服", Lang::En) => " days",
        (_, Lang::Ja) => "調剤",
        (_, Lang::En) => "×",
    };
    format!("{words}\u{3000}{count}{unit}")
}

/// The record with other amounts: `amounts` gives the new amount for the line (from 1) of a drug.
/// Only field 7 of a `201` line changes; everything else keeps its octets. An amount that is not
/// digits with at most one point, or a line that holds no drug, is left out.
pub(crate) fn with_amounts(csv: &str, amounts: &BTreeMap<usize, String>) -> String {
    let lines: Vec<String> = csv
        .split('\n')
        .enumerate()
        .map(|(index, line)| match amounts.get(&(index + 1)) {
            Some(amount) if line.starts_with("201,") && is_amount(amount) => {
                let mut fields: Vec<&str> = line.split(',').collect();
                if let Some(field) = fields.get_mut(7) {
                    *field = amount.trim();
                }
                fields.join(",")
            }
            _ => line.to_owned(),
        })
        .collect();
    lines.join("\n")
}

fn is_amount(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty()
        && text.len() <= 8
        && text.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.')
        && text.bytes().filter(|octet| *octet == b'.').count() <= 1
        && text.bytes().any(|octet| octet.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str = "SJ1\n1,1,9990001,13,テスト架空病院\n5,,ｶｸｳ ﾊﾅｺ,架空　花子\n11,,仮名　健太\n\
        51,20261121\n101,1,1,内服,7\n111,1,1,,１日３回\n201,1,1,1,2,699999901,架空錠,3,1,錠\n";

    #[test]
    fn only_the_amount_of_a_drug_changes() {
        let amounts = BTreeMap::from([(8, "6".to_owned()), (2, "7".to_owned())]);
        assert_eq!(with_amounts(CSV, &amounts), CSV.replace("架空錠,3,", "架空錠,6,"));
        for wrong in ["", "3,9", "-1", "1.2.3", "\n", "."] {
            assert_eq!(with_amounts(CSV, &BTreeMap::from([(8, wrong.to_owned())])), CSV, "{wrong}");
        }
    }

    #[test]
    fn the_form_shows_what_the_record_says() {
        let paper = Paper::of(CSV, Lang::Ja).unwrap();
        assert_eq!(paper.physician, "架空　花子");
        assert_eq!(paper.issued, "2026年11月21日");
        assert_eq!(paper.groups[0].quantity, "内服　7日分");
        assert_eq!(paper.groups[0].drugs[0].line, 8);
        assert!(Paper::of("CJ1,\n", Lang::Ja).is_err());
    }
}
