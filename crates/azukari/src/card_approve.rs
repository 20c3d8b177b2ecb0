//! `azukari card approve`: a login elsewhere, approved with a card in a reader of this computer. The
//! page that asks for it shows the command.
//!
//! A card shows nothing, so this is its eyes: what would be signed is shown in words, of the platform
//! that the address names and of nobody else, and its challenge is computed here.

use std::path::PathBuf;

use approval::{LoginStatement, SessionStatement};
use clap::Args;
use gateway::CardHost;
use gateway::reader::choose;
use hpki::encoding::Digest32;
use wire::{Base64, CardApproveAnswer, CardApproveRequest, CardAskAnswer, CardClaimRequest};

use crate::card_home::{Means, PATIENCE, WaysArguments, differs, said, send, sign, ways};
use crate::http::client::Client;
use crate::runtime::Stop;

/// What is approved.
#[derive(Args, Clone)]
pub(crate) struct ApproveArguments {
    /// ログインする画面に出たアドレス (the address that the page shows)
    address: String,
    /// 基盤のサーバ証明書の認証局 (the CA of its server certificate)
    #[arg(long)]
    ca: PathBuf,
    /// 使うカード (which card)
    #[arg(long, value_enum, default_value_t = Means::Hpki)]
    means: Means,
    /// リーダーの名前。カードが複数あるとき (the reader, where there are several)
    #[arg(long)]
    reader: Option<String>,
    #[command(flatten)]
    ways: WaysArguments,
}

/// The parts of an address: the platform, which login, and its secret.
fn parts(address: &str) -> Result<(&str, &str, &str), Stop> {
    let unusable = || -> Stop {
        "ログインする画面に出たアドレスではありません (not the address that the page shows)".into()
    };
    let (platform, fragment) = address.split_once("/q#1.").ok_or_else(unusable)?;
    let (ceremony, secret) = fragment.split_once('.').ok_or_else(unusable)?;
    // Whom the card is shown to is proven by the certification authority, so not over plain http.
    if !platform.starts_with("https://") {
        return Err(unusable());
    }
    Ok((platform, ceremony, secret))
}

/// `azukari card approve ADDRESS`
pub(crate) async fn approve(arguments: &ApproveArguments) -> Result<(), Stop> {
    let (url, ceremony, secret) = parts(&arguments.address)?;
    let host = CardHost::new(ways(&arguments.ways)?, PATIENCE);
    let slots = host.look().await.map_err(said)?;
    let usage = arguments.means.usage();
    let (card, face) = choose(&slots, usage, arguments.reader.as_deref()).map_err(said)?;
    let tls = crate::http::tls::client(&arguments.ca, None)?;
    let platform = Client::new(url, Some(tls), PATIENCE)?;
    let (means, certificate) = (usage.name(), Base64(card.certificate.der().to_vec()));
    let request = CardClaimRequest {
        ceremony: ceremony.to_owned(),
        secret: secret.to_owned(),
        means: means.to_owned(),
        certificate: certificate.clone(),
    };
    let asked: CardAskAnswer = send(&platform, wire::path::CARD_CLAIM, &request).await?;
    let (challenge, words) = shown(url, ceremony, &asked)?;
    println!("基盤 (platform): {url}");
    println!("{words}");
    let signature = sign(&host, &card, &face, &challenge).await?;
    let request = CardApproveRequest {
        ceremony: ceremony.to_owned(),
        secret: secret.to_owned(),
        means: means.to_owned(),
        certificate,
        signature: Base64(signature),
    };
    let done: CardApproveAnswer = send(&platform, wire::path::CARD_APPROVE, &request).await?;
    println!("✓ 承認しました (approved)");
    println!(
        "  この数字を、ログインする画面に入力してください (type this where you log in): {}",
        done.number
    );
    println!(
        "  その画面が目の前にないときは、入力せず、誰にも教えないでください (if it is not in front of you, tell nobody)"
    );
    Ok(())
}

/// The challenge of a statement of this platform about this login, and what it says, in words.
fn shown(
    platform: &str,
    ceremony: &str,
    asked: &CardAskAnswer,
) -> Result<(Digest32, String), Stop> {
    let odd = |_| differs("form");
    let statement = asked.statement.clone();
    let (issuer, about, own, words) = match asked.statement_type.as_str() {
        "login" => {
            let login: LoginStatement = serde_json::from_value(statement).map_err(odd)?;
            let words = in_words(&login);
            (login.issuer.clone(), login.ceremony, login.challenge(), words)
        }
        "session" => {
            let session: SessionStatement = serde_json::from_value(statement).map_err(odd)?;
            let words = allowed(&session);
            (session.issuer.clone(), session.ceremony, session.challenge(), words)
        }
        _ => return Err(differs("type")),
    };
    let differences = [
        (issuer.trim_end_matches('/') != platform, "platform"),
        (about.to_string() != ceremony, "ceremony"),
        (asked.challenge.0 != own, "challenge"),
    ];
    match differences.iter().find(|(is_other, _)| *is_other) {
        Some((_, what)) => Err(differs(what)),
        None => Ok((own, words)),
    }
}

