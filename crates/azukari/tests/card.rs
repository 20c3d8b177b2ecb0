//! `azukari card`: a made-up card is made, looked at, put into a reader and taken out, and keeps its
//! counters. The real PC/SC stack judges the card itself in room `town`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/mod.rs"]
mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use support::*;

fn card(words: &[&str]) -> Ran {
    let mut all = vec!["card".as_ref()];
    all.extend(words.iter().map(|word| std::ffi::OsStr::new(*word)));
    azukari(&all)
}

fn made(folder: &Path) -> PathBuf {
    let ran = card(&["create", "--out", folder.to_str().unwrap()]);
    assert!(ran.well() && ran.out.contains("azukari card insert"), "{ran:?}");
    folder.join("my-number-card-hanako.json")
}

#[test]
fn a_card_is_made_and_shown_without_its_address_and_never_overwritten() {
    let folder = scratch("card");
    let file = made(&folder);
    let shown = card(&["show", file.to_str().unwrap()]);
    assert!(shown.well() && shown.out.contains("3 / 3"), "{shown:?}");
    assert!(!shown.out.contains("架空県"), "{shown:?}");
    let out = folder.to_str().unwrap();
    for (words, said) in [
        (vec!["create", "--out", out], "既にあります"),
        (vec!["create", "--out", out, "--person", "nobody"], "hanako"),
        (vec!["create", "--out", out, "--person", "jiro", "--pin", "12345"], "4 桁"),
        (vec!["create", "--out", out, "--person", "jiro", "--password", "short"], "6〜16"),
        (vec!["show", "/nowhere.json"], "読めません"),
        (vec!["show", folder.join("jpki-auth-ca.pem").to_str().unwrap()], "カードのファイルでは"),
    ] {
        let ran = card(&words);
        assert!(ran.code == 1 && ran.text().contains(said), "{words:?}: {ran:?}");
    }
    // A second card has the same authorities above it.
    let before = std::fs::read(folder.join("jpki-auth-ca.pem")).unwrap();
    assert!(card(&["create", "--out", out, "--person", "jiro"]).well());
    assert_eq!(std::fs::read(folder.join("jpki-auth-ca.pem")).unwrap(), before);
}

#[test]
fn without_a_reader_it_says_what_to_install() {
    let file = made(&scratch("card-no-reader"));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ran = card(&["insert", file.to_str().unwrap(), "--reader", &port]);
    assert!(ran.code == 1 && ran.text().contains("vsmartcard-vpcd"), "{ran:?}");
}

/// A reader in place of pcscd's driver.
struct Reader {
    line: TcpStream,
    process: Child,
}

impl Reader {
    fn with(file: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let process = Command::new(AZUKARI)
            .args(["card", "insert"])
            .arg(file)
            .args(["--reader", &listener.local_addr().unwrap().to_string()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (line, _) = listener.accept().unwrap();
        Self { line, process }
    }

    fn send(&mut self, message: &[u8]) {
        let length = u16::try_from(message.len()).unwrap().to_be_bytes();
        self.line.write_all(&[&length, message].concat()).unwrap();
    }

    fn ask(&mut self, message: &[u8]) -> Vec<u8> {
        self.send(message);
        let mut length = [0; 2];
        self.line.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        self.line.read_exact(&mut answer).unwrap();
        answer
    }

    /// The reader goes away: the card notices and the program ends.
    fn end(mut self) {
        self.line.shutdown(std::net::Shutdown::Both).unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

#[test]
fn a_wrong_pin_counts_on_the_card_and_taking_it_out_gives_no_try_back() {
    let file = made(&scratch("card-counter"));
    let mut reader = Reader::with(&file);
    assert_eq!(reader.ask(&[4])[0], 0x3b, "the answer to reset");
    reader.send(&[1]);
    let select = [0, 0xa4, 4, 0x0c, 10, 0xd3, 0x92, 0xf0, 0, 0x26, 1, 0, 0, 0, 1];
    assert_eq!(reader.ask(&select), [0x90, 0]);
    assert_eq!(reader.ask(&[0, 0xa4, 2, 0x0c, 2, 0, 0x18]), [0x90, 0]);
    assert_eq!(reader.ask(b"\x00\x20\x00\x80\x049999"), [0x63, 0xc2]);
    reader.end();
    let shown = card(&["show", file.to_str().unwrap()]);
    assert!(shown.out.contains("2 / 3") && shown.out.contains("5 / 5"), "{shown:?}");
}
