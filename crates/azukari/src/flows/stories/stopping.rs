//! The owner stops her own key from her phone, in the middle of the morning.

use approval::StopStatement;
use hpki::id::KeyId;
use serde_json::json;
use town::people::{HANAKO, JIRO, SANDBOX};

use super::*;
use crate::demo::walk::ask;

/// What the phone of this resident is asked.
async fn begin(way: &Client, resident: &Resident) -> Result<Value, StepFailed> {
    ask(way, &resident.phone, wire::path::KEY_STOP_BEGIN, &json!({})).await
}

/// The phone compares what it shows with what it signs, as for every approval.
fn agree(resident: &mut Resident, asked: &Value) -> Value {
    let shown: StopStatement = serde_json::from_value(asked["statement"].clone()).unwrap();
    resident.phone.approve(&shown.challenge(), &asked["options"]).unwrap()
}

async fn finish(way: &Client, resident: &Resident, answer: &Value) -> Result<Value, StepFailed> {
    let body = json!({"credential": answer});
    ask(way, &resident.phone, wire::path::KEY_STOP_FINISH, &body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn she_stops_her_key_in_the_middle_of_the_morning_and_nobody_else_can() {
    let house = House::found().await;
    let (mut hanako, mut jiro) = (house.resident(&HANAKO).await, house.resident(&JIRO).await);
    let token = house.morning(&mut hanako).await.unwrap();
    let jiros = house.morning(&mut jiro).await.unwrap();
    let (facility, way) = (house.at(&SANDBOX), house.founded.client(None).unwrap());
    send(&facility, &token, &some_order()).await.unwrap();

    // A phone that is not linked is asked nothing; somebody else's is asked about its owner's key,
    // and its answer does not count for hers.
    let asked: Result<Value, _> =
        call(&way, "POST", wire::path::KEY_STOP_BEGIN, None, Some(&json!({}))).await;
    assert_eq!(code(asked), "phone-not-linked");
    // Her cookie, sent along by a browser that shows another site's page, is not taken from there.
    let elsewhere = way.as_page("https://evil.example", hanako.phone.cookies());
    let asked: Result<Value, _> =
        call(&elsewhere, "POST", wire::path::KEY_STOP_BEGIN, None, Some(&json!({}))).await;
    assert_eq!(code(asked), "origin-foreign");
    let his = begin(&way, &jiro).await.unwrap();
    assert_ne!(his["statement"]["key"], json!(hanako.citizen.key));
    let hers = begin(&way, &hanako).await.unwrap();
    assert_eq!(hers["statement"]["key"], json!(hanako.citizen.key));
    let answer = agree(&mut jiro, &his);
    assert_eq!(code(finish(&way, &hanako, &answer).await), "credential-unknown");
    assert!(house.entries(Event::KeySuspended).await.is_empty());
    send(&facility, &token, &some_order()).await.unwrap();

    // She stops it: the very next signature is refused, and the journal says so with evidence.
    let answer = agree(&mut hanako, &hers);
    let done = finish(&way, &hanako, &answer).await.unwrap();
    assert_eq!(done, json!({"stopped": true}));
    assert_eq!(code(send(&facility, &token, &some_order()).await), "key-suspended");
    let stops = house.entries(Event::KeySuspended).await;
    let key: KeyId = hanako.citizen.key;
    assert_eq!(stops.len(), 1);
    assert_eq!((stops[0].key, stops[0].person), (Some(key), Some(hanako.citizen.id)));
    assert!(stops[0].evidence.is_some());
    let facts = house.platform().custody.key(key).await.unwrap();
    assert_eq!(facts.stops, [custody::StopReason::Owner]);
    assert_eq!(code(finish(&way, &hanako, &answer).await), "question-unknown");
    // A fresh morning opens nothing for a stopped key; his is untouched.
    assert!(house.morning(&mut hanako).await.is_err());
    let his_token = jiros;
    let mut order = some_order();
    order.kind = DocumentKind::Dispensing;
    send(&facility, &his_token, &order).await.unwrap();
    house.in_order().await;
}
