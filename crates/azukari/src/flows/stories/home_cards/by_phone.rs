//! A My Number Card in the reader of some computer is linked by its holder's phone.

use hpki::id::KeyId;
use wire::{CardLinkBeginAnswer, CardLinkStateAnswer, CeremonyStep};

use super::*;
use crate::demo::walk::{Claimed, approve, claim, refuse};

async fn begin(way: &Client, card: &MadeCard) -> Result<CardLinkBeginAnswer, StepFailed> {
    let body = json!({"certificate": Base64(card.certificate.clone())});
    call(way, "POST", wire::path::CARD_LINK_BEGIN, None, Some(&body)).await
}

async fn asked_of(
    way: &Client,
    begun: &CardLinkBeginAnswer,
) -> Result<CardLinkStateAnswer, StepFailed> {
    let body = json!({"linking": begun.linking, "secret": begun.secret});
    call(way, "POST", wire::path::CARD_LINK_STATE, None, Some(&body)).await
}

async fn state_of(way: &Client, begun: &CardLinkBeginAnswer) -> CardLinkStateAnswer {
    asked_of(way, begun).await.unwrap()
}

/// The computer hands the digits in, and what this card signed.
async fn finish(
    way: &Client,
    begun: &CardLinkBeginAnswer,
    number: &str,
    card: &MadeCard,
) -> Result<DoneAnswer, StepFailed> {
    let challenge = asked_of(way, begun).await.ok().and_then(|state| state.challenge);
    let challenge = challenge.map_or_else(|| vec![0; 32], |challenge| challenge.0);
    let signature = Base64(card.authentication.sign(&challenge).unwrap());
    let body = json!({"linking": begun.linking, "secret": begun.secret, "number": number,
        "signature": signature});
    call(way, "POST", wire::path::CARD_LINK_FINISH, None, Some(&body)).await
}

/// From the QR code to the digits on the phone.
async fn scanned(
    way: &Client,
    resident: &mut Resident,
    begun: &CardLinkBeginAnswer,
) -> Result<(Claimed, String), StepFailed> {
    let claimed = claim(way, &resident.phone, &begun.qr).await?;
    let number = approve(way, &mut resident.phone, &claimed).await?.unwrap();
    Ok((claimed, number))
}

async fn linked_now(nation: &Nation, key: KeyId) -> bool {
    nation.house.platform().authn.linked_card(key).await.unwrap().is_some()
}

