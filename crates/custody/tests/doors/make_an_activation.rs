// An activation is made behind the last door only.
use custody::activation::Activation;

fn main() {
    let _: Option<Activation> = None;
}
