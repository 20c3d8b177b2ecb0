//! The visit's facts as the page's view structs.

use approval::SessionStatement;
use hpki::time::Timestamp;
use ledger::tlog::Proof;
use serde_json::Value;

use super::visit::{Actor, Open};
use super::{travel, words};
use crate::http::tap::Heard;
use crate::pages::demo::{
    Ceremony, CeremonyStage, Glance, PhoneScreen, Session, State, Status, Step, StepId, Text,
};

/// How large the journal is, by the checkpoint that came with the signature.
pub(super) fn journal_size(home: &std::path::Path, heard: &[Heard]) -> Option<u64> {
    let answer = heard
        .iter()
        .find(|message| message.path == wire::path::SIGNATURES && message.status == Some(200))?;
    let answer: Value = serde_json::from_slice(&answer.body).ok()?;
    let key = crate::journal::read_key(&home.join("log.vkey")).ok()?;
    let proof = Proof::parse(answer["proof"].as_str()?).ok()?;
    Some(proof.verify(&key).ok()?.checkpoint.size)
}

/// What crossed the facility's wall towards the platform, measured on the line.
pub(super) fn crossed(heard: &[Heard], record: &[u8]) -> Text {
    let (octets, found) = travel::reached_platform(heard, record);
    if octets == 0 {
        // With `--separate` the gateway is another process, whose line has no tap.
        return Text::new(
            "署名し、登録しました。ゲートウェイは別のプロセスなので、基盤とのやりとりはここには表示されません。",
            "Signed and registered. The gateway is a process of its own, so what it exchanged with the \
             platform cannot be shown here.",
        );
    }
    if found {
        return Text::new("署名し、登録しました。", "Signed and registered.");
    }
    let size = record.len();
    Text::new(
        format!(
            "署名し、登録しました。基盤へ渡ったのは {octets} バイトの要求（ダイジェスト32バイトと注文番号）だけで、{size} バイトの記録は含まれていません。"
        ),
        format!(
            "Signed and registered. The platform received a request of {octets} octets (a digest of \
             32 octets and an order number); the record of {size} octets was not in it."
        ),
    )
}

pub(super) fn blank() -> State {
    State {
        revision: 0,
        now: Text::default(),
        people: Vec::new(),
        ceremony: None,
        steps: StepId::ALL
            .into_iter()
            .map(|id| Step {
                id,
                status: Status::Waiting,
                title: Text::default(),
                summary: Text::default(),
                travelled: Vec::new(),
                took_ms: None,
                refusal: None,
            })
            .collect(),
        csv: String::new(),
        signed: None,
        registered: None,
        dispensed: None,
        verification: None,
        readers: Vec::new(),
        cards: Vec::new(),
        files: Vec::new(),
    }
}

pub(super) fn glance(actor: &Actor) -> Glance {
    let facility = actor.door.facility;
    Glance {
        role: actor.role,
        name: words::name(actor.person),
        qualification: words::qualification(actor.person.qualification),
        authority: words::authority(actor.person.authority),
        institution: words::facility(facility),
        terminal: words::terminal_labelled(facility.terminals[0].label),
        session: actor.until.map(|until| Session {
            until: words::moment(until),
            means: actor.means.clone(),
            left: actor.left,
        }),
    }
}

/// What terminal and phone show: the phone's screen is drawn from the statement that it received,
/// not from what the page believes.
pub(super) fn asking(open: &Open, actor: &Actor) -> Ceremony {
    let shown: Option<SessionStatement> =
        serde_json::from_value(open.claimed.statement.clone()).ok();
    let shown = shown.as_ref();
    let expires = words::clock(Timestamp::from_seconds(open.begun.until));
    Ceremony {
        role: open.role,
        stage: CeremonyStage::Asking,
        qr: open.begun.qr.clone(),
        expires: Text::new(format!("{expires} まで有効"), format!("valid until {expires} JST")),
        phone: PhoneScreen {
            owner: words::name(actor.person),
            institution: words::facility_named(shown.map_or("", |it| &it.facility_name)),
            terminal: words::terminal_labelled(shown.map_or("", |it| &it.terminal_label)),
            kinds: shown.map_or_else(Vec::new, |it| {
                it.kinds.iter().map(|kind| words::kind(*kind)).collect()
            }),
            count: shown.map_or(0, |it| u64::from(it.max_count)),
            until: shown.map(|it| words::moment(it.not_after)).unwrap_or_default(),
            number: None,
        },
        tries_left: None,
    }
}
