//! `kill -9` at any moment. A town is founded by the binary under test; its platform is then run
//! on that folder, killed in the middle of many orders, and started again, time after time. An
//! outside program that repeats its orders gets every signature that it was ever given, octet for
//! octet, and never two for one order. The same where the power goes, and the disk holds of the
//! store only what was synced.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../ledger/tests/crash/disk.rs"]
mod disk;
#[path = "support/running.rs"]
mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use disk::{Dice, Disk};
use hpki::encoding::sha256;
use ledger::Event;
use ledger::tlog::{Proof, VerifyKey};
use running::{
    AZUKARI, Line, Order, PATIENCE, Running, answered, connector, fresh, repeated, same,
};
use serde_json::{Value, json};
use tokio::sync::{Barrier, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Orders under way together in each round, of two persons in turn.
const ORDERS: usize = 20;

/// When the platform is killed: in the middle of its n-th write to the store, as near as can be
/// seen from outside, or once so many answers have arrived.
enum Moment {
    Write(usize),
    Answer(usize),
}

const MOMENTS: [Moment; 8] = [
    Moment::Write(1),
    Moment::Answer(1),
    Moment::Write(2),
    Moment::Answer(3),
    Moment::Answer(6),
    Moment::Write(4),
    Moment::Answer(11),
    Moment::Answer(17),
];

/// A founded town, and what an outside program was told about it.
struct Town {
    folder: tempfile::TempDir,
    manifest: Value,
    address: SocketAddr,
    connector: TlsConnector,
}

impl Town {
    /// Has the binary found a town and closes it.
    async fn found() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let manifest = running::found(folder.path(), &[]).await;
        let (address, connector) = (running::address(&manifest), connector(&manifest));
        Self { folder, manifest, address, connector }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ledger(&self) -> PathBuf {
        self.path("town/platform/ledger")
    }

    /// Starts the platform on the town's folder and waits until it answers.
    async fn serve(&self) -> Running {
        let (config, said) = (self.path("town/platform.toml"), self.path("serve.log"));
        running::serve(&config, &said, self.address, &self.connector).await
    }

    /// The same with the store on this disk.
    async fn serve_on(&self, disk: &Disk) -> Running {
        let (config, said) = (self.path("town/platform.toml"), self.path("serve.log"));
        let under = |command: &mut Command| disk.under(command);
        running::serve_as(&config, &said, self.address, &self.connector, &under).await
    }

    /// The platform's machine comes back with what its disk held.
    fn after_a_cut(&self, disk: &Disk, dice: Option<Dice>) {
        let after = self.path("town/platform/ledger-after");
        disk.cut(&after, dice);
        std::fs::remove_dir_all(self.ledger()).unwrap();
        std::fs::rename(after, self.ledger()).unwrap();
    }

    async fn line(&self) -> Line {
        Line::open(self.address, &self.connector).await.unwrap()
    }

    /// `azukari journal verify`, of which every kept checkpoint must be a beginning.
    fn verify_journal(&self, checkpoints: &[PathBuf]) -> Output {
        let mut command = Command::new(AZUKARI);
        command.args(["journal", "verify", "--log-key-from-ledger", "--folder"]).arg(self.ledger());
        for file in checkpoints {
            command.arg("--since").arg(file);
        }
        command.output().unwrap()
    }

    /// Asserts that nothing was rewritten and no intention is open.
    fn journal_is_whole(&self, checkpoints: &[PathBuf]) {
        let verified = self.verify_journal(checkpoints);
        let text = String::from_utf8_lossy(&verified.stdout).into_owned();
        let all = format!("{text}{}", String::from_utf8_lossy(&verified.stderr));
        assert_eq!(verified.status.code(), Some(0), "{all}");
        assert!(!text.contains("open intention"), "{all}");
        assert_eq!(text.matches("continues your checkpoint").count(), checkpoints.len(), "{all}");
    }

    /// One read-only question to the platform's database.
    fn ask(&self, sql: &str) -> Vec<Vec<Value>> {
        let program = "import json, sqlite3, sys\n\
             db = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True)\n\
             print(json.dumps(db.execute(sys.argv[2]).fetchall()))\n";
        let database = self.ledger().join("store.sqlite");
        let told = Command::new("python3").args(["-c", program]).arg(database).arg(sql).output();
        let told = told.unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        serde_json::from_slice(&told.stdout).unwrap()
    }

    /// When the store was last written to, as far as the file system says.
    fn written(&self) -> Vec<(u64, Option<std::time::SystemTime>)> {
        let files = ["store.sqlite", "store.sqlite-wal"].map(|name| self.ledger().join(name));
        let looked = files.iter().filter_map(|file| std::fs::metadata(file).ok());
        looked.map(|found| (found.len(), found.modified().ok())).collect()
    }
}

/// Sends all orders at once and kills the platform at the moment; notes what was handed out.
async fn interrupted(town: &Town, mut platform: Running, orders: &mut [Order], moment: &Moment) {
    let together = Arc::new(Barrier::new(orders.len() + 1));
    let (arrived, mut arriving) = mpsc::unbounded_channel();
    for (place, order) in orders.iter().enumerate() {
        let mut line = town.line().await;
        let (order, together, arrived) = (order.clone(), Arc::clone(&together), arrived.clone());
        tokio::spawn(async move {
            together.wait().await;
            let said = line.order(&order).await;
            let _ = arrived.send((place, said));
        });
    }
    drop(arrived);
    let before = town.written();
    together.wait().await;
    let mut answers = Vec::new();
    match moment {
        Moment::Answer(count) => {
            while answers.len() < *count {
                let (place, said) = arriving.recv().await.unwrap();
                answers.push((place, answered(said.unwrap())));
            }
        }
        Moment::Write(count) => {
            let (mut writes, mut last) = (0, before);
            let watching = async {
                // Orders share commits: there may be fewer writes than are waited for.
                while writes < *count && answers.len() < orders.len() / 2 {
                    let seen = town.written();
                    writes += usize::from(seen != last);
                    last = seen;
                    while let Ok((place, said)) = arriving.try_recv() {
                        answers.push((place, answered(said.unwrap())));
                    }
                    tokio::task::yield_now().await;
                }
            };
            timeout(PATIENCE, watching).await.expect("nothing was written");
        }
    }
    platform.kill();
    // An answer that was on its way counts as handed out; a broken connection says nothing.
    while let Some((place, said)) = arriving.recv().await {
        answers.extend(said.map(|said| (place, answered(said))));
    }
    for (place, answer) in answers {
        orders[place].answer = Some(answer);
    }
}

/// Repeats every order: what was handed out comes back, octet for octet, and what was not is signed
/// now. Keeps the checkpoint of this moment beside the earlier ones.
async fn told_again(town: &Town, orders: &mut [Order], checkpoints: &mut Vec<PathBuf>) {
    let round = checkpoints.len();
    let mut line = town.line().await;
    for order in orders {
        let again = repeated(&mut line, order).await;
        match &order.answer {
            Some(first) => assert!(same(first, &again), "round {round}: {first:?} {again:?}"),
            None => order.answer = Some(again),
        }
    }
    let (_, checkpoint) = line.get("/v1/checkpoint").await.unwrap();
    let file = town.path(&format!("checkpoint-{round}"));
    std::fs::write(&file, checkpoint["checkpoint"].as_str().unwrap()).unwrap();
    checkpoints.push(file);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_at_any_moment_the_platform_loses_no_signature_and_makes_none_twice() {
    let town = Town::found().await;
    let tokens =
        ["prescription", "dispensing"].map(|kind| (kind, running::token(&town.manifest, kind)));
    let mut orders: Vec<Order> = Vec::new();
    let mut checkpoints = Vec::new();
    let mut unanswered = 0;
    let mut platform = town.serve().await;
    for (round, moment) in MOMENTS.iter().enumerate() {
        let begun: Vec<Order> =
            tokens.iter().cycle().take(ORDERS).map(|(k, t)| fresh(k, t)).collect();
        orders.extend(begun);
        let now_sent = round * ORDERS;
        interrupted(&town, platform, &mut orders[now_sent..], moment).await;
        unanswered += orders[now_sent..].iter().filter(|order| order.answer.is_none()).count();

        // The next start has closed whatever was open before it lets anybody in.
        platform = town.serve().await;
        town.journal_is_whole(&checkpoints);
        told_again(&town, &mut orders, &mut checkpoints).await;
    }
    platform.end().await;
    assert!(unanswered > MOMENTS.len(), "the kills came in the middle: {unanswered}");

    town.journal_is_whole(&checkpoints);
    each_order_has_its_own_outcome(&town, &orders);
    the_database_agrees(&town, orders.len());
}

const CUTS: [Moment; 3] = [Moment::Answer(1), Moment::Write(3), Moment::Answer(5)];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_power_cut_takes_no_signature_back_that_was_handed_out_and_what_was_open_is_closed() {
    let town = Town::found().await;
    let tokens =
        ["prescription", "dispensing"].map(|kind| (kind, running::token(&town.manifest, kind)));
    let mut orders: Vec<Order> = Vec::new();
    let mut checkpoints = Vec::new();
    let (mut handed_out, mut open) = (0, 0);
    // Where the machine is too quick for each of these, again: one must meet an open intention.
    for (round, moment) in CUTS.iter().cycle().take(3 * CUTS.len()).enumerate() {
        if round >= CUTS.len() && open > 0 {
            break;
        }
        let disk = Disk::of(&town.ledger(), &town.path(&format!("disk-{round}")), false);
        let platform = town.serve_on(&disk).await;
        let now_sent = orders.len();
        orders.extend(tokens.iter().cycle().take(ORDERS).map(|(kind, token)| fresh(kind, token)));
        interrupted(&town, platform, &mut orders[now_sent..], moment).await;
        handed_out += orders[now_sent..].iter().filter(|order| order.answer.is_some()).count();
        // What is on the disk for certain, and sectors of what was not yet.
        town.after_a_cut(&disk, (round % 2 == 1).then_some(Dice(7)));
        open += open_intentions(&town);

        let mut platform = town.serve().await;
        town.journal_is_whole(&checkpoints);
        told_again(&town, &mut orders, &mut checkpoints).await;
        platform.end().await;
    }
    assert!(handed_out >= 6 && open > 0, "{handed_out} handed out, {open} intentions open");
    town.journal_is_whole(&checkpoints);
    each_order_has_its_own_outcome(&town, &orders);
    the_database_agrees(&town, orders.len());
}

/// Intentions that the store knows no outcome of.
fn open_intentions(town: &Town) -> u64 {
    let reserved = town.ask("SELECT count(*) FROM custody_activation WHERE state = 'reserved'");
    reserved[0][0].as_u64().unwrap()
}

/// By the proofs that came with the answers: each stands for another signature.
fn each_order_has_its_own_outcome(town: &Town, orders: &[Order]) {
    let log = std::fs::read_to_string(town.path("town/log.vkey")).unwrap();
    let log: VerifyKey = log.trim().parse().unwrap();
    let mut seen = BTreeSet::new();
    for order in orders {
        let answer = order.answer.as_ref().unwrap();
        let entry = Proof::parse(&answer.proof).unwrap().verify(&log).unwrap();
        let record = entry.opening.record;
        assert_eq!(record.event, Event::SignatureMade);
        assert_eq!(record.kind, Some(order.request.kind));
        assert_eq!(entry.index, answer.index);
        assert!(seen.insert(record.dtbsr), "one outcome for two orders");
        // It is the outcome of this very signature, which is over the order's own digest.
        let element = std::str::from_utf8(&answer.signature.0).unwrap();
        let made = record.outcome.unwrap().signature_hash;
        assert_eq!(made, Some(sha256(&signature_value(element))));
        assert!(element.contains(&STANDARD.encode(&order.request.digest.value.0)));
    }
}

fn signature_value(element: &str) -> Vec<u8> {
    let (_, rest) = element.split_once("<ds:SignatureValue").unwrap();
    let (value, _) = rest.split_once('>').unwrap().1.split_once('<').unwrap();
    STANDARD.decode(value.replace(char::is_whitespace, "")).unwrap()
}

/// By the platform's own books: one outcome `signature.made` for each order, each begun intention
/// closed, and as many draws as signatures.
fn the_database_agrees(town: &Town, orders: usize) {
    let events = town.ask(
        "SELECT e.name, count(*) FROM ledger_entry
         JOIN (SELECT 'signature.intended' AS name UNION SELECT 'signature.made'
               UNION SELECT 'signature.interrupted') e
         ON instr(opening, CAST(e.name AS BLOB)) > 0 GROUP BY e.name",
    );
    let count: BTreeMap<&str, u64> =
        events.iter().map(|row| (row[0].as_str().unwrap(), row[1].as_u64().unwrap())).collect();
    let of = |name: &str| count.get(name).copied().unwrap_or(0);
    assert_eq!(of("signature.made"), orders as u64, "{count:?}");
    let closed = of("signature.made") + of("signature.interrupted");
    assert_eq!(of("signature.intended"), closed, "{count:?}");

    let states = town.ask("SELECT state, count(*) FROM custody_activation GROUP BY state");
    assert_eq!(json!(states), json!([["consumed", orders]]));
    let outcomes = town.ask(
        "SELECT DISTINCT (SELECT count(*) FROM ledger_entry
             WHERE instr(opening, CAST('signature.made' AS BLOB)) > 0
                 AND instr(opening, dtbsr) > 0)
         FROM custody_activation",
    );
    assert_eq!(json!(outcomes), json!([[1]]), "exactly one outcome for each order");
    let unbalanced = town.ask(
        "SELECT hex(id) FROM custody_budget b JOIN custody_counter c ON c.budget = b.id
         WHERE count - remaining <>
             (SELECT count(*) FROM custody_activation a WHERE a.budget = b.id)",
    );
    assert_eq!(json!(unbalanced), json!([]), "what was drawn is what was signed");
}
