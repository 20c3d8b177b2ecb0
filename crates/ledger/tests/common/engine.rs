//! The second engine for tests: a PostgreSQL server of this test process's own, with a database
//! for each test. Other rooms' tests include this file by its path.
//!
//! A test asks [`place`] for where its store lives. [`again`] runs the tests of its file a second
//! time, in a process that has `AZUKARI_TEST_ENGINE=postgres`: there every place is in a database.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test support")]

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use ledger::Place;

const ENGINE: &str = "AZUKARI_TEST_ENGINE";
/// The server of the test process that started this one.
const SERVER: &str = "AZUKARI_TEST_SERVER";
/// In a test's folder: the address of its database, so that opening it again finds it again.
const ADDRESS: &str = "database.url";

/// Whether the stores of this run are in PostgreSQL.
pub fn on_postgres() -> bool {
    std::env::var(ENGINE).is_ok_and(|engine| engine == "postgres")
}

/// Where the store of the test with this folder lives.
pub fn place(folder: &Path) -> Place {
    if on_postgres() { postgres_place(folder) } else { Place::from(folder) }
}

/// The same in a database, whatever this run's engine is.
pub fn postgres_place(folder: &Path) -> Place {
    Place::postgres(&address(folder), None, folder).unwrap()
}

/// The address of the database that belongs to this folder; made with its first use.
pub fn address(folder: &Path) -> String {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).unwrap();
    let note = folder.join(ADDRESS);
    std::fs::read_to_string(note).unwrap_or_else(|_| make(folder, "template1"))
}

/// Databases and the folders that they belong to.
static MADE: Mutex<Vec<(PathBuf, String)>> = Mutex::new(Vec::new());
static NUMBER: AtomicU32 = AtomicU32::new(1);

fn make(folder: &Path, template: &str) -> String {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("test_{}_{number}", std::process::id());
    let mut statements = Vec::new();
    {
        // Tests that are over have removed their folder.
        let mut made = MADE.lock().unwrap();
        made.retain(|(folder, name)| {
            let wanted = folder.exists();
            if !wanted {
                statements.push(format!("DROP DATABASE {name} WITH (FORCE)"));
            }
            wanted
        });
        made.push((folder.to_owned(), name.clone()));
    }
    statements.push(format!("CREATE DATABASE {name} TEMPLATE {template}"));
    let statements: Vec<_> = statements.iter().map(String::as_str).collect();
    let server = server();
    try_sql(&server, &statements).unwrap();
    let address = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
    std::fs::write(folder.join(ADDRESS), &address).unwrap();
    address
}

/// Copies the database of one (closed) folder to another one, in whose place it stands then.
pub fn copy_database(from: &Path, to: &Path) {
    if on_postgres() {
        copy_of(&address(from), to);
    } else {
        std::fs::copy(from.join("store.sqlite"), to.join("store.sqlite")).unwrap();
    }
}

/// Copies the database at this address (nobody uses it) for another folder; answers the copy's.
pub fn copy_of(address: &str, to: &Path) -> String {
    make(to, address.rsplit_once('/').unwrap().1)
}

/// Copies everything of a (closed) folder.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_name() != ADDRESS {
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
    if on_postgres() {
        copy_database(from, to);
    }
}

/// Runs statements past the store, as somebody with full power over the database could. Answers
/// the rows, unaligned.
pub fn sql(address: &str, statement: &str) -> String {
    try_sql(address, &[statement]).unwrap_or_else(|told| panic!("{statement}: {told}"))
}

