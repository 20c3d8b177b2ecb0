//! GF(256) with the polynomial x⁸ + x⁴ + x³ + x + 1 (FIPS 197 §4.2), without tables or branches:
//! how long it takes says nothing about the octets.

/// The product.
pub(super) const fn times(one: u8, other: u8) -> u8 {
    let (mut product, mut power, mut rest) = (0, one, other);
    let mut bit = 0;
    while bit < 8 {
        product ^= power & (rest & 1).wrapping_neg();
        power = power << 1 ^ 0x1b & (power >> 7).wrapping_neg();
        rest >>= 1;
        bit += 1;
    }
    product
}

/// The inverse, as the 254th power (x²⁵⁵ = 1); of 0 it is 0.
pub(super) const fn inverse(element: u8) -> u8 {
    // 254 = 0b1111_1110: square seven times, multiplying each time but the last.
    let (mut power, mut out) = (element, 1);
    let mut step = 0;
    while step < 7 {
        power = times(power, power);
        out = times(out, power);
        step += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_fips_197_come_out() {
        assert_eq!(times(0x57, 0x13), 0xfe);
        assert_eq!(times(0x57, 0x83), 0xc1);
        assert_eq!(times(0x57, 0x02), 0xae);
    }

    #[test]
    fn it_is_a_field() {
        for a in 0..=255 {
            assert_eq!(times(a, 1), a);
            assert_eq!(times(a, 0), 0);
            assert_eq!(times(a, inverse(a)), u8::from(a != 0));
            for b in 0..=255 {
                assert_eq!(times(a, b), times(b, a));
                for c in [2, 3, 0x53, 0xca, 255] {
                    assert_eq!(times(a, b ^ c), times(a, b) ^ times(a, c));
                    assert_eq!(times(a, times(b, c)), times(times(a, b), c));
                }
            }
        }
    }
}
