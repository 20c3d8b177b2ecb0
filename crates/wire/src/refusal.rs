//! The refusal table: each code once, with its HTTP status and, in Japanese and English, what
//! happened and what to do next. The texts are data (`refusals.tsv`).

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a refusal says to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    /// The stable code.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What happened, in Japanese.
    pub title_ja: &'static str,
    /// What to do next, in Japanese.
    pub advice_ja: &'static str,
    /// What happened, in English.
    pub title_en: &'static str,
    /// What to do next, in English.
    pub advice_en: &'static str,
}

static TABLE: LazyLock<Vec<Text>> = LazyLock::new(|| {
    include_str!("refusals.tsv")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .filter_map(row)
        .collect()
});

static BY_CODE: LazyLock<HashMap<&'static str, Text>> =
    LazyLock::new(|| TABLE.iter().map(|text| (text.code, *text)).collect());

fn row(line: &'static str) -> Option<Text> {
    let mut columns = line.split('\t');
    let text = Text {
        code: columns.next()?,
        status: columns.next()?.parse().ok()?,
        title_ja: columns.next()?,
        advice_ja: columns.next()?,
        title_en: columns.next()?,
        advice_en: columns.next()?,
    };
    columns.next().is_none().then_some(text)
}

/// Every refusal, in the order of the table.
pub fn all() -> &'static [Text] {
    &TABLE
}

/// The text of this code.
pub fn lookup(code: &str) -> Option<Text> {
    BY_CODE.get(code).copied()
}

/// A problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:azukari:refusal:<code>` or `urn:azukari:fault`
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened, in Japanese.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The particulars, safe to show.
    pub detail: String,
    /// The stable code; `fault` for a fault.
    pub code: String,
    /// What to do next, in Japanese.
    pub advice: String,
    /// What happened, in English.
    pub title_en: String,
    /// What to do next, in English.
    pub advice_en: String,
    /// For a fault: what to quote to the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl Problem {
    /// The document of a refusal. A code outside the table is shown bare, with status 400.
    pub fn refused(code: &str, detail: &str) -> Self {
        let text = lookup(code);
        let or = |field: fn(&Text) -> &'static str| text.as_ref().map_or(code, field).to_owned();
        Self {
            kind: format!("urn:azukari:refusal:{code}"),
            title: or(|t| t.title_ja),
            status: text.map_or(400, |t| t.status),
            detail: detail.to_owned(),
            code: code.to_owned(),
            advice: or(|t| t.advice_ja),
            title_en: or(|t| t.title_en),
            advice_en: or(|t| t.advice_en),
            reference: None,
        }
    }

    /// The document of a fault: only a reference number goes outside.
    pub fn fault(reference: &str) -> Self {
        Self {
            kind: "urn:azukari:fault".into(),
            title: "こちら側の故障です".into(),
            status: 500,
            detail: String::new(),
            code: "fault".into(),
            advice: "同じ注文番号でもう一度お試しください。続くときは番号を添えて運用者へお知らせください。".into(),
            title_en: "Something broke on our side".into(),
            advice_en: "Try again with the same order number; if it persists, tell the operator the reference.".into(),
            reference: Some(reference.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_the_table_is_a_whole_row_with_its_own_code() {
        let lines = include_str!("refusals.tsv").lines();
        let lines = lines.filter(|line| !line.starts_with('#') && !line.is_empty()).count();
        assert_eq!(all().len(), lines, "a line has too few or too many columns");
        assert_eq!(BY_CODE.len(), lines, "a code stands twice");
        for text in all() {
            assert!((400..=599).contains(&text.status), "{}", text.code);
            let words = [text.title_ja, text.advice_ja, text.title_en, text.advice_en];
            assert!(words.iter().all(|words| !words.trim().is_empty()), "{}", text.code);
            assert!(
                text.advice_ja.ends_with('。') && text.advice_en.ends_with('.'),
                "{}",
                text.code
            );
        }
    }

    #[test]
    fn a_refusal_is_shown_with_its_advice_in_both_languages() {
        let problem = Problem::refused("budget-exhausted", "the count is used up");
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(json["type"], "urn:azukari:refusal:budget-exhausted");
        assert_eq!(json["status"], 403);
        assert!(json["advice_en"].as_str().unwrap().contains("uthenticate"));
        assert!(json["advice"].as_str().unwrap().contains("本人認証"));
        assert!(json.get("reference").is_none());
    }

    #[test]
    fn a_fault_shows_a_reference_and_nothing_else() {
        let problem = Problem::fault("4f2a");
        assert_eq!((problem.status, problem.reference.as_deref()), (500, Some("4f2a")));
        assert!(problem.detail.is_empty());
    }

    #[test]
    fn a_code_outside_the_table_is_still_shown() {
        let problem = Problem::refused("never-heard-of", "why");
        assert_eq!((problem.status, problem.code.as_str()), (400, "never-heard-of"));
    }
}
