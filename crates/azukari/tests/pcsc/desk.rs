//! The town's page and terminals with real readers.

use serde_json::json;

use crate::readers::*;
use crate::support::judge;
use crate::town::HOSPITAL;
use crate::walked::walk;

#[test]
fn opensc_sees_what_the_page_puts_into_a_reader_and_each_reader_holds_one_card() {
    let place = Place::open("pcsc-page", &[]);
    let (_, state) = place.page("/demo/state", None);
    assert_eq!(state["readers"][0]["card"], HERS);
    assert_eq!(place.town.demo["cards"].as_array().unwrap().len(), 4);
    let put = |card: &str, reader: u8| {
        place.page("/demo/cards/insert", Some(json!({ "card": card, "reader": reader })))
    };
    for (card, reader, status, code) in [
        (HER_NUMBER, 0, 409, "demo-reader-full"),
        (HERS, 0, 409, "demo-reader-full"),
        ("hpki-nobody", 0, 404, "demo-nothing-here"),
        (HER_NUMBER, 2, 404, "demo-nothing-here"),
    ] {
        let (found, problem) = put(card, reader);
        assert_eq!((found, problem["code"].as_str().unwrap()), (status, code), "{card} {reader}");
    }
    place.remove(HIS);
    place.insert(HER_NUMBER, 1);
    let dump = judge("pkcs15-tool", &["--reader", SECOND, "-D"]).text();
    for text in ["JPKI", "User Authentication PIN", "Tries left     : 3"] {
        assert!(dump.contains(text), "{text}: {dump}");
    }
    // The town's responder answers openssl, by the books.
    let cards = place.town.out.join("town/cards");
    let (card, authority) = (cards.join("card.pem"), cards.join("jpki-auth-ca.pem"));
    let file = card.to_str().unwrap();
    let read =
        judge("pkcs15-tool", &["--reader", SECOND, "--read-certificate", "01", "--output", file]);
    assert!(read.well(), "{read:?}");
    let config = std::fs::read_to_string(place.town.out.join("town/platform.toml")).unwrap();
    let (_, url) = config.split_once("ocsp = \"").unwrap();
    let (url, _) = url.split_once('"').unwrap();
    let authority = authority.to_str().unwrap();
    let asked = ["ocsp", "-issuer", authority, "-cert", file, "-url", url, "-CAfile", authority];
    let judged = judge("openssl", &asked).text();
    assert!(judged.contains("Response verify OK") && judged.contains("card.pem: good"), "{judged}");
    assert!(!judged.contains("WARNING"), "the nonce came back: {judged}");
    place.remove(HER_NUMBER);
}

#[test]
fn a_gateway_of_its_own_reads_the_reader_at_its_desk_and_no_other() {
    let place = Place::open("pcsc-separate", &["--separate"]);
    let at = |code: &str| {
        let key = std::fs::read_to_string(place.town.out.join(format!("town/ehr-{code}.key")));
        let config =
            std::fs::read_to_string(place.town.out.join(format!("town/gateway-{code}.toml")));
        let config = config.unwrap();
        let (_, listen) = config.split_once("listen = \"").unwrap();
        let (listen, _) = listen.split_once('"').unwrap();
        let key = format!("Authorization: Bearer {}", key.unwrap().trim());
        let url = format!("http://{listen}/v1/cards");
        judge("curl", &["-sS", "-H", &key, &url]).json()
    };
    let slots = at(HOSPITAL);
    assert_eq!(slots.as_array().unwrap().len(), 1, "{slots}");
    assert_eq!(slots[0]["reader"], FIRST);
    assert_eq!(slots[0]["uses"][0]["holder"], "Hanako Kakuu");
    place.remove(HERS);
    let slots = at(HOSPITAL);
    assert!(slots[0]["uses"].as_array().unwrap().is_empty(), "{slots}");
}

#[test]
fn a_my_number_card_authenticates_at_the_terminal() {
    let place = Place::open("pcsc-terminal", &[]);
    place.remove(HIS);
    place.insert(HER_NUMBER, 1);
    // Beside a phone no card adds a means, so she has lost hers.
    let link = || place.prove(&["link-jpki"], "hpki-1234\n1234\n");
    assert!(link().text().contains("phone-needed"));
    assert!(place.prove(&["loss"], "hpki-1234\n").well());
    let linked = link();
    assert!(linked.well(), "{linked:?}");
    let issued = hpki::time::Timestamp::from_seconds(1_790_000_000);
    let csv =
        ::town::ehr::prescription_csv(&::town::people::HANAKO, &::town::people::HOSPITAL, issued);
    std::fs::write(place.town.out.join("prescription.csv"), csv).unwrap();
    walk(&place.town, "reader");
    assert_eq!(place.tries(HER_NUMBER), [5, 3]);
}

#[test]
fn a_phone_links_the_card_in_a_reader_and_cards_approve_logins_elsewhere() {
    let place = Place::open("pcsc-proofs", &["--newcomers"]);
    place.remove(HIS);
    place.insert(HER_NUMBER, 1);
    walk(&place.town, "proofs");
    assert_eq!((place.tries(HERS), place.tries(HER_NUMBER)), ([15, 15], [5, 3]));
}
