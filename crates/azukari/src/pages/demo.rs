//! The demonstration page: one prescription from the authentication in the morning to a record
//! that strangers verify, five steps by hand.
//!
//! [`State`] is everything the page shows. `GET /demo/state` answers it as JSON; each
//! `POST /demo/…` takes one of the requests below as JSON and answers the new [`State`], with a
//! refusal standing in the step that it concerns (HTTP 200: the page has something to show). The
//! script then fetches the page again and puts its `<main>` in place, so nothing is rendered twice.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use askama::Template;
use serde::{Deserialize, Serialize};

use super::Lang;
use super::demo_cards::{CardView, ReaderView};
use super::diagram::{Diagram, size};
pub(crate) use super::diagram::{Place, Travel};
use super::paper::Paper;
pub(crate) use super::paper::with_amounts;
use super::qr;

/// A text in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Text {
    /// 日本語
    pub(crate) ja: String,
    /// English
    pub(crate) en: String,
}

impl Text {
    /// Both texts.
    pub(crate) fn new(ja: impl Into<String>, en: impl Into<String>) -> Self {
        Self { ja: ja.into(), en: en.into() }
    }

    /// The one in this language.
    pub(crate) fn pick(&self, lang: impl Borrow<Lang>) -> &str {
        lang.borrow().of(&self.ja, &self.en)
    }
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// 医師
    Physician,
    /// 薬剤師
    Pharmacist,
}

/// The five steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepId {
    /// 認証
    Authenticate,
    /// 処方
    Prescribe,
    /// 署名
    Sign,
    /// 調剤
    Dispense,
    /// 検証
    Verify,
}

impl StepId {
    /// In order.
    pub(crate) const ALL: [Self; 5] =
        [Self::Authenticate, Self::Prescribe, Self::Sign, Self::Dispense, Self::Verify];
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// An earlier step comes first.
    Waiting,
    /// It can be done now.
    Ready,
    /// It has begun (an authentication is open).
    Running,
    /// It is done.
    Done,
    /// It was refused; `Step::refusal` says why and what to do.
    Refused,
}

/// A refusal as the page shows it: what happened, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refused {
    /// The stable code.
    pub(crate) code: String,
    /// What happened.
    pub(crate) title: Text,
    /// What to do next.
    pub(crate) advice: Text,
    /// The reference number of a fault, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<String>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    /// Which.
    pub(crate) id: StepId,
    /// How far.
    pub(crate) status: Status,
    /// Its title. An empty one is replaced by the page's own.
    #[serde(default)]
    pub(crate) title: Text,
    /// What came of it, in a sentence; empty until something did.
    #[serde(default)]
    pub(crate) summary: Text,
    /// What travelled, in order.
    #[serde(default)]
    pub(crate) travelled: Vec<Travel>,
    /// What it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) took_ms: Option<u64>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refusal: Option<Refused>,
}

/// The state that matters for one person, visible at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Glance {
    /// Physician or pharmacist.
    pub(crate) role: Role,
    /// Her name.
    pub(crate) name: Text,
    /// Her qualification.
    pub(crate) qualification: Text,
    /// Who certified it.
    pub(crate) authority: Text,
    /// At which institution.
    pub(crate) institution: Text,
    /// At which terminal.
    pub(crate) terminal: Text,
    /// Until when, by what means; `None` while nobody is authenticated.
    pub(crate) session: Option<Session>,
}

/// An open authentication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Until when, as people read it (JST).
    pub(crate) until: Text,
    /// By what means.
    pub(crate) means: Text,
    /// How many signatures are left.
    pub(crate) left: u64,
}

/// How far an authentication is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CeremonyStage {
    /// The terminal shows the QR code; the phone has read it and asks its owner.
    Asking,
    /// The owner approved; the phone shows three digits, which the terminal waits for.
    Number,
}

/// An authentication in progress: what the terminal shows and what the phone shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ceremony {
    /// Whose.
    pub(crate) role: Role,
    /// How far.
    pub(crate) stage: CeremonyStage,
    /// What the QR code says; the page draws it.
    pub(crate) qr: String,
    /// Until when the QR code can be used (JST), in words.
    pub(crate) expires: Text,
    /// The phone's screen, from the statement that it received.
    pub(crate) phone: PhoneScreen,
    /// How many tries are left for the three digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tries_left: Option<u64>,
}

/// What a phone shows before its owner decides: all of it is signed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PhoneScreen {
    /// Whose phone.
    pub(crate) owner: Text,
    /// The institution, by its registered name.
    pub(crate) institution: Text,
    /// The terminal.
    pub(crate) terminal: Text,
    /// What may be signed.
    pub(crate) kinds: Vec<Text>,
    /// How many signatures.
    pub(crate) count: u64,
    /// Until when (JST).
    pub(crate) until: Text,
    /// The three digits, once approved where they are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) number: Option<String>,
}

