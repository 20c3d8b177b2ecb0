use std::marker::PhantomData;

use ledger::{Intention, Receipt};

fn main() {
    let _: Receipt<Intention> = Receipt { appended: todo!(), sealed: todo!(), kind: PhantomData, _in_hand: todo!() };
}
