//! The owner of a key reads every use of it with what her phone keeps, over the platform's real
//! doors, and finds it out if something was hidden or rewritten.

use hpki::refusal::Refuse as _;
use ledger::History;
use ledger::tlog::{Missed, Quorum};
use rusqlite::Connection;
use town::people::{HANAKO, JIRO};

use super::*;
use crate::journal::mine::{Mine, told};
use crate::platform::journal::publish;

/// What she is told with what her phone keeps.
async fn look(house: &House, resident: &Resident) -> Result<History, Missed> {
    let mine = Mine::of(&house.founded.url, &resident.phone).unwrap();
    let quorum = Quorum::new(house.platform().ledger.verify_key().clone(), Vec::new(), 0).unwrap();
    publish(house.platform(), now()).await;
    mine.look(&house.founded.client(None).unwrap(), &quorum).await
}

fn caught(looked: Result<History, Missed>) -> &'static str {
    match looked {
        Err(Missed::Caught(refusal)) => refusal.code(),
        other => panic!("not caught: {other:?}"),
    }
}

fn unanswered(looked: Result<History, Missed>) -> String {
    match looked {
        Err(Missed::Unreachable(why)) => why.0,
        other => panic!("answered: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn she_reads_every_use_of_her_key_and_nobody_elses() {
    let house = House::found().await;
    let (mut hanako, mut jiro) = (house.resident(&HANAKO).await, house.resident(&JIRO).await);
    let token = house.morning(&mut hanako).await.unwrap();
    house.morning(&mut jiro).await.unwrap();
    let facility = house.at(&SANDBOX);
    for _ in 0..2 {
        send(&facility, &token, &some_order()).await.unwrap();
    }
    let history = look(&house, &hanako).await.unwrap();
    let key = hanako.citizen.key;
    assert!(history.entries.iter().all(|(_, opening)| opening.record.key == Some(key)));
    let text = told(&history);
    assert_eq!(text.matches("署名 (signature.made)\t電子処方箋\t").count(), 2, "{text}");
    assert_eq!(text.matches(SANDBOX.code).count(), 5, "two of each, and the approval: {text}");
    assert!(
        text.contains(" JST\t鍵の生成 (key.generated)\t") && text.contains("署名 2 件"),
        "{text}"
    );
    assert!(text.ends_with("(nothing is hidden)\n"), "{text}");

    // His phone reads his; with her stream key it reads nothing, nor does a phone linked no more.
    let his = look(&house, &jiro).await.unwrap();
    assert!(his.entries.iter().all(|(_, opening)| opening.record.key == Some(jiro.citizen.key)));
    jiro.phone.keep_stream_key(hanako.phone.memory().stream_key.clone());
    assert!(unanswered(look(&house, &jiro).await).contains("stream-key-wrong"));
    house.platform().authn.unlink(key, now()).await.unwrap();
    assert!(unanswered(look(&house, &hanako).await).contains("phone-not-linked"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_hidden_or_rewritten_since_she_approved_is_found() {
    if engine::on_postgres() {
        // Whoever rewrites the file writes past the platform; the finding is the same code.
        return;
    }
    let mut house = House::found().await;
    let mut hanako = house.resident(&HANAKO).await;
    let token = house.morning(&mut hanako).await.unwrap();
    send(&house.at(&SANDBOX), &token, &some_order()).await.unwrap();
    let history = look(&house, &hanako).await.unwrap();
    let (made, intended) = (history.entries.len() - 1, history.entries.len() - 2);
    let (made, intended) = (history.entries[made].0, history.entries[intended].0);

    // Somebody with the database takes back what it said, entry by entry.
    let file = house.platform().config.store.folder().join("store.sqlite");
    let rewrite = |sql: &str| {
        let database = Connection::open(&file).unwrap();
        let triggers = database
            .prepare("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            .unwrap()
            .query_map([], |row| row.get::<_, String>(0))
            .unwrap()
            .collect::<Result<Vec<_>, _>>()
            .unwrap();
        for trigger in triggers {
            database.execute(&format!("DROP TRIGGER {trigger}"), []).unwrap();
        }
        assert_eq!(database.execute(sql, []).unwrap(), 1);
    };
    // What she is told of an entry is not what it committed to.
    rewrite(&format!("UPDATE ledger_entry SET salt = zeroblob(32) WHERE idx = {made}"));
    assert_eq!(caught(look(&house, &hanako).await), "stream-renumbered");
    // The signature is left out of what is handed to her.
    rewrite(&format!(
        "UPDATE ledger_stream SET idx = {intended}, seq = seq - 1 WHERE idx = {made}"
    ));
    assert_eq!(caught(look(&house, &hanako).await), "stream-withheld");

    // She approved another history than the log tells now: what her phone signed shows it.
    let (seq, _) = *hanako.phone.memory().heads.last().unwrap();
    hanako.phone.keep_head(seq, [7; 32]);
    assert_eq!(caught(look(&house, &hanako).await), "stream-forked");
    house.close().await;
}
