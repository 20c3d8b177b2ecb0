//! The owner's page over the platform's real doors: what she sees of her key, and how she rules it.

use approval::{LinkStatement, SigninStatement, Statement};
use authn::NoticeKind;
use ledger::tlog::Proof;
use serde_json::json;
use town::people::{HANAKO, JIRO};
use wire::{ChangeState, ChangeStep, HolderHistory, HolderState, OwnerAskAnswer};

use super::*;
use crate::demo::walk::ask;

/// A page on her phone, signed in.
pub(super) struct Page<'a> {
    way: Client,
    resident: &'a mut Resident,
    csrf: String,
}

impl<'a> Page<'a> {
    pub(super) async fn open(house: &House, resident: &'a mut Resident) -> Self {
        let way = house.founded.client(None).unwrap();
        let asked: Value =
            ask(&way, &resident.phone, wire::path::SIGNIN_BEGIN, &json!({})).await.unwrap();
        assert_eq!(asked["person_display"], resident.citizen.person.display_id);
        let shown: SigninStatement = serde_json::from_value(asked["statement"].clone()).unwrap();
        let answer = resident.phone.approve(&shown.challenge(), &asked["options"]).unwrap();
        let body = json!({"signin": asked["signin"], "credential": answer});
        let done: Value =
            ask(&way, &resident.phone, wire::path::SIGNIN_FINISH, &body).await.unwrap();
        let csrf = done["csrf"].as_str().unwrap().to_owned();
        Self { way, resident, csrf }
    }

    fn client(&self) -> Client {
        let phone = &self.resident.phone;
        self.way.as_page(phone.origin(), phone.cookies()).in_visit(&self.csrf)
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, StepFailed> {
        call(&self.client(), "GET", path, None, None).await
    }

    pub(super) async fn post<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        body: Value,
    ) -> Result<T, StepFailed> {
        call(&self.client(), "POST", path, None, Some(&body)).await
    }

    pub(super) async fn state(&self) -> Result<HolderState, StepFailed> {
        call(&self.client(), "GET", wire::path::ME_STATE, None, None).await
    }

    /// She approves what she is asked, after comparing what is shown with what is signed.
    pub(super) async fn agree(&mut self, asked: OwnerAskAnswer) -> Result<Value, StepFailed> {
        let shown: Statement = serde_json::from_value(asked.statement).unwrap();
        let answer = self.resident.phone.approve(&shown.challenge(), &asked.options).unwrap();
        self.post(wire::path::ME_ACT_FINISH, json!({"credential": answer})).await
    }

