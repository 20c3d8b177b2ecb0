//! Strangers judge the cards: pcscd with its virtual reader, OpenSC's tools and its driver for My
//! Number Cards, openssl. One reader, so one test at a time.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::people::{card_of, hpki_card, jpki};
use town::card::vpcd::{self, Inserted};
use town::card::{AnyCard, Kept, Layout};

static READER: Mutex<()> = Mutex::new(());

/// pcscd, started here unless the machine runs one already, and its only virtual reader.
struct Reader {
    _alone: MutexGuard<'static, ()>,
    daemon: Option<Child>,
}

impl Reader {
    fn take() -> Self {
        let alone = READER.lock().unwrap_or_else(PoisonError::into_inner);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, vpcd::PORT));
        let mut daemon = None;
        if TcpStream::connect(address).is_err() {
            let started = Command::new("pcscd")
                .arg("--foreground")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            daemon = Some(started.expect("pcscd is installed by ./test"));
        }
        for _ in 0..400 {
            let listed = run("opensc-tool", &["--list-readers"]);
            if listed.contains("Virtual PCD") {
                return Self { _alone: alone, daemon };
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("pcscd shows no virtual reader: {}", run("opensc-tool", &["--list-readers"]));
    }

    fn insert(&self, card: &Kept) -> Inserted<AnyCard> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, vpcd::PORT));
        let inserted = vpcd::insert(card.card().unwrap(), address).unwrap();
        self.wait(true);
        inserted
    }

    /// Until the reader sees a card, or none.
    fn wait(&self, there: bool) {
        for _ in 0..400 {
            if run("opensc-tool", &["--reader", "0", "--atr"]).starts_with("3b:") == there {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the reader does not see that the card is {}", if there { "in" } else { "out" });
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// What a program says, on both outputs.
fn run(program: &str, arguments: &[&str]) -> String {
    let ran = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let ran = ran.unwrap_or_else(|error| panic!("{program} is installed by ./test: {error}"));
    format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
}

fn file(folder: &Path, name: &str, octets: &[u8]) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, octets).unwrap();
    file
}

#[test]
fn opensc_reads_the_my_number_card_and_signs_and_openssl_verifies() {
    let (reader, jpki) = (Reader::take(), jpki());
    let card = reader.insert(&card_of(&jpki));
    assert!(run("opensc-tool", &["-l"]).contains("Virtual PCD"));
    let named = run("opensc-tool", &["--name"]);
    assert!(named.contains("jpki"), "{named}");
    let dump = run("pkcs15-tool", &["-D"]);
    for expected in
        ["JPKI", "User Authentication PIN", "Digital Signature PIN", "Tries left     : 3"]
    {
        assert!(dump.contains(expected), "{expected} in {dump}");
    }

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let message = file(folder.path(), "message", b"challenge of the morning");
    let message = message.to_str().unwrap();
    let certificate = path("auth.pem");
    let read = run("pkcs15-tool", &["--read-certificate", "01", "--output", &certificate]);
    assert!(Path::new(&certificate).exists(), "{read}");
    let signature = path("signature");
    let signed = run(
        "pkcs11-tool",
        &[
            "--login",
            "--pin",
            "1234",
            "--sign",
            "--id",
            "01",
            "--mechanism",
            "SHA256-RSA-PKCS",
            "--input-file",
            message,
            "--output-file",
            &signature,
        ],
    );
    let public = run("openssl", &["x509", "-in", &certificate, "-noout", "-pubkey"]);
    let public = file(folder.path(), "public.pem", public.as_bytes());
    let judged = run(
        "openssl",
        &[
            "dgst",
            "-sha256",
            "-verify",
            public.to_str().unwrap(),
            "-signature",
            &signature,
            message,
        ],
    );
    assert!(judged.contains("Verified OK"), "{judged}\n{signed}");
    let [authority, _] = jpki.certificates();
    let authority = file(folder.path(), "ca.der", authority);
    let authority_pem = path("ca.pem");
    run(
        "openssl",
        &["x509", "-inform", "DER", "-in", authority.to_str().unwrap(), "-out", &authority_pem],
    );
    let chain = run(
        "openssl",
        &["verify", "-x509_strict", "-CAfile", &authority_pem, "-no_check_time", &certificate],
    );
    assert!(chain.contains("OK"), "{chain}");

    // A wrong PIN counts down on the card, and three block it.
    for left in [2, 1, 0] {
        run(
            "pkcs11-tool",
            &[
                "--login",
                "--pin",
                "9999",
                "--sign",
                "--id",
                "01",
                "--mechanism",
                "SHA256-RSA-PKCS",
                "--input-file",
                message,
                "--output-file",
                &path("nothing"),
            ],
        );
        let told = card.look(|card| match card {
            AnyCard::Jpki(card) => card.auth_pin.left,
            AnyCard::Hpki(_) => unreachable!(),
        });
        assert_eq!(told, left);
    }
    assert!(run("pkcs15-tool", &["-D"]).contains("Tries left     : 0"));
    drop(card);
    reader.wait(false);
}

#[test]
fn a_reader_sends_an_hpki_card_plain_commands() {
    let reader = Reader::take();
    let _card = reader.insert(&hpki_card(Layout::Example));
    let select = "00:A4:04:00:10:E8:28:BD:08:0F:A0:00:00:03:91:00:00:00:00:00:01:00";
    let said = run(
        "opensc-tool",
        &["--card-driver", "default", "--send-apdu", select, "--send-apdu", "00:B0:91:00:00"],
    );
    assert_eq!(said.matches("SW1=0x90, SW2=0x00").count(), 2, "{said}");
    assert!(said.contains("A8 05 30 03 04 01 98"), "{said}");
}
