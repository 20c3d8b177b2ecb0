use ledger::{Intention, Receipt};

fn twice(receipt: Receipt<Intention>) -> (Receipt<Intention>, Receipt<Intention>) {
    (receipt.clone(), receipt)
}

fn main() {}
