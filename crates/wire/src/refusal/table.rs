//! The rows.

use super::Text;

/// Shown for a code that the table does not have.
pub(super) static UNLISTED: Text = Text {
    code: "",
    status: 400,
    title_ja: "お受けできません",
    advice_ja: "表示されたコードを添えて運用窓口へお問い合わせください。",
    title_en: "This cannot be done",
    advice_en: "Please tell the operator the code shown.",
};

/// Every refusal of the house, sorted by code.
pub static REFUSALS: &[Text] = &[];