fn other_digits(number: &str) -> &'static str {
    if number == "000" { "001" } else { "000" }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn her_phone_links_the_card_in_a_computers_reader() {
    let nation = Nation::found().await;
    let house = &nation.house;
    let mut hanako = house.resident(&HANAKO).await;
    let (way, card) = (nation.home(), nation.my_number(&HANAKO));
    let begun = begin(&way, &card).await.unwrap();
    assert_eq!(state_of(&way, &begun).await.state, CeremonyStep::Waiting);
    let claimed = claim(&way, &hanako.phone, &begun.qr).await.unwrap();
    assert_eq!(claimed.kind, "link-card");

    // Both show one statement: the same eight characters come of it.
    let seen = state_of(&way, &begun).await;
    assert_eq!(seen.state, CeremonyStep::Claimed);
    let statement: approval::Statement = serde_json::from_value(seen.statement.unwrap()).unwrap();
    let on_phone: approval::LinkCardStatement =
        serde_json::from_value(claimed.statement.clone()).unwrap();
    assert_eq!(statement.challenge(), on_phone.challenge());
    assert_eq!(on_phone.card, card_commitment(&card.certificate));
    let number = approve(&way, &mut hanako.phone, &claimed).await.unwrap().unwrap();
    assert_eq!(state_of(&way, &begun).await.state, CeremonyStep::Number);
    assert!(!linked_now(&nation, hanako.citizen.key).await, "the card has not signed yet");
    assert!(house.entries(Event::CardLinked).await.is_empty());

    assert_eq!(code(finish(&way, &begun, other_digits(&number), &card).await), "number-wrong");
    finish(&way, &begun, &number, &card).await.unwrap();
    let token = morning(&house.at(&SANDBOX), "jpki", &card).await.unwrap();
    assert_eq!((token.means.as_str(), token.key), ("jpki", hanako.citizen.key));
    send(&house.at(&SANDBOX), &token.token, &some_order()).await.unwrap();
    let linked = house.entries(Event::CardLinked).await;
    assert_eq!(linked.len(), 2, "authentication's entry and custody's");
    let notices = house.platform().authn.notices(hanako.citizen.key).await.unwrap();
    assert!(notices.iter().any(|notice| notice.kind == authn::NoticeKind::CardLinked));
    // Each is taken once.
    assert_eq!(code(finish(&way, &begun, &number, &card).await), "ceremony-unknown");

    // A renewed card takes the place of the former, by the same way.
    let renewed = nation.my_number(&HANAKO);
    let begun = begin(&way, &renewed).await.unwrap();
    let (_, number) = scanned(&way, &mut hanako, &begun).await.unwrap();
    finish(&way, &begun, &number, &renewed).await.unwrap();
    let over = send(&house.at(&SANDBOX), &token.token, &some_order()).await;
    assert_eq!(code(over), "token-ended");
    assert_eq!(code(morning(&house.at(&SANDBOX), "jpki", &card).await), "card-not-linked");
    morning(&house.at(&SANDBOX), "jpki", &renewed).await.unwrap();
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_wrong_linking_by_phone_has_its_own_refusal_and_links_nothing() {
    let nation = Nation::found().await;
    let house = &nation.house;
    let mut hanako = house.resident(&HANAKO).await;
    let mut jiro = house.resident(&JIRO).await;
    let (way, card) = (nation.home(), nation.my_number(&HANAKO));

    // A card of another authority; somebody who guesses the QR code or the program's secret.
    let elsewhere = Jpki::found(now(), &hsm::SystemRandom).unwrap();
    let foreign = made::my_number(&elsewhere, &HANAKO);
    assert_eq!(code(begin(&way, &foreign).await), "card-issuer-unknown");
    let mut begun = begin(&way, &card).await.unwrap();
    let guessed = begun.qr.rsplit_once('.').unwrap().0.to_owned() + ".AAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(code(claim(&way, &hanako.phone, &guessed).await), "ceremony-unknown");
    assert_eq!(code(finish(&way, &begun, "123", &card).await), "ceremony-out-of-step");
    let secret = std::mem::replace(&mut begun.secret, "AAAAAAAAAAAAAAAAAAAAAA".into());
    let body = json!({"linking": begun.linking, "secret": begun.secret});
    let stranger =
        call::<CardLinkStateAnswer>(&way, "POST", wire::path::CARD_LINK_STATE, None, Some(&body));
    assert_eq!(code(stranger.await), "ceremony-unknown");
    begun.secret = secret;

    // A second phone, and her no.
    claim(&way, &hanako.phone, &begun.qr).await.unwrap();
    assert_eq!(code(claim(&way, &jiro.phone, &begun.qr).await), "qr-already-used");
    refuse(&way, &hanako.phone, &begun.qr).await.unwrap();
    assert_eq!(state_of(&way, &begun).await.state, CeremonyStep::Refused);
    assert_eq!(code(finish(&way, &begun, "123", &card).await), "ceremony-refused");

    // Digits that nobody carried over, three times.
    let begun = begin(&way, &card).await.unwrap();
    let (_, number) = scanned(&way, &mut hanako, &begun).await.unwrap();
    for expected in ["number-wrong", "number-wrong", "place-not-confirmed", "ceremony-refused"] {
        assert_eq!(code(finish(&way, &begun, other_digits(&number), &card).await), expected);
    }
    // Another card has signed for this one.
    let begun = begin(&way, &card).await.unwrap();
    let (_, number) = scanned(&way, &mut hanako, &begun).await.unwrap();
    let other = nation.my_number(&JIRO);
    assert_eq!(code(finish(&way, &begun, &number, &other).await), "card-signature-wrong");
    // A card that is revoked between the two proofs.
    let begun = begin(&way, &card).await.unwrap();
    let (_, number) = scanned(&way, &mut hanako, &begun).await.unwrap();
    nation.publish(&[&card], now());
    flows::card_status::refresh(house.platform()).await;
    assert_eq!(code(finish(&way, &begun, &number, &card).await), "card-revoked");
    assert_eq!(code(begin(&way, &card).await), "card-revoked");
    nation.publish(&[], now());
    flows::card_status::refresh(house.platform()).await;

    // A stopped key is linked to nothing.
    act(&way, "hpki", &nation.hpki(&HANAKO).await, "stop").await.unwrap();
    let begun = begin(&way, &card).await.unwrap();
    assert_eq!(code(claim(&way, &hanako.phone, &begun.qr).await), "key-suspended");
    assert!(!linked_now(&nation, hanako.citizen.key).await);
    assert!(house.entries(Event::CardLinked).await.is_empty());

    // One card, one person: his phone links it first, then it is nobody else's.
    let first = begin(&way, &other).await.unwrap();
    let (_, number) = scanned(&way, &mut jiro, &first).await.unwrap();
    let void = begin(&way, &other).await.unwrap();
    let second = begin(&way, &other).await.unwrap();
    // Of those that no phone has scanned the last counts.
    assert_eq!(code(claim(&way, &jiro.phone, &void.qr).await), "ceremony-unknown");
    let (_, again) = scanned(&way, &mut jiro, &second).await.unwrap();
    finish(&way, &first, &number, &other).await.unwrap();
    assert_eq!(code(begin(&way, &other).await), "card-already-linked");
    assert_eq!(code(finish(&way, &second, &again, &other).await), "card-already-linked");
    house.in_order().await;
}

/// The same where custody is told later: what it is told waits.
async fn finish_undelivered(
    nation: &Nation,
    begun: &CardLinkBeginAnswer,
    number: &str,
    card: &MadeCard,
) {
    let challenge = state_of(&nation.home(), begun).await.challenge.unwrap().0;
    let signature = card.authentication.sign(&challenge).unwrap();
    let (id, authn) = (begun.linking.parse().unwrap(), &nation.house.platform().authn);
    authn.finish_card_link(id, &begun.secret, number, signature, now()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linking_that_custody_refuses_ends_no_card_that_was_linked_in_its_place() {
    let nation = Nation::found().await;
    let house = &nation.house;
    let mut hanako = house.resident(&HANAKO).await;
    let (way, key) = (nation.home(), hanako.citizen.key);
    let (first, second) = (nation.my_number(&HANAKO), nation.my_number(&HANAKO));
    let begun = begin(&way, &first).await.unwrap();
    let (_, number) = scanned(&way, &mut hanako, &begun).await.unwrap();
    finish_undelivered(&nation, &begun, &number, &first).await;
    // What waits is of a platform that custody does not know: it will never believe it.
    let ledger = &house.platform().ledger;
    let message = ledger.undelivered().await.unwrap().remove(0);
    ledger.delivered(message.id).await.unwrap();
    let said: Value = serde_json::from_str(&message.payload).unwrap();
    let issuer = said["approval"]["statement"]["issuer"].as_str().unwrap();
    let strange = message.payload.replacen(issuer, "https://elsewhere.test", 1);
    assert_ne!(strange, message.payload);
    let strange = move |tx: &mut ledger::Tx<'_>| {
        Ok::<_, ledger::Failed<custody::Refusal>>(tx.outbox(&message.topic, Some(key), &strange)?)
    };
    ledger.write(strange).await.unwrap();

    // Before it is delivered she links another card in the place of this one.
    let begun = begin(&way, &second).await.unwrap();
    let (_, number) = scanned(&way, &mut hanako, &begun).await.unwrap();
    finish_undelivered(&nation, &begun, &number, &second).await;
    let linked = house.platform().authn.linked_card(key).await.unwrap().unwrap();
    flows::deliver::all(house.platform(), now()).await.unwrap();
    assert!(ledger.undelivered().await.unwrap().is_empty());
    let still = house.platform().authn.linked_card(key).await.unwrap().unwrap();
    assert_eq!(still.id, linked.id);
    morning(&house.at(&SANDBOX), "jpki", &second).await.unwrap();
    assert_eq!(code(morning(&house.at(&SANDBOX), "jpki", &first).await), "card-not-linked");
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_a_linking_by_phone_breaks_what_she_was_told_is_true() {
    let mut nation = Nation::found().await;
    let mut hanako = nation.house.resident(&HANAKO).await;
    for how in HOWS {
        for n in 1.. {
            let (way, card) = (nation.home(), nation.my_number(&HANAKO));
            let begun = begin(&way, &card).await.unwrap();
            let (_, number) = scanned(&way, &mut hanako, &begun).await.unwrap();
            nation.house.faults.arm(n, how);
            let said = finish(&way, &begun, &number, &card).await;
            let happened = nation.house.mended(how).await;
            let used = morning(&nation.house.at(&SANDBOX), "jpki", &card).await;
            if said.is_ok() {
                used.unwrap();
            } else if used.is_err() {
                let way = nation.home();
                let begun = begin(&way, &card).await.unwrap();
                let (_, number) = scanned(&way, &mut hanako, &begun).await.unwrap();
                finish(&way, &begun, &number, &card).await.unwrap();
                morning(&nation.house.at(&SANDBOX), "jpki", &card).await.unwrap();
            }
            if !happened {
                assert!(n > 2, "a linking takes more steps than {n}");
                break;
            }
        }
    }
    nation.house.in_order().await;
}
