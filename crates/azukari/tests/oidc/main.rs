//! A relying party that strangers made logs a physician in: Authlib (PyPI), over a running town.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;
#[path = "../outside/town.rs"]
#[allow(dead_code, reason = "shared with those who send requests themselves")]
mod town;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use ::town::phone::{Phone, Scanned};
use approval::{LinkStatement, LoginStatement};
use serde_json::{Value, json};
use support::kept_judge;
use town::Town;

/// A newcomer registers a phone by her sheet.
fn linked(town: &Town, person: &Value) -> Phone {
    let mut phone = Phone::new("試験の電話", town.text("/platform")).unwrap();
    let Scanned::Sheet { id, secret } = phone.scan(person["sheet"].as_str().unwrap()).unwrap()
    else {
        panic!("not a sheet")
    };
    let open = json!({"sheet": id, "secret": secret});
    let opened = town.ask(&phone, "/phone/link/open", &open);
    let birth = json!({"session": opened["session"], "birth_date": person["birth_date"]});
    let asked = town.ask(&phone, "/phone/link/birth", &birth);
    let shown: LinkStatement = serde_json::from_value(asked["statement"].clone()).unwrap();
    let credential = phone.link(&shown.challenge(), &asked["options"]).unwrap();
    let finish = json!({"session": opened["session"], "credential": credential});
    town.ask(&phone, "/phone/link/finish", &finish);
    phone
}

/// She approves the login that this QR code is of; the digits that her phone shows.
fn approved(town: &Town, phone: &mut Phone, qr: &str) -> String {
    let Scanned::Ceremony { id, secret } = phone.scan(qr).unwrap() else {
        panic!("not a ceremony: {qr}")
    };
    let asked = town.ask(phone, "/phone/session/claim", &json!({"ceremony": id, "secret": secret}));
    assert_eq!(asked["type"], "login");
    let shown: LoginStatement = serde_json::from_value(asked["statement"].clone()).unwrap();
    assert_eq!(shown.redirect_host, "127.0.0.1");
    let credential = phone.approve(&shown.challenge(), &asked["options"]).unwrap();
    let approval = json!({"ceremony": id, "credential": credential});
    let done = town.ask(phone, "/phone/session/approve", &approval);
    done["number"].as_str().unwrap().to_owned()
}

#[test]
fn authlib_logs_a_physician_in_and_is_refused_what_it_must_not_get() {
    let town = Town::open_with("oidc-authlib", &["--newcomers"]);
    let person = &town.demo["newcomers"][0];
    let mut phone = linked(&town, person);
    let key = std::fs::read_to_string(town.text("/oidc/private_key")).unwrap();
    let settings = town.out.join("relying-party.json");
    let known = json!({
        "issuer": town.text("/platform"), "ca": town.text("/ca_file"),
        "client_id": town.text("/oidc/client_id"),
        "key": serde_json::from_str::<Value>(&key).unwrap(),
    });
    std::fs::write(&settings, known.to_string()).unwrap();

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc/relying_party.py");
    let python = kept_judge("python");
    let mut party = Command::new(&python)
        .arg(script)
        .arg(&settings)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; run ./test", python.display()));
    let mut tell = party.stdin.take().unwrap();
    let mut said = BufReader::new(party.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let Some(Ok(qr)) = said.next() else { break };
        let digits = approved(&town, &mut phone, &qr);
        writeln!(tell, "{digits}").unwrap();
    }
    let last = said.next().and_then(Result::ok).unwrap_or_default();
    let mut errors = String::new();
    party.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(party.wait().unwrap().success(), "{errors}\nthe town said:\n{}", town.said());
    let login: Value = serde_json::from_str(&last).unwrap();
    assert!(!login["name"].as_str().unwrap().is_empty());
    assert_ne!(login["sub"], person["person_id"]);
}
