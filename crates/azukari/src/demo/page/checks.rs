//! What the page reads off a signed document by itself: what went into the key device, a document
//! with one character changed, and what a verification looked at.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prescription::PrescriptionRecord;
use prescription::document::Parsed;
use verifier::Report;

use super::travel::Sealed;
use crate::pages::demo::{Place, Text, Travel};

/// The value that the key device signed and the signature it gave, by the document's own octets.
pub(super) fn sealed(document: &[u8]) -> Option<Sealed> {
    let kind = Parsed::parse(document).ok()?.kind;
    let document = xades::parse(document).ok()?;
    let signature = xades::signature::find(&document, kind).ok()?;
    let verified = xades::signature::verify(&document, &signature).ok()?;
    Some(Sealed { dtbsr: verified.dtbsr, value: verified.value })
}

/// The document with the amount of the first drug changed by one digit, and that in words.
pub(super) fn tampered(document: &[u8]) -> Option<(Vec<u8>, Text)> {
    let csv = Parsed::parse(document).ok()?.prescription_csv?;
    let record = PrescriptionRecord::parse(&csv).ok()?;
    let groups = record.groups();
    let drug = groups.iter().flat_map(|group| &group.drugs).next()?;
    let (line, name, amount) = (drug.line, drug.name.to_owned(), drug.amount.to_owned());
    let digit = amount.chars().next()?;
    let other = if digit == '9' { '1' } else { '9' };
    let changed_amount = amount.replacen(digit, &other.to_string(), 1);
    let text = std::str::from_utf8(&csv).ok()?;
    let amounts = std::collections::BTreeMap::from([(line, changed_amount.clone())]);
    let changed = crate::pages::demo::with_amounts(text, &amounts);
    let (before, after) = (STANDARD.encode(&csv), STANDARD.encode(&changed));
    let document = std::str::from_utf8(document).ok()?;
    if changed == text || !document.contains(&before) {
        return None;
    }
    let change = Text::new(
        format!("処方された「{name}」の数量 {amount} → {changed_amount}"),
        format!("the prescribed amount of “{name}”, {amount} → {changed_amount}"),
    );
    Some((document.replacen(&before, &after, 1).into_bytes(), change))
}

/// What the verifier had before it, and what it said.
pub(super) fn travelled(document: &[u8], report: &Report, tampered: bool) -> Vec<Travel> {
    let text = String::from_utf8_lossy(document).into_owned();
    let told = serde_json::to_string_pretty(report).unwrap_or_default();
    vec![
        Travel {
            from: Place::Service,
            to: Place::Verifier,
            label: if tampered {
                Text::new("書き換えられた文書", "the changed document")
            } else {
                Text::new("調剤結果（署名二つ）", "result, two signatures")
            },
            content_type: "application/xml".into(),
            size: document.len() as u64,
            content: text,
        },
        Travel {
            from: Place::Verifier,
            to: Place::Verifier,
            label: Text::new("検証結果", "the verifier's report"),
            content_type: "application/json".into(),
            size: told.len() as u64,
            content: told,
        },
    ]
}
