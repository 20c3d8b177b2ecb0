//! What must not compile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[test]
fn a_receipt_cannot_be_forged_copied_or_made_for_a_kind_of_ones_own() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/doors/*.rs");
}
