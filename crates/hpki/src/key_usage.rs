//! What a key may be used for.

use std::fmt;

use crate::asn1::{self, Malformed, tag};

/// keyUsage (RFC 5280 §4.2.1.3): bit n of the standard is bit n here.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyUsage(u16);

impl KeyUsage {
    /// digitalSignature
    pub const DIGITAL_SIGNATURE: Self = Self(1);
    /// nonRepudiation (contentCommitment)
    pub const NON_REPUDIATION: Self = Self(1 << 1);
    /// keyCertSign
    pub const KEY_CERT_SIGN: Self = Self(1 << 5);
    /// cRLSign
    pub const CRL_SIGN: Self = Self(1 << 6);

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// These bits and those of `other`.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The value of the extension: a BIT STRING without trailing zero bits.
    pub fn der(self) -> Vec<u8> {
        let reversed = self.0.reverse_bits();
        let unused = if self.0 == 0 { 0 } else { reversed.trailing_zeros() };
        if unused >= 8 {
            asn1::tlv(tag::BIT_STRING, &[(unused - 8) as u8, (reversed >> 8) as u8])
        } else {
            asn1::tlv(tag::BIT_STRING, &[unused as u8, (reversed >> 8) as u8, reversed as u8])
        }
    }

    /// Reads the extension's value; one without any bit is malformed.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, Malformed> {
        let (octets, _) = asn1::only(der, tag::BIT_STRING)?.bits()?;
        match octets {
            [] | [0] | [0, 0] => Err(Malformed("empty key usage")),
            [one] => Ok(Self((u16::from(*one) << 8).reverse_bits())),
            [one, two] => Ok(Self(u16::from_be_bytes([*one, *two]).reverse_bits())),
            _ => Err(Malformed("key usage")),
        }
    }
}

impl fmt::Display for KeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 9] = [
            "digitalSignature",
            "nonRepudiation",
            "keyEncipherment",
            "dataEncipherment",
            "keyAgreement",
            "keyCertSign",
            "cRLSign",
            "encipherOnly",
            "decipherOnly",
        ];
        let set = NAMES.iter().enumerate().filter(|(bit, _)| self.0 & (1 << bit) != 0);
        f.write_str(&set.map(|(_, name)| *name).collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Debug for KeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyUsage({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_usage_bits_are_those_of_real_certificates() {
        assert_eq!(KeyUsage::NON_REPUDIATION.der(), [0x03, 0x02, 0x06, 0x40]);
        let authority = KeyUsage::KEY_CERT_SIGN.and(KeyUsage::CRL_SIGN);
        assert_eq!(authority.der(), [0x03, 0x02, 0x01, 0x06]);
        assert_eq!(KeyUsage::from_der(&authority.der()), Ok(authority));
        assert_eq!(authority.to_string(), "keyCertSign, cRLSign");
        assert_eq!(KeyUsage(1 << 8).der(), [0x03, 0x03, 0x07, 0x00, 0x80]);
        assert_eq!(KeyUsage::from_der(&[0x03, 0x03, 0x07, 0x00, 0x80]), Ok(KeyUsage(1 << 8)));
    }
}
