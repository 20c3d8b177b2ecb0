//! Public keys as DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), out of what a device tells.

/// RSA (RFC 3279 §2.3.1) from modulus and public exponent, both big endian.
pub(crate) fn rsa(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = wrap(0x30, &[integer(modulus), integer(exponent)].concat());
    // rsaEncryption with its NULL.
    const ALGORITHM: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    info(ALGORITHM, &key)
}

/// A point of P-256 (RFC 5480): `04 ‖ x ‖ y`.
pub(crate) fn p256(point: &[u8; 65]) -> Vec<u8> {
    // id-ecPublicKey on prime256v1.
    const ALGORITHM: &[u8] =
        b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
    info(ALGORITHM, point)
}

/// Ed25519 (RFC 8410).
pub(crate) fn ed25519(point: &[u8; 32]) -> Vec<u8> {
    info(b"\x30\x05\x06\x03\x2b\x65\x70", point)
}

fn info(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let bits = [&[0], key].concat();
    wrap(0x30, &[algorithm, &wrap(0x03, &bits)].concat())
}

/// A non-negative INTEGER in the fewest octets.
fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|&&octet| octet == 0).count();
    let digits = &number[zeros.min(number.len().saturating_sub(1))..];
    let sign: &[u8] =
        if digits.first().is_some_and(|octet| octet & 0x80 != 0) { &[0] } else { &[] };
    wrap(0x02, &[sign, digits].concat())
}

fn wrap(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    let zeros = length.iter().take_while(|&&octet| octet == 0).count();
    match body.len() {
        0..=127 => out.push(length[3]),
        _ => {
            out.push(0x80 | u8::try_from(4 - zeros).unwrap_or(4));
            out.extend_from_slice(&length[zeros..]);
        }
    }
    out.extend_from_slice(body);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keypair::Pair;
    use hpki::sign::SignatureAlgorithm;

    #[test]
    fn what_is_put_together_is_what_aws_lc_writes() {
        let pair = Pair::generate(SignatureAlgorithm::EcdsaP256Sha256).unwrap();
        let spki = pair.spki().unwrap();
        assert_eq!(p256(spki.last_chunk().unwrap()), spki);
        let pair = Pair::generate(SignatureAlgorithm::Ed25519).unwrap();
        let spki = pair.spki().unwrap();
        assert_eq!(ed25519(spki.last_chunk().unwrap()), spki);
        let pair = Pair::generate(SignatureAlgorithm::RsaSha256).unwrap();
        let spki = pair.spki().unwrap();
        // …, INTEGER of 257 octets with its sign octet, INTEGER 65537.
        let modulus = &spki[spki.len() - 5 - 256..spki.len() - 5];
        assert_eq!(rsa(modulus, &[1, 0, 1]), spki);
        assert_eq!(rsa(&[&[0, 0], modulus].concat(), &[0, 1, 0, 1]), spki);
    }
}
