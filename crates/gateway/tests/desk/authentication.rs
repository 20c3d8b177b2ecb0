use std::sync::Arc;

use gateway::{Gateway, Light, ShelfKey};
use hpki::id::CeremonyId;
use ledger::{Failed, Value};
use wire::CeremonyStep;

use crate::estate::{Dice, now};
use crate::platform::Wire;
use crate::world::{Town, code, config, id, later, person};

async fn shelf_rows(town: &Town) -> u64 {
    town.store
        .read(|tx| {
            let row = tx.query_one("SELECT count(*) FROM gateway_shelf", &[])?;
            Ok::<_, Failed<gateway::Refusal>>(row.number(0)?)
        })
        .await
        .unwrap()
}

async fn tamper(town: &Town, sql: &'static str, values: &'static [(&'static str, u8)]) {
    town.store
        .write(move |tx| {
            let values: Vec<Value> = values
                .iter()
                .map(|(text, octet)| match *octet {
                    0 => Value::from(*text),
                    octet => Value::Blob(vec![octet; 16]),
                })
                .collect();
            assert_eq!(tx.exec(sql, &values)?, 1);
            Ok::<_, Failed<gateway::Refusal>>(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_morning_from_qr_to_green() {
    let town = Town::asleep();
    let gateway = &town.gateway;
    assert_eq!(gateway.staff_state(&id("dr-1"), now()).await.unwrap().light, Light::None);
    let begun = gateway.authenticate(&id("dr-1"), &"t1".parse().unwrap(), now()).await.unwrap();
    assert!(begun.qr.starts_with("https://platform.example/q#1."));
    let state = gateway.authentication_state(&id("dr-1"), begun.ceremony, now()).await.unwrap();
    assert_eq!((state.state, state.until), (CeremonyStep::Waiting, None));
    {
        let ceremonies = town.world.ceremonies.lock().unwrap();
        let request = &ceremonies[&begun.ceremony].0;
        assert_eq!(request.expected_person, Some(person(1)));
        assert_eq!(request.terminal.label, "第１診察室");
    }
    town.world.release(begun.ceremony, person(1), later(64_800));
    let state = gateway.authentication_state(&id("dr-1"), begun.ceremony, now()).await.unwrap();
    assert_eq!(state.until, Some(later(64_800)));
    let state = gateway.staff_state(&id("dr-1"), now()).await.unwrap();
    assert_eq!((state.light, state.until), (Light::Green, Some(later(64_800))));
    assert_eq!(state.means.as_deref(), Some("phone"));
    // It lasts over logout, other terminals and restarts.
    let town = town.restarted();
    let state = town.gateway.staff_state(&id("dr-1"), later(64_000)).await.unwrap();
    assert_eq!(state.light, Light::Yellow);
    assert!(town.prescribe().await.is_ok());
}

#[tokio::test]
async fn an_expired_token_is_erased() {
    let town = Town::awake().await;
    assert_eq!(shelf_rows(&town).await, 2);
    let state = town.gateway.staff_state(&id("dr-1"), later(64_800)).await.unwrap();
    assert_eq!((state.light, state.until), (Light::None, None));
    assert_eq!(shelf_rows(&town).await, 1);
    assert_eq!(town.gateway.sweep(later(64_800)).await.unwrap(), 1);
    assert_eq!(shelf_rows(&town).await, 0);
}

#[tokio::test]
async fn a_record_moved_to_another_person_or_staff_id_does_not_open() {
    for (sql, values) in [
        ("UPDATE gateway_shelf SET person = $1 WHERE staff = 'dr-1'", &[("", 9)][..]),
        ("UPDATE gateway_shelf SET jti = $1 WHERE staff = 'dr-1'", &[("", 5)][..]),
        ("UPDATE gateway_shelf SET until = until + 1 WHERE staff = 'dr-1'", &[][..]),
        ("UPDATE gateway_shelf SET staff = $1 WHERE staff = 'dr-1'", &[("dr-2", 0)][..]),
    ] {
        let town = Town::awake().await;
        tamper(&town, sql, values).await;
        for staff in ["dr-1", "dr-2"] {
            let state = town.gateway.staff_state(&id(staff), now()).await.unwrap();
            assert_eq!(state.light, Light::None, "{sql}");
        }
        // The pharmacist's is left; the tampered one is gone.
        assert_eq!(shelf_rows(&town).await, 1, "{sql}");
    }
}

#[tokio::test]
async fn a_token_is_never_offered_to_another_staff_id() {
    let town = Town::asleep();
    // dr-2 is not in the staff list by person: the first who authenticates is bound.
    town.authenticate("dr-2", 2).await.unwrap();
    assert_eq!(town.gateway.staff_state(&id("dr-3"), now()).await.unwrap().light, Light::None);
    assert_eq!(code(town.authenticate("dr-3", 2).await), "person-of-another-staff");
    assert_eq!(code(town.authenticate("dr-2", 3).await), "person-not-of-staff");
    // The staff list says who dr-1 is.
    assert_eq!(code(town.authenticate("dr-1", 3).await), "person-not-of-staff");
    assert_eq!(code(town.authenticate("dr-3", 1).await), "person-of-another-staff");
    // Moving the stored binding does not move the token, which is sealed to its staff ID.
    tamper(&town, "UPDATE gateway_binding SET staff = $1 WHERE staff = 'dr-2'", &[("dr-3", 0)])
        .await;
    tamper(&town, "UPDATE gateway_shelf SET staff = $1 WHERE staff = 'dr-2'", &[("dr-3", 0)]).await;
    assert_eq!(town.gateway.staff_state(&id("dr-3"), now()).await.unwrap().light, Light::None);
}

#[tokio::test]
async fn the_bound_person_is_expected_the_next_morning() {
    let town = Town::asleep();
    town.authenticate("dr-2", 2).await.unwrap();
    let tomorrow = later(86_400);
    let begun = town.gateway.authenticate(&id("dr-2"), &"t1".parse().unwrap(), tomorrow).await;
    let ceremonies = town.world.ceremonies.lock().unwrap();
    let request = &ceremonies[&begun.unwrap().ceremony].0;
    assert_eq!(request.expected_person, Some(person(2)));
}

#[tokio::test]
async fn unknown_staff_terminals_and_ceremonies_are_refused() {
    let town = Town::asleep();
    let gateway = &town.gateway;
    let terminal = "t1".parse().unwrap();
    assert_eq!(code(gateway.authenticate(&id("x"), &terminal, now()).await), "staff-unknown");
    let refused = gateway.authenticate(&id("dr-1"), &"t9".parse().unwrap(), now()).await;
    assert_eq!(code(refused), "terminal-unknown");
    let foreign = CeremonyId::from_octets([1; 16]);
    let refused = gateway.authentication_state(&id("dr-1"), foreign, now()).await;
    assert_eq!(code(refused), "gateway-ceremony-unknown");
    assert_eq!(
        code(gateway.number(&id("dr-1"), foreign, "042", now()).await),
        "gateway-ceremony-unknown"
    );
    assert!(town.world.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_ceremony_is_known_to_its_own_staff_member_only() {
    let town = Town::asleep();
    let gateway = &town.gateway;
    let begun = gateway.authenticate(&id("dr-2"), &"t1".parse().unwrap(), now()).await.unwrap();
    town.world.release(begun.ceremony, person(2), later(64_800));
    for other in ["dr-1", "dr-3", "nobody"] {
        let refused = gateway.authentication_state(&id(other), begun.ceremony, now()).await;
        assert_eq!(code(refused), "gateway-ceremony-unknown", "{other}");
        let refused = gateway.number(&id(other), begun.ceremony, "042", now()).await;
        assert_eq!(code(refused), "gateway-ceremony-unknown", "{other}");
    }
    // Nothing was asked, and the token waits for its own staff member.
    assert_eq!(town.world.asked(), ["/v1/ceremonies"]);
    let state = gateway.authentication_state(&id("dr-2"), begun.ceremony, now()).await.unwrap();
    assert_eq!(state.state, CeremonyStep::Released);
}

#[tokio::test]
async fn the_three_digits_are_passed_on() {
    let town = Town::asleep();
    let gateway = &town.gateway;
    let begun = gateway.authenticate(&id("dr-1"), &"t1".parse().unwrap(), now()).await.unwrap();
    let refused = gateway.number(&id("dr-1"), begun.ceremony, "041", now()).await;
    assert_eq!(crate::world::refusal(refused).platform_code(), Some("place-not-confirmed"));
    town.world.release(begun.ceremony, person(1), later(64_800));
    let state = gateway.number(&id("dr-1"), begun.ceremony, "042", now()).await.unwrap();
    assert_eq!(state.until, Some(later(64_800)));
}

#[tokio::test]
async fn a_token_that_is_not_what_is_said_of_it_is_refused() {
    let town = Town::asleep();
    let gateway = &town.gateway;
    let begun = gateway.authenticate(&id("dr-2"), &"t1".parse().unwrap(), now()).await.unwrap();
    let set = |change: &dyn Fn(&mut wire::TokenAnswer)| {
        town.world.release(begun.ceremony, person(2), later(64_800));
        let mut ceremonies = town.world.ceremonies.lock().unwrap();
        change(ceremonies.get_mut(&begun.ceremony).unwrap().1.token.as_mut().unwrap());
    };
    set(&|token| token.person = person(3));
    let staff = id("dr-2");
    let state = || gateway.authentication_state(&staff, begun.ceremony, now());
    assert_eq!(code(state().await), "answer-malformed");
    set(&|token| token.until = later(99_999));
    assert_eq!(code(state().await), "answer-malformed");
    set(&|token| token.token = "x.y.z".into());
    assert_eq!(code(state().await), "answer-malformed");
    set(&|_| ());
    let refused = gateway.authentication_state(&staff, begun.ceremony, later(64_800)).await;
    assert_eq!(code(refused), "answer-malformed");
    assert!(state().await.is_ok());
}

#[tokio::test]
async fn a_token_can_be_ended() {
    let town = Town::awake().await;
    town.gateway.end(&id("dr-1"), now()).await.unwrap();
    assert_eq!(code(town.prescribe().await), "no-token");
    assert_eq!(code(town.gateway.end(&id("dr-1"), now()).await), "no-token");
    assert_eq!(town.world.asked().iter().filter(|p| *p == "/v1/sessions/end").count(), 1);
}

#[tokio::test]
async fn a_stolen_store_without_its_key_opens_nothing() {
    let town = Town::awake().await;
    let thief = Gateway::open(
        config(&town.world),
        town.store.clone(),
        ShelfKey::from_octets([4; 32]).unwrap(),
        Wire(Arc::clone(&town.world)),
        Arc::new(Dice),
    );
    assert_eq!(thief.staff_state(&id("dr-1"), now()).await.unwrap().light, Light::None);
}
