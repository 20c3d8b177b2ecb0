//! `azukari criteria`: each statement that a custodian of kept keys must keep to, with the place in
//! the code that keeps it, the tests that hold it there, and what this platform's own journal shows
//! of it. For a committee: Japanese or English, on the terminal or as one HTML page.
//!
//! The statements stand in `criteria/table.tsv`; a test keeps places and tests true, and
//! docs/criteria.md is printed from them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use askama::Template;
use clap::{Args, ValueEnum};
use ledger::{Auditor, Wanted};

use crate::journal::reading::said;
use crate::journal::{LogKey, find_ledger};

const TABLE: &str = include_str!("criteria/table.tsv");

/// Flags of `azukari criteria`.
#[derive(Args)]
pub(crate) struct CriteriaArguments {
    /// 証跡を読む台帳のフォルダ。なければ表だけ (the ledger whose journal is evidence)
    #[arg(long)]
    folder: Option<PathBuf>,
    /// 手元に控えた記録の検証鍵 (the log key that you keep)
    #[arg(long, conflicts_with = "log_key_from_ledger", requires = "folder")]
    log_key: Option<PathBuf>,
    /// 台帳のそばにある log.vkey を使う (trust the key that lies beside the ledger)
    #[arg(long, requires = "folder")]
    log_key_from_ledger: bool,
    /// 委員会に渡す一枚の HTML を書く (write one HTML page)
    #[arg(long)]
    html: Option<PathBuf>,
    /// 言葉 (language)
    #[arg(long, default_value = "ja")]
    lang: Language,
    /// docs/criteria.md の形で出す (as docs/criteria.md)
    #[arg(long, conflicts_with_all = ["html", "folder"])]
    markdown: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    Ja,
    En,
}

impl Language {
    fn of<'a>(self, ja: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Ja => ja,
            Self::En => en,
        }
    }
}

/// One statement.
struct Criterion {
    id: &'static str,
    origin: &'static str,
    room: &'static str,
    function: &'static str,
    tests: Vec<&'static str>,
    event: &'static str,
    live: &'static str,
    ja: &'static str,
    en: &'static str,
}

/// A group of statements under its heading.
struct Chapter {
    heading: &'static str,
    criteria: Vec<Criterion>,
}

fn chapters() -> Vec<Chapter> {
    let mut chapters: Vec<Chapter> = Vec::new();
    for line in TABLE.lines() {
        if let Some(heading) = line.strip_prefix("# ── ") {
            let heading = heading.trim_end_matches(['─', ' ']);
            chapters.push(Chapter { heading, criteria: Vec::new() });
        } else if !line.starts_with('#')
            && let [id, origin, room, function, tests, event, live, ja, en] =
                line.split('\t').collect::<Vec<_>>()[..]
            && let Some(chapter) = chapters.last_mut()
        {
            let tests = tests.split(' ').collect();
            let criterion = Criterion { id, origin, room, function, tests, event, live, ja, en };
            chapter.criteria.push(criterion);
        }
    }
    chapters
}

/// What the journal of a platform shows.
struct Evidence {
    /// How often each event stands in it.
    counts: BTreeMap<&'static str, u64>,
    entries: u64,
    folder: String,
}

impl Evidence {
    fn read(folder: &std::path::Path, log: &LogKey) -> Result<Self, String> {
        let folder = find_ledger(folder)?;
        let (log, _) = log.find(&folder)?;
        let auditor = Auditor::open(&folder, None, log).map_err(said)?;
        let (mut counts, mut entries) = (BTreeMap::new(), 0);
        auditor
            .entries(&Wanted::default(), |shown| {
                entries += 1;
                if let Some(opening) = shown.opening {
                    *counts.entry(opening.record.event.name()).or_insert(0) += 1;
                }
                true
            })
            .map_err(said)?;
        Ok(Self { counts, entries, folder: folder.display().to_string() })
    }

    fn of(&self, event: &str) -> Option<u64> {
        (!event.is_empty()).then(|| self.counts.get(event).copied().unwrap_or(0))
    }
}

/// How a statement stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Kept, and seen in the journal so often.
    Seen(u64),
    /// Kept, held by its tests; this journal tells nothing of it.
    Kept,
}

impl Criterion {
    fn standing(&self, evidence: Option<&Evidence>) -> Standing {
        match evidence.and_then(|evidence| evidence.of(self.event)) {
            Some(count) if count > 0 => Standing::Seen(count),
            _ => Standing::Kept,
        }
    }
}

impl Standing {
    fn mark(self) -> &'static str {
        match self {
            Self::Seen(_) => "✓",
            Self::Kept => "・",
        }
    }

    fn words(self, event: &str, language: Language) -> String {
        match self {
            Self::Seen(count) => match language {
                Language::Ja => format!("記録に {event} が {count} 件"),
                Language::En => format!("{event} stands {count} times in the journal"),
            },
            Self::Kept => language
                .of(
                    "試験が守る（この記録にはまだ現れない）",
                    "held by its tests; not in this journal",
                )
                .to_owned(),
        }
    }
}

