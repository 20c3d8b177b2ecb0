// The desk is inside; the only way to it is `sign`.
use custody::Custody;

fn reach(custody: &Custody) {
    let _ = &custody.0;
}

fn main() {}
