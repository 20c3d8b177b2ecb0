//! `azukari card prove link-jpki --phone`: a My Number Card in a reader of this computer is linked by
//! its holder's phone. Both sign one statement; the same eight characters on both say so, and the three
//! digits of the phone are typed here.

use std::path::Path;
use std::time::Duration;

use approval::card::card_commitment;
use approval::{LinkCardStatement, Statement};
use gateway::CardHost;
use gateway::reader::{CardUse, Chosen, choose};
use hpki::encoding::Digest32;
use wire::{
    Base64, CardLinkBeginAnswer, CardLinkBeginRequest, CardLinkFinishRequest, CardLinkStateAnswer,
    CardLinkStateRequest, CeremonyStep, DoneAnswer,
};

use crate::card_home::{
    PATIENCE, WaysArguments, asked, differs, in_words, said, send, show, sign, ways,
};
use crate::http::client::Client;
use crate::officer::passphrase;
use crate::runtime::Stop;

/// How often the platform is asked how far it is.
const POLL: Duration = Duration::from_millis(1_500);

/// Links the card, from the QR code to the end.
pub(crate) async fn by_phone(
    url: &str,
    ca: &Path,
    reader: Option<&str>,
    arguments: &WaysArguments,
) -> Result<(), Stop> {
    let host = CardHost::new(ways(arguments)?, PATIENCE);
    let slots = host.look().await.map_err(said)?;
    let (card, face) = choose(&slots, CardUse::Jpki, reader).map_err(said)?;
    let platform = Client::new(url, Some(crate::http::tls::client(ca, None)?), PATIENCE)?;
    let request = CardLinkBeginRequest { certificate: Base64(card.certificate.der().to_vec()) };
    let begun: CardLinkBeginAnswer = send(&platform, wire::path::CARD_LINK_BEGIN, &request).await?;
    show(&face);
    println!(
        "登録したスマートフォンのカメラで読み取ってください (scan with your registered phone)"
    );
    println!("{}", crate::pages::qr::text(&begun.qr));
    println!("  {}", begun.qr);
    let challenge = approved(&platform, url, &card, &begun).await?;
    let mut number = digits()?;
    let signature = Base64(sign(&host, &card, &face, &challenge).await?);
    loop {
        let request = CardLinkFinishRequest {
            linking: begun.linking.clone(),
            secret: begun.secret.clone(),
            number,
            signature: signature.clone(),
        };
        match asked::<DoneAnswer>(&platform, wire::path::CARD_LINK_FINISH, &request).await? {
            Ok(_) => break,
            Err(problem) if problem.code == "number-wrong" => {
                eprintln!("{} {}", problem.title, problem.detail);
                number = digits()?;
            }
            Err(problem) => return Err(in_words(&problem)),
        }
    }
    println!("✓ マイナンバーカードを紐付けました (linked)");
    Ok(())
}

fn digits() -> Result<String, Stop> {
    Ok(passphrase::line("電話に出た 3 桁の数字 (the digits on the phone): ")?.trim().to_owned())
}

/// Waits until the phone has approved; gives what the card has to sign, too.
async fn approved(
    platform: &Client,
    url: &str,
    card: &Chosen,
    begun: &CardLinkBeginAnswer,
) -> Result<Digest32, Stop> {
    let request =
        CardLinkStateRequest { linking: begun.linking.clone(), secret: begun.secret.clone() };
    let mut compared = None;
    loop {
        let found: CardLinkStateAnswer =
            send(platform, wire::path::CARD_LINK_STATE, &request).await?;
        if found.statement.is_some() && compared.is_none() {
            let own = challenge(url, card, &found)?;
            let code = approval::statement::short_code(&own);
            let (left, right) = code.split_at(4);
            println!("照合コード (compare with the phone): {left} {right}");
            compared = Some(own);
        }
        match (found.state, compared) {
            (CeremonyStep::Number, Some(own)) => return Ok(own),
            (CeremonyStep::Refused, _) => {
                return Err("電話で拒否されました (refused on the phone)".into());
            }
            (CeremonyStep::Expired, _) => {
                return Err(
                    "時間が過ぎました。もう一度始めてください (time is over; begin again)".into()
                );
            }
            _ => tokio::time::sleep(POLL).await,
        }
    }
}

/// The challenge of a statement that links this card, by the platform that was asked.
fn challenge(url: &str, card: &Chosen, found: &CardLinkStateAnswer) -> Result<Digest32, Stop> {
    let statement = found.statement.clone().unwrap_or_default();
    let Ok(Statement::LinkCard(link)) = serde_json::from_value(statement) else {
        return Err(differs("type"));
    };
    let own = link.challenge();
    let LinkCardStatement { issuer, card: named, .. } = link;
    let differences = [
        (issuer.trim_end_matches('/') != url.trim_end_matches('/'), "platform"),
        (named != card_commitment(card.certificate.der()), "card"),
        (found.challenge.as_ref().is_none_or(|other| other.0 != own), "challenge"),
    ];
    match differences.iter().find(|(is_other, _)| *is_other) {
        Some((_, what)) => Err(differs(what)),
        None => Ok(own),
    }
}
