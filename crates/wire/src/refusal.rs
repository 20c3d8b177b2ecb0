//! The refusal table (拒否の一覧): for every stable code of every room, what happened and what to do
//! next, in Japanese and English, and the HTTP status that goes with it. To reword what a doctor
//! sees, change [`table`].

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod table;

pub use table::REFUSALS;

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    /// The stable code.
    pub code: &'static str,
    /// The HTTP status (4xx).
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

/// The row of this code.
pub fn lookup(code: &str) -> Option<&'static Text> {
    // Rows are sorted by code; a test holds that.
    REFUSALS.binary_search_by(|row| row.code.cmp(code)).ok().map(|at| &REFUSALS[at])
}

/// A problem document (RFC 9457), `application/problem+json`. Japanese first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:azukari:refusal:<code>`, or `urn:azukari:fault`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened, in Japanese.
    pub title: String,
    /// What happened, in English.
    pub title_en: String,
    /// The HTTP status.
    pub status: u16,
    /// What the room said, in English: for the log of the caller's system.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The stable code; `fault` for a fault.
    pub code: String,
    /// What to do next, in Japanese.
    pub advice: String,
    /// What to do next, in English.
    pub advice_en: String,
    /// For a fault: the reference to quote when asking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl Problem {
    /// A refusal with the room's own words.
    ///
    /// A code that the table does not know is still shown, as a bare refusal: losing the advice is
    /// better than losing the answer, and a test keeps the table complete.
    pub fn refused(code: &str, detail: &str) -> Self {
        let row = lookup(code).unwrap_or(&table::UNLISTED);
        Self {
            kind: format!("urn:azukari:refusal:{code}"),
            title: row.title_ja.into(),
            title_en: row.title_en.into(),
            status: row.status,
            detail: detail.into(),
            code: code.into(),
            advice: row.advice_ja.into(),
            advice_en: row.advice_en.into(),
            reference: None,
        }
    }

    /// A fault: nothing inside is shown, only a reference into our log.
    pub fn fault(reference: &str) -> Self {
        Self {
            kind: "urn:azukari:fault".into(),
            title: "処理中に障害が起きました".into(),
            title_en: "Something broke on our side".into(),
            status: 500,
            detail: String::new(),
            code: "fault".into(),
            advice: "同じ依頼番号のまま、しばらくしてもう一度お試しください。続くときは、下の参照番号を\
                     添えて運用窓口へお知らせください。"
                .into(),
            advice_en: "Try again shortly with the same order number. If it persists, tell the \
                        operator the reference below."
                .into(),
            reference: Some(reference.into()),
        }
    }
}
