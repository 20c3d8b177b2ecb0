//! The report for people, in Japanese and in English.

use std::fmt::Write as _;

use hpki::kind::DocumentKind;
use hpki::time::Timestamp;

use crate::{Report, Revocation, SignatureReport, Verdict};

struct Words {
    verdict: fn(Verdict) -> &'static str,
    kind: fn(DocumentKind) -> &'static str,
    document: &'static str,
    unknown_document: &'static str,
    at: &'static str,
    signature: fn(&SignatureReport) -> String,
    person: &'static str,
    /// Behind what only the certificate says.
    claimed: &'static str,
    qualification: &'static str,
    organization: &'static str,
    authority: &'static str,
    time: &'static str,
    level: &'static str,
    /// Behind the level, where the signature claims a higher one.
    level_claimed: fn(&str) -> String,
    revocation: &'static str,
    revocation_text: fn(&Revocation) -> String,
    reason: &'static str,
    japanese: bool,
}

const JA: Words = Words {
    verdict: |verdict| match verdict {
        Verdict::Valid => "有効",
        Verdict::Invalid => "無効",
        Verdict::CannotTell => "判断できません",
    },
    kind: DocumentKind::ja,
    document: "検証結果",
    unknown_document: "不明な文書",
    at: "検証時点",
    signature: |one| {
        let place = if one.nested { "（調剤結果の中）" } else { "" };
        format!("{}の署名{place}", one.kind.ja())
    },
    person: "署名者",
    claimed: "（証明書の記載。確認できていません）",
    qualification: "資格",
    organization: "所属",
    authority: "発行局",
    time: "署名時刻（申告）",
    level: "形式",
    level_claimed: |claimed| format!("（XAdES-{claimed} と記載。確認していません）"),
    revocation: "失効確認",
    revocation_text: |revocation| match revocation {
        Revocation::NotChecked => "していません".to_owned(),
        Revocation::Good { as_of, .. } => format!("失効なし（{} 時点のリスト）", local(as_of)),
        Revocation::Revoked { since, reason } => format!("失効（{}、{reason}）", local(since)),
        Revocation::Unknown => "判断できません".to_owned(),
    },
    reason: "理由",
    japanese: true,
};

const EN: Words = Words {
    verdict: |verdict| match verdict {
        Verdict::Valid => "VALID",
        Verdict::Invalid => "INVALID",
        Verdict::CannotTell => "CANNOT TELL",
    },
    kind: |kind| match kind {
        DocumentKind::Prescription => "electronic prescription",
        DocumentKind::Dispensing => "dispensing result",
        DocumentKind::Referral => "referral letter",
        DocumentKind::Statement => "medical certificate",
    },
    document: "Verdict",
    unknown_document: "unknown document",
    at: "Judged at",
    signature: |one| {
        let of = (EN.kind)(one.kind);
        let place = if one.nested { " (inside the dispensing result)" } else { "" };
        format!("Signature of the {of}{place}")
    },
    person: "Signer",
    claimed: " (as the certificate says; not established)",
    qualification: "Qualification",
    organization: "Institution",
    authority: "Issued by",
    time: "Signing time claimed",
    level: "Form",
    level_claimed: |claimed| format!(" (claims XAdES-{claimed}, not judged)"),
    revocation: "Revocation",
    revocation_text: |revocation| match revocation {
        Revocation::NotChecked => "not checked".to_owned(),
        Revocation::Good { as_of, .. } => format!("not revoked (lists of {})", local(as_of)),
        Revocation::Revoked { since, reason } => format!("revoked ({}, {reason})", local(since)),
        Revocation::Unknown => "cannot tell".to_owned(),
    },
    reason: "Reason",
    japanese: false,
};

/// A time for people, in Japan Standard Time.
fn local(rfc3339: &str) -> String {
    Timestamp::parse(rfc3339).map_or_else(|| rfc3339.to_owned(), Timestamp::jst_text)
}

impl Report {
    /// The report in Japanese.
    pub fn show_ja(&self) -> String {
        self.show(&JA)
    }

    /// The report in English.
    pub fn show_en(&self) -> String {
        self.show(&EN)
    }

    // Writing to a String cannot fail, so the results are dropped.
    fn show(&self, words: &Words) -> String {
        let mut out = String::new();
        let kind = self.kind.map_or(words.unknown_document, words.kind);
        let _ = writeln!(out, "{}: {} — {kind}", words.document, (words.verdict)(self.verdict));
        let _ = writeln!(out, "{}: {}", words.at, local(&self.at));
        if let Some(reason) = &self.refusal {
            let text = if words.japanese { &reason.message_ja } else { &reason.message };
            let _ = writeln!(out, "{}: {} [{}]", words.reason, plain(text), reason.code);
        }
        for one in &self.signatures {
            one.show(words, &mut out);
        }
        out
    }
}

impl SignatureReport {
    fn show(&self, words: &Words, out: &mut String) {
        let _ = writeln!(out, "\n{}: {}", (words.signature)(self), (words.verdict)(self.verdict));
        let mut line = |label: &str, text: &str| {
            let _ = writeln!(out, "  {label}: {}", plain(text));
        };
        if let Some(reason) = &self.refusal {
            let text = if words.japanese { &reason.message_ja } else { &reason.message };
            line(words.reason, &format!("{text} [{}]", reason.code));
        }
        if let Some(person) = &self.person {
            let serial = person.serial.as_deref().unwrap_or("-");
            let claimed = if self.verdict == Verdict::Valid { "" } else { words.claimed };
            let name = match &person.name_ja {
                Some(ja) => format!("{ja} / {}", person.name),
                None => person.name.clone(),
            };
            line(words.person, &format!("{name} [{serial}]{claimed}"));
            if let Some(organization) = &person.organization {
                line(words.organization, organization);
            }
        }
        if let Some(qualification) = &self.qualification {
            let text = if words.japanese { qualification.ja } else { qualification.role };
            line(words.qualification, text);
        }
        if let Some(authority) = &self.authority {
            line(words.authority, authority);
        }
        if let Some(time) = &self.signing_time_claimed {
            line(words.time, &local(time));
        }
        if let Some(level) = self.level {
            let claimed = self.level_claimed.map(words.level_claimed).unwrap_or_default();
            line(words.level, &format!("XAdES-{level}{claimed}"));
        }
        if self.person.is_some() {
            line(words.revocation, &(words.revocation_text)(&self.revocation));
        }
    }
}

/// Names come from certificates; none of them may move the cursor, or the lines, of the reader.
fn plain(text: &str) -> String {
    text.chars().map(|c| if is_harmless(c) { c } else { '\u{fffd}' }).collect()
}

fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
