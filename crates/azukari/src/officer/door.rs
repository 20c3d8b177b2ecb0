//! The officers' door: a Unix socket that only the platform's own account can reach.
//!
//! Closed, it gathers shares, one officer at a time, until the secret is whole. Open, it does what
//! the operator asks of a running platform: a backup, a revocation, how it stands, who sits at the
//! authority's desk. One JSON object a line; the first line is ours and says what the shares are
//! for, so that an officer knows before he types his passphrase.
//!
//! What is true if we die here: nothing was written, and shares are in memory alone. Shares that
//! wait longer than a quarter of an hour for the others are dropped.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hpki::refusal::Refuse as _;
use hsm::UnsealSecret;
use hsm::shares::{Duty, Gathering, Refusal, Set, Share};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::record::Record;
use super::say;
use crate::flows::desk::Operator;
use crate::http::problem::Trouble;
use crate::platform::Platform;
use crate::platform::standing::Standing;
use crate::revoke::Revocation;
use crate::runtime::Stop;

/// How long shares wait for the next one.
const WAIT: Duration = Duration::from_secs(15 * 60);
/// How long one officer may take at the door.
const SITTING: Duration = Duration::from_secs(10 * 60);
/// What one officer may send.
const LINES_MAX: u64 = 64 * 1024;
/// Officers at the door at once.
const TOGETHER: usize = 8;

/// Our first line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Greeting {
    /// Whether the platform is open already.
    pub(crate) open: bool,
    /// What the shares are for.
    pub(crate) purpose: String,
    pub(crate) duty: String,
    pub(crate) set: Option<String>,
    pub(crate) have: u8,
    pub(crate) need: Option<u8>,
}

/// What may be asked.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// One officer's share, its four lines.
    Share(String),
    /// A backup into this new folder.
    Backup(PathBuf),
    /// How the platform stands.
    Standing,
    /// The revocation of a certificate.
    Revoke(Revocation),
    /// Who is an officer of the authority's desk.
    Desk(Operator),
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// The share was taken.
    Taken { have: u8, need: u8, complete: bool },
    /// It was done.
    Done(String),
    /// How the platform stands.
    Standing(Box<Standing>),
    /// It was refused.
    Refused { code: String, detail: String },
    /// Something broke; the platform's log knows more.
    Broke(String),
}

/// What a gathering gave.
pub(crate) struct Gathered {
    pub(crate) secret: UnsealSecret,
    pub(crate) set: Set,
    /// The shares that gave it.
    pub(crate) indexes: Vec<u8>,
    pub(crate) record: Option<Record>,
}

impl Gathered {
    /// Whose shares they were.
    pub(crate) fn officers(&self) -> String {
        let names = self.indexes.iter().map(|index| match &self.record {
            Some(record) => format!("{index} {}", record.officer(*index)),
            None => index.to_string(),
        });
        names.collect::<Vec<_>>().join("、")
    }
}

