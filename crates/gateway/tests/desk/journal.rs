use std::sync::atomic::Ordering;

use ledger::Failed;

use crate::estate::now;
use crate::platform::{Trouble, grow, journal};
use crate::world::{Town, code, csv, id};

async fn sign_more(town: &Town, text: &str) -> Result<gateway::Signed, Failed<gateway::Refusal>> {
    let other = String::from_utf8(csv()).unwrap().replace("粉砕しない", text);
    town.gateway.prescribe(&id("dr-1"), other.as_bytes(), now()).await
}

async fn forks(town: &Town) -> u64 {
    town.store
        .read(|tx| {
            let row = tx.query_one("SELECT count(*) FROM gateway_fork", &[])?;
            Ok::<_, Failed<gateway::Refusal>>(row.number(0)?)
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_journal_that_grows_is_followed() {
    let town = Town::awake().await;
    town.prescribe().await.unwrap();
    grow(&town.world.ledger(), 5).await;
    sign_more(&town, "い").await.unwrap();
    assert_eq!(town.gateway.watch(now()).await.unwrap(), 9);
    assert_eq!(town.gateway.watch(now()).await.unwrap(), 9);
    assert_eq!(forks(&town).await, 0);
}

#[tokio::test]
async fn a_rolled_back_journal_is_refused_although_the_log_key_signed_it() {
    let town = Town::awake().await;
    grow(&town.world.ledger(), 9).await;
    town.prescribe().await.unwrap();
    let yesterday = journal(&town.folder.path().join("yesterday"), 7);
    grow(&yesterday, 3).await;
    *town.world.ledger.lock().unwrap() = yesterday;
    assert_eq!(code(town.gateway.watch(now()).await), "checkpoint-forked");
    assert_eq!(code(sign_more(&town, "い").await), "checkpoint-forked");
    assert!(forks(&town).await >= 1);
    // It stays refused after a restart: what was seen is remembered.
    let town = town.restarted();
    assert_eq!(code(town.gateway.watch(now()).await), "checkpoint-forked");
}

#[tokio::test]
async fn another_history_is_refused_at_every_size() {
    for size in [1, 11, 12, 20] {
        let town = Town::awake().await;
        grow(&town.world.ledger(), 9).await;
        town.prescribe().await.unwrap();
        let other = journal(&town.folder.path().join("other"), 7);
        grow(&other, size).await;
        *town.world.ledger.lock().unwrap() = other;
        assert_eq!(code(town.gateway.watch(now()).await), "checkpoint-forked", "{size}");
        assert_eq!(forks(&town).await, 1);
    }
}

#[tokio::test]
async fn an_older_checkpoint_of_the_same_journal_is_no_fork() {
    let town = Town::awake().await;
    town.world.patience.store(0, Ordering::SeqCst);
    town.world.trouble([Trouble::AnswerLost]);
    assert_eq!(code(town.prescribe().await), "platform-unreachable");
    // The minute's look sees more than the answer of before will show.
    grow(&town.world.ledger(), 4).await;
    assert_eq!(town.gateway.watch(now()).await.unwrap(), 6);
    let signed = town.prescribe().await.unwrap();
    assert_eq!(signed.index, 1);
    assert_eq!(forks(&town).await, 0);
}

#[tokio::test]
async fn a_checkpoint_signed_by_another_key_is_no_checkpoint() {
    let town = Town::awake().await;
    *town.world.ledger.lock().unwrap() = journal(&town.folder.path().join("other"), 8);
    assert_eq!(code(town.gateway.watch(now()).await), "answer-proof-wrong");
}
