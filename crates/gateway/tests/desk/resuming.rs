use std::sync::atomic::Ordering;

use crate::estate::now;
use crate::platform::Trouble::{AnswerLost, Lost, Says};
use crate::world::{Town, code, id, later, refusal};

/// The process dies while it waits: whoever waited gives up, and the folder is opened anew.
async fn dies_waiting(trouble: crate::platform::Trouble) -> Town {
    let town = Town::awake().await;
    town.world.patience.store(0, Ordering::SeqCst);
    town.world.trouble([trouble]);
    assert_eq!(code(town.prescribe().await), "platform-unreachable");
    town.restarted()
}

#[tokio::test]
async fn after_a_crash_the_order_is_resumed_under_its_number() {
    for (trouble, made_before) in [(Lost, 0), (AnswerLost, 1)] {
        let town = dies_waiting(trouble).await;
        assert_eq!(town.world.made(), made_before);
        let resumed = town.gateway.resume(later(30)).await.unwrap();
        assert_eq!(resumed.len(), 1);
        let signed = resumed[0].outcome.as_ref().unwrap();
        assert_eq!(signed.order, town.world.numbers()[0]);
        assert_eq!(town.world.numbers(), [signed.order; 2]);
        assert_eq!(town.world.made(), 1);
        assert_eq!(town.gateway.document(signed.order).await.unwrap(), signed.document);
        assert!(town.gateway.resume(later(31)).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn asking_again_after_a_crash_takes_up_the_open_order() {
    let town = dies_waiting(AnswerLost).await;
    let signed = town.prescribe().await.unwrap();
    assert_eq!(town.world.numbers(), [signed.order; 2]);
    assert_eq!(town.world.made(), 1);
}

#[tokio::test]
async fn an_order_that_nobody_expects_any_more_makes_no_new_signature() {
    let town = dies_waiting(Lost).await;
    let resumed = town.gateway.resume(later(601)).await.unwrap();
    assert_eq!(code(resumed.into_iter().next().unwrap().outcome), "order-expired");
    assert_eq!(town.world.made(), 0);
    assert_eq!(town.world.numbers().len(), 1);
    assert!(town.gateway.resume(later(602)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_signature_that_was_made_is_still_fetched_hours_later() {
    let town = dies_waiting(AnswerLost).await;
    town.world.clock.store(later(40_000).seconds(), Ordering::SeqCst);
    let resumed = town.gateway.resume(later(40_000)).await.unwrap();
    let signed = resumed[0].outcome.as_ref().unwrap();
    assert_eq!(signed.signing_time, now());
    assert_eq!(town.world.numbers().len(), 1);
}

#[tokio::test]
async fn while_the_platform_is_away_the_order_stays_open() {
    let town = dies_waiting(AnswerLost).await;
    town.world.patience.store(20, Ordering::SeqCst);
    for (at, trouble, expected) in [
        (10, Lost, "platform-unreachable"),
        (20, Says(409, "order-in-progress"), "platform-refused"),
        (30, Says(500, "fault"), "platform-busy"),
        (700, Lost, "platform-unreachable"),
        (710, Says(409, "order-in-progress"), "platform-refused"),
        (720, Says(403, "facility-certificate-revoked"), "platform-refused"),
    ] {
        town.world.trouble([trouble]);
        let resumed = town.gateway.resume(later(at)).await.unwrap();
        assert_eq!(code(resumed.into_iter().next().unwrap().outcome), expected, "{at}");
    }
    // Nobody waits in a resumption, so it never pauses.
    assert!(town.world.pauses.lock().unwrap().is_empty());
    town.world.trouble([Lost]);
    let resumed = town.gateway.resume(later(90_000)).await.unwrap();
    assert_eq!(code(resumed.into_iter().next().unwrap().outcome), "order-expired");
}

#[tokio::test]
async fn an_open_order_waits_for_its_own_persons_token() {
    let town = dies_waiting(AnswerLost).await;
    town.gateway.end(&id("dr-1"), now()).await.unwrap();
    let resumed = town.gateway.resume(later(10)).await.unwrap();
    assert_eq!(code(resumed.into_iter().next().unwrap().outcome), "no-token");
    town.authenticate("dr-1", 1).await.unwrap();
    assert!(town.gateway.resume(later(20)).await.unwrap()[0].outcome.is_ok());
    assert_eq!(town.world.made(), 1);
}

#[tokio::test]
async fn documents_are_kept_for_a_day() {
    let town = Town::awake().await;
    let signed = town.prescribe().await.unwrap();
    town.gateway.sweep(later(86_400)).await.unwrap();
    assert!(town.gateway.document(signed.order).await.is_ok());
    town.gateway.sweep(later(86_401)).await.unwrap();
    assert_eq!(code(town.gateway.document(signed.order).await), "order-expired");
    let unknown = "0192f1d2-7c3a-7b11-8f0e-0123456789ab".parse().unwrap();
    let refusal = refusal(town.gateway.document(unknown).await);
    assert_eq!(refusal, gateway::Refusal::OrderUnknown);
}
