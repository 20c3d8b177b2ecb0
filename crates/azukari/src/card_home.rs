//! `azukari card list` and `azukari card prove`: cards in the readers of this computer, and what their
//! holders can do with them at home.
//!
//! A card shows nothing. So this reads the statement that the card is asked to sign, refuses one that
//! is not what was asked for or not of the platform that was asked, computes the challenge itself, says
//! in words what will happen, and only then takes the PIN.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use approval::card::card_commitment;
use approval::{SigninStatement, Statement};
use clap::{Args, ValueEnum};
use gateway::reader::{
    CardFace, CardRefusal, CardUse, Cards, Chosen, Inside, LastTry, Module, Pin, Tries, Ways,
    choose,
};
use gateway::{CardHost, Entered};
use hpki::encoding::Digest32;
use serde_json::Value;
use wire::refusal::{Problem, lookup};
use wire::{
    Base64, CardActName, CardBeginAnswer, CardBeginRequest, CardFinishAnswer, CardFinishRequest,
};

use crate::card_link;
use crate::clock::now;
use crate::http::client::Client;
use crate::officer::passphrase;
use crate::runtime::Stop;

/// How long a card may take, and the platform.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Where cards are looked for.
#[derive(Args, Clone)]
pub(crate) struct WaysArguments {
    /// カード付属の PKCS#11 モジュール。用途=ファイル、用途は hpki-signing・hpki・jpki (a vendor's module: use=file)
    #[arg(long, value_name = "USE=FILE")]
    module: Vec<String>,
}

/// What its holder wants.
#[derive(Args, Clone)]
pub(crate) struct ProveArguments {
    /// 何をするか (what to do)
    act: Act,
    /// 基盤の URL (the platform)
    #[arg(long)]
    platform: String,
    /// 基盤のサーバ証明書の認証局 (the CA of its server certificate)
    #[arg(long)]
    ca: PathBuf,
    /// 使うカード (which card)
    #[arg(long, value_enum, default_value_t = Means::Hpki)]
    means: Means,
    /// リーダーの名前。カードが複数あるとき (the reader, where there are several)
    #[arg(long)]
    reader: Option<String>,
    /// link-jpki を、HPKI カードの代わりに登録したスマートフォンで承認する (approve link-jpki on your phone)
    #[arg(long)]
    phone: bool,
    #[command(flatten)]
    ways: WaysArguments,
}

/// Which card proves who is there.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Means {
    /// HPKI カード（認証用）
    Hpki,
    /// マイナンバーカード（利用者証明用）
    Jpki,
}

impl Means {
    pub(crate) const fn usage(self) -> CardUse {
        match self {
            Self::Hpki => CardUse::Authentication,
            Self::Jpki => CardUse::Jpki,
        }
    }
}

/// What can be done with a card at home.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// 本人のページを開く (open your page)
    Signin,
    /// スマートフォンの紛失を届ける (your phone is lost)
    Loss,
    /// 自分の鍵を止める (stop your key)
    Stop,
    /// 止めた鍵を再開する (start it again)
    Restart,
    /// 新しい電話の登録用紙を画面に出す (a registration sheet for a new phone)
    Sheet,
    /// マイナンバーカードを紐付ける。HPKI カードか、--phone で電話で (link your My Number Card)
    LinkJpki,
    /// マイナンバーカードの紐付けを終える (end that linking)
    UnlinkJpki,
}

impl Act {
    const fn name(self) -> CardActName {
        match self {
            Self::Signin => CardActName::Signin,
            Self::Loss => CardActName::Loss,
            Self::Stop => CardActName::Stop,
            Self::Restart => CardActName::Restart,
            Self::Sheet => CardActName::Sheet,
            Self::LinkJpki => CardActName::LinkJpki,
            Self::UnlinkJpki => CardActName::UnlinkJpki,
        }
    }

    /// The `type` of the statement that stands for it, and what it does, in words.
    const fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Signin => ("signin", "本人のページを開きます (opens your page)"),
            Self::Loss => {
                ("loss", "電話の登録を終わらせ、認証をすべて終えます (unlinks your phone)")
            }
            Self::Stop => ("stop", "あなたの鍵を止めます (stops your key)"),
            Self::Restart => ("restart", "止めた鍵を再開します (starts your key again)"),
            Self::Sheet => (
                "sheet",
                "新しい電話の登録用紙を出し、いまの電話の登録を終えます (a sheet for a new phone)",
            ),
            Self::LinkJpki => {
                ("link-card", "マイナンバーカードを紐付けます (links your My Number Card)")
            }
            Self::UnlinkJpki => {
                ("unlink-card", "マイナンバーカードの紐付けを終えます (ends that linking)")
            }
        }
    }
}

