use ledger::{Intention, Receipt};

fn main() {
    let _: Receipt<Intention> = Receipt::issue(todo!(), todo!());
}
