//! A running town and the requests that curl makes to it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::*;

/// The hospital of the town: another facility than the one that `demo.json` hands out.
pub(crate) const HOSPITAL: &str = "1319990001";

/// How often, and how many times, the test looks whether something has happened (60 s in all).
const LOOK: Duration = Duration::from_millis(50);
const LOOKS: usize = 1200;

/// Looks until it has happened.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..LOOKS {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(LOOK);
    }
    panic!("{what} did not happen");
}

/// A running town. It is ended whatever happens.
pub(crate) struct Town {
    pub(crate) child: Child,
    pub(crate) out: PathBuf,
    pub(crate) demo: Value,
}

impl Town {
    /// With platform and gateways as processes of their own.
    pub(crate) fn open() -> Self {
        Self::open_with("outside-town", &["--separate"])
    }

    /// In this folder, with these flags.
    pub(crate) fn open_with(folder: &str, flags: &[&str]) -> Self {
        let out = scratch(folder);
        let said = File::create(out.join("said.txt")).unwrap();
        let child = Command::new(AZUKARI)
            .args(["demo", "--port", "0"])
            .args(flags)
            .arg("--out")
            .arg(&out)
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .unwrap();
        let mut town = Self { child, out, demo: Value::Null };
        let file = town.out.join("demo.json");
        wait_for("demo.json", || {
            if let Some(status) = town.child.try_wait().unwrap() {
                panic!("the demo ended by itself: {status}\n{}", town.said());
            }
            file.exists().then_some(())
        });
        town.demo = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        town
    }

    /// Opens the platform alone, where the town has ended.
    #[allow(dead_code, reason = "for those who look after the town")]
    pub(crate) fn serve(&mut self, config: &std::path::Path) {
        self.serve_with(config, &[]);
    }

    /// The same with these variables in its environment.
    pub(crate) fn serve_with(&mut self, config: &std::path::Path, variables: &[(&str, &OsStr)]) {
        let said = File::create(self.out.join("said.txt")).unwrap();
        self.child = Command::new(AZUKARI)
            .args(["serve", "--config"])
            .arg(config)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .unwrap();
        let at = self.text("/platform").trim_start_matches("https://").to_owned();
        wait_for("the platform's door", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the platform ended by itself: {status}\n{}", self.said());
            }
            std::net::TcpStream::connect(&at).ok()
        });
    }

    /// What the demo said so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.out.join("said.txt")).unwrap_or_default()
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        let found = self.demo.pointer(name).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("demo.json has no {name}: {}", self.demo))
    }

    /// The person of this qualification.
    pub(crate) fn person(&self, qualification: &str) -> &Value {
        let persons = self.demo["persons"].as_array().unwrap();
        persons.iter().find(|one| one["qualification"] == qualification).unwrap()
    }

    /// The client certificate that `demo.json` hands out.
    pub(crate) fn facility(&self) -> Identity {
        Identity {
            certificate: self.text("/facility/client_certificate").into(),
            key: self.text("/facility/client_key").into(),
        }
    }

    /// The client certificate of the town's hospital.
    pub(crate) fn hospital(&self) -> Identity {
        let tls = self.out.join("town/tls");
        Identity {
            certificate: tls.join(format!("{HOSPITAL}.pem")),
            key: tls.join(format!("{HOSPITAL}.key")),
        }
    }

    /// A request to the platform over this client certificate.
    pub(crate) fn platform(&self, path: &str) -> Curl<'_> {
        self.curl(format!("{}{path}", self.text("/platform")))
    }

    /// What a page on this phone asks, with the phone's cookies; it keeps those that come.
    #[allow(dead_code, reason = "for those who have phones")]
    pub(crate) fn ask(&self, phone: &town::phone::Phone, path: &str, body: &Value) -> Value {
        let mut asked = self.platform(path).header(&format!("Origin: {}", phone.origin()));
        if let Some(cookies) = phone.cookies() {
            asked = asked.header(&format!("Cookie: {cookies}"));
        }
        let answer = asked.post(body);
        for line in &answer.cookies {
            phone.keep_cookie(line);
        }
        answer.well()
    }

    /// A request of the EHR to the gateway.
    pub(crate) fn gateway(&self, path: &str) -> Curl<'_> {
        let url = format!("{}{path}", self.text("/gateway"));
        self.curl(url).bearer(self.text("/gateway_key"))
    }

    pub(crate) fn service(&self, path: &str) -> Curl<'_> {
        self.curl(format!("{}{path}", self.text("/prescription_service")))
    }

    pub(crate) fn curl(&self, url: String) -> Curl<'_> {
        Curl { town: self, url, arguments: Vec::new() }
    }

    /// The processes that the demo started, by their arguments.
    pub(crate) fn processes(&self) -> Vec<(u32, String)> {
        let parent = self.child.id();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(id) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            let Ok(status) = std::fs::read_to_string(entry.path().join("status")) else { continue };
            let mut lines = status.lines().filter_map(|line| line.strip_prefix("PPid:"));
            if lines.next().is_some_and(|line| line.trim() == parent.to_string()) {
                let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                found.push((id, String::from_utf8_lossy(&line).replace('\0', " ")));
            }
        }
        found
    }

    /// Sends a signal. The shell's own `kill` is always there.
    fn signal(&self, name: &str) -> Ran {
        let id = self.child.id().to_string();
        judge("sh", &["-c", "kill -s \"$1\" \"$2\"", "sh", name, &id])
    }

    /// Ctrl-C, and the end.
    pub(crate) fn interrupt(&mut self) -> ExitStatus {
        let ran = self.signal("INT");
        assert!(ran.well(), "{ran:?}");
        let child = &mut self.child;
        wait_for("the end of the demo", || child.try_wait().unwrap())
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        // Asked first, so that it ends its own processes; killed if it does not.
        if let Ok(None) = self.child.try_wait() {
            self.signal("TERM");
            for _ in 0..200 {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return;
                }
                std::thread::sleep(LOOK);
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A client certificate and its key.
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// One request.
pub(crate) struct Curl<'a> {
    town: &'a Town,
    url: String,
    pub(crate) arguments: Vec<OsString>,
}

/// What came back: the status, the body if it is JSON, and the lines of cookies to keep.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) cookies: Vec<String>,
}