/// Makes the socket. One that a dead process left is cleared away; a living one is not.
fn bind(socket: &Path) -> Result<UnixListener, Stop> {
    if let Some(folder) = socket.parent() {
        crate::files::private_folder(folder)?;
    }
    if let Ok(there) = std::fs::symlink_metadata(socket) {
        let living = std::os::unix::net::UnixStream::connect(socket).is_ok();
        if living || !there.file_type().is_socket() {
            return Err(say::refused("officers-door-in-use", socket.display().to_string()));
        }
        std::fs::remove_file(socket)?;
    }
    let listener = UnixListener::bind(socket).map_err(|error| {
        say::refused("officers-door-unusable", format!("{}: {error}", socket.display()))
    })?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Takes the socket away when dropped.
struct Door {
    listener: UnixListener,
    socket: PathBuf,
    owner: u32,
}

impl Door {
    fn open(socket: &Path) -> Result<Self, Stop> {
        let listener = bind(socket)?;
        let owner = std::fs::metadata(socket)?.uid();
        Ok(Self { listener, socket: socket.to_owned(), owner })
    }

    /// The next caller who runs under our own account.
    async fn next(&self) -> std::io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            match stream.peer_cred() {
                Ok(peer) if peer.uid() == self.owner => return Ok(stream),
                peer => tracing::warn!(?peer, "somebody else knocked at the officers' door"),
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// The shares that came in so far.
struct Table {
    purpose: String,
    duty: Duty,
    records: Vec<Record>,
    state: Mutex<State>,
    whole: Notify,
}

struct State {
    gathering: Gathering,
    touched: Instant,
    secret: Option<(UnsealSecret, Vec<u8>)>,
}

impl Table {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, set: Set) -> Option<&Record> {
        self.records.iter().find(|record| record.set() == Some(set))
    }

    fn fresh(&self) -> Gathering {
        match self.records.as_slice() {
            [only] => only.set().map_or(Gathering::of_any(self.duty), Gathering::of),
            _ => Gathering::of_any(self.duty),
        }
    }

    /// Drops shares that waited too long.
    fn tidy(&self, wait: Duration) {
        let mut state = self.state();
        let waiting = !state.gathering.indexes().is_empty() && state.secret.is_none();
        if waiting && state.touched.elapsed() >= wait {
            state.gathering = self.fresh();
            eprintln!(
                "時間が過ぎたので、受け取った分割片を捨てました。最初からどうぞ (too late: the shares were dropped)"
            );
        }
    }

    fn greeting(&self) -> Greeting {
        let state = self.state();
        let set = state.gathering.set();
        Greeting {
            open: false,
            purpose: self.purpose.clone(),
            duty: self.duty.name().to_owned(),
            set: set.map(|set| set.to_string()),
            have: state.gathering.progress().map_or(0, |progress| progress.have),
            need: set.map(|set| set.need()),
        }
    }

    fn take(&self, lines: &str) -> Reply {
        match self.taken(lines) {
            Ok(reply) => reply,
            Err(refusal) => {
                eprintln!("受け付けません: {refusal} [{}]", refusal.code());
                Reply::Refused { code: refusal.code().to_owned(), detail: refusal.to_string() }
            }
        }
    }

    fn taken(&self, lines: &str) -> Result<Reply, Refusal> {
        let share = Share::from_lines(lines)?;
        let mut state = self.state();
        if state.secret.is_some() {
            return Err(Refusal::SharesComplete);
        }
        let (index, set) = (share.index(), share.set());
        let record = self.of(set);
        if record.is_none() && !self.records.is_empty() && set.duty() == self.duty {
            return Err(Refusal::ShareOfAnotherSet);
        }
        let progress = state.gathering.add(share)?;
        state.touched = Instant::now();
        let name = record.map_or("", |record| record.officer(index));
        eprintln!(
            "{} の分割片 {} / {}（番号 {index} {name}; share taken）",
            self.duty.ja(),
            progress.have,
            progress.need
        );
        if progress.is_complete() {
            let secret = state.gathering.secret()?;
            let indexes = state.gathering.indexes();
            // A wrong secret never reaches the device, whose tries may be counted. Nobody learns
            // whose share it was: all are dropped.
            let right = record.is_none_or(|record| record.is_secret(&secret).unwrap_or(false));
            if !right {
                state.gathering = self.fresh();
                return Err(Refusal::SharesWrong);
            }
            state.secret = Some((secret, indexes));
            self.whole.notify_one();
        }
        let complete = progress.is_complete();
        Ok(Reply::Taken { have: progress.have, need: progress.need, complete })
    }
}

/// Waits at the door until enough officers have handed in their shares.
pub(crate) async fn gather(
    socket: &Path,
    duty: Duty,
    records: Vec<Record>,
    purpose: &str,
) -> Result<Gathered, Stop> {
    let door = Door::open(socket)?;
    let table = Arc::new(Table {
        purpose: purpose.to_owned(),
        duty,
        state: Mutex::new(State {
            gathering: Gathering::of_any(duty),
            touched: Instant::now(),
            secret: None,
        }),
        records,
        whole: Notify::new(),
    });
    table.state().gathering = table.fresh();
    eprintln!(
        "{purpose}: {}の分割片を待っています。各担当者は次を実行してください (waiting for shares)\n  azukari officer unseal --socket {}",
        duty.ja(),
        socket.display()
    );
    let places = Arc::new(Semaphore::new(TOGETHER));
    let mut tidy = tokio::time::interval(Duration::from_secs(15));
    loop {
        tokio::select! {
            () = table.whole.notified() => break,
            _ = tidy.tick() => table.tidy(WAIT),
            stream = door.next() => {
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                let (stream, behind) = (stream?, Behind::Table(Arc::clone(&table)));
                tokio::spawn(async move {
                    let _place = place;
                    let _ = tokio::time::timeout(SITTING, sit(stream, behind)).await;
                });
            }
        }
    }
    let (secret, indexes) = table.state().secret.take().ok_or("the shares vanished")?;
    let set = table.state().gathering.set().ok_or("the set vanished")?;
    let record = table.of(set).cloned();
    // The last officer's answer goes out before the door closes.
    drop(door);
    Ok(Gathered { secret, set, indexes, record })
}

/// While the platform is open: takes the operator's requests until told to stop.
pub(crate) async fn attend(
    platform: Arc<Platform>,
    socket: PathBuf,
    mut stopped: watch::Receiver<bool>,
) {
    let door = match Door::open(&socket) {
        Ok(door) => door,
        Err(stop) => {
            tracing::warn!(%stop, "there is no officers' door");
            return;
        }
    };
    loop {
        let stream = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            stream = door.next() => stream,
        };
        let Ok(stream) = stream else { continue };
        tokio::spawn(sit(stream, Behind::Platform(Arc::clone(&platform))));
    }
}

/// Who answers behind the door.
enum Behind {
    /// Shares are awaited.
    Table(Arc<Table>),
    /// The platform is open.
    Platform(Arc<Platform>),
}

impl Behind {
    fn greeting(&self) -> Greeting {
        match self {
            Self::Table(table) => table.greeting(),
            Self::Platform(_) => Greeting {
                open: true,
                purpose: String::new(),
                duty: String::new(),
                set: None,
                have: 0,
                need: None,
            },
        }
    }

    async fn answer(&self, request: Request) -> Reply {
        match (self, request) {
            (Self::Table(table), Request::Share(lines)) => table.take(&Zeroizing::new(lines)),
            (Self::Table(_), _) => refused("platform-sealed", "shares are awaited"),
            (Self::Platform(_), Request::Share(lines)) => {
                drop(Zeroizing::new(lines));
                refused("platform-open", "no shares are awaited")
            }
            (Self::Platform(platform), Request::Desk(asked)) => {
                let done = crate::flows::desk::operate(platform, asked, crate::clock::now()).await;
                done.map_err(Stop::from).map_or_else(no, Reply::Done)
            }
            (Self::Platform(platform), Request::Backup(folder)) => {
                super::backup::make(platform, &folder).await.map_or_else(no, Reply::Done)
            }
            (Self::Platform(platform), Request::Standing) => {
                let standing = Standing::of(platform).await;
                standing.map_or_else(no, |standing| Reply::Standing(Box::new(standing)))
            }
            (Self::Platform(platform), Request::Revoke(revocation)) => {
                revocation.carry_out(platform).await.map_or_else(no, Reply::Done)
            }
        }
    }
}

fn no(stop: Stop) -> Reply {
    if let Some(said) = stop.downcast_ref::<say::Said>() {
        return refused(said.code, &said.detail);
    }
    match stop.downcast_ref::<Trouble>() {
        Some(Trouble::Refused { code, detail }) => refused(code, detail),
        _ => Reply::Broke(stop.to_string()),
    }
}

fn refused(code: &str, detail: &str) -> Reply {
    Reply::Refused { code: code.to_owned(), detail: detail.to_owned() }
}

/// One caller: our greeting, then an answer for each line.
async fn sit(stream: UnixStream, behind: Behind) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(LINES_MAX));
    write.write_all(&line_of(&behind.greeting())).await?;
    loop {
        let mut line = Zeroizing::new(String::new());
        if lines.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let reply = match serde_json::from_str::<Request>(&line) {
            Ok(request) => behind.answer(request).await,
            Err(_) => refused("request-malformed", "not a request of this door"),
        };
        write.write_all(&line_of(&reply)).await?;
    }
}