/// A signature that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signed {
    /// Whose.
    pub(crate) signer: Text,
    /// Her qualification.
    pub(crate) qualification: Text,
    /// The SigningTime (JST).
    pub(crate) time: Text,
    /// SHA-256 that was signed, hexadecimal.
    pub(crate) digest: String,
    /// The order number.
    pub(crate) order: String,
    /// The index of the outcome in the journal.
    pub(crate) journal_index: u64,
    /// How many entries the journal has at the checkpoint of the answer.
    pub(crate) journal_size: u64,
    /// How long gateway, platform and key device took together, in microseconds.
    pub(crate) took_us: u64,
}

/// What the prescription management service gave back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Registered {
    /// 処方箋ID
    pub(crate) prescription_id: String,
    /// 引換番号
    pub(crate) exchange_number: String,
}

/// One signature as the verifier found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verified {
    /// Prescription or dispensing result.
    pub(crate) document: Text,
    /// Whether it holds.
    pub(crate) valid: bool,
    /// The signer.
    pub(crate) signer: Text,
    /// Her qualification.
    pub(crate) qualification: Text,
    /// The certification authority.
    pub(crate) authority: Text,
    /// The time she claims (JST).
    pub(crate) time: Text,
    /// The level that was judged, and what the signature claims beyond it.
    pub(crate) level: Text,
    /// What was found about revocation.
    pub(crate) revocation: Text,
    /// Why not, where it does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refusal: Option<Refused>,
}

/// The verifier's answer for the whole document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verification {
    /// Whether every signature holds.
    pub(crate) valid: bool,
    /// Whether one character was changed first, at the visitor's wish.
    pub(crate) tampered: bool,
    /// Which character, in words.
    #[serde(default)]
    pub(crate) change: Text,
    /// Each signature.
    pub(crate) signatures: Vec<Verified>,
}

/// A file the visitor can take along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileLink {
    /// Its name, e.g. `dispensing.xml`.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) href: String,
    /// What it is.
    pub(crate) label: Text,
    /// Its size in octets.
    pub(crate) size: u64,
}

/// Everything the page shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Rises with every change; the script fetches the page again when it did.
    pub(crate) revision: u64,
    /// The town's time (JST).
    pub(crate) now: Text,
    /// The physician, then the pharmacist.
    pub(crate) people: Vec<Glance>,
    /// The authentication in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ceremony: Option<Ceremony>,
    /// The five steps, in order.
    pub(crate) steps: Vec<Step>,
    /// The record of the prescription (CSV).
    pub(crate) csv: String,
    /// The physician's signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signed: Option<Signed>,
    /// The service's numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) registered: Option<Registered>,
    /// The pharmacist's signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dispensed: Option<Signed>,
    /// The verifier's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) verification: Option<Verification>,
    /// The readers of this machine, where the town's cards are in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) readers: Vec<ReaderView>,
    /// The town's cards, then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) cards: Vec<CardView>,
    /// Files to take along.
    #[serde(default)]
    pub(crate) files: Vec<FileLink>,
}

/// `POST /demo/authenticate/start`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartRequest {
    /// Who wants to authenticate.
    pub(crate) who: Role,
}

/// `POST /demo/authenticate/number`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NumberRequest {
    /// The three digits typed at the terminal.
    pub(crate) number: String,
}

/// `POST /demo/prescribe`: a whole record, or new amounts for the record that is there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrescribeRequest {
    /// The whole record.
    #[serde(default)]
    pub(crate) csv: Option<String>,
    /// New amounts by line of the record (from 1); see [`with_amounts`].
    #[serde(default)]
    pub(crate) amounts: BTreeMap<usize, String>,
}

/// `POST /demo/verify`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyRequest {
    /// Whether one character of a signed part is changed first, to see it refused.
    #[serde(default)]
    pub(crate) tamper: bool,
}

/// `POST` of `/demo/authenticate/approve`, `/demo/authenticate/refuse`, `/demo/sign`,
/// `/demo/dispense` and `/demo/reset`: nothing to say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmptyRequest {}

/// The page in this language.
pub(crate) fn page(lang: Lang, state: &State) -> Result<String, askama::Error> {
    View::of(lang, state).render()
}

#[derive(Template)]
#[template(path = "demo.html")]
struct View<'a> {
    l: Lang,
    state: &'a State,
    steps: Vec<StepView<'a>>,
    paper: Option<Paper>,
    paper_refused: Option<String>,
    qr: String,
    physician_in: bool,
    pharmacist_in: bool,
}