pub(crate) fn ways(arguments: &WaysArguments) -> Result<Arc<dyn Cards>, Stop> {
    let mut ways: Vec<Box<dyn Cards>> = Vec::new();
    for module in &arguments.module {
        let known = |name: &str| CardUse::ALL.into_iter().find(|usage| usage.name() == name);
        let named = module.split_once('=').and_then(|(usage, file)| Some((known(usage)?, file)));
        let (usage, file) = named.ok_or_else(|| {
            format!(
                "--module は 用途=ファイル です（hpki-signing、hpki、jpki）: {module} (use=file)"
            )
        })?;
        ways.push(Box::new(Module::load(file.as_ref(), usage).map_err(said)?));
    }
    match crate::hospital::cards::readers() {
        Ok(readers) => ways.push(readers),
        Err(_) if !ways.is_empty() => {}
        Err(refusal) => return Err(said(refusal)),
    }
    Ok(Arc::new(Ways(ways)))
}

/// A refusal in words, with what to do next.
pub(crate) fn said(refusal: CardRefusal) -> Stop {
    let (code, detail) = (refusal.code(), refusal.to_string());
    match lookup(code) {
        Some(text) => {
            format!("{}\n  → {}\n  {code}: {detail}", text.title_ja, text.advice_ja).into()
        }
        None => format!("{code}: {detail}").into(),
    }
}

fn tries(tries: Tries) -> String {
    match tries {
        Tries::Left(1) => "あと 1 回で、間違えるとロックされます (the last try)".into(),
        Tries::Left(left) => format!("あと {left} 回 (tries left)"),
        Tries::Few => "残りわずかです (few tries left)".into(),
        Tries::Blocked => "ロックされています (blocked)".into(),
        Tries::Untold => "残りの回数は分かりません (not told)".into(),
    }
}

pub(crate) fn show(face: &CardFace) {
    let certificate = &face.certificate;
    println!("  {}", face.usage.ja());
    if face.usage != CardUse::Jpki {
        let name = certificate.name_ja().or(certificate.common_name()).unwrap_or("?");
        let held = certificate.qualification().map_or("", |held| held.ja());
        println!("    {name}  {held}  {}", certificate.subject_serial_number().unwrap_or(""));
    }
    let over = if certificate.not_after() < now() {
        "  期限が切れています (expired)"
    } else {
        ""
    };
    println!("    証明書 {} まで (until){over}", certificate.not_after().jst_ja());
    println!("    暗証番号 {}", tries(face.tries));
}

/// `azukari card list`
pub(crate) async fn list(arguments: &WaysArguments) -> Result<(), Stop> {
    let slots = CardHost::new(ways(arguments)?, PATIENCE).look().await.map_err(said)?;
    if slots.is_empty() {
        println!("カードリーダーがありません (no reader)");
    }
    for slot in slots {
        println!("{}", slot.reader);
        match &slot.card {
            Inside::Nothing => println!("  カードがありません (no card)"),
            Inside::Unknown => {
                println!("  HPKI カードでもマイナンバーカードでもありません (another card)");
            }
            Inside::Card(faces) => faces.iter().for_each(show),
            Inside::Trouble(refusal) => println!("  読めません (cannot read): {refusal}"),
        }
    }
    Ok(())
}

/// `azukari card prove ACT`
pub(crate) async fn prove(arguments: &ProveArguments) -> Result<(), Stop> {
    if arguments.phone {
        if arguments.act != Act::LinkJpki {
            return Err(
                "--phone は link-jpki だけに使えます (--phone is for link-jpki only)".into()
            );
        }
        let (platform, ca) = (&arguments.platform, &arguments.ca);
        return card_link::by_phone(platform, ca, arguments.reader.as_deref(), &arguments.ways)
            .await;
    }
    let host = CardHost::new(ways(&arguments.ways)?, PATIENCE);
    let slots = host.look().await.map_err(said)?;
    let usage = arguments.means.usage();
    let (card, face) = choose(&slots, usage, arguments.reader.as_deref()).map_err(said)?;
    let second = match arguments.act {
        Act::LinkJpki => Some(choose(&slots, CardUse::Jpki, None).map_err(said)?),
        _ => None,
    };
    let tls = crate::http::tls::client(&arguments.ca, None)?;
    let platform = Client::new(&arguments.platform, Some(tls), PATIENCE)?;
    let request = CardBeginRequest {
        means: usage.name().to_owned(),
        certificate: Base64(card.certificate.der().to_vec()),
        act: arguments.act.name(),
        card: second.as_ref().map(|(card, _)| Base64(card.certificate.der().to_vec())),
    };
    let asked: CardBeginAnswer = send(&platform, wire::path::CARD_BEGIN, &request).await?;
    let linked = second.as_ref().map(|(card, _)| card);
    let challenge = challenge(arguments.act, &arguments.platform, linked, &asked)?;
    println!("{} へ (to)", arguments.platform);
    println!("  {}", arguments.act.told().1);
    let signature = sign(&host, &card, &face, &challenge).await?;
    let card_signature = match &second {
        Some((card, face)) => Some(Base64(sign(&host, card, face, &challenge).await?)),
        None => None,
    };
    let request =
        CardFinishRequest { visit: asked.visit, signature: Base64(signature), card_signature };
    let done: CardFinishAnswer = send(&platform, wire::path::CARD_FINISH, &request).await?;
    println!("✓ 済みました (done)");
    if let Some(url) = done.url {
        println!("  {url}");
        if let Some(until) = done.until {
            println!("  {} まで (until)", until.jst_ja());
        }
        if arguments.act == Act::Sheet {
            println!("{}", crate::pages::qr::text(&url));
        }
    }
    Ok(())
}

