//! pcscd, a town whose cards are in its virtual readers, and what `azukari card` says of them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{AZUKARI, Ran, judge};
use crate::town::Town;

static READERS: Mutex<()> = Mutex::new(());

/// Looks until it is so; pcscd takes its time to notice.
pub(crate) fn until<T>(what: &str, mut so: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1_200 {
        if let Some(found) = so() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what} did not come to pass: {:?}", list());
}

pub(crate) fn list() -> Ran {
    azukari_card(&["list"])
}

pub(crate) fn azukari_card(arguments: &[&str]) -> Ran {
    let ran = Command::new(AZUKARI).arg("card").args(arguments).stdin(Stdio::null()).output();
    ran.unwrap().into()
}

/// pcscd, started here unless the machine runs one already.
struct Daemon(Option<Child>);

impl Daemon {
    fn run() -> Self {
        let mut daemon = Self(None);
        if TcpStream::connect(("127.0.0.1", ::town::card::vpcd::PORT)).is_err() {
            let started = Command::new("pcscd")
                .arg("--foreground")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            daemon.0 = Some(started.expect("pcscd is installed by ./test"));
        }
        until("two virtual readers", || {
            let listed = judge("opensc-tool", &["--list-readers"]).text();
            (listed.matches("Virtual PCD").count() == 2).then_some(())
        });
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.0 {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// A town with its cards in the readers.
pub(crate) struct Place {
    pub(crate) town: Town,
    // Dropped after the town, whose cards come out first.
    _daemon: Daemon,
    _alone: MutexGuard<'static, ()>,
}

/// Whose card is in which reader at first.
pub(crate) const HERS: &str = "hpki-hanako";
pub(crate) const HIS: &str = "hpki-jiro";
pub(crate) const HER_NUMBER: &str = "my-number-hanako";
pub(crate) const FIRST: &str = "Virtual PCD 00 00";
pub(crate) const SECOND: &str = "Virtual PCD 00 01";

impl Place {
    pub(crate) fn open(folder: &str, flags: &[&str]) -> Self {
        let alone = READERS.lock().unwrap_or_else(PoisonError::into_inner);
        let daemon = Daemon::run();
        let town = Town::open_with(folder, &[&["--reader"], flags].concat());
        let place = Self { town, _daemon: daemon, _alone: alone };
        place.seen(0, "Hanako Kakuu");
        place.seen(1, "見本");
        place
    }

    /// What the page of the town says, after this was done on it.
    pub(crate) fn page(&self, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.town.text("/page").trim_end_matches('/'));
        let mut arguments = vec!["-sS".to_owned(), "-w".into(), "\n%{http_code}".into(), url];
        if let Some(body) = body {
            arguments.extend(["-H".into(), "Content-Type: application/json".into()]);
            arguments.extend(["--data-binary".into(), body.to_string()]);
        }
        let ran = judge("curl", &arguments);
        let (said, status) = ran.out.rsplit_once('\n').unwrap_or_else(|| panic!("{ran:?}"));
        (status.parse().unwrap(), serde_json::from_str(said).unwrap_or_default())
    }

    /// Puts a card into a reader, and waits until programs see it.
    pub(crate) fn insert(&self, card: &str, reader: usize) {
        let (status, said) =
            self.page("/demo/cards/insert", Some(json!({ "card": card, "reader": reader })));
        assert_eq!(status, 200, "{said}");
        let seen = match card {
            HERS => "Hanako Kakuu",
            HIS => "見本",
            _ => "マイナンバーカード",
        };
        self.seen(reader, seen);
    }

    /// Takes a card out, and waits until programs see that.
    pub(crate) fn remove(&self, card: &str) {
        let reader = self.card(card)["reader"].as_u64().expect("it is in a reader");
        let (status, said) = self.page("/demo/cards/remove", Some(json!({ "card": card })));
        assert_eq!(status, 200, "{said}");
        self.seen(usize::try_from(reader).unwrap(), "カードがありません");
    }

    /// Until `azukari card list` says this of that reader.
    pub(crate) fn seen(&self, reader: usize, text: &str) {
        let name = [FIRST, SECOND][reader];
        until(&format!("{text} in {name}"), || {
            let listed = list().out;
            let (_, after) = listed.split_once(name)?;
            let own = after.split("Virtual PCD").next()?;
            own.contains(text).then_some(())
        });
    }

    /// A card as the page shows it.
    pub(crate) fn card(&self, id: &str) -> Value {
        let (_, state) = self.page("/demo/state", None);
        let cards = state["cards"].as_array().unwrap_or_else(|| panic!("{state}"));
        cards.iter().find(|card| card["id"] == id).unwrap().clone()
    }

    /// How many tries the page shows of its PINs: signing, authentication.
    pub(crate) fn tries(&self, id: &str) -> [u64; 2] {
        let card = self.card(id);
        [0, 1].map(|pin| card["pins"][pin]["left"].as_u64().unwrap())
    }

    /// `azukari card prove`, with these lines typed.
    pub(crate) fn prove(&self, arguments: &[&str], typed: &str) -> Ran {
        let mut proving = self.proving(arguments);
        proving.typed.take().unwrap().write_all(typed.as_bytes()).unwrap();
        proving.end()
    }

    /// The same, while it goes on.
    pub(crate) fn proving(&self, arguments: &[&str]) -> Proving {
        let mut child = Command::new(AZUKARI)
            .args(["card", "prove"])
            .args(arguments)
            .args(["--platform", self.town.text("/platform"), "--ca", self.town.text("/ca_file")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Proving { typed: child.stdin.take(), child, said: String::new() }
    }
}

/// `azukari card prove` while it waits for its holder.
pub(crate) struct Proving {
    pub(crate) typed: Option<ChildStdin>,
    child: Child,
    said: String,
}

impl Proving {
    /// Reads on until it has said this.
    pub(crate) fn says(&mut self, text: &str) -> BufReader<std::process::ChildStdout> {
        let mut lines = BufReader::new(self.child.stdout.take().unwrap());
        while !self.said.contains(text) {
            let read = lines.read_line(&mut self.said).unwrap();
            assert!(read > 0, "it ended before it said {text}: {}", self.said);
        }
        lines
    }

    pub(crate) fn end(self) -> Ran {
        drop(self.typed);
        let mut ran: Ran = self.child.wait_with_output().unwrap().into();
        ran.out.insert_str(0, &self.said);
        ran
    }
}
