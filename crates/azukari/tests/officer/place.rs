//! A place where a platform lives, the officers around it, and an outside program that signs.

use std::cell::RefCell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::*;

pub(crate) const OFFICERS: [&str; 5] =
    ["架空 一郎", "架空 二郎", "架空 三郎", "架空 四郎", "架空 五郎"];
const LOOK: Duration = Duration::from_millis(25);
/// Four minutes in all: only a program that hangs meets it.
const LOOKS: usize = 9600;

pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..LOOKS {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(LOOK);
    }
    panic!("{what} did not happen");
}

/// A process that does not outlive its test.
pub(crate) struct Process {
    child: Child,
    said: PathBuf,
}

impl Process {
    fn start(command: &mut Command, said: PathBuf) -> Self {
        let out = File::create(&said).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        Self { child, said }
    }
    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap()
    }
    /// Waits until it says this.
    pub(crate) fn until_it_says(&mut self, words: &str) {
        wait_for(words, || {
            let said = self.said();
            assert!(said.contains(words) || self.still_runs(), "{said}");
            said.contains(words).then_some(())
        });
    }
    pub(crate) fn still_runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
    /// Asks it to end, as Ctrl-C would, and waits.
    pub(crate) fn end(&mut self) {
        let id = self.child.id().to_string();
        let asked = judge("sh", &["-c", "kill -s TERM \"$1\"", "sh", &id]);
        assert!(asked.well(), "{asked:?}");
        self.ended();
    }
    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> Ran {
        let status = wait_for("its end", || self.child.try_wait().unwrap());
        let out = std::fs::read_to_string(&self.said).unwrap();
        Ran { code: status.code().unwrap_or(-1), out, err: String::new() }
    }
    pub(crate) fn ended_well(&mut self) {
        let ran = self.ended();
        assert!(ran.well(), "{ran:?}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One officer's share file, and the file with the passphrase that only he knows.
pub(crate) struct Kept {
    pub(crate) file: PathBuf,
    passphrase: PathBuf,
}

/// Configuration and platform in a folder.
pub(crate) struct Place {
    home: PathBuf,
    demo: Value,
    secret: RefCell<String>,
    /// Where SoftHSM2 finds its tokens, if the device is one.
    pub(crate) tokens: Option<PathBuf>,
}

impl Place {
    pub(crate) fn azukari(&self) -> Command {
        let mut command = Command::new(AZUKARI);
        if let Some(tokens) = &self.tokens {
            command.env("SOFTHSM2_CONF", tokens);
        }
        command
    }

    /// A town is founded and closed again; its platform stays.
    pub(crate) fn found(home: &Path) -> Self {
        Self::found_with(home, &[])
    }

    pub(crate) fn found_with(home: &Path, more: &[&str]) -> Self {
        std::fs::create_dir_all(home).unwrap();
        let _ = std::fs::remove_dir_all(scratch_beside(&home.join("town")));
        let mut command = Command::new(AZUKARI);
        command.env_remove("SOFTHSM2_CONF").args(["demo", "--port", "0"]).args(more);
        command.arg("--out").arg(home);
        let mut demo = Process::start(&mut command, home.join("demo.log"));
        let file = home.join("demo.json");
        wait_for("demo.json", || {
            assert!(demo.still_runs(), "{}", std::fs::read_to_string(&demo.said).unwrap());
            file.exists().then_some(())
        });
        let told = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        demo.end();
        let home = home.join("town").canonicalize().unwrap();
        let secret = std::fs::read_to_string(home.join("unseal.secret")).unwrap();
        Self { home, demo: told, secret: RefCell::new(secret.trim().to_owned()), tokens: None }
    }

    /// A platform that does not exist yet: the officers make it.
    pub(crate) fn fresh(home: &Path) -> Self {
        std::fs::create_dir_all(home).unwrap();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../azukari.example.toml");
        let example = std::fs::read_to_string(example).unwrap();
        let example = changed(&example, "unseal = \"file\"", "unseal = \"officers\"");
        // No witness looks at this one.
        let witnesses = between(&example, "[[platform.witness]]", "\n# ──").to_owned();
        let example = changed(&example, &format!("[[platform.witness]]{witnesses}"), "");
        let example = changed(&example, "witnesses_needed = 1", "");
        std::fs::write(home.join("platform.toml"), example).unwrap();
        let home = home.canonicalize().unwrap();
        let _ = std::fs::remove_dir_all(scratch_beside(&home));
        Self { home, demo: Value::Null, secret: RefCell::default(), tokens: None }
    }

    /// The machine with this platform is gone. On another one stand its configuration and the TLS
    /// files, which are made anew or kept elsewhere.
    pub(crate) fn lost(&self, other: &Path) -> Self {
        std::fs::create_dir_all(other.join("town/tls")).unwrap();
        let other = other.join("town").canonicalize().unwrap();
        for entry in std::fs::read_dir(&self.home).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name == "platform.toml" || name.ends_with(".vkey") || name.ends_with(".jwks.json") {
                std::fs::copy(self.path(&name), other.join(&name)).unwrap();
            }
        }
        for entry in std::fs::read_dir(self.path("tls")).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), other.join("tls").join(entry.file_name())).unwrap();
        }
        std::fs::remove_dir_all(&self.home).unwrap();
        Self { home: other, demo: self.demo.clone(), secret: self.secret.clone(), tokens: None }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("platform.toml")
    }

    /// The unseal secret that once lay here in the clear.
    pub(crate) fn secret_once(&self) -> String {
        self.secret.borrow().clone()
    }

    /// Runs `azukari officer …`.
    pub(crate) fn officer(&self, words: &[&str], paths: &[(&str, PathBuf)]) -> Ran {
        let mut command = self.azukari();
        command.arg("officer").args(words);
        for (flag, path) in paths {
            command.arg(flag).arg(path);
        }
        command.stdin(Stdio::null()).output().unwrap().into()
    }

    /// Appoints five officers, three of whom are needed; their files lie outside the platform.
    pub(crate) fn appoint(&self) -> Vec<Kept> {
        let ran = self.appointing();
        assert!(ran.well(), "{ran:?}");
        kept_shares(self)
    }

    pub(crate) fn appoint_again(&self) -> Ran {
        self.appointing()
    }

    /// Appoints both sets in one ceremony: their share files.
    pub(crate) fn appoint_both(&self, more: &[&'static str]) -> (Vec<Kept>, Vec<Kept>) {
        let folder = self.shares();
        let (mut words, mut paths) = self.appointing_with("init", &folder);
        for officer in OFFICERS {
            words.extend(["--security-officer", officer]);
        }
        words.extend(more);
        paths.extend_from_within(2..);
        let secret = self.path("security-officers.secret");
        if secret.exists() {
            paths.push(("--security-secret", secret));
        }
        let ran = self.officer(&words, &paths);
        assert!(ran.well(), "{ran:?}");
        (kept_in(&folder, "user"), kept_in(&folder, "so"))
    }

    /// Starts appointing security officers, for which the key officers open the device.
    pub(crate) fn start_appointing_security(&self) -> (Process, Vec<Kept>) {
        let folder = self.shares().join("security");
        let (words, paths) = self.appointing_with("init", &folder);
        let words = words.into_iter().map(|word| match word {
            "--officer" => "--security-officer",
            word => word,
        });
        let mut command = self.azukari();
        command.arg("officer").args(words);
        for (flag, path) in paths {
            command.arg(flag).arg(path);
        }
        let process = self.waiting_for_officers(&mut command, "security.log");
        wait_for("the share files", || folder.join("passphrase-5").exists().then_some(()));
        (process, kept_in(&folder, "so"))
    }

    pub(crate) fn start_rotating(&self) -> Process {
        let mut command = self.azukari();
        command.args(["officer", "rotate", "--config"]).arg(self.config());
        self.waiting_for_officers(&mut command, "rotate.log")
    }

    /// The security officers are through: the key officers are asked.
    pub(crate) fn wait_for_the_key_officers(&self, process: &Process) {
        wait_for("the key officers' turn", || {
            let asked = process.said().contains("鍵管理者の分割片を待っています");
            asked.then(|| std::os::unix::net::UnixStream::connect(self.socket()).ok()).flatten()
        });
    }

    /// Three of each set hand in their shares.
    pub(crate) fn both_hand_in(&self, process: &Process, security: &[Kept], shares: &[Kept]) {
        for share in &security[..3] {
            self.hand_in(share);
        }
        self.wait_for_the_key_officers(process);
        for share in &shares[1..4] {
            self.hand_in(share);
        }
    }

    /// Starts replacing the officers; the new ones' files go into another folder.
    pub(crate) fn start_renewing(&self) -> (Process, Vec<Kept>) {
        let folder = self.shares().join("renewed");
        std::fs::create_dir_all(&folder).unwrap();
        let (words, paths) = self.appointing_with("renew", &folder);
        let mut command = self.azukari();
        command.arg("officer").args(words);
        for (flag, path) in paths {
            command.arg(flag).arg(path);
        }
        (self.waiting_for_officers(&mut command, "renew.log"), kept_in(&folder, "user"))
    }

    fn shares(&self) -> PathBuf {
        scratch_beside(&self.home)
    }

    fn appointing(&self) -> Ran {
        let (mut words, paths) = self.appointing_with("init", &self.shares());
        words.push("--remove-unseal-secret");
        self.officer(&words, &paths)
    }

    fn appointing_with(
        &self,
        verb: &'static str,
        folder: &Path,
    ) -> (Vec<&'static str>, Vec<(&'static str, PathBuf)>) {
        std::fs::create_dir_all(folder).unwrap();
        let mut paths = vec![("--config", self.config()), ("--out", folder.to_owned())];
        let mut words = vec![verb];
        for (number, officer) in (1..).zip(OFFICERS) {
            words.extend(["--officer", officer]);
            let file = folder.join(format!("passphrase-{number}"));
            private(&file, &format!("架空の合言葉 その{number} 試験用\n"));
            paths.push(("--passphrase-file", file));
        }
        (words, paths)
    }

    /// From now on the platform is opened by its officers.
    pub(crate) fn opened_by_officers(&self) {
        let text = std::fs::read_to_string(self.config()).unwrap();
        let text = changed(&text, "unseal_secret = \"unseal.secret\"", "unseal = \"officers\"");
        std::fs::write(self.config(), text).unwrap();
    }

    fn socket(&self) -> PathBuf {
        self.path("officers/officers.sock")
    }

    pub(crate) fn start_serving(&self) -> Process {
        let mut command = self.azukari();
        command.args(["serve", "--config"]).arg(self.config());
        self.waiting_for_officers(&mut command, "serve.log")
    }

    pub(crate) fn start_restoring(&self, backup: &Path, since: &[&Path]) -> Process {
        let mut command = self.azukari();
        command.args(["officer", "restore", "--config"]).arg(self.config());
        command.arg("--backup").arg(backup);
        for file in since {
            command.arg("--since").arg(file);
        }
        self.waiting_for_officers(&mut command, "restore.log")
    }

    /// A backup of a platform that is not running: its officers open it for that.
    pub(crate) fn start_backing_up(&self, out: &Path) -> Process {
        let mut command = self.azukari();
        command.args(["officer", "backup", "--config"]).arg(self.config()).arg("--out").arg(out);
        self.waiting_for_officers(&mut command, "backup.log")
    }

    pub(crate) fn waiting_for_officers(&self, command: &mut Command, said: &str) -> Process {
        let mut process = Process::start(command, self.path(said));
        wait_for("the officers' door", || {
            let living = process.still_runs();
            assert!(living, "{}", std::fs::read_to_string(&process.said).unwrap());
            std::os::unix::net::UnixStream::connect(self.socket()).ok()
        });
        process
    }

    /// A restoration that is refused before any officer is asked.
    pub(crate) fn restore_at_once(&self, backup: &Path, since: &[&Path]) -> Ran {
        let mut paths = vec![("--config", self.config()), ("--backup", backup.to_owned())];
        paths.extend(since.iter().map(|file| ("--since", file.to_path_buf())));
        self.officer(&["restore"], &paths)
    }

    pub(crate) fn hand_in(&self, share: &Kept) -> HandedIn {
        self.hand_in_with(share, share.passphrase.clone())
    }

    pub(crate) fn hand_in_typing_wrong(&self, share: &Kept) -> HandedIn {
        let wrong = self.path("wrong-passphrase");
        private(&wrong, "間違った合言葉を打つ試験\n");
        self.hand_in_with(share, wrong)
    }

    fn hand_in_with(&self, share: &Kept, passphrase: PathBuf) -> HandedIn {
        HandedIn(self.officer(
            &["unseal"],
            &[
                ("--socket", self.socket()),
                ("--share", share.file.clone()),
                ("--passphrase-file", passphrase),
            ],
        ))
    }

    pub(crate) fn paper(&self, share: &Kept) -> Ran {
        self.officer(
            &["paper"],
            &[("--share", share.file.clone()), ("--passphrase-file", share.passphrase.clone())],
        )
    }

    fn curl(&self, path: &str, more: &[&str]) -> Ran {
        let text = |pointer: &str| self.demo.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        let tls = |pointer: &str| {
            let file = PathBuf::from(text(pointer));
            let file = self.path("tls").join(file.file_name().unwrap());
            file.to_str().unwrap().to_owned()
        };
        let mut arguments: Vec<String> =
            ["-sS", "--max-time", "60", "--noproxy", "*", "-w", "\n%{http_code}"]
                .map(str::to_owned)
                .into();
        arguments.extend(["--cacert".into(), tls("/ca_file")]);
        arguments.extend(["--cert".into(), tls("/facility/client_certificate")]);
        arguments.extend(["--key".into(), tls("/facility/client_key")]);
        arguments.extend(more.iter().map(|word| (*word).to_owned()));
        arguments.push(format!("{}{path}", text("/platform")));
        judge("curl", &arguments)
    }

    pub(crate) fn answers(&self) -> bool {
        let ran = self.curl("/v1/facility", &[]);
        ran.well() && ran.out.ends_with("\n200")
    }

    pub(crate) fn wait_until_it_answers(&self, platform: &mut Process) {
        wait_for("an answer", || {
            assert!(platform.still_runs(), "{}", std::fs::read_to_string(&platform.said).unwrap());
            self.answers().then_some(())
        });
    }

    fn asked(&self, path: &str, more: &[&str]) -> Value {
        good(&self.curl(path, more))
    }

    /// A new order to sign a prescription.
    pub(crate) fn order(&self) -> Value {
        use hpki::sign::Random as _;
        let mut digest = [0; 32];
        hsm::SystemRandom.fill(&mut digest);
        let number = hpki::id::OrderNumber::new(1_790_000_000_000, &hsm::SystemRandom);
        json!({
            "order": number,
            "kind": "prescription",
            "digest": { "algorithm": "sha256", "value": STANDARD.encode(digest) },
        })
    }

    /// `azukari <verb> --config …`
    pub(crate) fn operator(&self, verb: &str, more: &[&str]) -> Ran {
        let mut command = self.azukari();
        command.arg(verb).arg("--config").arg(self.config()).args(more);
        command.stdin(Stdio::null()).output().unwrap().into()
    }

    fn physician(&self) -> &Value {
        let persons = self.demo["persons"].as_array().unwrap();
        let able = persons.iter().find(|person| {
            person["kinds"].as_array().unwrap().iter().any(|kind| kind == "prescription")
        });
        able.unwrap()
    }

    pub(crate) fn physicians_certificate(&self) -> PathBuf {
        self.physician()["certificate"].as_str().unwrap().into()
    }

    fn ask_to_sign(&self, order: &Value) -> Ran {
        let token = self.physician()["access_token"].as_str().unwrap();
        let body = order.to_string();
        let bearer = format!("Authorization: Bearer {token}");
        let more = ["-H", &bearer, "-H", "Content-Type: application/json", "--data", &body];
        self.curl("/v1/signatures", &more)
    }

    /// What is answered to an order that is not signed.
    pub(crate) fn try_to_sign(&self, order: &Value) -> Value {
        let ran = self.ask_to_sign(order);
        let (body, status) = ran.out.rsplit_once('\n').unwrap_or_else(|| panic!("{ran:?}"));
        assert!(status.starts_with('4'), "{ran:?}");
        serde_json::from_str(body).unwrap()
    }

    /// Has the order signed, with the physician's token of the morning.
    pub(crate) fn sign(&self, order: &Value) -> Value {
        let mut answer = good(&self.ask_to_sign(order));
        // What follows the signature in the journal may differ from one asking to the next.
        answer.as_object_mut().unwrap().retain(|name, _| {
            ["order", "kind", "signature", "certificate", "signing_time", "index"]
                .contains(&&**name)
        });
        answer
    }

    /// The journal's checkpoint, kept by the custodian elsewhere.
    pub(crate) fn checkpoint(&self, name: &str) -> PathBuf {
        let answer = self.asked("/v1/checkpoint", &[]);
        let file = self.shares().parent().unwrap().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, answer["checkpoint"].as_str().unwrap()).unwrap();
        file
    }

    pub(crate) fn journal_is_whole(&self, since: &[&Path]) {
        let mut command = self.azukari();
        command.args(["journal", "verify", "--folder"]).arg(self.path("platform/ledger"));
        command.arg("--log-key").arg(self.path("log.vkey"));
        for file in since {
            command.arg("--since").arg(file);
        }
        let ran: Ran = command.output().unwrap().into();
        assert!(ran.well(), "{ran:?}");
        assert_eq!(ran.out.matches("continues your checkpoint").count(), since.len(), "{ran:?}");
    }

    /// All transcripts of the platform's folder.
    pub(crate) fn transcripts(&self) -> String {
        let folder = std::fs::read_dir(self.path("platform/officers")).unwrap();
        folder.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
    }
}

