//! What does not compile: the proofs cannot be made, copied or taken apart outside this room.

#[test]
fn the_proofs_cannot_be_made_elsewhere() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/doors/*.rs");
}
