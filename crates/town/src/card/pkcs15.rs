//! The directory objects of an HPKI card (JAHIS 31, table B; ISO 7816-15): what is on it and where.

use hpki::asn1::{constructed, number, sequence, tag, tlv};

/// A BIT STRING of named bits, trailing zeros cut off (X.690 §11.2.2).
fn flags(set: &[u8]) -> Vec<u8> {
    let last = set.iter().copied().max().unwrap_or(0);
    let mut octets = vec![0; usize::from(last / 8) + 1];
    for bit in set {
        octets[usize::from(bit / 8)] |= 0x80 >> (bit % 8);
    }
    let mut content = vec![7 - last % 8];
    content.extend_from_slice(&octets);
    tlv(tag::BIT_STRING, &content)
}

fn text(text: &str) -> Vec<u8> {
    tlv(tag::UTF8_STRING, text.as_bytes())
}

fn octets(octets: &[u8]) -> Vec<u8> {
    tlv(tag::OCTET_STRING, octets)
}

fn path(path: &[u8]) -> Vec<u8> {
    sequence(&[&octets(path)])
}

/// EF.CIAInfo: version 2, "HPKI Application", authentication required, random numbers.
pub(super) fn info() -> Vec<u8> {
    sequence(&[&number(1), &tlv(tag::context(0), b"HPKI Application"), &flags(&[1, 2])])
}

/// EF.OD: where the three directories are.
pub(super) fn directory(pins: &[u8], keys: &[u8], certificates: &[u8]) -> Vec<u8> {
    let entry = |choice: u8, place: &[u8]| tlv(tag::context_constructed(choice), &path(place));
    [entry(8, pins), entry(0, keys), entry(4, certificates)].concat()
}

/// EF.AOD: the PIN.
pub(super) fn pin(reference: u8, place: &[u8]) -> Vec<u8> {
    let common = sequence(&[&text("PIN")]);
    let class = sequence(&[&octets(&[0x16])]);
    // Case-sensitive, local, initialized; UTF-8; 4 to 16 characters.
    let attributes = sequence(&[
        &flags(&[0, 1, 4]),
        &tlv(tag::ENUMERATED, &[2]),
        &number(4),
        &number(16),
        &number(16),
        &tlv(tag::context(0), &number(u64::from(reference))[2..]),
        &path(place),
    ]);
    let kind = constructed(tag::context_constructed(1), &[&attributes]);
    sequence(&[&common, &class, &kind])
}

/// EF.PrKD: the key; one that asks for the PIN before each signature says so.
pub(super) fn key(each_time: bool, place: &[u8]) -> Vec<u8> {
    let mut common = [text("Private key of HPKI"), flags(&[0]), octets(&[0x16])].concat();
    if each_time {
        common.extend_from_slice(&number(1));
    }
    // sign(2) or nonRepudiation(9)
    let usage = if each_time { flags(&[9]) } else { flags(&[2]) };
    let class = sequence(&[&octets(&[0x17]), &usage]);
    let attributes = sequence(&[&path(place), &number(2048)]);
    let kind = constructed(tag::context_constructed(1), &[&attributes]);
    sequence(&[&tlv(tag::SEQUENCE, &common), &class, &kind])
}

/// One certificate of EF.CD.
pub(super) fn certificate(label: &str, id: u8, authority: bool, place: &[u8]) -> Vec<u8> {
    let mut class = octets(&[id]);
    if authority {
        class.extend_from_slice(&tlv(tag::BOOLEAN, &[0xff]));
    }
    let attributes = sequence(&[&path(place)]);
    let kind = constructed(tag::context_constructed(1), &[&attributes]);
    sequence(&[&sequence(&[&text(label)]), &tlv(tag::SEQUENCE, &class), &kind])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_directory_has_the_octets_of_the_model() {
        assert_eq!(
            hex(&directory(&[0x98], &[0xa0], &[0xa8])),
            "a80530030401 98a00530030401a0a40530030401a8".replace(' ', "")
        );
    }

    #[test]
    fn named_bits_end_with_the_last_one_that_is_set() {
        assert_eq!(hex(&flags(&[2])), "03020520");
        assert_eq!(hex(&flags(&[9])), "0303060040");
        assert_eq!(hex(&flags(&[0, 1, 4])), "030203c8");
    }

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }
}
