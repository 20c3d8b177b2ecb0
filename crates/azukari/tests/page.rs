//! The running town as a visitor's browser meets it, over plain HTTP and from outside the process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

const AZUKARI: &str = env!("CARGO_BIN_EXE_azukari");
/// Longer than anything here may take; only a program that hangs meets it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A demo that keeps running, and the address that it printed.
struct Demo {
    child: Child,
    base: String,
}

/// An HTTP answer.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

impl Demo {
    fn open(out: &Path) -> Self {
        let child = Command::new(AZUKARI)
            .args(["demo", "--port", "0", "--out"])
            .arg(out)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut demo = Self { child, base: String::new() };
        let lines = BufReader::new(demo.child.stdout.take().unwrap()).lines();
        let (sender, printed) = mpsc::channel();
        // It reads to the end, so that the demo never writes into a closed pipe.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        loop {
            let line = printed.recv_timeout(PATIENCE).expect("the demo prints its address");
            if let Some(port) = line.trim().strip_prefix("http://127.0.0.1:") {
                demo.base = format!("http://127.0.0.1:{}", port.trim_end_matches('/'));
                return demo;
            }
        }
    }

    fn curl(&self, path: &str, flags: &[&str]) -> Answer {
        let Output { status, stdout, stderr } = Command::new("curl")
            .args(["-sS", "-i", "--max-time", "30"])
            .args(flags)
            .arg(format!("{}{path}", self.base))
            .output()
            .unwrap();
        assert!(status.success(), "curl {path}: {}", String::from_utf8_lossy(&stderr));
        let end = stdout.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(stdout[..end].to_vec()).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: stdout[end + 4..].to_vec() }
    }

    fn get(&self, path: &str) -> Answer {
        self.curl(path, &[])
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        let kind = "content-type: application/json";
        self.curl(path, &["-H", kind, "--data-binary", &body.to_string()])
    }

    /// An act that the page offers; the new state.
    fn act(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Ctrl-C, and how it ended.
    fn interrupt(&mut self) -> ExitStatus {
        let asked = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(asked.unwrap().success());
        ended(&mut self.child)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ended(child: &mut Child) -> ExitStatus {
    for _ in 0..1_000 {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it did not end within ten seconds");
}

fn status(state: &Value, step: usize) -> &str {
    state["steps"][step]["status"].as_str().unwrap()
}

fn empty() -> Value {
    json!({})
}

/// Approves, and types the digits if they are asked for.
fn approve(demo: &Demo) -> Value {
    let state = demo.act("/demo/authenticate/approve", &empty());
    match state["ceremony"]["phone"]["number"].as_str() {
        Some(number) => demo.act("/demo/authenticate/number", &json!({"number": number})),
        None => state,
    }
}

/// All messages of a step between two places, as the page shows them.
fn told(state: &Value, step: usize, from: &str, to: &str) -> String {
    let travelled = state["steps"][step]["travelled"].as_array().unwrap();
    let between = travelled.iter().filter(|it| it["from"] == from && it["to"] == to);
    between.map(|it| it["content"].as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_visitor_walks_through_one_prescription_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Demo::open(folder.path());

    let page = demo.get("/");
    assert_eq!(page.status, 200);
    for header in [
        "content-security-policy: default-src 'none'; script-src 'self'",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
    ] {
        assert!(page.head.contains(header), "{header} is missing in\n{}", page.head);
    }
    assert!(page.text().contains("一枚の処方箋がたどる道"));
    assert!(demo.get("/?lang=en").text().contains("The way of one prescription"));
    for asset in ["demo.css", "demo.js", "icon.svg"] {
        assert_eq!(demo.get(&format!("/assets/{asset}")).status, 200, "{asset}");
    }

    // Out of turn.
    for path in ["/demo/sign", "/demo/dispense", "/demo/verify", "/demo/authenticate/approve"] {
        let answer = demo.post(path, &empty());
        assert_eq!(
            (answer.status, answer.json()["code"].clone()),
            (409, "demo-out-of-turn".into())
        );
    }

    // The owner refuses; then a wrong number; then the right one.
    let state = demo.act("/demo/authenticate/start", &json!({"who": "physician"}));
    assert_eq!(state["ceremony"]["phone"]["institution"]["ja"], "テスト架空病院");
    let state = demo.act("/demo/authenticate/refuse", &empty());
    assert_eq!(status(&state, 0), "refused");
    assert_eq!(state["steps"][0]["refusal"]["code"], "ceremony-refused");
    demo.act("/demo/authenticate/start", &json!({"who": "physician"}));
    let state = demo.act("/demo/authenticate/approve", &empty());
    let number = state["ceremony"]["phone"]["number"].as_str().unwrap().to_owned();
    let wrong = if number == "111" { "222" } else { "111" };
    let state = demo.act("/demo/authenticate/number", &json!({"number": wrong}));
    assert_eq!(state["steps"][0]["refusal"]["code"], "number-wrong");
    assert_eq!(state["ceremony"]["tries_left"], 2);
    let state = demo.act("/demo/authenticate/number", &json!({"number": number}));
    assert_eq!(status(&state, 0), "done");
    assert_eq!(state["people"][0]["session"]["left"], 300);

    // A record that is none is refused with advice; an amount is changed.
    let state = demo.act("/demo/prescribe", &json!({"csv": "CJ1\n"}));
    assert_eq!(status(&state, 1), "refused");
    assert!(!state["steps"][1]["refusal"]["advice"]["en"].as_str().unwrap().is_empty());
    let state = demo.act("/demo/reset", &empty());
    assert_eq!((status(&state, 0), status(&state, 1)), ("ready", "waiting"));
    demo.act("/demo/authenticate/start", &json!({"who": "physician"}));
    approve(&demo);
    let line =
        state["csv"].as_str().unwrap().lines().position(|it| it.starts_with("201,")).unwrap();
    let amounts = json!({"amounts": {(line + 1).to_string(): "6"}});
    let state = demo.act("/demo/prescribe", &amounts);
    assert!(state["csv"].as_str().unwrap().contains("（試験用）,6,1,錠"));

    // Signed: the record went up to the gateway and no further.
    let state = demo.act("/demo/sign", &empty());
    assert_eq!(status(&state, 2), "done", "{}", state["steps"][2]["refusal"]);
    let csv = state["csv"].as_str().unwrap();
    assert!(told(&state, 2, "ehr", "gateway").contains(csv));
    let to_platform = told(&state, 2, "gateway", "platform");
    assert!(to_platform.contains(state["signed"]["digest"].as_str().unwrap()));
    assert!(!to_platform.contains("錠") && !to_platform.contains("仮名"));
    assert_eq!(state["people"][0]["session"]["left"], 299);
    let took = state["signed"]["took_us"].as_u64().unwrap();
    assert!(took > 0);

    // Dispensed by the pharmacist, with an authentication of her own.
    let state = demo.act("/demo/authenticate/start", &json!({"who": "pharmacist"}));
    assert_eq!(state["ceremony"]["phone"]["institution"]["ja"], "テスト見本薬局");
    approve(&demo);
    let state = demo.act("/demo/dispense", &empty());
    assert_eq!(status(&state, 3), "done", "{}", state["steps"][3]["refusal"]);

    // Verified, and refused once a character is changed.
    let state = demo.act("/demo/verify", &json!({"tamper": true}));
    assert_eq!(state["verification"]["valid"], false);
    let found = state["verification"]["signatures"].as_array().unwrap();
    assert!(found.len() == 2 && found.iter().all(|it| it["refusal"]["code"] == "digest-mismatch"));
    let state = demo.act("/demo/verify", &empty());
    assert_eq!(state["verification"]["valid"], true, "{}", state["verification"]);
    assert_eq!(status(&state, 4), "done");

    // No secret is in what was told.
    let ehr = std::fs::read_to_string(folder.path().join("town/ehr-1319990001.key")).unwrap();
    let shown = state.to_string();
    assert!(!shown.contains(ehr.trim()));
    assert!(!shown.contains("eyJ0eXAiOiJhdCtqd3Qi") && !shown.contains("at+jwt"));

    // What the visitor takes along verifies anywhere.
    let away = tempfile::tempdir().unwrap();
    for file in state["files"].as_array().unwrap() {
        let answer = demo.get(file["href"].as_str().unwrap());
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body.len() as u64, file["size"].as_u64().unwrap());
        std::fs::write(away.path().join(file["name"].as_str().unwrap()), answer.body).unwrap();
    }
    assert_eq!(demo.get("/files/unseal.secret").status, 404);
    assert_eq!(demo.get("/files/..%2funseal.secret").status, 404);
    let verified = Command::new(AZUKARI)
        .args(["verify", "dispensing.xml", "--anchor", "root.pem", "--crl", "."])
        .current_dir(away.path())
        .output();
    assert!(verified.unwrap().status.success());

    // Everything so far is drawn, in both languages.
    for lang in ["ja", "en"] {
        let page = demo.get(&format!("/?lang={lang}"));
        assert_eq!(page.status, 200);
        let number = state["registered"]["exchange_number"].as_str().unwrap();
        assert!(page.text().contains(number));
    }

    // A browser that has opened a connection in advance does not keep the town from closing.
    let idle = TcpStream::connect(demo.base.trim_start_matches("http://")).unwrap();
    assert!(demo.interrupt().success());
    drop(idle);
}

#[test]
fn the_page_is_for_this_machine_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Demo::open(folder.path());
    let port = demo.base.rsplit(':').next().unwrap().to_owned();

    for host in ["evil.example", "localhost", "127.0.0.1:1", "localhost.evil.example"] {
        for path in ["/", "/demo/state", "/files/root.pem", "/assets/demo.js"] {
            let answer = demo.curl(path, &["-H", &format!("Host: {host}")]);
            assert_eq!(answer.status, 421, "{host} {path}");
            assert_eq!(answer.json()["code"], "demo-host-foreign");
            assert!(answer.head.contains("content-security-policy:"));
        }
    }
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let answer = demo.curl("/demo/state", &["-H", &format!("Host: {host}:{port}")]);
        assert_eq!(answer.status, 200, "{host}");
    }

    let json = "content-type: application/json";
    let reset = "/demo/reset";
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1"] {
        let origin = format!("Origin: {origin}");
        let answer = demo.curl(reset, &["-H", json, "-H", &origin, "-d", "{}"]);
        assert_eq!(
            (answer.status, answer.json()["code"].clone()),
            (403, "demo-origin-foreign".into())
        );
    }
    let own = format!("Origin: {}", demo.base);
    assert_eq!(demo.curl(reset, &["-H", json, "-H", &own, "-d", "{}"]).status, 200);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let kind = format!("content-type: {kind}");
        let answer = demo.curl(reset, &["-H", &kind, "-d", "{}"]);
        assert_eq!((answer.status, answer.json()["code"].clone()), (415, "demo-not-json".into()));
    }
    assert_eq!(demo.post(reset, &json!({"more": 1})).json()["code"], "request-malformed");
    assert_eq!(demo.get("/demo/reset").status, 404);

    // The folder is this demo's until it ends.
    let second = refused(folder.path(), "0");
    assert!(second.contains("別のデモが動いています"), "{second}");
    assert!(demo.interrupt().success());
    let mut again = Demo::open(folder.path());
    assert!(again.interrupt().success());
}

#[test]
fn a_start_that_cannot_be_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = refused(folder.path(), &port);
    assert!(said.contains("--port") && said.contains("already in use"), "{said}");

    let file = folder.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    // The second refuses everybody, whoever runs this.
    for unwritable in [file.join("inside"), PathBuf::from("/proc/azukari")] {
        let said = refused(&unwritable, "0");
        assert!(said.contains("書き込めません") && said.contains("--out"), "{said}");
        assert!(said.contains(unwritable.to_str().unwrap()), "{said}");
    }
}

/// Starts a demo that must not start, and gives what it says.
fn refused(out: &Path, port: &str) -> String {
    let mut child = Command::new(AZUKARI)
        .args(["demo", "--port", port, "--out"])
        .arg(out)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = ended(&mut child);
    let said = child.wait_with_output().unwrap();
    assert_eq!(status.code(), Some(1));
    String::from_utf8(said.stderr).unwrap()
}