    pub(super) async fn decide(&mut self, act: Value) -> Result<Value, StepFailed> {
        let asked = self.post(wire::path::ME_ACT_BEGIN, act).await?;
        self.agree(asked).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn she_sees_her_sessions_ends_one_stops_her_key_and_starts_it_again() {
    let house = House::found().await;
    let mut hanako = house.resident(&HANAKO).await;
    let token = house.morning(&mut hanako).await.unwrap();
    let facility = house.at(&SANDBOX);
    send(&facility, &token, &some_order()).await.unwrap();

    let mut page = Page::open(&house, &mut hanako).await;
    let state = page.state().await.unwrap();
    assert_eq!((state.csrf.as_str(), state.key.usable), (page.csrf.as_str(), true));
    assert_eq!(state.card.number, HANAKO.display_id);
    assert_eq!(state.card.qualification, HANAKO.qualification.ja());
    let [session] = state.sessions.as_slice() else { panic!("{:?}", state.sessions) };
    assert_eq!((session.facility.as_str(), session.made), (SANDBOX.name_ja, 1));
    assert_eq!(session.until, session.since.plus(64_800));

    // Without the value of the visit, or from another site's page, nothing is done.
    let body = json!({"session": session.session});
    let phone = &page.resident.phone;
    let bare = page.way.as_page(phone.origin(), phone.cookies());
    let ended: Result<Value, _> =
        call(&bare, "POST", wire::path::ME_SESSION_END, None, Some(&body)).await;
    assert_eq!(code(ended), "csrf-wrong");
    let foreign = page.way.as_page("https://evil.example", phone.cookies()).in_visit(&page.csrf);
    let ended: Result<Value, _> =
        call(&foreign, "POST", wire::path::ME_SESSION_END, None, Some(&body)).await;
    assert_eq!(code(ended), "origin-foreign");
    send(&facility, &token, &some_order()).await.unwrap();

    // She ends it: from the answer on nothing is signed there.
    page.post::<Value>(wire::path::ME_SESSION_END, body).await.unwrap();
    assert_eq!(code(send(&facility, &token, &some_order()).await), "token-ended");
    assert!(page.state().await.unwrap().sessions.is_empty());

    // She stops her key and starts it again; each time she is asked for her finger.
    assert_eq!(code(page.decide(json!({"act": "restart"})).await), "key-wrong-state");
    house.morning(page.resident).await.unwrap();
    assert_eq!(page.state().await.unwrap().sessions.len(), 1);
    page.decide(json!({"act": "stop"})).await.unwrap();
    let state = page.state().await.unwrap();
    assert_eq!((state.key.usable, state.key.restartable), (false, true));
    assert!(state.sessions.is_empty());
    assert!(house.morning(page.resident).await.is_err());
    let change: Result<Value, _> = page.post(wire::path::ME_CHANGE_BEGIN, json!({})).await;
    assert_eq!(code(change), "key-suspended");
    page.decide(json!({"act": "restart"})).await.unwrap();
    let state = page.state().await.unwrap();
    assert!(state.key.usable && state.key.stops.is_empty());
    let kinds: Vec<&str> = state.notices.iter().map(|notice| notice.kind.as_str()).collect();
    assert_eq!(kinds[..2], [NoticeKind::KeyStarted.name(), NoticeKind::KeyStopped.name()]);
    let token = house.morning(page.resident).await.unwrap();
    send(&facility, &token, &some_order()).await.unwrap();

    // Somebody else's session is none of hers; signed out, she sees nothing.
    let mut jiro = house.resident(&JIRO).await;
    let his = Page::open(&house, &mut jiro).await;
    let hers = page.state().await.unwrap().sessions[0].session;
    let ended: Result<Value, _> =
        his.post(wire::path::ME_SESSION_END, json!({"session": hers})).await;
    assert_eq!(code(ended), "session-unknown");
    page.post::<Value>(wire::path::SIGNOUT, json!({})).await.unwrap();
    assert_eq!(code(page.state().await), "signin-needed");
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_works_at_two_institutions_holds_a_session_at_each_and_ends_one() {
    let house = House::found().await;
    let mut hanako = house.resident(&HANAKO).await;
    let way = house.founded.client(None).unwrap();
    let mut tokens = Vec::new();
    for facility in [&SANDBOX, &HOSPITAL] {
        let token = manifest::token(&house.at(facility), &way, &mut hanako).await.unwrap();
        tokens.push((facility, token["token"].as_str().unwrap().to_owned()));
    }
    for (facility, token) in &tokens {
        send(&house.at(facility), token, &some_order()).await.unwrap();
    }
    // Each is of use at its own institution only.
    let crossed = send(&house.at(&HOSPITAL), &tokens[0].1, &some_order()).await;
    assert_eq!(code(crossed), "token-wrong-certificate");
    let page = Page::open(&house, &mut hanako).await;
    let sessions = page.state().await.unwrap().sessions;
    let mut places: Vec<&str> = sessions.iter().map(|session| session.facility.as_str()).collect();
    places.sort_unstable();
    let mut expected = [SANDBOX.name_ja, HOSPITAL.name_ja];
    expected.sort_unstable();
    assert_eq!(places, expected);
    let there = sessions.iter().find(|session| session.facility == HOSPITAL.name_ja).unwrap();
    let body = json!({"session": there.session});
    page.post::<Value>(wire::path::ME_SESSION_END, body).await.unwrap();
    let ended = send(&house.at(&HOSPITAL), &tokens[1].1, &some_order()).await;
    assert_eq!(code(ended), "token-ended");
    send(&house.at(&SANDBOX), &tokens[0].1, &some_order()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn she_reads_what_was_signed_and_disowns_what_was_not_her() {
    let house = House::found().await;
    let (mut hanako, mut jiro) = (house.resident(&HANAKO).await, house.resident(&JIRO).await);
    let token = house.morning(&mut hanako).await.unwrap();
    for _ in 0..2 {
        send(&house.at(&SANDBOX), &token, &some_order()).await.unwrap();
    }
    let mut page = Page::open(&house, &mut hanako).await;
    let history: HolderHistory = page.post(wire::path::ME_HISTORY, json!({})).await.unwrap();
    let made: Vec<_> =
        history.entries.iter().filter(|entry| entry.event == "signature.made").collect();
    assert_eq!(made.len(), 2);
    assert_eq!(made[0].facility.as_deref(), Some(SANDBOX.name_ja));
    assert_eq!(made[0].kind, Some(DocumentKind::Prescription));
    assert!(history.entries.iter().all(|entry| entry.event != "signature.intended"));

    // Each has its proof, which holds against the log's key; nobody else gets it.
    let index = made[0].index;
    let path = format!("/me/proof/{index}");
    let answer = page.client().send("GET", &path, None, None).await.unwrap();
    let proof = Proof::parse(std::str::from_utf8(&answer.body).unwrap()).unwrap();
    let entry = proof.verify(house.platform().ledger.verify_key()).unwrap();
    assert_eq!((entry.index, entry.opening.record.event), (index, Event::SignatureMade));
    let mut his = Page::open(&house, &mut jiro).await;
    let foreign: Result<Value, _> = call(&his.client(), "GET", &path, None, None).await;
    assert_eq!(code(foreign), "journal-no-such-entry");
    let foreign = his.decide(json!({"act": "dispute", "index": index})).await;
    assert_eq!(code(foreign), "journal-no-such-entry");

    page.decide(json!({"act": "dispute", "index": index})).await.unwrap();
    let history: HolderHistory = page.post(wire::path::ME_HISTORY, json!({})).await.unwrap();
    let disputed: Vec<_> =
        history.entries.iter().filter(|entry| entry.disputed.is_some()).collect();
    assert_eq!(disputed.iter().map(|entry| entry.index).collect::<Vec<_>>(), [index]);
    let again = page.decide(json!({"act": "dispute", "index": index})).await;
    assert_eq!(code(again), "already-disputed");
    assert_eq!(house.entries(Event::EntryDisputed).await.len(), 1);
    house.in_order().await;
}

/// A new phone scans what the old one shows, and offers its passkey.
pub(super) async fn offer(page: &Page<'_>, new: &mut Phone) -> Value {
    let begun: Value = page.post(wire::path::ME_CHANGE_BEGIN, json!({})).await.unwrap();
    let (_, qr) = begun["qr"].as_str().unwrap().split_once("/n#1.").unwrap();
    let (sheet, secret) = qr.split_once('.').unwrap();
    let body = json!({"sheet": sheet, "secret": secret});
    let opened: Value = ask(&page.way, new, wire::path::CHANGE_OPEN, &body).await.unwrap();
    let shown: LinkStatement = serde_json::from_value(opened["statement"].clone()).unwrap();
    let made = new.link(&shown.challenge(), &opened["options"]).unwrap();
    let body = json!({"session": opened["session"], "credential": made, "label": new.label()});
    ask(&page.way, new, wire::path::CHANGE_OFFER, &body).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn she_moves_to_a_new_phone_and_reports_it_lost() {
    let house = House::found().await;
    let mut hanako = house.resident(&HANAKO).await;
    let token = house.morning(&mut hanako).await.unwrap();
    let url = house.platform().config.url.clone();
    let mut page = Page::open(&house, &mut hanako).await;
    let mut new = Phone::new("新しい電話", &url).unwrap();
    let offered = offer(&page, &mut new).await;
    let state: ChangeState = page.post(wire::path::ME_CHANGE, json!({})).await.unwrap();
    assert_eq!(state.step, ChangeStep::Offered);
    assert_eq!(json!(state.code), offered["code"]);
    page.agree(state.ask.unwrap()).await.unwrap();

    // The old phone's page is shut, what it had allowed is over, and the new one goes on.
    assert_eq!(code(page.state().await), "signin-needed");
    let refused = send(&house.at(&SANDBOX), &token, &some_order()).await;
    assert_eq!(code(refused), "token-ended");
    assert!(house.morning(&mut hanako).await.is_err());
    hanako.phone = new;
    let token = house.morning(&mut hanako).await.unwrap();
    send(&house.at(&SANDBOX), &token, &some_order()).await.unwrap();

    // She loses that one as well, and says so while it is still in her hand to say it with.
    let mut page = Page::open(&house, &mut hanako).await;
    assert_eq!(page.state().await.unwrap().phone.unwrap().label, "新しい電話");
    page.decide(json!({"act": "loss"})).await.unwrap();
    assert_eq!(code(page.state().await), "signin-needed");
    let refused = send(&house.at(&SANDBOX), &token, &some_order()).await;
    assert_eq!(code(refused), "token-ended");
    assert!(house.morning(&mut hanako).await.is_err());
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_is_checked_by_what_it_shows_at_this_moment() {
    let house = House::found().await;
    let mut hanako = house.resident(&HANAKO).await;
    let page = Page::open(&house, &mut hanako).await;
    let shown: Value = page.post(wire::path::ME_CARD, json!({})).await.unwrap();
    let (_, code_shown) = shown["qr"].as_str().unwrap().split_once("/v#1.").unwrap();
    let way = house.founded.client(None).unwrap();
    let check = |code: &str| {
        let (way, body) = (way.clone(), json!({"code": code}));
        async move { call::<Value>(&way, "POST", wire::path::CARD_CHECK, None, Some(&body)).await }
    };
    let checked = check(code_shown).await.unwrap();
    assert_eq!(
        (&checked["valid"], &checked["card"]["number"]),
        (&json!(true), &json!(HANAKO.display_id))
    );
    assert_eq!(code(check("AAAAAAAAAAAAAAAAAAAAAA").await), "card-code-unknown");
    let key = page.resident.citizen.key;
    house.platform().custody.stop_key(key, custody::StopReason::Revoked, now()).await.unwrap();
    assert_eq!(check(code_shown).await.unwrap()["valid"], json!(false));
}
