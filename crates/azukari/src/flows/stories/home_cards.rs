//! What the holder of a card does at home, and the My Number Card: linked once, renewed, revoked.

mod by_phone;
mod revoked;

use approval::card_commitment;
use hpki::crl::{Reason, Revoked};
use hpki::sign::Sign as _;
use serde_json::json;
use town::jpki::Jpki;
use town::people::{HANAKO, JIRO, SANDBOX};
use town::phone::Scanned;
use wire::{Base64, CardBeginAnswer, CardFinishAnswer, DoneAnswer, HolderState};

use super::breaking::HOWS;
use super::cards::{answer, ask, citizen, start, state};
use super::desk::{confirm, new};
use super::made::{self, MadeCard};
use super::*;
use crate::flows;

/// A town whose platform believes My Number Cards of its authority.
struct Nation {
    house: House,
    jpki: Jpki,
}

impl Nation {
    async fn found() -> Self {
        Self::found_with_list(now()).await
    }

    /// The same, where the list that it knows at first is of then.
    async fn found_with_list(then: Timestamp) -> Self {
        let house = House::found().await;
        let jpki = Jpki::found(now(), &hsm::SystemRandom).unwrap();
        let [auth, _] = jpki.certificates();
        let auth = hpki::Certificate::from_der(auth).unwrap();
        std::fs::write(house.home().join("jpki-auth-ca.pem"), auth.pem()).unwrap();
        let file = house.founded.platform_config();
        let more = "\n[platform.jpki]\nauthority = \"jpki-auth-ca.pem\"\nlist = \"jpki.crl\"\n";
        let written = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, written + more).unwrap();
        let nation = Self { house, jpki };
        nation.publish(&[], then);
        let Self { mut house, jpki } = nation;
        house.again().await;
        Self { house, jpki }
    }

    /// The authority publishes its list, with these cards revoked.
    fn publish(&self, revoked: &[&MadeCard], at: Timestamp) {
        let entries: Vec<_> = revoked
            .iter()
            .map(|card| {
                let certificate = hpki::Certificate::from_der(&card.certificate).unwrap();
                let revoked = Revoked { at, reason: Reason::Superseded };
                (certificate.serial().to_vec(), revoked)
            })
            .collect();
        let list = self.jpki.auth_list(1, &entries, at).unwrap();
        std::fs::write(self.house.home().join("jpki.crl"), list).unwrap();
    }

    fn my_number(&self, person: &'static Person) -> MadeCard {
        made::my_number(&self.jpki, person)
    }

    async fn hpki(&self, person: &Person) -> MadeCard {
        let citizen = citizen(&self.house, person);
        made::hpki(self.house.platform(), &citizen).await
    }

    fn home(&self) -> Client {
        self.house.founded.client(None).unwrap()
    }

    /// Links her My Number Card by her HPKI card.
    async fn link(&self, hpki: &MadeCard, card: &MadeCard) -> Result<CardFinishAnswer, StepFailed> {
        linked(&self.home(), hpki, card).await
    }
}

/// A My Number Card is linked by an HPKI card.
pub(super) async fn linked(
    way: &Client,
    hpki: &MadeCard,
    card: &MadeCard,
) -> Result<CardFinishAnswer, StepFailed> {
    let asked = begin(way, "hpki", hpki, "link-jpki", Some(card)).await?;
    assert_eq!(asked.statement["type"], "link-card");
    let sign = |card: &MadeCard| Base64(card.authentication.sign(&asked.challenge.0).unwrap());
    let body = json!({
        "visit": asked.visit, "signature": sign(hpki), "card_signature": sign(card),
    });
    call(way, "POST", wire::path::CARD_FINISH, None, Some(&body)).await
}

async fn begin(
    way: &Client,
    means: &str,
    card: &MadeCard,
    act: &str,
    second: Option<&MadeCard>,
) -> Result<CardBeginAnswer, StepFailed> {
    let mut body = json!({
        "means": means, "certificate": Base64(card.certificate.clone()), "act": act,
    });
    if let Some(second) = second {
        body["card"] = json!(Base64(second.certificate.clone()));
    }
    call(way, "POST", wire::path::CARD_BEGIN, None, Some(&body)).await
}

async fn finish(
    way: &Client,
    asked: &CardBeginAnswer,
    signature: Vec<u8>,
) -> Result<CardFinishAnswer, StepFailed> {
    let body = json!({ "visit": asked.visit, "signature": Base64(signature) });
    call(way, "POST", wire::path::CARD_FINISH, None, Some(&body)).await
}

