//! The responder of the town's JPKI authority, judged by openssl; and answers of openssl's responder,
//! right and wrong ones, judged by us.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpki::certificate::Certificate;
use hpki::crl::{Reason, Revoked};
use hpki::ocsp::{Expected, Request, Standing, Status, judge};
use hpki::refusal::Refuse as _;
use hpki::time::Timestamp;
use town::card::Kept;
use town::jpki::Jpki;

use crate::people::{card_of, jpki, jpki_at, now};

fn auth(card: &Kept) -> Certificate {
    let Kept::Jpki { auth, .. } = card else { panic!("a My Number Card") };
    Certificate::from_der(&auth.certificate().unwrap()).unwrap()
}

fn authority(jpki: &Jpki) -> Certificate {
    Certificate::from_der(jpki.certificates()[0]).unwrap()
}

const STRICT: Expected = Expected { nonce: true, oldest_s: 3_600 };
const TIME_ALONE: Expected = Expected { nonce: false, oldest_s: 3_600 };

/// A question of ours about her card.
struct Question {
    jpki: Jpki,
    authority: Certificate,
    card: Certificate,
    request: Request,
}

impl Question {
    fn new() -> Self {
        let jpki = jpki();
        let (authority, card) = (authority(&jpki), auth(&card_of(&jpki)));
        let request = Request::about(&card, &authority, [7; 32]).unwrap();
        Self { jpki, authority, card, request }
    }

    fn answered(&self, status: Status) -> Vec<u8> {
        self.jpki.answer(&self.request.der(), |_| status, now()).unwrap()
    }

    fn judged(
        &self,
        answer: &[u8],
        expected: Expected,
        at: Timestamp,
    ) -> Result<Standing, &'static str> {
        judge(answer, &self.request, &self.card, &self.authority, expected, at)
            .map_err(|refusal| refusal.code())
    }
}

#[test]
fn each_status_comes_back_as_it_was_said_and_of_its_time() {
    let asked = Question::new();
    let revoked = Revoked { at: now().minus(60), reason: Reason::Superseded };
    for status in [Status::Good, Status::Revoked(revoked), Status::Unknown] {
        let said = asked.judged(&asked.answered(status), STRICT, now()).unwrap();
        assert_eq!((said.status(), said.as_of()), (status, now()));
        assert!(said.is_about(&asked.card, &asked.authority));
    }
    let good = asked.answered(Status::Good);
    let at = |moment| asked.judged(&good, STRICT, moment).map(|said| said.status());
    assert_eq!(at(now().plus(600)), Ok(Status::Good), "until its next update");
    assert_eq!(at(now().plus(601)), Err("ocsp-stale"));
    assert_eq!(at(now().minus(300)), Ok(Status::Good), "clocks differ a little");
    assert_eq!(at(now().minus(301)), Err("ocsp-stale"));
    let young = Expected { oldest_s: 60, ..STRICT };
    let later = asked.judged(&good, young, now().plus(61));
    assert_eq!(later.unwrap_err(), "ocsp-stale", "older than we believe");
}

#[test]
fn an_answer_to_another_question_is_none() {
    let asked = Question::new();
    let neighbour = auth(&card_of(&asked.jpki));
    let other = Request::about(&neighbour, &asked.authority, [7; 32]).unwrap();
    let about_other = asked.jpki.answer(&other.der(), |_| Status::Good, now()).unwrap();
    assert_eq!(asked.judged(&about_other, STRICT, now()).unwrap_err(), "ocsp-other");
    // Her question, judged for her neighbour's card.
    let good = asked.answered(Status::Good);
    let swapped = judge(&good, &asked.request, &neighbour, &asked.authority, STRICT, now());
    assert_eq!(swapped.unwrap_err().code(), "ocsp-other");
    // An answer of yesterday's question, replayed.
    let before = Request::about(&asked.card, &asked.authority, [8; 32]).unwrap();
    let replayed = asked.jpki.answer(&before.der(), |_| Status::Good, now()).unwrap();
    assert_eq!(asked.judged(&replayed, TIME_ALONE, now()).unwrap_err(), "ocsp-nonce-wrong");
    // Another authority of the same name: its responder is not the pinned one's.
    let elsewhere = jpki();
    let foreign = elsewhere.answer(&asked.request.der(), |_| Status::Good, now()).unwrap();
    assert_eq!(asked.judged(&foreign, STRICT, now()).unwrap_err(), "ocsp-responder-wrong");
    // The authority of signatures is asked about a certificate that it did not issue.
    let [_, sign] = asked.jpki.certificates();
    let sign = Certificate::from_der(sign).unwrap();
    let misled = Request::about(&asked.card, &sign, [7; 32]).unwrap();
    let answer = asked.jpki.answer(&misled.der(), |_| Status::Good, now()).unwrap();
    assert_eq!(asked.judged(&answer, STRICT, now()).unwrap_err(), "ocsp-other");
}

