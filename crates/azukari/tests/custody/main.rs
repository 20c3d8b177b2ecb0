//! The life of kept keys from outside: officers with keys that openssl made, an authority that
//! hands a key over through the door, its receipt, its destruction with a statement, and what an
//! audit says before and after somebody changed a row.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../custody/tests/common/outside.rs"]
mod outside;
#[path = "../officer/place.rs"]
#[allow(dead_code)]
mod place;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpki::Certificate;
use hpki::encoding::sha256;
use hpki::qualification::Qualification;
use hpki::time::Timestamp;
use hsm::OaepDigest;
use ledger::tlog::{Proof, VerifyKey};
use outside::{Outside, openssl};
use place::{Place, wait_for};
use serde_json::{Value, json};
use support::*;

/// The platform's house, and the officers' keys beside it.
struct House {
    place: Place,
    keys: PathBuf,
    demo: Value,
}

/// A serving platform that does not outlive its test.
struct Serving(Child);

impl Serving {
    fn end(&mut self) {
        let id = self.0.id().to_string();
        assert!(judge("sh", &["-c", "kill -s TERM \"$1\"", "sh", &id]).well());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Serving {
    /// Ctrl-C: it ends well. Gives what it said.
    fn interrupted(&mut self) -> String {
        let id = self.0.id().to_string();
        assert!(judge("sh", &["-c", "kill -s INT \"$1\"", "sh", &id]).well());
        assert!(self.0.wait().unwrap().success());
        std::io::read_to_string(self.0.stdout.take().unwrap()).unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl House {
    fn custody(&self, words: &[&str]) -> Ran {
        let mut command = Command::new(AZUKARI);
        command.arg("custody").args(words).arg("--config").arg(self.place.config());
        command.stdin(Stdio::null()).output().unwrap().into()
    }

    fn done(&self, words: &[&str]) -> String {
        let ran = self.custody(words);
        assert!(ran.well(), "{words:?}: {ran:?}");
        ran.out
    }

    fn file(&self, name: &str) -> String {
        self.keys.join(name).to_str().unwrap().to_owned()
    }

    /// Which keys are made ahead now.
    fn pool(&self) -> BTreeSet<String> {
        let program = "import json, sqlite3, sys\n\
             db = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True)\n\
             rows = db.execute('SELECT hex(place) || hex(spki) FROM custody_pool')\n\
             print(json.dumps([row[0] for row in rows]))\n";
        let store = self.place.path("platform/ledger/store.sqlite");
        let told = judge("python3", &["-c", program, store.to_str().unwrap()]);
        assert!(told.well(), "{told:?}");
        serde_json::from_str(&told.out).unwrap()
    }

    /// The number of the officer with this name.
    fn officer(&self, name: &str) -> String {
        let list = self.done(&["list"]);
        let line = list.lines().find(|line| line.contains(name)).unwrap();
        line.split_whitespace().next().unwrap().to_owned()
    }

    /// Opens a directive; gives its number.
    fn direct(&self, act: &Value) -> String {
        let file = self.file("act.json");
        std::fs::write(&file, act.to_string()).unwrap();
        let said = self.done(&["direct", "--act", &file, "--out", &self.file("papers")]);
        said.split_whitespace().next().unwrap().to_owned()
    }

    /// The officer signs her own 32 octets with openssl, and confirms.
    fn confirm(&self, directive: &str, key: &str, name: &str) -> Ran {
        let officer = self.officer(name);
        let octets = self.file(&format!("papers/{directive}-{officer}.bin"));
        let signature = self.file("signature");
        openssl(&[
            "pkeyutl",
            "-sign",
            "-rawin",
            "-inkey",
            &self.file(key),
            "-in",
            &octets,
            "-out",
            &signature,
        ]);
        self.custody(&[
            "confirm",
            "--directive",
            directive,
            "--officer",
            &officer,
            "--signature",
            &signature,
        ])
    }

    fn decide(&self, act: &Value) -> String {
        let directive = self.direct(act);
        assert!(self.confirm(&directive, "operator.key", "架空 運用").well());
        let ran = self.confirm(&directive, "security.key", "架空 保安");
        assert!(ran.out.contains("ready"), "{ran:?}");
        directive
    }

    fn tls(&self, pointer: &str) -> String {
        let file = PathBuf::from(self.demo.pointer(pointer).unwrap().as_str().unwrap());
        let file = self.place.path("tls").join(file.file_name().unwrap());
        file.to_str().unwrap().to_owned()
    }

    fn curl(&self, path: &str, more: &[&str]) -> (String, Value) {
        let url = format!("{}{path}", self.demo["platform"].as_str().unwrap());
        let tls = (self.tls("/ca_file"), self.tls("/facility/client_certificate"));
        let key = self.tls("/facility/client_key");
        let mut words = vec![
            "-sS",
            "--max-time",
            "60",
            "--noproxy",
            "*",
            "--retry",
            "60",
            "--retry-delay",
            "1",
            "--retry-connrefused",
            "-w",
            "\n%{http_code}",
            "--cacert",
            &tls.0,
            "--cert",
            &tls.1,
            "--key",
            &key,
        ];
        words.extend(more);
        words.push(&url);
        let ran = judge("curl", &words);
        let (body, status) = ran.out.rsplit_once('\n').unwrap_or_else(|| panic!("{ran:?}"));
        (status.to_owned(), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn serve(&self) -> Serving {
        let mut command = Command::new(AZUKARI);
        command.args(["serve", "--config"]).arg(self.place.config());
        Serving(command.stdin(Stdio::null()).spawn().unwrap())
    }
}

/// The DER of a PEM.
fn der(pem: &str) -> Vec<u8> {
    STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap()
}

fn log_key(place: &Place) -> VerifyKey {
    std::fs::read_to_string(place.path("log.vkey")).unwrap().trim().parse().unwrap()
}

/// The journal's entry that the proof is about has the hash of these words.
fn proven(words: &str, proof: &str, log: &VerifyKey) {
    let entry = Proof::parse(proof).unwrap().verify(log).unwrap();
    assert_eq!(entry.opening.record.evidence, Some(sha256(words.as_bytes())));
}

fn found(folder: &Path) -> House {
    let place = Place::found(&folder.join("house"));
    let demo = std::fs::read(folder.join("house/demo.json")).unwrap();
    let keys = folder.join("keys");
    std::fs::create_dir_all(&keys).unwrap();
    House { place, keys, demo: serde_json::from_slice(&demo).unwrap() }
}

#[test]
fn keys_are_made_ahead_once_each_and_an_interruption_takes_none_away() {
    let house = found(&scratch("custody-pool"));
    let generate = |count: usize| {
        let said = house.done(&["generate", "--count", &count.to_string()]);
        assert!(said.contains(&format!("{count} 本")), "{said}");
        house.pool()
    };
    let first = generate(3);
    assert_eq!(first.len(), 3);
    // What is there is not made again, and fewer are not wanted.
    assert_eq!(generate(3), first);
    assert!(house.done(&["generate", "--count", "1"]).contains("3 本"));
    assert_eq!(house.pool(), first);

    // Far more than this is waited for; Ctrl-C once some of them are there.
    let mut command = Command::new(AZUKARI);
    command.args(["custody", "generate", "--count", "100000", "--config"]);
    command.arg(house.place.config()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut making = Serving(command.spawn().unwrap());
    wait_for("some more keys", || {
        assert!(making.0.try_wait().unwrap().is_none(), "it ended by itself");
        (house.pool().len() > first.len()).then_some(())
    });
    let said = making.interrupted();
    let kept = house.pool();
    assert!(kept.is_superset(&first) && kept.len() > first.len());
    assert!(said.contains(&format!("{} 本", kept.len())), "{said}");
    assert!(house.done(&["pool"]).contains(&format!("{} 本", kept.len())));
    // It goes on from there.
    let more = generate(kept.len() + 2);
    assert!(more.is_superset(&kept));
    assert_eq!(more.len(), kept.len() + 2);
}

#[test]
fn a_key_is_handed_over_by_an_authority_and_destroyed_before_two_officers() {
    let house = found(&scratch("custody"));
    let whole = house.done(&["audit"]);
    assert!(whole.contains("all whole"), "{whole}");

    // Officers make their own keys; the platform sees the public halves.
    for (name, arguments) in [
        ("operator", vec!["-algorithm", "ED25519"]),
        ("security", vec!["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
        ("second", vec!["-algorithm", "ED25519"]),
    ] {
        let (key, public) = (house.file(&format!("{name}.key")), house.file(name));
        let mut words = vec!["genpkey"];
        words.extend(arguments);
        words.extend(["-out", key.as_str()]);
        openssl(&words);
        openssl(&["pkey", "-in", &key, "-pubout", "-out", &public]);
    }
    house.done(&[
        "found",
        "--officer",
        &format!("operator:架空 運用:{}", house.file("operator")),
        "--officer",
        &format!("security:架空 保安:{}", house.file("security")),
        "--officer",
        &format!("security:架空 次席:{}", house.file("second")),
    ]);

    // An authority outside, known by its client certificate and its own certificate.
    let outside = Outside::found();
    let config = std::fs::read_to_string(house.place.config()).unwrap();
    let importer = format!(
        "{config}\n[[platform.importer]]\nname = \"outside\"\ncertificate = \"{}\"\nauthority = \"{}\"\n",
        house.tls("/facility/client_certificate"),
        outside.file("ca.pem"),
    );
    std::fs::write(house.place.config(), importer).unwrap();
    let spki = outside.make_key("doctor");
    let seconds = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let now = Timestamp::from_seconds(seconds);
    let certificate: Certificate = outside.certify(&spki, Qualification::MedicalDoctor, now);
    let directive = house.decide(&json!({
        "act": "import",
        "authority": "outside",
        "person": "000000000000000000000000000000ff",
        "role": "Medical Doctor",
        "purpose": "prescription",
        "consent": hex::encode([7; 32]),
        "certificate": hex::encode(certificate.sha256()),
    }));
    let mut serving = house.serve();
    let (status, answer) = house.curl("/v1/import/key", &[]);
    assert_eq!(status, "200", "{answer}");
    let import_key = der(answer["key"].as_str().unwrap());
    let package = outside.wrap("doctor", &import_key, OaepDigest::Sha256);
    let body = json!({
        "directive": directive,
        "digest": "sha256",
        "wrapped_aes": STANDARD.encode(&package.wrapped_aes),
        "wrapped_key": STANDARD.encode(&package.wrapped_key),
        "certificate": STANDARD.encode(certificate.der()),
    });
    let text = body.to_string();
    let send = ["-H", "Content-Type: application/json", "--data", text.as_str()];
    let (status, answer) = house.curl("/v1/import", &send);
    assert_eq!(status, "200", "{answer}");
    let (status, again) = house.curl("/v1/import", &send);
    assert_eq!((status.as_str(), &again["code"]), ("409", &json!("directive-closed")));
    let log = log_key(&house.place);
    proven(answer["receipt"].as_str().unwrap(), answer["proof"].as_str().unwrap(), &log);
    serving.end();

    // Destroyed by two; the statement names them, and what becomes of the tape.
    let key = answer["key"].as_str().unwrap();
    assert!(house.done(&["key", "--key", key]).contains("outside"));
    let directive = house.direct(&json!({
        "act": "destroy",
        "key": key,
        "reason": "試験 (TEST)",
        "backups": [{ "backup": "tape 7 (TEST)", "end": "overwritten", "by": 1893456000 }],
    }));
    assert!(house.confirm(&directive, "operator.key", "架空 運用").well());
    let alone = house.custody(&["carry-out", "--directive", &directive]);
    assert!(!alone.well() && alone.err.contains("not enough officers"), "{alone:?}");
    let twice = house.confirm(&directive, "operator.key", "架空 運用");
    assert!(twice.err.contains("confirmed it already"), "{twice:?}");
    let wrong = house.confirm(&directive, "operator.key", "架空 次席");
    assert!(wrong.err.contains("signature is wrong"), "{wrong:?}");
    assert!(house.confirm(&directive, "second.key", "架空 次席").well());
    let out = house.file("end");
    let said = house.done(&["carry-out", "--directive", &directive, "--out", &out]);
    for word in [key, "架空 運用", "架空 次席", "tape 7"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let read = |name: &str| std::fs::read_to_string(Path::new(&out).join(name)).unwrap();
    proven(&read("destruction.json"), &read("destruction.proof"), &log);
    assert!(house.done(&["key", "--key", key]).contains("destroyed"));
    assert!(house.done(&["audit"]).contains("all whole"));

    // Somebody changes one row behind the program's back.
    let store = house.place.path("platform/ledger/store.sqlite");
    let change = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); \
        c.execute(\"UPDATE custody_key SET purpose='hash' WHERE state='held'\"); c.commit()";
    assert!(judge("python3", &["-c", change, store.to_str().unwrap()]).well());
    let ran = house.custody(&["audit", "--json"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let report = ran.json();
    assert_eq!(report["whole"], json!(false));
    assert_eq!(report["findings"][0]["wrong"], json!("seal-broken"));
    let alarms = house.done(&["alarms"]);
    assert!(alarms.contains("封印の破れ"), "{alarms}");
}