fn line_of(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

/// The caller's side.
pub(crate) struct Caller {
    lines: BufReader<tokio::net::unix::OwnedReadHalf>,
    write: tokio::net::unix::OwnedWriteHalf,
}

impl Caller {
    /// Knocks. Refused: `officers-door-closed`, where nobody waits.
    pub(crate) async fn knock(socket: &Path) -> Result<(Self, Greeting), Stop> {
        let stream = UnixStream::connect(socket).await.map_err(|error| {
            say::refused("officers-door-closed", format!("{}: {error}", socket.display()))
        })?;
        let (read, write) = stream.into_split();
        let mut caller = Self { lines: BufReader::new(read), write };
        let greeting = caller.read().await?;
        Ok((caller, greeting))
    }

    /// Asks and hears the answer; a refusal becomes the caller's own.
    pub(crate) async fn ask(&mut self, request: &Request) -> Result<Reply, Stop> {
        let line = Zeroizing::new(line_of(request));
        self.write.write_all(&line).await?;
        match self.read().await? {
            Reply::Refused { code, detail } => Err(match wire::refusal::lookup(&code) {
                Some(text) => say::refused(text.code, detail),
                None => format!("[{code}] {detail}").into(),
            }),
            Reply::Broke(what) => Err(what.into()),
            reply => Ok(reply),
        }
    }

    async fn read<T: for<'a> Deserialize<'a>>(&mut self) -> Result<T, Stop> {
        let mut line = String::new();
        if self.lines.read_line(&mut line).await? == 0 {
            return Err(say::refused("officers-door-closed", "the other side hung up"));
        }
        Ok(serde_json::from_str(&line)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hsm::SystemRandom;
    use hsm::shares::split;

    fn table() -> (Table, Vec<Share>, UnsealSecret) {
        let set = Set::new(Duty::User, 3, 5, &SystemRandom).unwrap();
        let secret = UnsealSecret::random(&SystemRandom);
        let shares = split(&secret, set, &SystemRandom);
        let state = State {
            gathering: Gathering::of_any(Duty::User),
            touched: Instant::now(),
            secret: None,
        };
        let table = Table {
            purpose: "試験".into(),
            duty: Duty::User,
            records: Vec::new(),
            state: Mutex::new(state),
            whole: Notify::new(),
        };
        (table, shares, secret)
    }

    fn taken(reply: Reply) -> (u8, bool) {
        match reply {
            Reply::Taken { have, complete, .. } => (have, complete),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn shares_that_wait_too_long_are_dropped_and_the_ceremony_begins_anew() {
        let (table, shares, _) = table();
        let lines: Vec<_> = shares.iter().map(super::super::unseal::joined).collect();
        taken(table.take(&lines[0]));
        assert_eq!(taken(table.take(&lines[1])), (2, false));
        table.tidy(Duration::from_secs(3600));
        assert_eq!(table.greeting().have, 2);
        table.tidy(Duration::ZERO);
        assert_eq!(table.greeting().have, 0);
        for line in &lines[..2] {
            taken(table.take(line));
        }
        assert_eq!(taken(table.take(&lines[4])), (3, true));
        assert!(
            matches!(table.take(&lines[3]), Reply::Refused { code, .. } if code == "shares-complete")
        );
        table.tidy(Duration::ZERO);
        assert!(table.state().secret.is_some(), "what is whole is not dropped");
    }

    #[tokio::test]
    async fn a_forged_share_drops_them_all_and_names_nobody() {
        let (mut table, shares, secret) = table();
        let set = shares[0].set();
        struct Fixed;
        impl hpki::sign::Mac for Fixed {
            fn mac(
                &self,
                statement: &hpki::encoding::Statement,
            ) -> Result<hpki::encoding::Digest32, hpki::sign::DeviceFault> {
                Ok(statement.digest())
            }
        }
        let names = vec!["架空".to_owned(); 5];
        let now = hpki::time::Timestamp::from_seconds(1);
        table.records = vec![Record::new(set, &secret, names, now, &Fixed).unwrap()];
        table.state().gathering = table.fresh();
        // Of the same set by its number, and of another secret.
        let forged = split(&UnsealSecret::random(&SystemRandom), set, &SystemRandom);
        let lines = |share: &Share| super::super::unseal::joined(share);
        taken(table.take(&lines(&shares[0])));
        taken(table.take(&lines(&forged[1])));
        match table.take(&lines(&shares[2])) {
            Reply::Refused { code, detail } => {
                assert_eq!(code, "shares-wrong");
                assert!(!detail.contains(char::is_numeric), "{detail}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(table.greeting().have, 0);
        for share in &shares[..2] {
            taken(table.take(&lines(share)));
        }
        assert_eq!(taken(table.take(&lines(&shares[2]))), (3, true));
    }
}
