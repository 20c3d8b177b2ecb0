//! The house's source of randomness.

use aws_lc_rs::rand;
use hpki::sign::Random;

/// Unpredictable octets from AWS-LC's generator, seeded by the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    /// Fills the buffer.
    ///
    /// # Panics
    /// If the operating system gives no randomness. Nothing that this house does is safe then, and
    /// an identifier or nonce of zeros would be worse than stopping.
    #[expect(clippy::expect_used, reason = "without randomness there is no safe way on")]
    fn fill(&self, buffer: &mut [u8]) {
        rand::fill(buffer).expect("the operating system gives randomness");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        let (mut one, mut two) = ([0; 32], [0; 32]);
        SystemRandom.fill(&mut one);
        SystemRandom.fill(&mut two);
        assert_ne!(one, two);
    }
}
