//! The report for people, in Japanese and in English.

use std::fmt::Write as _;

use approval::Means;

use super::{ActivationReport, Judgement};
use crate::report::{Revocation, Verdict};

fn plain(text: &str) -> String {
    // What a bundle says must not steer the terminal that shows it.
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().map(|c| if hides(c) { '�' } else { c }).collect()
}

const fn means_ja(means: Means) -> &'static str {
    match means {
        Means::Phone => "スマートフォン",
        Means::Hpki => "HPKIカード",
        Means::Jpki => "マイナンバーカード",
    }
}

const fn means_en(means: Means) -> &'static str {
    match means {
        Means::Phone => "phone",
        Means::Hpki => "HPKI card",
        Means::Jpki => "My Number Card",
    }
}

impl ActivationReport {
    /// In Japanese.
    pub fn show_ja(&self) -> String {
        let verdict = |verdict| match verdict {
            Verdict::Valid => "有効",
            Verdict::Invalid => "無効",
            Verdict::CannotTell => "判断できません",
        };
        let judged = |one: &Judgement| match &one.refusal {
            Some(reason) => {
                format!("{} – {}（{}）", verdict(one.verdict), reason.message_ja, reason.code)
            }
            None => verdict(one.verdict).to_owned(),
        };
        let mut text = format!("承認の検証: {}\n", verdict(self.verdict));
        let _ = writeln!(text, "  本人がこの署名を承認したか: {}", judged(&self.approved));
        let _ = writeln!(text, "  その時に効力があったか: {}", judged(&self.in_force));
        if let Some(facts) = &self.facts {
            let name = facts.name_ja.as_deref().unwrap_or(&facts.name);
            let _ = writeln!(
                text,
                "  文書: {}（一度に承認した {} 件の {} 件目、確認コード {}）",
                facts.kind.ja(),
                facts.count,
                facts.place,
                facts.short_code
            );
            let _ = writeln!(text, "  署名者: {}", plain(name));
            let _ = writeln!(text, "  承認の手段: {}", means_ja(facts.means));
            let _ = writeln!(
                text,
                "  場所: {}（{}）{}",
                plain(&facts.facility_name),
                facts.facility,
                plain(&facts.terminal)
            );
            if let (Some(signed), Some(index)) = (&facts.signed, facts.index) {
                let _ = writeln!(text, "  署名記録: {index} 番、{signed}");
            }
            let _ = writeln!(text, "  署名対象のハッシュ: {}", facts.dtbsr);
        }
        let _ = write!(
            text,
            "  失効確認: {}",
            match &self.revocation {
                Revocation::NotChecked => "していません".to_owned(),
                Revocation::Good { as_of, .. } => format!("失効なし（{as_of} 時点のリスト）"),
                Revocation::Revoked { since, reason } => format!("失効（{since}、{reason}）"),
                Revocation::Unknown => "判断できません".to_owned(),
            }
        );
        text
    }

    /// In English.
    pub fn show_en(&self) -> String {
        let verdict = |verdict| match verdict {
            Verdict::Valid => "VALID",
            Verdict::Invalid => "INVALID",
            Verdict::CannotTell => "CANNOT TELL",
        };
        let judged = |one: &Judgement| match &one.refusal {
            Some(reason) => {
                format!("{} – {} ({})", verdict(one.verdict), plain(&reason.message), reason.code)
            }
            None => verdict(one.verdict).to_owned(),
        };
        let mut text = format!("Approval: {}\n", verdict(self.verdict));
        let _ = writeln!(text, "  approved by the owner: {}", judged(&self.approved));
        let _ = writeln!(text, "  in force then: {}", judged(&self.in_force));
        if let Some(facts) = &self.facts {
            let _ = writeln!(
                text,
                "  document: {} ({} of {} approved at once, code {})",
                facts.kind, facts.place, facts.count, facts.short_code
            );
            let _ = writeln!(text, "  signer: {}", plain(&facts.name));
            let _ = writeln!(text, "  approved by: {}", means_en(facts.means));
            let _ = writeln!(
                text,
                "  place: {} ({}) {}",
                plain(&facts.facility_name),
                facts.facility,
                plain(&facts.terminal)
            );
            if let (Some(signed), Some(index)) = (&facts.signed, facts.index) {
                let _ = writeln!(text, "  journal: entry {index}, {signed}");
            }
            let _ = writeln!(text, "  hash of what was signed: {}", facts.dtbsr);
        }
        let _ = write!(
            text,
            "  revocation: {}",
            match &self.revocation {
                Revocation::NotChecked => "not checked".to_owned(),
                Revocation::Good { as_of, .. } => format!("not revoked (lists of {as_of})"),
                Revocation::Revoked { since, reason } => format!("revoked ({since}, {reason})"),
                Revocation::Unknown => "cannot tell".to_owned(),
            }
        );
        text
    }
}