/// `azukari criteria`
pub(crate) fn run(arguments: &CriteriaArguments) -> ExitCode {
    match report(arguments) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn report(arguments: &CriteriaArguments) -> Result<String, String> {
    if arguments.markdown {
        return Ok(markdown());
    }
    let evidence = match &arguments.folder {
        Some(folder) => {
            let log = LogKey::given(arguments.log_key.clone(), arguments.log_key_from_ledger)
                .ok_or("--folder には --log-key FILE か --log-key-from-ledger を添えてください (which log key is believed?)")?;
            Some(Evidence::read(folder, &log)?)
        }
        None => None,
    };
    let language = arguments.lang;
    if let Some(file) = &arguments.html {
        let page = Page::new(language, evidence.as_ref());
        let text = page.render().map_err(|error| error.to_string())?;
        std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        let words = language.of("に書きました", "was written");
        return Ok(format!("{} {words}", file.display()));
    }
    Ok(table(language, evidence.as_ref()))
}

fn table(language: Language, evidence: Option<&Evidence>) -> String {
    let mut text = String::new();
    for chapter in chapters() {
        let _ = writeln!(text, "■ {}", chapter.heading);
        for criterion in &chapter.criteria {
            let standing = criterion.standing(evidence);
            let _ = writeln!(
                text,
                "  {} {:<7} {}\n            {}",
                standing.mark(),
                criterion.id,
                language.of(criterion.ja, criterion.en),
                standing.words(criterion.event, language),
            );
            let live = language.of("見るには", "to see it");
            let _ =
                writeln!(text, "            {}  {live}: {}", criterion.function, criterion.live);
        }
        text.push('\n');
    }
    text.push_str(&closing(language, evidence));
    text
}

fn closing(language: Language, evidence: Option<&Evidence>) -> String {
    let all = chapters();
    let criteria = || all.iter().flat_map(|chapter| &chapter.criteria);
    let total = criteria().count();
    let Some(evidence) = evidence else {
        let words = language.of(
            "項目。--folder で基盤の台帳を指すと、その記録を証跡として数える",
            " statements. --folder names a platform's ledger, whose journal is counted as evidence",
        );
        return format!("{total} {}", words.trim_start());
    };
    let seen =
        criteria().filter(|one| matches!(one.standing(Some(evidence)), Standing::Seen(_))).count();
    let (folder, entries) = (&evidence.folder, evidence.entries);
    match language {
        Language::Ja => format!(
            "{total} 項目のうち {seen} 項目はこの記録に現れている。証跡: {folder}（{entries} 件の記録）"
        ),
        Language::En => format!(
            "{seen} of {total} statements are seen in this journal. Evidence: {folder} ({entries} entries)"
        ),
    }
}

/// The page for a committee.
#[derive(Template)]
#[template(path = "criteria.html")]
struct Page {
    lang: &'static str,
    title: &'static str,
    lead: &'static str,
    columns: [&'static str; 4],
    chapters: Vec<PageChapter>,
    closing: String,
}

struct PageChapter {
    heading: &'static str,
    rows: Vec<PageRow>,
}

struct PageRow {
    id: &'static str,
    origin: &'static str,
    statement: &'static str,
    mark: &'static str,
    state: &'static str,
    standing: String,
    room: &'static str,
    function: &'static str,
    tests: Vec<&'static str>,
    live: &'static str,
}

impl Page {
    fn new(language: Language, evidence: Option<&Evidence>) -> Self {
        let row = |criterion: Criterion| {
            let standing = criterion.standing(evidence);
            PageRow {
                id: criterion.id,
                origin: match (criterion.origin, language) {
                    ("J", Language::Ja) => "日本の規則",
                    ("J", Language::En) => "Japanese rule",
                    ("E", Language::Ja) => "欧州の規格にならう",
                    ("E", Language::En) => "European pattern",
                    (_, Language::Ja) => "独自",
                    (_, Language::En) => "our own",
                },
                statement: language.of(criterion.ja, criterion.en),
                mark: standing.mark(),
                state: match standing {
                    Standing::Seen(_) => "seen",
                    Standing::Kept => "kept",
                },
                standing: standing.words(criterion.event, language),
                room: criterion.room,
                function: criterion.function,
                tests: criterion.tests,
                live: criterion.live,
            }
        };
        let chapters = chapters()
            .into_iter()
            .map(|chapter| PageChapter {
                heading: chapter.heading,
                rows: chapter.criteria.into_iter().map(row).collect(),
            })
            .collect();
        Self {
            lang: language.of("ja", "en"),
            title: language.of("鍵預かりの検証項目", "Criteria for the custody of kept keys"),
            lead: language.of(
                "項目ごとに、守っている場所、それを守らせる試験、実際に見る方法、この基盤の記録に現れた証跡を示します。",
                "For each statement: the place that keeps it, the tests that hold it there, how to see it live, and what the journal of this platform shows.",
            ),
            columns: match language {
                Language::Ja => ["項目", "求めること", "証跡", "守る場所・試験・見る方法"],
                Language::En => ["No.", "statement", "evidence", "place, tests, how to see it"],
            },
            chapters,
            closing: closing(language, evidence),
        }
    }
}

/// docs/criteria.md.
fn markdown() -> String {
    let mut text = String::from(
        "# 検証項目 / Criteria\n\n\
         この表は `crates/azukari/src/criteria/table.tsv` から作られます（`azukari criteria --markdown`）。\
         `azukari criteria --folder 台帳` は、基盤の記録から証跡を数えて示します。\
         `--html 紙.html` は委員会に渡す一枚です。\n\n\
         Made from the table; a test keeps each place, each test and each command true. Origin: J Japanese rule, \
         E European pattern (EN 419 241), U our own.\n",
    );
    for chapter in chapters() {
        let _ = write!(
            text,
            "\n## {}\n\n| | | 求めること / statement | room and function | tests | to see it live |\n|---|---|---|---|---|---|\n",
            chapter.heading
        );
        for one in chapter.criteria {
            let tests: Vec<_> = one.tests.iter().map(|test| format!("`{test}`")).collect();
            let _ = writeln!(
                text,
                "| {} | {} | {}<br>{} | `{}` | {} | `{}` |",
                one.id,
                one.origin,
                one.ja,
                one.en,
                one.function,
                tests.join("<br>"),
                one.live
            );
        }
    }
    text
}