#[test]
fn an_answer_with_any_octet_changed_is_refused() {
    let asked = Question::new();
    let good = asked.answered(Status::Good);
    let mut codes = std::collections::BTreeSet::new();
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        match asked.judged(&changed, STRICT, now()) {
            Err(code) => codes.insert(code),
            // The responder's own certificate is proven by its signature and used by its key; nothing
            // else of it is part of the answer.
            Ok(said) => panic!("octet {at} may be anything: {said:?}"),
        };
    }
    assert!(
        codes.contains("ocsp-signature-wrong") && codes.contains("ocsp-malformed"),
        "{codes:?}"
    );
    for length in [0, 1, 5, good.len() - 1] {
        assert_eq!(asked.judged(&good[..length], STRICT, now()).unwrap_err(), "ocsp-malformed");
    }
    let refused = asked.jpki.answer(b"no question", |_| Status::Good, now()).unwrap();
    assert_eq!(refused, [0x30, 3, 0x0a, 1, 1]);
    assert_eq!(asked.judged(&refused, STRICT, now()).unwrap_err(), "ocsp-refused");
}

/// openssl with the authority's certificate and key, and a folder.
struct Stranger {
    folder: tempfile::TempDir,
    jpki: Jpki,
    card: Certificate,
}

impl Stranger {
    fn new() -> Self {
        // openssl judges, and signs, by the clock of this machine.
        let folder = tempfile::tempdir().unwrap();
        let jpki = jpki_at(moment("now"));
        let card = auth(&card_of(&jpki));
        let kept = serde_json::to_value(jpki.keep()).unwrap();
        let stranger = Self { folder, jpki, card };
        stranger.write("card.pem", stranger.card.pem().as_bytes());
        stranger.write("ca.pem", authority(&stranger.jpki).pem().as_bytes());
        let key = STANDARD.decode(kept["auth"]["key"].as_str().unwrap()).unwrap();
        stranger.write("ca.p8", &key);
        stranger.run("pkey", "-inform DER -in ca.p8 -out ca.key");
        stranger
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, octets: &[u8]) {
        std::fs::write(self.at(name), octets).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.at(name)).unwrap_or_else(|why| panic!("{name}: {why}"))
    }

    /// What openssl says, in the folder.
    fn run(&self, command: &str, arguments: &str) -> String {
        openssl(self.folder.path(), command, arguments)
    }

    /// A certificate for answering, by `ca`, with these extensions.
    fn delegate(&self, name: &str, ca: &str, extensions: &str) {
        self.write("extensions", extensions.as_bytes());
        let subject = format!("/C=JP/O=TEST/CN={name}");
        self.run(
            "req",
            &format!(
                "-new -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj {subject}"
            ),
        );
        self.run("x509", &format!("-req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -set_serial 4711 -days 30 -extfile extensions -out {name}.pem"));
    }

    /// What openssl's responder answers our question, signing as `signer`.
    fn answers(&self, request: &Request, signer: &str, more: &str) -> Vec<u8> {
        self.write("request.der", &request.der());
        let said = self.run("ocsp", &format!("-index index.txt -CA ca.pem -rsigner {signer}.pem -rkey {signer}.key -reqin request.der -respout answer.der {more}"));
        assert!(self.at("answer.der").exists(), "{said}");
        let answer = self.read("answer.der");
        std::fs::remove_file(self.at("answer.der")).unwrap();
        answer
    }

    /// openssl's database of certificates: her card, good or revoked.
    fn books(&self, flag: &str, revoked: &str) {
        let serial = self.card.serial_hex().to_uppercase();
        self.write(
            "index.txt",
            format!("{flag}\t491231235959Z\t{revoked}\t{serial}\tunknown\t/CN=TEST\n").as_bytes(),
        );
        self.write("index.txt.attr", b"unique_subject = no\n");
    }
}

fn openssl(folder: &Path, command: &str, arguments: &str) -> String {
    let ran = Command::new("openssl")
        .arg(command)
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("openssl is installed by ./test: {error}"));
    format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
}

