use ledger::{Intention, Receipt};

fn sign(_: Receipt<Intention>) {}

fn twice(receipt: Receipt<Intention>) {
    sign(receipt);
    sign(receipt);
}

fn main() {}
