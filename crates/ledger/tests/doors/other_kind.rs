use ledger::{Intention, Note, Receipt};

fn sign(_: Receipt<Intention>) {}

fn with_a_note(receipt: Receipt<Note>) {
    sign(receipt);
}

fn main() {}
