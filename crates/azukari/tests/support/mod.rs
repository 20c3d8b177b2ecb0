//! Running the binary and its foreign judges, and the papers that one told story leaves.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

/// The binary under test; `./test` names another where two builds are tested at the same time.
pub const AZUKARI: &str = match option_env!("AZUKARI_BINARY") {
    Some(binary) => binary,
    None => env!("CARGO_BIN_EXE_azukari"),
};
/// The policy of every signing certificate of the town, and the arm that it is not on.
pub const POLICY: &str = "1.2.392.100495.1.5.1.1.3.1";
pub const OTHER_ARM: &str = "1.2.392.100495.1.5.1.1.0.1";

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; -1 if a signal ended it.
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn well(&self) -> bool {
        self.code == 0
    }
    /// Both outputs.
    pub fn text(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs a foreign judge. One that is missing fails the test: it is never skipped.
pub fn judge<A: AsRef<OsStr>>(program: impl AsRef<OsStr>, arguments: &[A]) -> Ran {
    let program = program.as_ref();
    match Command::new(program).args(arguments).output() {
        Ok(output) => output.into(),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("{} is missing: run ./test, which installs the judges", program.display())
        }
        Err(error) => panic!("{}: {error}", program.display()),
    }
}

/// A judge that `./test` keeps in a folder of its own.
pub fn kept_judge(name: &str) -> PathBuf {
    let folder = std::env::var_os("AZUKARI_JUDGES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/judges/bin"),
        PathBuf::from,
    );
    folder.join(name)
}

/// Runs the binary under test.
pub fn azukari<A: AsRef<OsStr>>(arguments: &[A]) -> Ran {
    Command::new(AZUKARI).args(arguments).output().unwrap().into()
}

/// An empty folder of this test run, below the build folder.
pub fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn told(name: &str) -> PathBuf {
    let folder = scratch(name);
    let ran = azukari(&[OsStr::new("demo"), "--once".as_ref(), "--out".as_ref(), folder.as_ref()]);
    assert!(ran.well(), "{ran:?}");
    folder
}

/// The papers of one town, made once for all tests of a file.
pub fn papers() -> &'static Path {
    static PAPERS: OnceLock<PathBuf> = OnceLock::new();
    PAPERS.get_or_init(|| told("town"))
}

/// The papers of another town: all names are the same, all keys are others.
pub fn other_papers() -> &'static Path {
    static PAPERS: OnceLock<PathBuf> = OnceLock::new();
    PAPERS.get_or_init(|| told("other-town"))
}

/// A paper of the town.
pub fn paper(name: &str) -> PathBuf {
    papers().join(name)
}

/// A paper of the town as text.
pub fn text(name: &str) -> String {
    std::fs::read_to_string(paper(name)).unwrap()
}

/// The text with its one or first `from` changed; the change is really there.
pub fn changed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in the text");
    text.replacen(from, to, 1)
}

/// Changes one character of what follows `mark`, to another one of the base64 alphabet.
pub fn changed_after(text: &str, mark: &str) -> String {
    let at = text.find(mark).unwrap_or_else(|| panic!("{mark} is not there")) + mark.len() + 4;
    let other = if &text[at..=at] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

/// What is between the first `from` and the next `to`.
pub fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("{from} is not there"));
    rest.split_once(to).unwrap_or_else(|| panic!("{to} is not there")).0
}
