//! How every room says no.
//!
//! A *refusal* means that the rules say no and someone can act: it has a stable code, which the
//! refusal table of `wire` pairs with advice in Japanese and English. A *fault* means that we or a
//! device broke: outside it is only a reference number.

/// A refusal that can be shown: its code never changes once published.
pub trait Refuse: std::error::Error {
    /// The stable code, lower-case words joined by hyphens, e.g. `budget-exhausted`.
    fn code(&self) -> &'static str;
}
