//! Two platforms, each a process of its own, over one PostgreSQL database: they spend the same
//! budgets and activations, and one that is killed leaves nothing that the other cannot close.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../ledger/tests/common/engine.rs"]
mod engine;
#[path = "support/running.rs"]
mod running;

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use running::{
    AZUKARI, COME_AGAIN, Line, Order, Running, answered, connector, fresh, repeated, same,
};
use serde_json::{Value, json};
use tokio::sync::{Barrier, mpsc};
use tokio_rustls::TlsConnector;
use wire::SignAnswer;

/// Tries at one order, or at one activation.
const TRIES: usize = 64;
/// Orders that are under way together.
const ORDERS: usize = 40;

/// A founded town with a letter writer, whose platform is two processes.
struct Town {
    folder: tempfile::TempDir,
    manifest: Value,
    database: String,
    addresses: [SocketAddr; 2],
    connector: TlsConnector,
}

impl Town {
    async fn found() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = engine::address(&folder.path().join("database"));
        let manifest = running::found(folder.path(), &["--csc", "--postgres", &database]).await;
        // The second is a copy of the first's folder, behind a door of its own.
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let addresses = [running::address(&manifest), free];
        let town = folder.path().join("town");
        let copied = Command::new("cp")
            .arg("-r")
            .args([town.join("platform"), town.join("platform-2")])
            .status();
        assert!(copied.unwrap().success());
        let text = std::fs::read_to_string(town.join("platform.toml")).unwrap();
        let second = text.replacen("folder = \"platform\"", "folder = \"platform-2\"", 1).replacen(
            &addresses[0].to_string(),
            &free.to_string(),
            1,
        );
        assert_eq!(
            second.matches("platform-2").count() + second.matches(&free.to_string()).count(),
            2
        );
        std::fs::write(town.join("platform-2.toml"), second).unwrap();
        let connector = connector(&manifest);
        Self { folder, manifest, database, addresses, connector }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self, which: usize) -> PathBuf {
        self.path(["town/platform.toml", "town/platform-2.toml"][which])
    }

    async fn serve(&self, which: usize) -> Running {
        let said = self.path(&format!("serve-{which}.log"));
        running::serve(&self.config(which), &said, self.addresses[which], &self.connector).await
    }

    async fn line(&self, which: usize) -> Line {
        Line::open(self.addresses[which], &self.connector).await.unwrap()
    }

    /// Sends all of these at once, to the two in turn; gives what was answered as it arrives.
    async fn at_once(
        &self,
        calls: Vec<(&'static str, String, Value)>,
    ) -> mpsc::UnboundedReceiver<(usize, Option<(u16, Value)>)> {
        let together = Arc::new(Barrier::new(calls.len()));
        let (arrived, arriving) = mpsc::unbounded_channel();
        for (place, (path, token, body)) in calls.into_iter().enumerate() {
            let mut line = self.line(place % 2).await;
            let (together, arrived) = (Arc::clone(&together), arrived.clone());
            tokio::spawn(async move {
                together.wait().await;
                let said = line.post(path, &token, &body).await;
                let _ = arrived.send((place, said));
            });
        }
        arriving
    }

    /// One number out of the database.
    fn count(&self, sql: &str) -> u64 {
        engine::sql(&self.database, sql).parse().unwrap()
    }
}

