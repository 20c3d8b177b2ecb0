//! The authority's desk: she calls because her phone is gone, and two officers help her.

use approval::{DeskSigninStatement, DeskStatement, OfficerStatement};
use authn::DeskOfficer;
use hpki::id::{DeskOrderId, KeyId};
use serde_json::json;
use town::people::{HANAKO, SANDBOX};
use wire::desk::{DeskActBegin, DeskActDone, DeskAsked, DeskEnrolFinish, DeskHolder};

use super::*;
use crate::flows::desk::{self, Operator, operate};
use crate::http::problem::Trouble;

pub(super) struct Officer {
    officer: DeskOfficer,
    passkey: Phone,
}

fn refused<T>(result: Result<T, Trouble>) -> String {
    match result {
        Err(trouble) => trouble.problem().code,
        Ok(_) => panic!("not refused"),
    }
}

impl House {
    /// Somebody is invited by the operator, and becomes an officer with her passkey.
    pub(super) async fn officer(&self, name: &str) -> Officer {
        let platform = self.platform();
        let said = operate(platform, Operator::Invite(name.into()), now()).await.unwrap();
        let (_, fragment) = said.split_once("/desk#1.").unwrap();
        let (invitation, secret) = fragment.split_once('.').unwrap();
        let asked = platform.authn.begin_enrolment(invitation, secret, now()).await.unwrap();
        let mut passkey = Phone::new("窓口の端末", &platform.config.url).unwrap();
        let shown: OfficerStatement = serde_json::from_value(asked.statement).unwrap();
        assert_eq!(shown.name, name);
        let credential = passkey.link(&shown.challenge(), &asked.options).unwrap();
        let (invitation, secret) = (invitation.to_owned(), secret.to_owned());
        let finish = DeskEnrolFinish { invitation, secret, credential };
        desk::enrol(platform, &finish, now()).await.unwrap();
        let (ceremony, asked) = platform.authn.begin_signin(now()).unwrap();
        let shown: DeskSigninStatement = serde_json::from_value(asked.statement).unwrap();
        // An authenticator looks for its own credential where none is named.
        let answer = passkey.approve(&shown.challenge(), &asked.options).unwrap();
        let signed_in =
            platform.authn.finish_signin(&ceremony.to_string(), &answer, now()).await.unwrap();
        Officer { officer: signed_in.officer, passkey }
    }

    pub(super) async fn act(
        &self,
        by: &mut Officer,
        asked: DeskActBegin,
    ) -> Result<DeskActDone, Trouble> {
        let asked = desk::begin(self.platform(), &by.officer, asked, now()).await?;
        let answer = agree(by, &asked);
        desk::finish(self.platform(), &by.officer, &answer, now()).await
    }

    async fn seen(&self, by: &Officer, text: &str) -> DeskHolder {
        let found = desk::find(self.platform(), &by.officer, text, now()).await.unwrap();
        found.holders.into_iter().next().unwrap()
    }
}

fn agree(by: &mut Officer, asked: &DeskAsked) -> Value {
    let shown: DeskStatement = serde_json::from_value(asked.statement.clone()).unwrap();
    assert_eq!(shown.officer, by.officer.id);
    by.passkey.approve(&shown.challenge(), &asked.options).unwrap()
}

pub(super) fn new(act: &str, key: KeyId) -> DeskActBegin {
    DeskActBegin::New {
        act: act.into(),
        key,
        reason: "本人から電話。本人ID と氏名を確認".into(),
        session: None,
    }
}

