//! Records as people read them: one page of text, Japanese or with English labels.

use std::fmt::Write as _;

use crate::day::Day;
use crate::dispensing::DispensingRecord;
use crate::prescribing::{Drug, PrescriptionRecord, Sex};
use crate::record::Line;

/// The labels of one language.
pub(crate) struct Words {
    ja: bool,
    prescription: &'static str,
    dispensing: &'static str,
    institution: &'static str,
    department: &'static str,
    physician: &'static str,
    patient: &'static str,
    born: &'static str,
    insurance: &'static str,
    insurer: &'static str,
    insured: &'static str,
    issued: &'static str,
    expires: &'static str,
    usage: &'static str,
    note: &'static str,
    remarks: &'static str,
    other: &'static str,
    dispensed: &'static str,
    prescription_id: &'static str,
    pharmacy: &'static str,
    pharmacist: &'static str,
    male: &'static str,
    female: &'static str,
    telephone: &'static str,
}

pub(crate) const JA: Words = Words {
    ja: true,
    prescription: "処方箋",
    dispensing: "調剤結果",
    institution: "医療機関",
    department: "診療科",
    physician: "医師",
    patient: "患者",
    born: "生",
    insurance: "保険",
    insurer: "保険者番号",
    insured: "記号・番号",
    issued: "交付日",
    expires: "使用期限",
    usage: "用法",
    note: "補足",
    remarks: "備考",
    other: "その他の記録",
    dispensed: "調剤日",
    prescription_id: "処方箋ID",
    pharmacy: "薬局",
    pharmacist: "薬剤師",
    male: "男",
    female: "女",
    telephone: "電話",
};

pub(crate) const EN: Words = Words {
    ja: false,
    prescription: "Prescription",
    dispensing: "Dispensing result",
    institution: "Institution",
    department: "Department",
    physician: "Physician",
    patient: "Patient",
    born: "born",
    insurance: "Insurance",
    insurer: "insurer",
    insured: "insured as",
    issued: "Issued",
    expires: "Use by",
    usage: "Usage",
    note: "Note",
    remarks: "Remarks",
    other: "Other records",
    dispensed: "Dispensed",
    prescription_id: "Prescription",
    pharmacy: "Pharmacy",
    pharmacist: "Pharmacist",
    male: "male",
    female: "female",
    telephone: "tel.",
};

/// Columns a label takes; a full-width character takes two.
const LABEL: usize = 16;
const RULE: usize = 60;

/// Text under construction. What comes from a record is shown with invisible and direction-changing
/// characters made visible: what a person reads must be what the octets say.
struct Page<'w> {
    words: &'w Words,
    out: String,
}

fn width(text: &str) -> usize {
    text.chars()
        .map(|c| if c.is_ascii() || matches!(c, '\u{ff61}'..='\u{ff9f}') { 1 } else { 2 })
        .sum()
}

fn visible(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '\u{00ad}'
            | '\u{061c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}' => {
                let _ = write!(out, "<U+{:04X}>", u32::from(c));
            }
            _ => out.push(c),
        }
        out
    })
}

impl Page<'_> {
    fn title(&mut self, title: &str) {
        let _ = writeln!(self.out, "{title}\n{}", "─".repeat(RULE / 2));
    }

    fn row(&mut self, label: &str, text: &str) {
        if !text.is_empty() {
            let pad = LABEL.saturating_sub(width(label));
            let _ = writeln!(self.out, "{label}{}{}", " ".repeat(pad), visible(text));
        }
    }

    fn indented(&mut self, label: &str, text: &str) {
        if !text.is_empty() {
            let gap = if label.is_empty() { "" } else { "  " };
            let _ = writeln!(self.out, "    {label}{gap}{}", visible(text));
        }
    }

    fn blank(&mut self) {
        self.out.push('\n');
    }

    fn day(&self, (text, day): (&str, Option<Day>)) -> String {
        match day {
            Some(day) if self.words.ja => day.ja(),
            Some(day) => day.to_string(),
            None => text.to_owned(),
        }
    }

    fn others<'l>(&mut self, lines: impl Iterator<Item = &'l Line<'l>>) {
        let label = self.words.other;
        let mut first = true;
        for line in lines.filter(|line| !line.is_blank()) {
            let text = format!("{}: {}", line.number(), line.fields().join(","));
            self.row(if first { label } else { "" }, &text);
            first = false;
        }
    }
}