struct StepView<'a> {
    step: &'a Step,
    number: usize,
    slug: &'static str,
    title: &'a str,
    lead: &'static str,
    summary: &'a str,
    diagram: Diagram,
    current: bool,
}

impl StepView<'_> {
    fn class(&self) -> &'static str {
        match self.step.status {
            Status::Waiting => "waiting",
            Status::Ready => "ready",
            Status::Running => "running",
            Status::Done => "done",
            Status::Refused => "refused",
        }
    }

    fn open(&self) -> bool {
        self.step.status != Status::Waiting
    }
}

impl<'a> View<'a> {
    fn of(lang: Lang, state: &'a State) -> Self {
        let current = state.steps.iter().position(|step| step.status != Status::Done);
        let steps = state
            .steps
            .iter()
            .enumerate()
            .map(|(index, step)| StepView {
                step,
                number: index + 1,
                slug: slug(step.id),
                title: match step.title.pick(lang) {
                    "" => title(step.id, lang),
                    given => given,
                },
                lead: lead(step.id, lang),
                summary: step.summary.pick(lang),
                diagram: Diagram::of(&step.travelled, lang),
                current: current == Some(index),
            })
            .collect();
        let (paper, paper_refused) = match Paper::of(&state.csv, lang) {
            Ok(paper) => (Some(paper), None),
            Err(refusal) => (None, Some(refusal.to_string())),
        };
        let signed_in = |role| {
            state.people.iter().any(|glance| glance.role == role && glance.session.is_some())
        };
        Self {
            l: lang,
            state,
            steps,
            paper,
            paper_refused,
            qr: state.ceremony.as_ref().map(|it| qr::svg(&it.qr)).unwrap_or_default(),
            physician_in: signed_in(Role::Physician),
            pharmacist_in: signed_in(Role::Pharmacist),
        }
    }

    fn asking(&self, role: Role) -> Option<&Ceremony> {
        self.state.ceremony.as_ref().filter(|ceremony| ceremony.role == role)
    }

    fn physician_asking(&self) -> Option<&Ceremony> {
        self.asking(Role::Physician)
    }

    fn pharmacist_asking(&self) -> Option<&Ceremony> {
        self.asking(Role::Pharmacist)
    }

    fn size(&self, octets: &u64) -> String {
        size(*octets)
    }

    /// `1.4 ms`
    fn millis(&self, micros: &u64) -> String {
        format!("{}.{} ms", micros / 1000, micros % 1000 / 100)
    }
}

fn slug(id: StepId) -> &'static str {
    match id {
        StepId::Authenticate => "authenticate",
        StepId::Prescribe => "prescribe",
        StepId::Sign => "sign",
        StepId::Dispense => "dispense",
        StepId::Verify => "verify",
    }
}

fn title(id: StepId, lang: Lang) -> &'static str {
    let (ja, en) = match id {
        StepId::Authenticate => ("認証する", "Authenticate"),
        StepId::Prescribe => ("処方する", "Prescribe"),
        StepId::Sign => ("署名する", "Sign"),
        StepId::Dispense => ("調剤する", "Dispense"),
        StepId::Verify => ("検証する", "Verify"),
    };
    lang.of(ja, en)
}

fn lead(id: StepId, lang: Lang) -> &'static str {
    let (ja, en) = match id {
        StepId::Authenticate => (
            "朝に一度だけ。端末のQRコードをスマートフォンで読み、表示された施設・端末・内容を確かめて承認します。",
            "Once a day. The phone reads the terminal's QR code, shows the institution, the terminal and \
             what is asked, and its owner approves.",
        ),
        StepId::Prescribe => (
            "電子カルテが処方箋の記録を作ります。数量を変えて、後の手順がどう変わるかを試せます。",
            "The EHR writes the prescription record. Change an amount and watch the later steps.",
        ),
        StepId::Sign => (
            "鍵預かり基盤へ渡るのは32バイトのダイジェストだけです。基盤は預かっている医師の鍵で署名し、記録の証明を添えて返します。",
            "Only a digest of 32 octets reaches the platform. It signs with the physician's kept key \
             and answers with proof that the act is on record.",
        ),
        StepId::Dispense => (
            "薬局が引換番号で処方箋を受け取り、調剤結果に薬剤師が署名します。",
            "The pharmacy fetches the prescription by its exchange number; the pharmacist signs what was \
             dispensed.",
        ),
        StepId::Verify => (
            "基盤に問い合わせず、ルート証明書と失効リストだけで、誰でも確かめられます。",
            "Anyone can check it with the root certificate and the revocation lists, without asking the \
             platform.",
        ),
    };
    lang.of(ja, en)
}

#[cfg(test)]
#[path = "demo_tests.rs"]
pub(crate) mod tests;