impl Curl<'_> {
    pub(crate) fn over(mut self, identity: &Identity) -> Self {
        self.arguments.extend(["--cert".into(), identity.certificate.clone().into()]);
        self.arguments.extend(["--key".into(), identity.key.clone().into()]);
        self
    }
    pub(crate) fn header(mut self, line: &str) -> Self {
        self.arguments.extend(["-H".into(), line.into()]);
        self
    }
    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header(&format!("Authorization: Bearer {token}"))
    }
    pub(crate) fn post(mut self, body: &Value) -> Answer {
        let file = self.town.out.join("body.json");
        std::fs::write(&file, body.to_string()).unwrap();
        let mut data = OsString::from("@");
        data.push(&file);
        self.arguments.extend(["--data-binary".into(), data]);
        self.header("Content-Type: application/json").get()
    }
    pub(crate) fn get(mut self) -> Answer {
        let head = self.town.out.join("head.txt");
        self.arguments.extend(["-D".into(), head.clone().into()]);
        let ran = self.run();
        assert!(ran.well(), "{ran:?}");
        let (body, status) = ran.out.rsplit_once('\n').unwrap();
        let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
        let head = std::fs::read_to_string(head).unwrap();
        let cookies = head.lines().filter_map(|line| line.split_once(": "));
        let cookies = cookies.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        let cookies = cookies.map(|(_, line)| line.to_owned()).collect();
        Answer { status: status.parse().unwrap(), body, cookies }
    }
    pub(crate) fn run(&self) -> Ran {
        let mut arguments: Vec<OsString> = vec!["-sS".into(), "--max-time".into(), "30".into()];
        arguments.extend(["--noproxy".into(), "*".into(), "-w".into(), "\n%{http_code}".into()]);
        arguments.extend(["--cacert".into(), self.town.text("/ca_file").into()]);
        arguments.extend(self.arguments.iter().cloned());
        arguments.push(self.url.clone().into());
        judge("curl", &arguments)
    }
}

impl Answer {
    /// The body of a success.
    pub(crate) fn well(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }
    /// A refusal with this code, in words that people can act on.
    pub(crate) fn refused(self, code: &str) {
        assert!((400..500).contains(&self.status), "{self:?}");
        assert_eq!(self.body["code"], code, "{self:?}");
        assert_eq!(self.body["type"], format!("urn:azukari:refusal:{code}"));
        for member in ["title", "advice", "advice_en"] {
            assert!(self.body[member].as_str().is_some_and(|text| !text.is_empty()), "{self:?}");
        }
    }
}