/// The share files of a place.
/// The answer, which must be good.
fn good(ran: &Ran) -> Value {
    let (body, status) = ran.out.rsplit_once('\n').unwrap_or_else(|| panic!("{ran:?}"));
    assert_eq!(status, "200", "{ran:?}");
    serde_json::from_str(body).unwrap()
}

pub(crate) fn kept_shares(place: &Place) -> Vec<Kept> {
    let kept = kept_in(&place.shares(), "user");
    kept.into_iter().filter(|kept| kept.file.exists()).collect()
}

fn kept_in(folder: &Path, duty: &str) -> Vec<Kept> {
    let kept = (1..=OFFICERS.len()).map(|number| Kept {
        file: folder.join(format!("share-{duty}-{number}.txt")),
        passphrase: folder.join(format!("passphrase-{number}")),
    });
    kept.collect()
}

/// A folder that is not the platform's, and survives it.
fn scratch_beside(home: &Path) -> PathBuf {
    let name = home.to_string_lossy().replace('/', "_");
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("kept").join(name)
}

fn private(file: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// What an officer was told.
pub(crate) struct HandedIn(Ran);

impl HandedIn {
    pub(crate) fn taken(&self, have: u8) {
        let said = format!("受け取りました {have} / 3");
        assert!(self.0.well() && self.0.out.contains(&said), "{:?}", self.0);
    }
    pub(crate) fn refused(&self, code: &str) {
        assert!(!self.0.well() && self.0.err.contains(&format!("[{code}]")), "{:?}", self.0);
    }
}
