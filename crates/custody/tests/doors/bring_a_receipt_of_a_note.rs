// A receipt opens the door to a key only if it is an intention's; and the door is inside.
use ledger::{Note, Receipt};

fn open(receipt: Receipt<Note>) {
    custody::desk::Strongroom::sign(receipt);
}

fn main() {}