fn call(order: &Order) -> (&'static str, String, Value) {
    ("/v1/signatures", order.token.clone(), serde_json::to_value(&order.request).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_over_one_database_spend_nothing_twice_and_lose_nothing_when_one_is_killed() {
    let town = Town::found().await;
    let first = town.serve(0).await;
    let second = town.serve(1).await;
    let mut orders = one_budget_is_spent_from_both_at_once(&town).await;
    orders.push(one_order_is_signed_once_however_often_it_is_sent(&town).await);
    one_activation_is_spent_once(&town).await;
    orders.extend(one_is_killed_and_the_other_goes_on(&town, second).await);

    // Whoever comes back tells of each order what the other told.
    let mut second = town.serve(1).await;
    let mut lines = [town.line(0).await, town.line(1).await];
    for order in &orders {
        for line in &mut lines {
            let again = repeated(line, order).await;
            assert!(same(order.answer.as_ref().unwrap(), &again), "{order:?} {again:?}");
        }
    }
    a_facility_that_one_revokes_is_refused_by_the_other(&town).await;
    let mut first = first;
    first.end().await;
    second.end().await;
    the_books_balance(&town, orders.len());
}

async fn one_budget_is_spent_from_both_at_once(town: &Town) -> Vec<Order> {
    let token = running::token(&town.manifest, "prescription");
    let mut orders: Vec<Order> = (0..ORDERS).map(|_| fresh("prescription", &token)).collect();
    let mut arriving = town.at_once(orders.iter().map(call).collect()).await;
    let mut left = BTreeSet::new();
    while let Some((place, said)) = arriving.recv().await {
        let answer = answered(said.unwrap());
        assert!(left.insert(answer.left), "{} was left twice", answer.left);
        orders[place].answer = Some(answer);
    }
    let (least, most) = (left.first().unwrap(), left.last().unwrap());
    assert_eq!((left.len(), most - least), (ORDERS, ORDERS as u64 - 1), "one budget: {left:?}");
    orders
}

async fn one_order_is_signed_once_however_often_it_is_sent(town: &Town) -> Order {
    let mut order = fresh("dispensing", &running::token(&town.manifest, "dispensing"));
    let mut arriving = town.at_once(vec![call(&order); TRIES]).await;
    let mut answers: Vec<SignAnswer> = Vec::new();
    while let Some((_, said)) = arriving.recv().await {
        let said = said.unwrap();
        if said.0 == 200 {
            answers.push(answered(said));
        } else {
            assert_eq!(said.1["code"], COME_AGAIN, "{}", said.1);
        }
    }
    assert!(answers.iter().all(|answer| same(answer, &answers[0])));
    order.answer = answers.into_iter().next();
    order
}

/// A SAD for one signature, and 64 who would have it.
async fn one_activation_is_spent_once(town: &Town) {
    let person = &town.manifest["csc"]["persons"][0];
    let credential = &person["credentials"]["statement"];
    let token = person["access_token"].as_str().unwrap();
    let body = json!({"credentialID": credential, "numSignatures": 1});
    let path = "/csc/v2/credentials/authorize";
    let (status, said) = town.line(0).await.post(path, token, &body).await.unwrap();
    assert_eq!(status, 200, "{said}");
    let attempt = |number: usize| {
        let body = json!({
            "credentialID": credential, "SAD": said["SAD"],
            "hashes": [STANDARD.encode([number as u8; 32])],
            "hashAlgorithmOID": "2.16.840.1.101.3.4.2.1", "signAlgo": "1.2.840.113549.1.1.11",
        });
        ("/csc/v2/signatures/signHash", token.to_owned(), body)
    };
    let mut arriving = town.at_once((0..TRIES).map(attempt).collect()).await;
    let mut signed = 0;
    while let Some((_, said)) = arriving.recv().await {
        let (status, said) = said.unwrap();
        match status {
            200 => signed += said["signatures"].as_array().unwrap().len(),
            _ => assert_eq!((status, &said["error"]), (400, &json!("invalid_request")), "{said}"),
        }
    }
    assert_eq!(signed, 1);
}

async fn one_is_killed_and_the_other_goes_on(town: &Town, mut second: Running) -> Vec<Order> {
    let token = running::token(&town.manifest, "prescription");
    let mut orders: Vec<Order> = (0..ORDERS).map(|_| fresh("prescription", &token)).collect();
    let mut arriving = town.at_once(orders.iter().map(call).collect()).await;
    let (place, said) = arriving.recv().await.unwrap();
    orders[place].answer = Some(answered(said.unwrap()));
    second.kill();
    while let Some((place, said)) = arriving.recv().await {
        // A broken connection says nothing; the one that lives has answered all of its own.
        assert!(said.is_some() || place % 2 == 1, "the other was not killed");
        orders[place].answer = said.map(answered);
    }
    let unanswered = orders.iter().filter(|order| order.answer.is_none()).count();
    assert!(unanswered > 0, "the kill came in the middle");
    // What the dead one had begun is closed when its lease is over, and then signed here.
    let mut line = town.line(0).await;
    for order in &mut orders {
        let again = repeated(&mut line, order).await;
        match &order.answer {
            Some(before) => assert!(same(before, &again)),
            None => order.answer = Some(again),
        }
    }
    orders
}

/// Standing is nothing that a process may remember: whichever revokes, both know at the next request.
async fn a_facility_that_one_revokes_is_refused_by_the_other(town: &Town) {
    let mut lines = [town.line(0).await, town.line(1).await];
    for line in &mut lines {
        assert_eq!(line.get("/v1/facility").await.unwrap().0, 200);
    }
    let revoked = Command::new(AZUKARI)
        .args(["revoke", "--reason", "cessationOfOperation", "--config"])
        .arg(town.config(0))
        .arg("--certificate")
        .arg(town.manifest["facility"]["client_certificate"].as_str().unwrap())
        .output()
        .unwrap();
    assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    for line in &mut lines {
        let (status, said) = line.get("/v1/facility").await.unwrap();
        assert_eq!((status, &said["code"]), (403, &json!("facility-certificate-revoked")));
    }
}

fn the_books_balance(town: &Town, orders: usize) {
    let verified = Command::new(AZUKARI)
        .args(["journal", "verify", "--config"])
        .arg(town.config(0))
        .arg("--log-key")
        .arg(town.manifest["log_key"].as_str().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success() && !text.contains("open intention"), "{text}");
    let told = |event: &str| {
        let sql = "SELECT count(*) FROM ledger_entry WHERE position('{}'::bytea IN opening) > 0";
        town.count(&sql.replace("{}", event))
    };
    // Everything that was signed: the orders, and the one hash.
    let signed = orders as u64 + 1;
    assert_eq!(told("signature.made"), signed);
    assert_eq!(told("signature.intended"), signed + told("signature.interrupted"));
    let consumed = "SELECT count(*) FROM custody_activation WHERE state = 'consumed'";
    let all = "SELECT count(*) FROM custody_activation";
    assert_eq!((town.count(consumed), town.count(all)), (signed, signed));
    let unbalanced =
        "SELECT count(*) FROM custody_budget b JOIN custody_counter c ON c.budget = b.id
         WHERE b.count - c.remaining <>
             (SELECT count(*) FROM custody_activation a WHERE a.budget = b.id)";
    assert_eq!(town.count(unbalanced), 0, "what was drawn is what was signed");
}