fn with_kana(name: &str, kana: &str) -> String {
    if kana.is_empty() { name.to_owned() } else { format!("{name}（{kana}）") }
}

pub(crate) fn prescription(record: &PrescriptionRecord<'_>, words: &Words) -> String {
    let mut page = Page { words, out: String::with_capacity(2048) };
    page.title(words.prescription);
    let institution = record.institution();
    let codes = [institution.prefecture, institution.table, institution.code].join("-");
    page.row(words.institution, &format!("{}  [{codes}]", institution.name));
    page.row("", &institution.address.join(" "));
    if let Some(telephone) = institution.telephone {
        page.row("", &format!("{} {telephone}", words.telephone));
    }
    page.row(words.department, record.department().unwrap_or(""));
    let physician = record.physician();
    page.row(words.physician, &with_kana(physician.name, physician.kana));
    patient(&mut page, record);
    for (position, insurance) in record.insurance().iter().enumerate() {
        let what = match insurance.number {
            22 => words.insurer.to_owned(),
            23 => words.insured.to_owned(),
            other => other.to_string(),
        };
        let label = if position == 0 { words.insurance } else { "" };
        page.row(label, &format!("{what}: {}", insurance.fields.join(" ")));
    }
    let issued = page.day(record.issued());
    page.row(words.issued, &issued);
    if let Some(expires) = record.expires() {
        let expires = page.day(expires);
        page.row(words.expires, &expires);
    }
    for group in record.groups() {
        page.blank();
        page.row(&format!("Rp.{}", visible(group.number)), &group.form.join(" "));
        for drug in &group.drugs {
            prescribed_drug(&mut page, drug);
        }
        for usage in &group.usage {
            page.indented(words.usage, usage);
        }
        for note in &group.notes {
            page.indented(words.note, note);
        }
    }
    page.blank();
    for (position, remark) in record.remarks().iter().enumerate() {
        page.row(if position == 0 { words.remarks } else { "" }, remark);
    }
    page.others(record.other_lines());
    page.out
}

fn patient(page: &mut Page<'_>, record: &PrescriptionRecord<'_>) {
    let words = page.words;
    let patient = record.patient();
    let mut text = with_kana(patient.name, patient.kana.unwrap_or(""));
    if let Some(sex) = patient.sex {
        let sex = match sex {
            Sex::Male => words.male,
            Sex::Female => words.female,
            Sex::Other(code) => code,
        };
        let _ = write!(text, "  {sex}");
    }
    if let Some(birth) = patient.birth {
        let day = page.day(birth);
        let _ = if words.ja {
            write!(text, "  {day}{}", words.born)
        } else {
            write!(text, "  {} {day}", words.born)
        };
    }
    page.row(words.patient, &text);
}

fn prescribed_drug(page: &mut Page<'_>, drug: &Drug<'_>) {
    let code = if drug.code.is_empty() { String::new() } else { format!("  [{}]", drug.code) };
    page.indented("", &format!("{}  {} {}{code}", drug.name, drug.amount, drug.unit));
    let note = page.words.note;
    for (number, text) in &drug.notes {
        if *number == 281 {
            page.indented(&format!("  {note}"), text);
        } else {
            page.indented(&format!("  {note} {number}"), text);
        }
    }
}

