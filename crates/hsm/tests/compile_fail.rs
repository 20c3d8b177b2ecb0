//! What must not compile: a second desk, and a loaded key that no desk loaded.

#[test]
fn desks_and_loaded_keys_cannot_be_made_by_hand() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
