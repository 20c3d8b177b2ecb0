//! A certificate is revoked: from that commit nothing is signed with its key, whatever has been
//! told to whom, and afterwards everybody can see why.

use ca::{Authority, SigningAuthority};
use hpki::crl::Reason;
use prescription::document::place_signature;
use town::people::{HANAKO, HOSPITAL, JIRO, SANDBOX};
use verifier::Verdict;

use super::*;
use crate::config::GatewayConfig;
use crate::demo::papers;
use crate::flows;
use crate::http::tap::{Instead, Tap};

const JMA: Authority = Authority::Signing(SigningAuthority::Jma);

/// A physician with a token, her certificate, and a prescription that she has signed.
struct Morning {
    house: House,
    hanako: Resident,
    token: String,
    serial: Vec<u8>,
    order: SignRequest,
    answer: SignAnswer,
    document: Vec<u8>,
}

async fn morning() -> Morning {
    let house = House::found().await;
    let mut hanako = house.resident(&HANAKO).await;
    let token = house.morning(&mut hanako).await.unwrap();
    let (unsigned, digest) = prescription(&HANAKO, now());
    let order = order(DocumentKind::Prescription, &digest);
    let answer = send(&house.at(&SANDBOX), &token, &order).await.unwrap();
    let element = std::str::from_utf8(&answer.signature.0).unwrap();
    let document = place_signature(&unsigned, order.kind, element).unwrap();
    let serial = hanako.citizen.certificate.serial().to_vec();
    Morning { house, hanako, token, serial, order, answer, document }
}

