//! The town's facts in words of both languages, as the page shows them.

use hpki::kind::DocumentKind;
use hpki::qualification::Qualification;
use hpki::time::Timestamp;
use town::people::{Authority, FACILITIES, Facility, Person};
use verifier::{Reason, Report, Revocation, SignatureReport, Verdict};
use wire::refusal::{Problem, lookup};

use crate::demo::walk::StepFailed;
use crate::http::problem::Trouble;
use crate::pages::demo::{Refused, Text, Verified};

/// A moment in Japan, to the minute.
pub(super) fn moment(at: Timestamp) -> Text {
    let text = at.jst_text();
    Text::new(at.jst_ja(), format!("{} JST", text.get(..16).unwrap_or_default()))
}

/// A moment in Japan, to the second.
pub(super) fn exactly(at: Timestamp) -> Text {
    let text = at.jst_text();
    let clock = text.get(11..19).unwrap_or_default();
    let seconds = clock.get(6..).unwrap_or_default();
    Text::new(format!("{}:{seconds}", at.jst_ja()), text.clone())
}

/// Only the time of day, to the second.
pub(super) fn clock(at: Timestamp) -> String {
    at.jst_text().get(11..19).unwrap_or_default().to_owned()
}

pub(super) fn name(person: &Person) -> Text {
    Text::new(person.display_ja(), person.romaji)
}

pub(super) fn qualification(of: Qualification) -> Text {
    Text::new(of.ja(), of.role().unwrap_or_default())
}

pub(super) fn authority(of: Authority) -> Text {
    match of {
        Authority::Jma => Text::new("日本医師会の様式（TEST）", "JMA layout (TEST)"),
        Authority::Jpa => Text::new("日本薬剤師会の様式（TEST）", "JPA layout (TEST)"),
        Authority::Medis => Text::new("MEDISの様式（TEST）", "MEDIS layout (TEST)"),
    }
}

pub(super) fn facility(of: &Facility) -> Text {
    Text::new(of.name_ja, of.name_en)
}

/// A registered name, with its English one where the town knows it.
pub(super) fn facility_named(registered: &str) -> Text {
    let known = FACILITIES.into_iter().find(|facility| facility.name_ja == registered);
    known.map_or_else(|| Text::new(registered, registered), facility)
}

/// A terminal's label, with its English one where the town knows it.
pub(super) fn terminal_labelled(label: &str) -> Text {
    let mut terminals = FACILITIES.into_iter().flat_map(|facility| facility.terminals);
    let english = terminals.find(|terminal| terminal.label == label).map(|it| it.label_en);
    Text::new(label, english.unwrap_or(label))
}

pub(super) fn kind(of: DocumentKind) -> Text {
    Text::new(of.ja(), of.en())
}

/// How an authentication was made.
pub(super) fn means(of: &str) -> Text {
    match of {
        "phone" => Text::new("スマートフォン", "Phone"),
        "hpki" => Text::new("HPKIカード", "HPKI card"),
        "jpki" => Text::new("マイナンバーカード", "My Number card"),
        other => Text::new(other, other),
    }
}

/// Why a step failed, as a problem: a refusal by its own words, anything else as a fault that was
/// logged.
pub(super) fn problem(failed: StepFailed) -> Problem {
    use hpki::refusal::Refuse as _;
    match failed {
        StepFailed::Refused(problem) => of_platform(&problem).unwrap_or(*problem),
        StepFailed::Phone(refusal) => Problem::refused(refusal.code(), &refusal.to_string()),
        other => Trouble::fault(&other).problem(),
    }
}

/// The platform's own words, where a gateway only passes on that it refused.
fn of_platform(problem: &Problem) -> Option<Problem> {
    let said = problem.detail.strip_prefix("the platform refused: ")?;
    let code = said.split_whitespace().next()?;
    lookup(code).map(|_| Problem::refused(code, said))
}

pub(super) fn refused(problem: &Problem) -> Refused {
    Refused {
        code: problem.code.clone(),
        title: Text::new(&*problem.title, &*problem.title_en),
        advice: Text::new(&*problem.advice, &*problem.advice_en),
        reference: problem.reference.clone(),
    }
}

fn reason(of: &Reason) -> Refused {
    let text = lookup(&of.code);
    let advice = text.map(|text| Text::new(text.advice_ja, text.advice_en)).unwrap_or_default();
    Refused {
        code: of.code.clone(),
        title: Text::new(&*of.message_ja, text.map_or(&*of.message, |text| text.title_en)),
        advice,
        reference: None,
    }
}

/// What the verifier found, signature by signature. A document that could not even be read has one
/// line for the whole.
pub(super) fn verified(report: &Report) -> Vec<Verified> {
    if let Some(unreadable) = &report.refusal {
        return vec![Verified {
            document: Text::new("文書全体", "The whole document"),
            valid: false,
            signer: Text::default(),
            qualification: Text::default(),
            authority: Text::default(),
            time: Text::default(),
            level: Text::default(),
            revocation: Text::default(),
            refusal: Some(reason(unreadable)),
        }];
    }
    report.signatures.iter().map(signature).collect()
}

fn signature(of: &SignatureReport) -> Verified {
    let plain = |text: &str| Text::new(text, text);
    let time = of.signing_time_claimed.as_deref().and_then(Timestamp::parse);
    Verified {
        document: match (of.kind, of.nested) {
            (DocumentKind::Prescription, true) => {
                Text::new("中にある電子処方箋", "The prescription inside")
            }
            (other, _) => kind(other),
        },
        valid: of.verdict == Verdict::Valid,
        signer: of.person.as_ref().map_or_else(Text::default, |person| {
            Text::new(person.name_ja.as_deref().unwrap_or(&person.name), &*person.name)
        }),
        qualification: of
            .qualification
            .as_ref()
            .map_or_else(Text::default, |found| Text::new(found.ja, found.role)),
        authority: plain(of.authority.as_deref().unwrap_or_default()),
        time: time.map(exactly).unwrap_or_default(),
        level: of.level.map(|level| level_of(level, of.level_claimed)).unwrap_or_default(),
        revocation: revocation(&of.revocation),
        refusal: of.refusal.as_ref().map(reason),
    }
}

fn level_of(level: &str, claimed: Option<&str>) -> Text {
    match claimed {
        None => Text::new(format!("XAdES-{level}"), format!("XAdES-{level}")),
        Some(claimed) => Text::new(
            format!("XAdES-{level}（XAdES-{claimed} と記載。確認していません）"),
            format!("XAdES-{level} (claims XAdES-{claimed}, not judged)"),
        ),
    }
}

fn revocation(of: &Revocation) -> Text {
    let at = |text: &str| Timestamp::parse(text).map(moment).unwrap_or_default();
    match of {
        Revocation::Good { as_of, .. } => {
            let at = at(as_of);
            Text::new(
                format!("失効していません（{} のリスト）", at.ja),
                format!("not revoked (list of {})", at.en),
            )
        }
        Revocation::Revoked { since, .. } => {
            let at = at(since);
            Text::new(format!("{} に失効", at.ja), format!("revoked since {}", at.en))
        }
        Revocation::NotChecked => Text::new("確かめていません", "not checked"),
        Revocation::Unknown => Text::new("分かりません", "unknown"),
    }
}
