// A verified token is spent by the request that it came with.
use custody::VerifiedToken;

fn twice(token: VerifiedToken) -> (VerifiedToken, VerifiedToken) {
    (token.clone(), token)
}

fn main() {}
