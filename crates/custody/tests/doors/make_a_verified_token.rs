// A verified token comes from checking one, never from its parts.
use custody::VerifiedToken;

fn main() {
    let _ = VerifiedToken { x5t: [0; 32] };
}