pub(crate) fn dispensing(record: &DispensingRecord<'_>, words: &Words) -> String {
    let mut page = Page { words, out: String::with_capacity(2048) };
    page.title(words.dispensing);
    page.row(words.prescription_id, record.prescription_id());
    let day = page.day(record.dispensed());
    page.row(words.dispensed, &day);
    page.row(words.pharmacy, record.pharmacy());
    page.row(words.pharmacist, record.pharmacist());
    page.row(words.patient, record.patient().unwrap_or(""));
    page.row(words.institution, record.institution().unwrap_or(""));
    page.row(words.physician, record.physician().unwrap_or(""));
    let mut group = None;
    for drug in record.drugs() {
        if group != Some(drug.group) {
            page.blank();
            let _ = writeln!(page.out, "Rp.{}", visible(drug.group));
            group = Some(drug.group);
        }
        let code = if drug.code.is_empty() { String::new() } else { format!("  [{}]", drug.code) };
        page.indented("", &format!("{}  {} {}{code}", drug.name, drug.amount, drug.unit));
        for (number, text) in &drug.notes {
            let label = if *number == 301 { words.usage } else { words.note };
            page.indented(&format!("  {label}"), &text.join(" "));
        }
    }
    page.blank();
    page.others(record.other_lines());
    page.out
}

#[cfg(test)]
mod tests {
    use crate::{DispensingRecord, PrescriptionRecord, sample};

    #[test]
    fn a_pharmacist_can_read_the_prescription() {
        let octets = sample::prescription(&sample::Prescribed::default());
        let page = PrescriptionRecord::parse(&octets).unwrap().show_ja();
        for expected in [
            "医療機関        架空総合病院（TEST）  [13-1-9999901]",
            "診療科          内科",
            "医師            架空　太郎（ｶｸｳ ﾀﾛｳ）",
            "患者            見本　花子（ﾐﾎﾝ ﾊﾅｺ）  女  1958年3月3日生",
            "保険者番号: 99999999",
            "交付日          2026年11月21日",
            "使用期限        2026年11月24日",
            "Rp.1            1 内服 14",
            "    架空プラセボ錠５ｍｇ（試験用）  3 錠  [699999901]",
            "      補足  粉砕しない",
            "    用法  １日３回毎食後服用",
            "    補足  眠れないときのみ",
            "備考            すべて架空の試験用データである",
            "その他の記録    14: 1",
        ] {
            assert!(page.contains(expected), "{expected}\n{page}");
        }
    }

    #[test]
    fn labels_are_english_where_asked() {
        let octets = sample::prescription(&sample::Prescribed::default());
        let page = PrescriptionRecord::parse(&octets).unwrap().show_en();
        assert!(page.contains("Patient         見本　花子（ﾐﾎﾝ ﾊﾅｺ）  female  born 1958-03-03"));
        let id = "0192f1d2-7c3a-7b11-8f0e-0123456789ab";
        let octets = sample::dispensing(&sample::Dispensed::default(), id);
        let record = DispensingRecord::parse(&octets).unwrap();
        assert!(record.show_en().contains("Pharmacist      架空　薬子"));
        let page = record.show_ja();
        assert!(page.contains("処方箋ID        0192f1d2"), "{page}");
        assert!(page.contains("用法  １日３回毎食後服用 14 日分"), "{page}");
    }

    #[test]
    fn no_line_of_a_record_is_hidden() {
        let text = "SJ1\n1,1,9999999,13,x\n5,,,y\n11,z\n51,20260101\n101,1\n\
                    201,1,1,1,2,699999901,a,1,錠\n777,秘密の行\n";
        let page = PrescriptionRecord::parse(text.as_bytes()).unwrap().show_ja();
        assert!(page.contains("777: 秘密の行"), "{page}");
    }

    #[test]
    fn characters_that_reorder_text_are_made_visible() {
        let text = "SJ1\n1,1,9999999,13,x\n5,,,y\n11,z\n51,20260101\n101,1\n\
                    201,1,1,1,2,699999901,錠\u{202e}５ｍｇ,1\u{200b}0,錠\n";
        let page = PrescriptionRecord::parse(text.as_bytes()).unwrap().show_ja();
        assert!(page.contains("錠<U+202E>５ｍｇ  1<U+200B>0 錠"), "{page}");
    }
}
