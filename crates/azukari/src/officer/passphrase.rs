//! Passphrases: typed without an echo, or from a file that only its owner can read.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use super::say;
use crate::runtime::Stop;

/// The passphrase in a file: its first line.
pub(crate) fn from_file(file: &Path) -> Result<Zeroizing<String>, Stop> {
    crate::files::owner_only(file)?;
    let text = Zeroizing::new(std::fs::read_to_string(file)?);
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// Asks for a passphrase at the terminal.
pub(crate) fn ask(prompt: &str) -> Result<Zeroizing<String>, Stop> {
    if !std::io::stdin().is_terminal() {
        return Err(say::refused("passphrase-missing", "no terminal, and no --passphrase-file"));
    }
    let quiet = Quiet::begin();
    let line = line(prompt);
    drop(quiet);
    eprintln!();
    line
}

/// Asks twice.
pub(crate) fn choose(officer: &str) -> Result<Zeroizing<String>, Stop> {
    loop {
        let one = ask(&format!("{officer} の合言葉（12文字以上; passphrase): "))?;
        let two = ask("もう一度 (again): ")?;
        if one == two {
            return Ok(one);
        }
        eprintln!("二つが違います。もう一度どうぞ (they differ)");
    }
}

/// One line from the terminal.
pub(crate) fn line(prompt: &str) -> Result<Zeroizing<String>, Stop> {
    eprint!("{prompt}");
    std::io::stderr().flush()?;
    let mut text = Zeroizing::new(String::new());
    if std::io::stdin().lock().read_line(&mut text)? == 0 {
        return Err(say::refused("passphrase-missing", "the input ended"));
    }
    let length = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(length);
    Ok(text)
}

/// The terminal does not echo while this lives. `stty` does it: the rest of this program needs no
/// foreign function for it.
struct Quiet;

impl Quiet {
    fn begin() -> Self {
        stty("-echo");
        Self
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        stty("echo");
    }
}

fn stty(word: &str) {
    let _ = Command::new("stty").arg(word).stdin(Stdio::inherit()).status();
}
