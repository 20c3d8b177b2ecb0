//! The timeline that a person enjoys reading: who did what, and how long it took.

use std::io::IsTerminal as _;
use std::time::Duration;

use serde::Serialize;

use crate::clock::Stopwatch;

/// One step of the story, as it was.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Step {
    /// Who acted.
    pub(crate) who: String,
    /// What was done.
    pub(crate) what: String,
    /// The same in English.
    pub(crate) what_en: String,
    /// Particulars: numbers, names.
    pub(crate) detail: String,
    /// How long it took, in milliseconds.
    pub(crate) took_ms: f64,
}

/// The story so far.
pub(crate) struct Timeline {
    quiet: bool,
    /// Whether English may be dimmed: only where a person looks.
    colour: bool,
    begun: Stopwatch,
    last: Stopwatch,
    pub(crate) steps: Vec<Step>,
}

impl Timeline {
    /// Begins; `quiet` keeps the steps without printing them.
    pub(crate) fn begin(quiet: bool) -> Self {
        let now = Stopwatch::start();
        Self {
            quiet,
            colour: std::io::stdout().is_terminal(),
            begun: now,
            last: now,
            steps: Vec::new(),
        }
    }

    /// A chapter heading.
    pub(crate) fn chapter(&self, ja: &str, en: &str) {
        if !self.quiet {
            println!("\n■ {ja}  {}", self.dim(en));
        }
    }

    /// A step that began when the last one ended and is done now.
    pub(crate) fn done(&mut self, who: &str, what: &str, what_en: &str, detail: impl Into<String>) {
        let took = self.last.elapsed();
        self.last = Stopwatch::start();
        let step = Step {
            who: who.to_owned(),
            what: what.to_owned(),
            what_en: what_en.to_owned(),
            detail: detail.into(),
            took_ms: took.as_secs_f64() * 1000.0,
        };
        if !self.quiet {
            println!(
                "  ✓ {:>9}  {}  {}  {}",
                shown(took),
                pad(&step.who, 14),
                step.what,
                self.dim(&step.what_en)
            );
            for line in step.detail.lines() {
                println!("               {}  {line}", pad("", 14));
            }
        }
        self.steps.push(step);
    }

    fn dim(&self, text: &str) -> String {
        if self.colour { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Time since the beginning.
    pub(crate) fn total(&self) -> Duration {
        self.begun.elapsed()
    }
}

/// `12 ms`, `1.24 s`
pub(crate) fn shown(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    if ms >= 1000.0 {
        format!("{:.2} s", ms / 1000.0)
    } else if ms >= 10.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{ms:.1} ms")
    }
}

/// Pads to a number of terminal columns, where a Japanese character takes two.
fn pad(text: &str, columns: usize) -> String {
    let width: usize = text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
    format!("{text}{}", " ".repeat(columns.saturating_sub(width)))
}