/// The same, where it may be refused.
pub fn try_sql(address: &str, statements: &[&str]) -> Result<String, String> {
    let output = Command::new(program("psql"))
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", address])
        .args(statements.iter().flat_map(|statement| ["-c", statement]))
        .output()
        .expect("psql is needed: install postgresql");
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Runs all the other tests of this file (or of this module) again, on PostgreSQL. `own` is the
/// name of the test that calls.
pub fn again(own: &str, module: Option<&str>) {
    if on_postgres() {
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(module)
        .args(["--skip", own])
        .env(ENGINE, "postgres")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    // A second run that finds no tests would always succeed.
    assert!(!told.contains("running 0 tests"), "{told}");
}

/// The address of the server's first database. The first use starts the server.
pub fn server() -> String {
    static SHARED: OnceLock<String> = OnceLock::new();
    SHARED
        .get_or_init(|| {
            std::env::var(SERVER).unwrap_or_else(|_| {
                let server = Server::start();
                let address = server.address();
                // It ends when this process does (see there), not before.
                std::mem::forget(server);
                address
            })
        })
        .clone()
}

/// Hands this process's server to a child process that runs tests.
pub fn hand_over(command: &mut Command) {
    if on_postgres() {
        command.env(SERVER, server());
    }
}

/// A PostgreSQL server of the test's own: on a Unix socket, with its disk synced.
pub struct Server {
    folder: PathBuf,
    /// Ends the server when its standard input ends, however this process dies.
    guard: Child,
}

impl Server {
    pub fn start() -> Self {
        let folder =
            tempfile::Builder::new().prefix("azukari-pg-").tempdir_in(disk()).unwrap().keep();
        if is_root() {
            // PostgreSQL refuses to run as root.
            let id = |flag| {
                let output = Command::new("id").args([flag, "postgres"]).output().unwrap();
                let text = String::from_utf8(output.stdout).unwrap();
                text.trim().parse::<u32>().expect("user postgres is needed: install postgresql")
            };
            chown(&folder, Some(id("-u")), Some(id("-g"))).unwrap();
        }
        let data = folder.join("data");
        run(as_server("initdb").arg("-D").arg(&data).args([
            "-U",
            "azukari",
            "-A",
            "trust",
            "-N",
            "-E",
            "UTF8",
            "--locale=C",
        ]));
        let guard = as_server("sh")
            .args(["-c", "read -r _; \"$0\" -D \"$1\" -m immediate stop; rm -rf \"$2\""])
            .arg(program("pg_ctl"))
            .args([&data, &folder])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Whoever interrupts the tests does not interrupt the tidying up.
            .process_group(0)
            .spawn()
            .unwrap();
        let server = Self { folder, guard };
        server.run_it();
        let version = sql(&server.address(), "SHOW server_version_num");
        let major = version.parse::<u32>().unwrap() / 10_000;
        assert!(major >= OLDEST, "PostgreSQL {major}; {OLDEST} or newer is needed");
        server
    }

    /// Starts the server process (again); comes back when it answers.
    pub fn run_it(&self) {
        let socket = self.folder.display();
        let settings = format!(
            "-k {socket} -h '' -c max_connections=500 -c shared_buffers=32MB -c log_min_messages=fatal"
        );
        run(self
            .control()
            .arg("-l")
            .arg(self.folder.join("log"))
            .arg("-o")
            .arg(settings)
            .arg("start"));
    }

    /// Ends the server where it stands, without a checkpoint: starting it again is its recovery.
    pub fn kill(&self) {
        run(self.control().args(["-m", "immediate", "stop"]));
    }

    /// A database of its own for this folder.
    pub fn place(&self, folder: &Path) -> Place {
        let name = format!("own_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        sql(&self.address(), &format!("CREATE DATABASE {name}"));
        Place::postgres(&self.address().replace("/postgres", &format!("/{name}")), None, folder)
            .unwrap()
    }

    fn control(&self) -> Command {
        let mut command = as_server("pg_ctl");
        command.arg("-D").arg(self.folder.join("data")).args(["-w", "-t", "120"]);
        command
    }

    /// The address of its first database.
    pub fn address(&self) -> String {
        let host = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://azukari@{host}/postgres")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// Memory, if there is plenty: the server syncs as it must, and no test waits for a disk.
fn disk() -> PathBuf {
    let asked = Command::new("df").args(["--output=avail", "-B1M", "/dev/shm"]).output();
    let free = asked.ok().and_then(|output| {
        String::from_utf8(output.stdout).ok()?.lines().nth(1)?.trim().parse::<u64>().ok()
    });
    if free.is_some_and(|free| free > 4096) { "/dev/shm".into() } else { std::env::temp_dir() }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// The oldest PostgreSQL that is supported (decision 0010).
pub const OLDEST: u32 = 15;

/// A program of the newest PostgreSQL here; Debian keeps them out of the PATH.
fn program(name: &str) -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let there = folders.filter_map(|entry| Some(entry.ok()?.path().join("bin").join(name)));
    newest(there.filter(|program| program.exists())).unwrap_or_else(|| name.into())
}

/// That of the greatest version, which is what its grandparent folder is called: 15, or 9.6.
pub fn newest(programs: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    let version = |program: &PathBuf| -> Vec<u32> {
        let folder = program.ancestors().nth(2).and_then(Path::file_name);
        let name = folder.unwrap_or_default().to_string_lossy().into_owned();
        name.split('.').filter_map(|part| part.parse().ok()).collect()
    };
    programs.max_by_key(version)
}

fn as_server(name: &str) -> Command {
    let path = if name == "sh" { name.into() } else { program(name) };
    if is_root() {
        let mut command = Command::new("runuser");
        command.args([OsStr::new("-u"), OsStr::new("postgres"), OsStr::new("--"), path.as_ref()]);
        command.current_dir("/");
        command
    } else {
        Command::new(path)
    }
}

fn run(command: &mut Command) {
    let told = tempfile::tempfile().unwrap();
    // A file, not a pipe: the server would keep a pipe open.
    let status = command
        .stdin(Stdio::null())
        .stdout(told.try_clone().unwrap())
        .stderr(told.try_clone().unwrap())
        .status()
        .unwrap_or_else(|error| {
            panic!("PostgreSQL is needed (install postgresql): {command:?}: {error}")
        });
    if !status.success() {
        use std::io::{Read as _, Seek as _};
        let (mut told, mut text) = (told, String::new());
        told.rewind().unwrap();
        told.read_to_string(&mut text).unwrap();
        panic!("PostgreSQL is needed (install postgresql): {command:?}: {status}\n{text}");
    }
}