fn in_words(login: &LoginStatement) -> String {
    let told: Vec<&str> = login.scopes.iter().map(|scope| scope_ja(scope)).collect();
    format!(
        "サービスにログインします (log in to a service)\n  サービス (service): {}\n  戻り先 (goes back to): {}\n  伝える情報 (it is told): {}\n  期限 (until): {}",
        plain(&login.client_name),
        plain(&login.redirect_host),
        told.join("、"),
        login.not_after.jst_ja(),
    )
}

fn allowed(session: &SessionStatement) -> String {
    let kinds: Vec<&str> = session.kinds.iter().map(|kind| kind.ja()).collect();
    format!(
        "署名を許可します (allow signing)\n  医療機関 (institution): {}（{}）\n  端末 (terminal): {}\n  文書 (documents): {}、{} 件まで (up to)\n  期限 (until): {}",
        plain(&session.facility_name),
        session.facility_id,
        plain(&session.terminal_label),
        kinds.join("、"),
        session.max_count,
        session.not_after.jst_ja(),
    )
}

fn scope_ja(scope: &str) -> &str {
    match scope {
        "openid" => "このサービスだけで使う利用者番号 (openid)",
        "profile" => "氏名 (profile)",
        "qualification" => "資格 (qualification)",
        "registration_number" => "登録番号 (registration_number)",
        other => other,
    }
}

/// What a service calls itself must not steer the terminal that shows it.
fn plain(text: &str) -> String {
    text.chars().map(|one| if one.is_control() { '�' } else { one }).collect()
}

#[cfg(test)]
mod tests {
    use hpki::id::{CeremonyId, KeyId, PersonId};
    use hpki::time::Timestamp;

    use super::*;

    const PLATFORM: &str = "https://platform.test:8443";

    fn login() -> LoginStatement {
        LoginStatement {
            issuer: PLATFORM.into(),
            rp_id: "platform.test".into(),
            ceremony: CeremonyId::from_octets([1; 16]),
            nonce: [2; 32],
            client_id: "HPKI".into(),
            client_name: "テスト医療連携ネット".into(),
            redirect_host: "network.test".into(),
            scopes: vec!["openid".into(), "qualification".into()],
            person: PersonId::from_octets([4; 16]),
            key: KeyId::from_octets([5; 16]),
            not_after: Timestamp::from_seconds(1_790_000_000),
        }
    }

    fn asked(statement: &LoginStatement) -> CardAskAnswer {
        CardAskAnswer {
            statement_type: "login".into(),
            statement: serde_json::to_value(statement).unwrap(),
            challenge: Base64(statement.challenge().to_vec()),
            until: Timestamp::from_seconds(1),
        }
    }

    #[test]
    fn an_address_has_a_platform_a_login_and_a_secret() {
        let found = parts("https://platform.test:8443/q#1.abc.def").unwrap();
        assert_eq!(found, (PLATFORM, "abc", "def"));
        for wrong in [
            "",
            "https://platform.test/q",
            "https://platform.test/r#1.a.b",
            "x/q#1.a",
            "http://platform.test/q#1.a.b",
        ] {
            assert!(parts(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_is_what_is_signed_and_of_the_platform_that_was_asked() {
        let ceremony = login().ceremony.to_string();
        let (challenge, words) = shown(PLATFORM, &ceremony, &asked(&login())).unwrap();
        assert_eq!(challenge, login().challenge());
        for word in ["テスト医療連携ネット", "network.test", "資格"] {
            assert!(words.contains(word), "{words}");
        }
        let no = |platform: &str, ceremony: &str, asked: &CardAskAnswer| {
            shown(platform, ceremony, asked).unwrap_err().to_string()
        };
        assert!(no("https://elsewhere.test", &ceremony, &asked(&login())).contains("platform"));
        let other = CeremonyId::from_octets([9; 16]).to_string();
        assert!(no(PLATFORM, &other, &asked(&login())).contains("ceremony"));
        let mut swapped = asked(&login());
        swapped.challenge = Base64(vec![7; 32]);
        assert!(no(PLATFORM, &ceremony, &swapped).contains("challenge"));
        let mut other = asked(&login());
        other.statement_type = "stop".into();
        assert!(no(PLATFORM, &ceremony, &other).contains("type"));
    }
}
