//! Names that people give to terminals and phones, and that other people read.

/// The longest name, in characters.
const LONGEST: usize = 64;

/// Visible text of bounded length: nothing that hides, or turns around, what a person reads.
pub(crate) fn is_label(text: &str) -> bool {
    is_visible(text, LONGEST)
}

/// As [`is_label`], of at most so many characters.
pub(crate) fn is_visible(text: &str, longest: usize) -> bool {
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let count = text.chars().count();
    (1..=longest).contains(&count) && !text.chars().any(hides) && text.trim() == text
}