/// What the platform would have signed is not what was asked for.
pub(crate) fn differs(what: &str) -> Stop {
    format!(
        "署名を求められた内容が、頼んだことと違います（{what}）。カードには何も渡していません (the statement differs: {what}; nothing was given to the card)"
    )
    .into()
}

/// The challenge of a statement that is what was asked for, by the platform that was asked.
fn challenge(
    act: Act,
    platform: &str,
    linked: Option<&Chosen>,
    asked: &CardBeginAnswer,
) -> Result<Digest32, Stop> {
    let odd = |_| differs("form");
    if asked.statement["type"] != act.told().0 {
        return Err(differs("type"));
    }
    let (issuer, own) = if act == Act::Signin {
        let mut plain = asked.statement.clone();
        if let Some(members) = plain.as_object_mut() {
            members.remove("type");
        }
        let statement: SigninStatement = serde_json::from_value(plain).map_err(odd)?;
        (statement.issuer.clone(), statement.challenge())
    } else {
        let statement: Statement = serde_json::from_value(asked.statement.clone()).map_err(odd)?;
        if let Statement::LinkCard(link) = &statement
            && linked.is_none_or(|card| link.card != card_commitment(card.certificate.der()))
        {
            return Err(differs("card"));
        }
        (statement.issuer().to_owned(), statement.challenge())
    };
    if issuer.trim_end_matches('/') != platform.trim_end_matches('/') {
        return Err(differs("platform"));
    }
    if asked.challenge.0 != own { Err(differs("challenge")) } else { Ok(own) }
}

/// Takes the PIN and has the card sign; a PIN that was wrong may be typed again.
pub(crate) async fn sign(
    host: &CardHost,
    card: &Chosen,
    face: &CardFace,
    challenge: &Digest32,
) -> Result<Vec<u8>, Stop> {
    show(face);
    let mut left = face.tries;
    loop {
        if left == Tries::Blocked {
            return Err(said(CardRefusal::PinBlocked));
        }
        let mut last = LastTry::Unasked;
        if left.is_last() {
            let yes = passphrase::line("あと 1 回です。入力しますか（はい / いいえ; yes / no）: ")?;
            if !matches!(yes.as_str(), "はい" | "yes") {
                return Err(said(CardRefusal::PinLastTry));
            }
            last = LastTry::Wanted;
        }
        let typed = if std::io::stdin().is_terminal() {
            passphrase::ask("暗証番号 (PIN): ")?
        } else {
            passphrase::line("")?
        };
        match host.answer(card, Entered::new(Pin::new(typed), last), challenge).await {
            Ok(signature) => return Ok(signature),
            // Nobody is there to type it again.
            Err(refusal) if !std::io::stdin().is_terminal() => return Err(said(refusal)),
            Err(CardRefusal::PinWrong(now_left)) => {
                eprintln!("暗証番号が違います (wrong). {}", tries(now_left));
                left = now_left;
            }
            Err(CardRefusal::PinMalformed(form)) => {
                eprintln!("桁数か文字が違います。カードには渡していません (not sent: {form})");
            }
            Err(CardRefusal::PinLastTry) => left = Tries::Left(1),
            Err(refusal) => return Err(said(refusal)),
        }
    }
}

pub(crate) async fn send<T: serde::de::DeserializeOwned>(
    platform: &Client,
    path: &str,
    request: &impl serde::Serialize,
) -> Result<T, Stop> {
    asked(platform, path, request).await?.map_err(|problem| in_words(&problem))
}

/// The platform's answer, or its refusal.
pub(crate) async fn asked<T: serde::de::DeserializeOwned>(
    platform: &Client,
    path: &str,
    request: &impl serde::Serialize,
) -> Result<Result<T, Problem>, Stop> {
    let body = serde_json::to_vec(request)?;
    let answer = platform.send("POST", path, None, Some(body)).await?;
    if answer.status == 200 {
        return Ok(Ok(serde_json::from_slice(&answer.body)?));
    }
    match serde_json::from_slice::<Problem>(&answer.body) {
        Ok(problem) => Ok(Err(problem)),
        Err(_) => {
            let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            Err(format!("{path}: {} {said}", answer.status).into())
        }
    }
}

pub(crate) fn in_words(problem: &Problem) -> Stop {
    format!("{}\n  → {}\n  {}", problem.title, problem.advice, problem.code).into()
}