#[test]
fn openssl_asks_the_towns_responder_and_believes_it() {
    let stranger = Stranger::new();
    stranger.run("ocsp", "-issuer ca.pem -cert card.pem -reqout request.der");
    let revoked = Revoked { at: moment("now"), reason: Reason::KeyCompromise };
    for (status, said) in [
        (Status::Good, "card.pem: good"),
        (Status::Revoked(revoked), "card.pem: revoked"),
        (Status::Unknown, "card.pem: unknown"),
    ] {
        let clock = moment("now");
        let answer = stranger.jpki.answer(&stranger.read("request.der"), |_| status, clock);
        stranger.write("answer.der", &answer.unwrap());
        let judged = stranger.run("ocsp", "-issuer ca.pem -cert card.pem -no_nonce -respin answer.der -CAfile ca.pem -validity_period 300");
        assert!(judged.contains("Response verify OK"), "{judged}");
        assert!(judged.contains(said) && !judged.contains("WARNING"), "{judged}");
    }
    // By the other hash of names, too.
    stranger.run("ocsp", "-sha256 -issuer ca.pem -cert card.pem -reqout request.der");
    let answer =
        stranger.jpki.answer(&stranger.read("request.der"), |_| Status::Good, moment("now"));
    stranger.write("answer.der", &answer.unwrap());
    let judged = stranger.run(
        "ocsp",
        "-sha256 -issuer ca.pem -cert card.pem -no_nonce -respin answer.der -CAfile ca.pem",
    );
    assert!(judged.contains("card.pem: good"), "{judged}");
}

#[test]
fn an_answer_of_openssls_responder_is_believed_if_it_may_answer() {
    let stranger = Stranger::new();
    let issuer = authority(&stranger.jpki);
    let request = Request::about(&stranger.card, &issuer, [9; 32]).unwrap();
    const MAY: &str = "extendedKeyUsage=OCSPSigning\nnoCheck=ignored\n";
    stranger.delegate("right", "ca", MAY);
    stranger.delegate("no-purpose", "ca", "extendedKeyUsage=clientAuth\nnoCheck=ignored\n");
    stranger.delegate("to-be-checked", "ca", "extendedKeyUsage=OCSPSigning\n");
    stranger.delegate("wrong-usage", "ca", &format!("{MAY}keyUsage=keyAgreement\n"));
    stranger.delegate("below", "right", MAY);
    stranger.books("V", "");
    let clock = |answer: &[u8]| {
        stranger.write("look.der", answer);
        let shown = stranger.run("ocsp", "-respin look.der -noverify -resp_text");
        let line = shown.lines().find_map(|line| line.trim().strip_prefix("This Update: "));
        let line = line.unwrap_or_else(|| panic!("{shown}")).to_owned();
        moment(&line)
    };
    let judged = |signer: &str, more: &str, expected| {
        let answer = stranger.answers(&request, signer, more);
        let at = clock(&answer);
        judge(&answer, &request, &stranger.card, &issuer, expected, at)
            .map(|said| said.status())
            .map_err(|refusal| refusal.code())
    };
    assert_eq!(judged("right", "-ndays 1", STRICT), Ok(Status::Good));
    assert_eq!(judged("right", "-ndays 1 -resp_key_id", STRICT), Ok(Status::Good));
    // The authority itself; without a next update.
    assert_eq!(judged("ca", "-resp_no_certs", STRICT), Ok(Status::Good));
    for signer in ["no-purpose", "to-be-checked", "wrong-usage", "below"] {
        assert_eq!(judged(signer, "-ndays 1", STRICT), Err("ocsp-responder-wrong"), "{signer}");
    }
    assert_eq!(judged("right", "-resp_no_certs", STRICT), Err("ocsp-responder-wrong"));
    assert_eq!(judged("right", "-rmd sha1", STRICT), Err("algorithm-not-allowed"));
    stranger.books("R", "250101000000Z,superseded");
    let Ok(Status::Revoked(revoked)) = judged("right", "-ndays 1", STRICT) else { panic!() };
    assert_eq!(
        (revoked.at.rfc3339().as_str(), revoked.reason),
        ("2025-01-01T00:00:00Z", Reason::Superseded)
    );
    stranger.write("index.txt", b"");
    assert_eq!(judged("right", "-ndays 1", STRICT), Ok(Status::Unknown));
}

/// `Nov 21 21:04:09 2026 GMT`
fn moment(text: &str) -> Timestamp {
    let ran = Command::new("date").args(["-u", "-d", text, "+%s"]).output().unwrap();
    let seconds = String::from_utf8(ran.stdout).unwrap();
    Timestamp::from_seconds(seconds.trim().parse().unwrap())
}