/// The whole act, by a card that answers as it should.
pub(super) async fn act(
    way: &Client,
    means: &str,
    card: &MadeCard,
    act: &str,
) -> Result<CardFinishAnswer, StepFailed> {
    let asked = begin(way, means, card, act, None).await?;
    finish(way, &asked, card.authentication.sign(&asked.challenge.0).unwrap()).await
}

/// The morning by this card at the developers' facility.
pub(super) async fn morning(
    way: &Client,
    means: &str,
    card: &MadeCard,
) -> Result<wire::TokenAnswer, StepFailed> {
    let ceremony = start(way, None).await;
    let asked = ask(way, ceremony, means, &card.certificate).await?;
    answer(way, ceremony, card.authentication.sign(&asked.challenge.0).unwrap()).await?;
    Ok(state(way, ceremony).await?.token.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_my_number_card_is_linked_by_hpki_card_and_authenticates_every_morning() {
    let nation = Nation::found().await;
    let house = &nation.house;
    let (hpki, card) = (nation.hpki(&HANAKO).await, nation.my_number(&HANAKO));
    let way = house.at(&SANDBOX);
    assert_eq!(code(morning(&way, "jpki", &card).await), "card-not-linked");
    nation.link(&hpki, &card).await.unwrap();
    let token = morning(&way, "jpki", &card).await.unwrap();
    assert_eq!(token.means, "jpki");
    assert_eq!(token.key, citizen(house, &HANAKO).key);
    send(&way, &token.token, &some_order()).await.unwrap();

    // The journal commits to the card itself, in authentication's entry and in custody's.
    let linked = house.entries(Event::CardLinked).await;
    let commitment = card_commitment(&card.certificate);
    assert_eq!(linked.len(), 2);
    assert_eq!(linked.iter().filter(|entry| entry.evidence == Some(commitment)).count(), 1);

    // One card for each key, one key for each card.
    assert_eq!(code(nation.link(&hpki, &card).await), "card-already-linked");
    let his = nation.hpki(&JIRO).await;
    assert_eq!(code(nation.link(&his, &card).await), "card-already-linked");

    // She ends it herself, and what it opened ends with it.
    act(&nation.home(), "jpki", &card, "unlink-jpki").await.unwrap();
    assert_eq!(code(send(&way, &token.token, &some_order()).await), "token-ended");
    assert_eq!(code(morning(&way, "jpki", &card).await), "card-not-linked");
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_card_is_linked_again_and_the_former_says_nothing_any_more() {
    let nation = Nation::found().await;
    let way = nation.house.at(&SANDBOX);
    let (hpki, card) = (nation.hpki(&HANAKO).await, nation.my_number(&HANAKO));
    nation.link(&hpki, &card).await.unwrap();
    let token = morning(&way, "jpki", &card).await.unwrap().token;

    // At the town hall she gets a new certificate, and the former is revoked.
    let renewed = nation.my_number(&HANAKO);
    nation.publish(&[&card], now());
    flows::card_status::refresh(nation.house.platform()).await;
    assert_eq!(code(morning(&way, "jpki", &card).await), "card-revoked");
    assert_eq!(code(morning(&way, "jpki", &renewed).await), "card-not-linked");
    nation.link(&hpki, &renewed).await.unwrap();
    assert_eq!(code(send(&way, &token, &some_order()).await), "token-ended");
    morning(&way, "jpki", &renewed).await.unwrap();
    nation.house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_young_list_no_my_number_card_proves_anything() {
    let mut nation = Nation::found().await;
    let way = nation.house.at(&SANDBOX);
    let (hpki, card) = (nation.hpki(&HANAKO).await, nation.my_number(&HANAKO));
    nation.link(&hpki, &card).await.unwrap();
    morning(&way, "jpki", &card).await.unwrap();
    // What comes in the list's place, over plain http perhaps, takes it only if the authority signed
    // it, and no older one, nor one of tomorrow.
    let another = Jpki::found(now(), &hsm::SystemRandom).unwrap();
    let forged = another.auth_list(9, &[], now()).unwrap();
    let tomorrow = nation.jpki.auth_list(9, &[], now().plus(86_400)).unwrap();
    let old = nation.jpki.auth_list(9, &[], now().minus(49 * 3_600)).unwrap();
    for strange in [forged, tomorrow, old, b"-----".to_vec()] {
        std::fs::write(nation.house.home().join("jpki.crl"), strange).unwrap();
        flows::card_status::refresh(nation.house.platform()).await;
        morning(&way, "jpki", &card).await.unwrap();
    }
    // After a start there is no other.
    nation.publish(&[], now().minus(49 * 3_600));
    nation.house.again().await;
    let way = nation.house.at(&SANDBOX);
    assert_eq!(code(morning(&way, "jpki", &card).await), "card-status-unknown");
    // A list that cannot be fetched leaves the former in place.
    nation.publish(&[], now());
    flows::card_status::refresh(nation.house.platform()).await;
    std::fs::remove_file(nation.house.home().join("jpki.crl")).unwrap();
    flows::card_status::refresh(nation.house.platform()).await;
    morning(&way, "jpki", &card).await.unwrap();

    // Another authority's card, and a certificate that is for signing.
    let elsewhere = Jpki::found(now(), &hsm::SystemRandom).unwrap();
    let foreign = made::my_number(&elsewhere, &HANAKO);
    assert_eq!(code(morning(&way, "jpki", &foreign).await), "card-issuer-unknown");
    assert_eq!(code(morning(&way, "jpki", &hpki).await), "card-issuer-unknown");
    assert_eq!(code(morning(&way, "hpki", &card).await), "card-issuer-unknown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_wrong_linking_has_its_own_refusal() {
    let nation = Nation::found().await;
    let (hpki, card) = (nation.hpki(&HANAKO).await, nation.my_number(&HANAKO));
    let other = nation.my_number(&JIRO);
    let way = nation.home();
    let asked = begin(&way, "hpki", &hpki, "link-jpki", None).await;
    assert_eq!(code(asked), "request-malformed");
    let asked = begin(&way, "hpki", &hpki, "stop", Some(&card)).await;
    assert_eq!(code(asked), "request-malformed");
    // Somebody else's card signs for the card that is to be linked, or nobody does.
    for second in [Some(&other), None] {
        let asked = begin(&way, "hpki", &hpki, "link-jpki", Some(&card)).await.unwrap();
        let sign = |card: &MadeCard| Base64(card.authentication.sign(&asked.challenge.0).unwrap());
        let mut body = json!({ "visit": asked.visit, "signature": sign(&hpki) });
        if let Some(second) = second {
            body["card_signature"] = json!(sign(second));
        }
        let refused =
            call::<CardFinishAnswer>(&way, "POST", wire::path::CARD_FINISH, None, Some(&body));
        let expected = if second.is_some() { "card-signature-wrong" } else { "card-malformed" };
        assert_eq!(code(refused.await), expected);
        // Each question is answered once.
        let again = finish(&way, &asked, vec![1; 256]).await;
        assert_eq!(code(again), "question-unknown");
    }
    // A linked My Number Card links no other.
    nation.link(&hpki, &card).await.unwrap();
    let asked = begin(&way, "jpki", &card, "link-jpki", Some(&other)).await;
    assert_eq!(code(asked), "card-act-not-allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn her_card_opens_her_page_stops_her_key_and_starts_it_again() {
    let nation = Nation::found().await;
    let house = &nation.house;
    let hpki = nation.hpki(&HANAKO).await;
    let mut hanako = house.resident(&HANAKO).await;
    let token = house.morning(&mut hanako).await.unwrap();
    let way = nation.home();

    let signed = act(&way, "hpki", &hpki, "signin").await.unwrap();
    let url = signed.url.unwrap();
    let (page, ticket) = url.split_once("#c.").unwrap();
    assert!(page.ends_with("/me") && signed.until.is_some());
    let browser = way.as_page(&house.platform().config.url, None);
    let redeem = async |ticket: &str| {
        let body = json!({ "ticket": ticket }).to_string().into_bytes();
        browser.send("POST", wire::path::SIGNIN_CARD, None, Some(body)).await.unwrap()
    };
    let opened = redeem(ticket).await;
    assert_eq!(opened.status, 200);
    assert_eq!(redeem(ticket).await.status, 401, "once");
    let cookie = opened.cookies[0].split(';').next().unwrap().to_owned();
    let csrf: Value = serde_json::from_slice(&opened.body).unwrap();
    let page = way.as_page(&house.platform().config.url, Some(cookie));
    let page = page.in_visit(csrf["csrf"].as_str().unwrap());
    let shown = page.send("GET", wire::path::ME_STATE, None, None).await.unwrap();
    let shown: HolderState = serde_json::from_slice(&shown.body).unwrap();
    assert_eq!((shown.means.as_str(), shown.card.name.as_str()), ("hpki", HANAKO.romaji));
    assert_eq!(shown.sessions.len(), 1);
    // What matters is approved on the phone, or by the card's own procedure.
    let body = json!({ "act": "stop" }).to_string().into_bytes();
    let asked = page.send("POST", wire::path::ME_ACT_BEGIN, None, Some(body)).await.unwrap();
    let problem: Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(problem["code"], "phone-needed");
    // She ends a session there.
    let body = json!({ "session": shown.sessions[0].session }).to_string().into_bytes();
    let ended = page.send("POST", wire::path::ME_SESSION_END, None, Some(body)).await.unwrap();
    let ended: DoneAnswer = serde_json::from_slice(&ended.body).unwrap();
    assert!(ended.done);
    assert_eq!(code(send(&house.at(&SANDBOX), &token, &some_order()).await), "token-ended");

    let token = house.morning(&mut hanako).await.unwrap();
    // While a phone is linked, what gives power back or adds a means is the phone's to approve.
    let mine = nation.my_number(&HANAKO);
    assert_eq!(code(nation.link(&hpki, &mine).await), "phone-needed");
    act(&way, "hpki", &hpki, "stop").await.unwrap();
    let stopped = send(&house.at(&SANDBOX), &token, &some_order()).await;
    assert_eq!(code(stopped), "key-suspended");
    assert_eq!(code(act(&way, "hpki", &hpki, "sheet").await), "key-suspended");
    assert_eq!(code(act(&way, "hpki", &hpki, "restart").await), "phone-needed");
    act(&way, "hpki", &hpki, "loss").await.unwrap();
    act(&way, "hpki", &hpki, "restart").await.unwrap();
    nation.link(&hpki, &mine).await.unwrap();
    let at = house.at(&SANDBOX);
    let token = morning(&at, "hpki", &hpki).await.unwrap();
    send(&at, &token.token, &some_order()).await.unwrap();

    // Another person's card does nothing for her.
    let his = nation.hpki(&JIRO).await;
    let asked = begin(&way, "hpki", &hpki, "stop", None).await.unwrap();
    let wrong = his.authentication.sign(&asked.challenge.0).unwrap();
    assert_eq!(code(finish(&way, &asked, wrong).await), "card-signature-wrong");
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn her_card_reports_a_lost_phone_and_gets_a_sheet_for_the_next_one() {
    let nation = Nation::found().await;
    let house = &nation.house;
    let hpki = nation.hpki(&HANAKO).await;
    let mut hanako = house.resident(&HANAKO).await;
    let token = house.morning(&mut hanako).await.unwrap();
    let way = nation.home();
    act(&way, "hpki", &hpki, "loss").await.unwrap();
    assert_eq!(code(send(&house.at(&SANDBOX), &token, &some_order()).await), "token-ended");
    assert_eq!(code(house.morning(&mut hanako).await), "phone-not-linked");
    assert_eq!(code(act(&way, "hpki", &hpki, "loss").await), "phone-not-linked");

    let url = act(&way, "hpki", &hpki, "sheet").await.unwrap().url.unwrap();
    let mut next = Phone::new("新しい電話", &house.platform().config.url).unwrap();
    link(&way, &mut next, &url, &HANAKO).await.unwrap();
    let mut hanako = Resident { citizen: hanako.citizen, phone: next };
    house.morning(&mut hanako).await.unwrap();

    // A sheet also takes the place of a phone that works: it is hers no more.
    let url = act(&way, "hpki", &hpki, "sheet").await.unwrap().url.unwrap();
    assert_eq!(code(house.morning(&mut hanako).await), "phone-not-linked");
    let mut third = Phone::new("三台目", &house.platform().config.url).unwrap();
    link(&way, &mut third, &url, &HANAKO).await.unwrap();
    act(&way, "hpki", &hpki, "sheet").await.unwrap();
    assert_eq!(code(act(&way, "hpki", &hpki, "sheet").await), "sheets-too-many");
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_policy_demands_it_only_a_card_links_a_phone() {
    let mut nation = Nation::found().await;
    let hpki = nation.hpki(&HANAKO).await;
    let citizen = citizen(&nation.house, &HANAKO);
    let posted = citizen.sheet.clone();
    let way = nation.home();
    let mut phone = Phone::new("電話", &nation.house.platform().config.url).unwrap();
    // A sitting that began before the policy did.
    let Ok(Scanned::Sheet { id, secret }) = phone.scan(&posted) else { panic!() };
    let open = json!({"sheet": id, "secret": secret});
    let opened: Value = call(&way, "POST", wire::path::LINK_OPEN, None, Some(&open)).await.unwrap();

    let file = nation.house.founded.platform_config();
    let written = std::fs::read_to_string(&file).unwrap();
    let policy = written.replacen("[platform]\n", "[platform]\nrequire_card_proof = true\n", 1);
    assert_ne!(policy, written);
    std::fs::write(&file, policy).unwrap();
    nation.house.again().await;

    let way = nation.home();
    let refused = link(&way, &mut phone, &posted, &HANAKO).await;
    assert_eq!(code(refused), "card-proof-needed");
    let birth = json!({"session": opened["session"], "birth_date": HANAKO.birth_date});
    let refused = call::<Value>(&way, "POST", wire::path::LINK_BIRTH, None, Some(&birth)).await;
    assert_eq!(code(refused), "card-proof-needed");

    // The card's proof takes the place of the birth date.
    let url = act(&way, "hpki", &hpki, "sheet").await.unwrap().url.unwrap();
    let stranger = Person { birth_date: "19000101", ..HANAKO };
    link(&way, &mut phone, &url, &stranger).await.unwrap();
    let mut hanako = Resident { citizen, phone };
    nation.house.morning(&mut hanako).await.unwrap();

    // A sheet that the desk orders later goes by post: whoever opens the letter has shown no card.
    let (house, key) = (&nation.house, hanako.citizen.key);
    let (mut one, mut two) = (house.officer("架空 係子").await, house.officer("見本 係郎").await);
    house.act(&mut one, new("loss", key)).await.unwrap();
    let order = house.act(&mut one, new("sheet", key)).await.unwrap().act.order;
    let sheet = house.act(&mut two, confirm(order)).await.unwrap().sheet.unwrap();
    let mut finder = Phone::new("拾った人の電話", &house.platform().config.url).unwrap();
    let refused = link(&way, &mut finder, &sheet.url, &HANAKO).await;
    assert_eq!(code(refused), "card-proof-needed");
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_phone_ends_what_was_opened_by_card_too_and_a_revoked_card_its_unopened_page() {
    let nation = Nation::found().await;
    let house = &nation.house;
    let hpki = nation.hpki(&HANAKO).await;
    house.resident(&HANAKO).await;
    let (way, at) = (nation.home(), house.at(&SANDBOX));
    let token = morning(&at, "hpki", &hpki).await.unwrap().token;
    send(&at, &token, &some_order()).await.unwrap();
    act(&way, "hpki", &hpki, "loss").await.unwrap();
    assert_eq!(code(send(&at, &token, &some_order()).await), "token-ended");

    let url = act(&way, "hpki", &hpki, "signin").await.unwrap().url.unwrap();
    let serial = hpki::Certificate::from_der(&hpki.certificate).unwrap().serial().to_vec();
    let issuer = ca::Authority::Authentication(ca::SigningAuthority::Jma);
    let (platform, why) = (house.platform(), Reason::KeyCompromise);
    flows::revoke::revoke(platform, issuer, &serial, why, now()).await.unwrap();
    let (_, ticket) = url.split_once("#c.").unwrap();
    let browser = way.as_page(&house.platform().config.url, None);
    let body = json!({ "ticket": ticket }).to_string().into_bytes();
    let redeemed = browser.send("POST", wire::path::SIGNIN_CARD, None, Some(body)).await.unwrap();
    assert_eq!(redeemed.status, 401);
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_a_morning_by_card_breaks_she_begins_again_and_the_books_balance() {
    let Nation { mut house, jpki } = Nation::found().await;
    let hpki = made::hpki(house.platform(), &citizen(&house, &HANAKO)).await;
    for how in HOWS {
        for n in 1.. {
            house.faults.arm(n, how);
            let tried = morning(&house.at(&SANDBOX), "hpki", &hpki).await;
            let happened = house.mended(how).await;
            let token = match tried {
                Ok(token) => token,
                Err(_) => morning(&house.at(&SANDBOX), "hpki", &hpki).await.unwrap(),
            };
            send(&house.at(&SANDBOX), &token.token, &some_order()).await.unwrap();
            if !happened {
                assert!(n > 5, "a morning takes more steps than {n}");
                break;
            }
        }
    }
    drop(jpki);
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_a_linking_breaks_what_she_was_told_is_true() {
    let mut nation = Nation::found().await;
    let hpki = nation.hpki(&HANAKO).await;
    for how in HOWS {
        for n in 1.. {
            let card = nation.my_number(&HANAKO);
            nation.house.faults.arm(n, how);
            let said = nation.link(&hpki, &card).await;
            let happened = nation.house.mended(how).await;
            let way = nation.house.at(&SANDBOX);
            let used = morning(&way, "jpki", &card).await;
            if said.is_ok() {
                used.unwrap();
            } else if used.is_err() {
                nation.link(&hpki, &card).await.unwrap();
                morning(&way, "jpki", &card).await.unwrap();
            }
            if !happened {
                assert!(n > 3, "a linking takes more steps than {n}");
                break;
            }
        }
    }
    nation.house.in_order().await;
}