pub(super) fn confirm(order: DeskOrderId) -> DeskActBegin {
    DeskActBegin::Confirm { order }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_phone_is_reported_to_one_officer_and_a_new_sheet_comes_from_two() {
    let house = House::found().await;
    let mut hanako = house.resident(&HANAKO).await;
    let (mut one, mut two) = (house.officer("架空 係子").await, house.officer("見本 係郎").await);
    let token = house.morning(&mut hanako).await.unwrap();
    let (facility, key) = (house.at(&SANDBOX), hanako.citizen.key);
    send(&facility, &token, &some_order()).await.unwrap();

    let seen = house.seen(&one, HANAKO.display_id).await;
    assert_eq!((seen.key, seen.state.as_str(), seen.sessions.len()), (key, "held", 1));
    assert!(seen.phone_linked.is_some() && seen.name.is_some());
    // One officer ends this one session, and no other act goes by its name.
    let ends = |act: &str, session| DeskActBegin::New {
        act: act.into(),
        key,
        reason: "本人から電話".into(),
        session,
    };
    let session = seen.sessions[0].session;
    for wrong in [ends("session", None), ends("loss", Some(session))] {
        assert_eq!(refused(house.act(&mut one, wrong).await), "session-unknown");
    }
    let done = house.act(&mut one, ends("session", Some(session))).await.unwrap();
    assert_eq!((done.act.outcome.as_str(), done.ended), ("done", 1));
    assert_eq!(code(send(&facility, &token, &some_order()).await), "token-ended");
    let again = house.act(&mut one, ends("session", Some(session))).await;
    assert_eq!(refused(again), "session-unknown");
    let token = house.morning(&mut hanako).await.unwrap();
    send(&facility, &token, &some_order()).await.unwrap();

    // One officer takes away: from that commit nothing is signed.
    let done = house.act(&mut one, new("loss", key)).await.unwrap();
    assert_eq!((done.act.outcome.as_str(), done.ended, done.sheet), ("done", 1, None));
    assert_eq!(code(send(&facility, &token, &some_order()).await), "token-ended");
    let seen = house.seen(&one, HANAKO.display_id).await;
    assert!(seen.phone_linked.is_none() && seen.sessions.is_empty());
    assert_eq!(seen.acts[0].officers, ["架空 係子"]);

    // Giving takes two.
    let opened = house.act(&mut one, new("sheet", key)).await.unwrap();
    assert_eq!((opened.act.outcome.as_str(), opened.sheet), ("", None));
    let order = opened.act.order;
    let alone = house.act(&mut one, confirm(order)).await;
    assert_eq!(refused(alone), "officer-already-confirmed");
    let done = house.act(&mut two, confirm(order)).await.unwrap();
    assert_eq!(done.act.officers, ["架空 係子", "見本 係郎"]);
    let sheet = done.sheet.unwrap();
    assert_eq!(sheet.display_id, HANAKO.display_id);
    assert!(sheet.qr_path.len() > 1_000 && !format!("{sheet:?}").contains("/r#"));
    let mut phone = Phone::new("新しい電話", &house.platform().config.url).unwrap();
    let way = house.founded.client(None).unwrap();
    link(&way, &mut phone, &sheet.url, hanako.citizen.person).await.unwrap();
    hanako.phone = phone;
    let token = house.morning(&mut hanako).await.unwrap();
    send(&facility, &token, &some_order()).await.unwrap();

    // Everything is in the journal, with evidence: in her key's stream and in each officer's.
    let entries = house.entries(Event::DeskDecided).await;
    assert_eq!(entries.len(), 2 * 4, "four approvals, each in two streams");
    assert!(entries.iter().all(|entry| entry.key == Some(key) && entry.evidence.is_some()));
    for (event, count) in [(Event::PhoneUnlinked, 2), (Event::DeskLooked, 2)] {
        assert_eq!(house.entries(event).await.len(), count, "{event}");
    }
    let evidence = house.entries(Event::SheetIssued).await.pop().unwrap().evidence;
    let orders = house.platform().authn.acts_on(key).await.unwrap();
    let confirmed = orders.iter().find(|act| act.id == order).unwrap();
    assert_eq!(evidence, Some(approval::order_evidence(&confirmed.approvals)));
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_officer_stops_a_key_and_two_start_it_again_across_a_restart() {
    let mut house = House::found().await;
    let mut hanako = house.resident(&HANAKO).await;
    let (mut one, mut two) = (house.officer("架空 係子").await, house.officer("見本 係郎").await);
    let token = house.morning(&mut hanako).await.unwrap();
    let key = hanako.citizen.key;
    assert_eq!(refused(house.act(&mut one, new("resume", key)).await), "key-wrong-state");
    let strange = house.act(&mut one, new("destroy", key)).await;
    assert_eq!(refused(strange), "request-malformed");
    let nobody = house.act(&mut one, new("loss", KeyId::from_octets([9; 16]))).await;
    assert_eq!(refused(nobody), "holder-unknown");

    // The officer has approved, and the platform dies before custody has heard of it.
    let question = desk::begin(house.platform(), &one.officer, new("suspend", key), now()).await;
    let answer = agree(&mut one, &question.unwrap());
    let done = house.platform().authn.finish_act(&one.officer, &answer, now()).await.unwrap();
    assert_eq!(done.order.outcome, "decided");
    let facility = house.at(&SANDBOX);
    assert_eq!(code(send(&facility, &token, &some_order()).await), "status-unknown");
    house.again().await;
    let facility = house.at(&SANDBOX);
    assert_eq!(code(send(&facility, &token, &some_order()).await), "key-suspended");
    let seen = house.seen(&two, &key.to_string()).await;
    assert_eq!((seen.state.as_str(), seen.stops), ("suspended", vec!["desk".to_owned()]));
    assert_eq!(seen.acts[0].outcome, "done");
    assert_eq!(refused(house.act(&mut one, new("suspend", key)).await), "key-wrong-state");
    assert_eq!(refused(house.act(&mut one, new("sheet", key)).await), "key-wrong-state");

    let order = house.act(&mut two, new("resume", key)).await.unwrap().act.order;
    assert_eq!(refused(house.act(&mut one, new("resume", key)).await), "desk-order-open");
    // Before another officer confirms it, the first is dismissed, and what she opened with her.
    operate(house.platform(), Operator::Dismiss(two.officer.id), now()).await.unwrap();
    assert_eq!(refused(house.act(&mut one, confirm(order)).await), "desk-order-closed");
    let mut three = house.officer("例示 係美").await;
    let order = house.act(&mut one, new("resume", key)).await.unwrap().act.order;
    let done = house.act(&mut three, confirm(order)).await.unwrap();
    assert_eq!(done.act.outcome, "done");
    let token = house.morning(&mut hanako).await.unwrap();
    send(&house.at(&SANDBOX), &token, &some_order()).await.unwrap();
    let face = Operator::Face {
        holder: HANAKO.display_id.into(),
        name: "架空　花".into(),
        photo: town::portrait::portrait(&HANAKO).map(|file| wire::Base64(file.to_vec())),
    };
    operate(house.platform(), face, now()).await.unwrap();
    assert_eq!(house.seen(&one, HANAKO.display_id).await.name.unwrap(), "架空　花");
    let face = |photo: &[u8]| Operator::Face {
        holder: HANAKO.display_id.into(),
        name: "架空　花".into(),
        photo: Some(wire::Base64(photo.to_vec())),
    };
    assert_eq!(refused(operate(house.platform(), face(b"GIF89a"), now()).await), "photo-malformed");
    let listed = operate(house.platform(), Operator::Officers, now()).await.unwrap();
    assert!(listed.contains("架空 係子") && listed.contains("解任"), "{listed}");
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_sign_in_and_what_only_its_page_knows_the_desk_says_nothing() {
    let house = House::found().await;
    let way = house.founded.client(None).unwrap();
    for (method, path, body) in [
        ("POST", "/desk/state", Some(json!({}))),
        ("POST", "/desk/find", Some(json!({"text": HANAKO.display_id}))),
        ("POST", "/desk/act/begin", Some(json!({"order": "00000000000000000000000000000000"}))),
        ("POST", "/desk/act/finish", Some(json!({"credential": {}}))),
    ] {
        let asked: Result<Value, _> = call(&way, method, path, None, body.as_ref()).await;
        assert_eq!(code(asked), "desk-closed", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_too_often_in_a_minute_waits_and_facilities_do_not_wait_for_him() {
    let mut house = House::found().await;
    let file = house.founded.platform_config();
    let written = std::fs::read_to_string(&file).unwrap();
    let narrow = "requests_per_minute_and_address = 10";
    std::fs::write(&file, written.replace(LIFTED, narrow)).unwrap();
    house.again().await;
    let way = house.founded.client(None).unwrap();
    let mut codes = Vec::new();
    // A minute may end in between: then there is one more minute, and it too ends.
    for _ in 0..40 {
        let asked: Result<Value, _> =
            call(&way, "POST", "/desk/state", None, Some(&json!({}))).await;
        codes.push(code(asked));
    }
    assert_eq!(codes[..10], ["desk-closed"; 10].map(str::to_owned));
    assert!(codes.contains(&"slow-down".to_owned()), "{codes:?}");
    let seen = call::<Value>(&house.at(&SANDBOX), "GET", wire::path::FACILITY, None, None).await;
    assert_eq!(seen.unwrap()["facility"], SANDBOX.code);
}