fn judged(house: &House, document: &[u8]) -> verifier::Report {
    crate::verify::with_folder(document, house.home(), now()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_certificate_signs_nothing_from_that_commit_and_everyone_can_see_why() {
    let Morning { house, mut hanako, token, serial, order, answer, document } = morning().await;
    assert_eq!(judged(&house, &document).verdict, Verdict::Valid);
    let mut jiro = house.resident(&JIRO).await;
    let jiros = house.morning(&mut jiro).await.unwrap();
    let platform = house.platform();
    let way = house.at(&SANDBOX);

    // The authority has decided; custody has not been told.
    platform.ca.revoke(JMA, &serial, Reason::PrivilegeWithdrawn, now()).await.unwrap();
    assert_eq!(platform.ledger.undelivered().await.unwrap().len(), 1);
    assert_eq!(code(send(&way, &token, &some_order()).await), "status-unknown");
    let person = hanako.citizen.id;
    let sessions = platform.authn.sessions(person).await.unwrap();
    assert!(sessions.iter().all(|session| session.is_live(now())), "nobody else was told either");

    // Custody has been told.
    flows::deliver::all(platform, now()).await.unwrap();
    assert!(platform.ledger.undelivered().await.unwrap().is_empty());
    assert_eq!(code(send(&way, &token, &some_order()).await), "key-suspended");
    let sessions = platform.authn.sessions(person).await.unwrap();
    assert!(!sessions.is_empty() && sessions.iter().all(|session| session.ended.is_some()));
    assert_eq!(code(house.morning(&mut hanako).await), "phone-not-linked");
    // What was handed out stays handed out.
    assert!(same(&asked(&way, &token, &order).await.unwrap(), &answer));

    // The world is told.
    assert_eq!(judged(&house, &document).verdict, Verdict::Valid, "by the lists of this morning");
    platform.ca.issue_crls_of(JMA, now()).await.unwrap();
    papers::authorities(platform, house.home()).await.unwrap();
    let report = judged(&house, &document);
    assert_eq!(report.verdict, Verdict::Invalid);
    let why = report.signatures[0].refusal.as_ref().unwrap();
    assert_eq!(why.code, "certificate-revoked");

    // Nobody else is concerned.
    let theirs = super::order(DocumentKind::Dispensing, &[7; 32]);
    send(&way, &jiros, &theirs).await.unwrap();
    assert_eq!(house.entries(Event::SignatureMade).await.len(), 2);
    assert_eq!(house.entries(Event::CertificateRevoked).await.len(), 1);
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_facility_is_refused_at_its_next_request() {
    let Morning { house, token, order, .. } = morning().await;
    let platform = house.platform();
    let tls = |name: &str| house.home().join("tls").join(name);
    let file = tls(&format!("{}.pem", SANDBOX.code));
    let certificate = hpki::Certificate::from_pem(&std::fs::read(file).unwrap()).unwrap();
    let (here, next_door) = (house.at(&SANDBOX), house.at(&HOSPITAL));
    send(&here, &token, &some_order()).await.unwrap();

    let (ours, reason) = (Authority::Facility, Reason::CessationOfOperation);
    platform.ca.revoke(ours, certificate.serial(), reason, now()).await.unwrap();
    let size = platform.ledger.size();
    // Over the very connection that it has, whatever it asks for.
    let revoked = "facility-certificate-revoked";
    assert_eq!(code(send(&here, &token, &some_order()).await), revoked);
    assert_eq!(code(asked(&here, &token, &order).await), revoked);
    let who = call::<Value>(&here, "GET", "/v1/facility", None, None);
    assert_eq!(code(who.await), revoked);
    let ending = call::<Value>(&here, "POST", wire::path::SESSIONS_END, Some(&token), None);
    assert_eq!(code(ending.await), revoked);
    assert_eq!(platform.ledger.size(), size, "nothing was begun");
    // The one next door is not concerned.
    let who = call::<Value>(&next_door, "GET", "/v1/facility", None, None).await.unwrap();
    assert_eq!(who["facility"], HOSPITAL.code);
    // What is out of its time is refused where a connection outlives it.
    let theirs = tls(&format!("{}.pem", HOSPITAL.code));
    let theirs = hpki::Certificate::from_pem(&std::fs::read(theirs).unwrap()).unwrap();
    let late = platform.ca.facility_in_force(&theirs, theirs.not_after().plus(1)).await;
    assert_eq!(late.unwrap_err().to_string(), ca::Refusal::FacilityCertificateExpired.to_string());
    // The platform's own certificate, which the same authority signed, opens no connection to it.
    let (certificate, key) = (tls("platform.pem"), tls("platform.key"));
    let as_server = http::tls::client(&tls("facility-ca.pem"), Some((&certificate, &key))).unwrap();
    let way = Client::new(&house.founded.url, Some(as_server), Duration::from_secs(30)).unwrap();
    let who = call::<Value>(&way, "GET", "/v1/facility", None, None).await;
    assert!(matches!(who, Err(StepFailed::Unreachable(_))), "{who:?}");
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_flow_revokes_stops_the_key_and_publishes() {
    let Morning { house, token, serial, .. } = morning().await;
    let platform = house.platform();
    flows::revoke::revoke(platform, JMA, &serial, Reason::KeyCompromise, now()).await.unwrap();
    assert!(platform.ledger.undelivered().await.unwrap().is_empty());
    let refused = send(&house.at(&SANDBOX), &token, &some_order()).await;
    assert_eq!(code(refused), "key-suspended");
    let lists = platform.ca.lists().await.unwrap();
    let (_, list) = lists.iter().find(|(name, _)| name == "jma").unwrap();
    assert_eq!(list.contains(&serial).unwrap().reason, Reason::KeyCompromise);
    // Once is enough, and is said.
    let again = flows::revoke::revoke(platform, JMA, &serial, Reason::KeyCompromise, now()).await;
    assert_eq!(again.unwrap_err().problem().code, "certificate-already-revoked");
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_decision_and_delivery_is_made_up_for_at_the_next_start() {
    let Morning { mut house, hanako, token, serial, order, answer, .. } = morning().await;
    let revoking = house.platform().ca.revoke(JMA, &serial, Reason::KeyCompromise, now());
    revoking.await.unwrap();
    assert_eq!(house.platform().ledger.undelivered().await.unwrap().len(), 1);

    house.again().await;
    let platform = house.platform();
    assert!(platform.ledger.undelivered().await.unwrap().is_empty(), "delivered at the start");
    let way = house.at(&SANDBOX);
    assert_eq!(code(send(&way, &token, &some_order()).await), "key-suspended");
    let sessions = platform.authn.sessions(hanako.citizen.id).await.unwrap();
    assert!(!sessions.is_empty() && sessions.iter().all(|session| session.ended.is_some()));
    assert!(same(&asked(&way, &token, &order).await.unwrap(), &answer));
    assert_eq!(house.entries(Event::SignatureMade).await.len(), 1);
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_that_is_linked_after_its_key_was_stopped_is_unlinked_and_holds_nobody_up() {
    let mut house = House::found().await;
    let citizen = house.founded.citizens.iter().find(|c| c.person.slug == HANAKO.slug).unwrap();
    let serial = citizen.certificate.serial().to_vec();
    let key = citizen.key;
    house.platform().ca.revoke(JMA, &serial, Reason::KeyCompromise, now()).await.unwrap();

    // Her sheet came by post before anybody but the authority knew; custody hears of the revocation
    // first and of her phone then.
    let mut hanako = house.resident(&HANAKO).await;
    assert!(house.platform().ledger.undelivered().await.unwrap().is_empty());
    assert_eq!(code(house.morning(&mut hanako).await), "phone-not-linked");
    let links = house.entries(Event::PhoneLinked).await;
    let unlinks = house.entries(Event::PhoneUnlinked).await;
    assert!(links.iter().all(|link| link.key == Some(key)), "custody has accepted nothing");
    assert_eq!((links.len(), unlinks.len()), (1, 1));

    // Nobody else is concerned, not even after the next start.
    house.again().await;
    let mut jiro = house.resident(&JIRO).await;
    let jiros = house.morning(&mut jiro).await.unwrap();
    let theirs = super::order(DocumentKind::Dispensing, &[7; 32]);
    send(&house.at(&SANDBOX), &jiros, &theirs).await.unwrap();
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sheet_in_the_post_dies_with_the_certificate() {
    let house = House::found().await;
    let citizen = house.founded.citizens.iter().find(|c| c.person.slug == HANAKO.slug).unwrap();
    let serial = citizen.certificate.serial().to_vec();
    flows::revoke::revoke(house.platform(), JMA, &serial, Reason::KeyCompromise, now())
        .await
        .unwrap();
    let mut phone = Phone::new("電話", &house.platform().config.url).unwrap();
    let way = house.founded.client(None).unwrap();
    let linked = link(&way, &mut phone, &citizen.sheet, citizen.person).await;
    assert_eq!(code(linked), "sheet-void");
    assert!(house.entries(Event::PhoneLinked).await.is_empty());
    // The pharmacist's sheet is hers still.
    house.resident(&JIRO).await;
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_has_seen_no_list_cannot_tell() {
    let Morning { mut house, document, .. } = morning().await;
    let config = GatewayConfig::load(&house.founded.gateway_config(&SANDBOX)).unwrap();
    let hospital = crate::hospital::open(&config).await.unwrap();
    assert_eq!(hospital.gateway.report(&document, now()).verdict, Verdict::Valid);
    drop(hospital);
    house.close().await;
    let hospital = crate::hospital::open(&config).await.unwrap();
    let report = hospital.gateway.report(&document, now());
    assert_eq!((report.verdict, report.code()), (Verdict::CannotTell, Some("crl-missing")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_older_and_no_forged_list_makes_a_revoked_certificate_good_again_at_a_gateway() {
    let Morning { house, serial, document, .. } = morning().await;
    let platform = house.platform();
    let config = GatewayConfig::load(&house.founded.gateway_config(&SANDBOX)).unwrap();
    let tap = Tap::default();
    let hospital = crate::hospital::open_tapped(&config, Some(tap.clone())).await.unwrap();
    let verdict = || hospital.gateway.report(&document, now()).verdict;
    assert_eq!(verdict(), Verdict::Valid);
    let list = async |name: &str| {
        let lists = platform.ca.lists().await.unwrap();
        lists.into_iter().find(|(of, _)| of == name).unwrap().1.der().to_vec()
    };
    let older = list("jma").await;
    flows::revoke::revoke(platform, JMA, &serial, Reason::KeyCompromise, now()).await.unwrap();
    assert!(hospital.renew_lists().await);
    assert_eq!(verdict(), Verdict::Invalid);

    let mut forged = list("jma").await;
    *forged.last_mut().unwrap() ^= 1;
    for served in [older, forged, list("medis").await, b"no list".to_vec()] {
        tap.replace("/jma.crl", Instead::Body(served));
        assert!(!hospital.renew_lists().await);
        assert_eq!(verdict(), Verdict::Invalid);
    }
    assert!(hospital.renew_lists().await);
    house.in_order().await;
}
