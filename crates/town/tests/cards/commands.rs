//! The cards at the level of commands, as JAHIS 31 and public code for My Number Cards write them.

use crate::people::{digest_info, hpki_card, jpki_card, padded};
use hpki::Certificate;
use hpki::policy::VerifyingKey;
use hpki::sign::SignatureAlgorithm;
use town::card::{AnyCard, Card as _, Layout};

/// Sends a command and splits the answer.
fn ask(card: &mut AnyCard, command: &str) -> (Vec<u8>, u16) {
    let command: Vec<u8> = hex(command);
    send(card, &command)
}

fn send(card: &mut AnyCard, command: &[u8]) -> (Vec<u8>, u16) {
    let answer = card.transmit(command);
    let (data, status) = answer.split_last_chunk::<2>().unwrap();
    (data.to_vec(), u16::from_be_bytes(*status))
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

fn command(head: &str, data: &[u8], tail: &[u8]) -> Vec<u8> {
    let mut octets = hex(head);
    match u8::try_from(data.len()) {
        Ok(length) => octets.push(length),
        Err(_) => octets.extend([0, (data.len() >> 8) as u8, data.len() as u8]),
    }
    octets.extend_from_slice(data);
    octets.extend_from_slice(tail);
    octets
}

fn verifies(certificate: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let certificate = Certificate::from_der(certificate).unwrap();
    let key = VerifyingKey::new(SignatureAlgorithm::RsaSha256, certificate.spki_der()).unwrap();
    key.verify(message, signature).is_ok()
}

const JPKI: &str = "00 A4 04 0C 0A D3 92 F0 00 26 01 00 00 00 01";

#[test]
fn a_my_number_card_authenticates_with_four_digits_and_tells_its_certificate_to_everybody() {
    let mut card = jpki_card().card().unwrap();
    assert_eq!(ask(&mut card, "00 B0 00 00 00").1, 0x6985, "no application is selected");
    assert_eq!(ask(&mut card, JPKI).1, 0x9000);
    assert_eq!(ask(&mut card, "00 A4 02 0C 02 00 0A").1, 0x9000);
    let (certificate, status) = ask(&mut card, "00 B0 00 00 00 00 00");
    assert_eq!(status, 0x9000);
    assert!(!certificate.is_empty());
    ask(&mut card, "00 A4 02 0C 02 00 18");
    assert_eq!(ask(&mut card, "00 20 00 80").1, 0x63c3);
    let info = digest_info(b"challenge");
    ask(&mut card, "00 A4 02 0C 02 00 17");
    assert_eq!(send(&mut card, &command("80 2A 00 80", &info, &[0])).1, 0x6982);
    ask(&mut card, "00 A4 02 0C 02 00 18");
    assert_eq!(send(&mut card, &command("00 20 00 80", b"1234", &[])).1, 0x9000);
    ask(&mut card, "00 A4 02 0C 02 00 17");
    let (signature, status) = send(&mut card, &command("80 2A 00 80", &info, &[0]));
    assert_eq!(status, 0x9000);
    assert!(verifies(&certificate, b"challenge", &signature));
    assert_eq!(send(&mut card, &command("80 2A 00 80", b"anything", &[0])).1, 0x6a80);
    card.reset();
    ask(&mut card, JPKI);
    ask(&mut card, "00 A4 02 0C 02 00 17");
    let again = send(&mut card, &command("80 2A 00 80", &info, &[0])).1;
    assert_eq!(again, 0x6982, "power was taken: the PIN is asked for again");
}

#[test]
fn the_signature_certificate_with_its_address_is_read_after_the_password_only() {
    let mut card = jpki_card().card().unwrap();
    ask(&mut card, JPKI);
    ask(&mut card, "00 A4 02 0C 02 00 01");
    assert_eq!(ask(&mut card, "00 B0 00 00 00").1, 0x6982);
    ask(&mut card, "00 A4 02 0C 02 00 1B");
    assert_eq!(send(&mut card, &command("00 20 00 80", b"TEST0123", &[])).1, 0x9000);
    ask(&mut card, "00 A4 02 0C 02 00 01");
    let (certificate, status) = ask(&mut card, "00 B0 00 00 00 00 00");
    assert_eq!(status, 0x9000);
    let address = "架空県".as_bytes();
    assert!(certificate.windows(address.len()).any(|window| window == address));
}

#[test]
fn three_wrong_digits_block_it_and_a_right_one_between_gives_the_tries_back() {
    let mut kept = jpki_card();
    let mut card = kept.card().unwrap();
    ask(&mut card, JPKI);
    ask(&mut card, "00 A4 02 0C 02 00 18");
    let wrong = command("00 20 00 80", b"9999", &[]);
    assert_eq!(send(&mut card, &wrong).1, 0x63c2);
    assert_eq!(send(&mut card, &wrong).1, 0x63c1);
    assert_eq!(send(&mut card, &command("00 20 00 80", b"1234", &[])).1, 0x9000);
    card.reset();
    ask(&mut card, JPKI);
    ask(&mut card, "00 A4 02 0C 02 00 18");
    for status in [0x63c2, 0x63c1, 0x6983, 0x6983] {
        assert_eq!(send(&mut card, &wrong).1, status);
    }
    assert_eq!(send(&mut card, &command("00 20 00 80", b"1234", &[])).1, 0x6983);
    // The counter is the chip's memory: it outlives power and the way home.
    kept.remember(&card);
    let kept: town::card::Kept =
        serde_json::from_str(&serde_json::to_string(&kept).unwrap()).unwrap();
    let mut card = kept.card().unwrap();
    ask(&mut card, JPKI);
    ask(&mut card, "00 A4 02 0C 02 00 18");
    assert_eq!(ask(&mut card, "00 20 00 80").1, 0x63c0);
}

const SIGNING: &str = "00 A4 04 00 10 E8 28 BD 08 0F A0 00 00 03 91 00 00 00 00 00 01 00";
const AUTHENTICATION: &str = "00 A4 04 00 10 E8 28 BD 08 0F A0 00 00 03 91 00 00 00 00 00 02 00";

#[test]
fn an_hpki_card_signs_a_block_padded_outside_and_asks_for_the_pin_each_time() {
    for (layout, key, pin) in [
        (Layout::Example, "00 22 41 B6 04 81 02 00 17", "00 20 00 96"),
        (Layout::Jma, "00 22 41 B6 04 84 02 00 0C", "00 20 00 88"),
    ] {
        let mut card = hpki_card(layout).card().unwrap();
        let (information, status) = ask(&mut card, SIGNING);
        assert_eq!(status, 0x9000);
        assert_eq!(information[..4], [0x6f, 18, 0x84, 16]);
        let place = if layout == Layout::Example { "00 18" } else { "00 16" };
        assert_eq!(ask(&mut card, &format!("00 A4 02 0C 02 {place}")).1, 0x9000);
        let (certificate, _) = ask(&mut card, "00 B0 00 00 00 00 00");
        assert_eq!(ask(&mut card, key).1, 0x9000);
        let block = padded(b"prescription");
        let sign = command("00 2A 9E 9A", &block, &[0, 0]);
        assert_eq!(send(&mut card, &sign).1, 0x6982);
        let verify = command(pin, b"hpki-1234", &[]);
        assert_eq!(send(&mut card, &verify).1, 0x9000);
        let (signature, status) = send(&mut card, &sign);
        assert_eq!(status, 0x9000);
        assert!(verifies(&certificate, b"prescription", &signature));
        assert_eq!(send(&mut card, &sign).1, 0x6982, "consent for each signature");

        // The same in a chain, where a reader knows no extended length.
        send(&mut card, &verify);
        let (first, last) = block.split_at(200);
        assert_eq!(send(&mut card, &command("10 2A 9E 9A", first, &[])).1, 0x9000);
        assert_eq!(send(&mut card, &command("00 2A 9E 9A", last, &[0])).0, signature);

        // Authentication asks once.
        assert_eq!(ask(&mut card, AUTHENTICATION).1, 0x9000);
        ask(&mut card, key);
        assert_eq!(send(&mut card, &sign).1, 0x6982);
        send(&mut card, &verify);
        assert_eq!(send(&mut card, &sign).1, 0x9000);
        assert_eq!(send(&mut card, &sign).1, 0x9000);
    }
}

#[test]
fn a_partial_name_finds_the_applications_one_after_the_other() {
    let mut card = hpki_card(Layout::Example).card().unwrap();
    let first = ask(&mut card, "00 A4 04 00 05 E8 28 BD 08 0F 00").0;
    let second = ask(&mut card, "00 A4 04 02 05 E8 28 BD 08 0F 00").0;
    assert_eq!((first[19], second[19]), (1, 2));
    assert_eq!(ask(&mut card, "00 A4 04 02 05 E8 28 BD 08 0F 00").1, 0x6a82);
}

#[test]
fn fifteen_wrong_pins_block_one_application_and_not_the_other() {
    let mut card = hpki_card(Layout::Example).card().unwrap();
    ask(&mut card, SIGNING);
    for left in (1..15).rev() {
        assert_eq!(send(&mut card, &command("00 20 00 96", b"wrong", &[])).1, 0x63c0 | left);
    }
    assert_eq!(send(&mut card, &command("00 20 00 96", b"wrong", &[])).1, 0x6983);
    assert_eq!(send(&mut card, &command("00 20 00 96", b"hpki-1234", &[])).1, 0x6983);
    ask(&mut card, AUTHENTICATION);
    assert_eq!(send(&mut card, &command("00 20 00 96", b"hpki-1234", &[])).1, 0x9000);
}

#[test]
fn a_wrong_command_gets_the_status_of_the_standard() {
    let mut card = hpki_card(Layout::Example).card().unwrap();
    ask(&mut card, SIGNING);
    for (command, status) in [
        ("00 A4 02 0C 02 77 77", 0x6a82),
        ("00 A4 04 0C 05 A0 00 00 00 03", 0x6a82),
        ("00 A4", 0x6700),
        ("90 20 00 96", 0x6e00),
    ] {
        assert_eq!(ask(&mut card, command).1, status, "{command}");
    }
    ask(&mut card, SIGNING);
    for (command, status) in [
        ("00 20 00 01", 0x6a88),
        ("00 CA 00 00 00", 0x6d00),
        ("00 B0 00 00 00", 0x6986),
        ("00 B0 9F 00 00", 0x6a82),
        ("00 B0 92 F0 00", 0x6b00),
        ("00 22 41 B6 04 81 02 00 77", 0x6a88),
        ("00 22 41 B6 02 81 00", 0x6a80),
        ("00 2A 9E 9A 00", 0x6985),
    ] {
        assert_eq!(ask(&mut card, command).1, status, "{command}");
    }
}
