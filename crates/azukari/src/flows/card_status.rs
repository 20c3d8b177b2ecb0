//! Whether a My Number Card was revoked: its authority's list, fetched every now and then, or its
//! answer about this one card, asked for at each use (OCSP). Which of the two is configuration. Both
//! are handed to authentication, which judges; where neither can be had no card is believed.

use std::sync::Arc;
use std::time::Duration;

use approval::CardTrust;
use hpki::ocsp::{self, Expected, Request, Standing};
use hpki::oid;
use hpki::path::Anchor;
use hpki::refusal::Refuse as _;
use hpki::sign::Random as _;
use hpki::time::Timestamp;
use hpki::{Certificate, Crl};

use crate::clock::now;
use crate::config::jpki::{At, JpkiConfig, Responder, StatusFrom};
use crate::http::client::Client;
use crate::newer_list::{Held, fit};
use crate::platform::Platform;

/// The policy of user authentication certificates (JPKI).
const JPKI_AUTHENTICATION: oid::ObjectIdentifier =
    oid::ObjectIdentifier::new_unwrap("1.2.392.200149.8.5.1.3.30");
/// So long a list is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// So long an answer is waited for: somebody stands at the terminal.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// No list in a file is longer; one that is fetched is bounded like every answer (8 MiB).
const LIST_MAX: u64 = 64 * 1024 * 1024;

/// Before anything was fetched the authority is known, and no card's status.
pub(crate) fn begin(platform: &Platform) {
    if let Some(config) = &platform.config.jpki {
        platform.authn.trust_my_number_cards(Arc::new(believed(config, Vec::new())));
    }
}

/// Fetches the list, where lists are configured, and hands it in. What was fetched before stays where
/// that fails, and is believed as long as it is young enough.
pub(crate) async fn refresh(platform: &Platform) {
    let Some(config) = &platform.config.jpki else { return };
    let StatusFrom::List { at, .. } = &config.status else { return };
    let list = match fetch(at).await.and_then(|octets| listed(platform, config, &octets, now())) {
        Ok(list) => list,
        Err(why) => {
            tracing::warn!(%why, "マイナンバーカードの失効リストを取れません (the list of My Number Cards could not be fetched)");
            return;
        }
    };
    platform.authn.trust_my_number_cards(Arc::new(believed(config, vec![list])));
}

/// A list that came, perhaps over plain http, and takes the place of the one that is held only if the
/// authority signed it and it is no older.
fn listed(
    platform: &Platform,
    config: &JpkiConfig,
    octets: &[u8],
    now: Timestamp,
) -> Result<Crl, String> {
    let list = Crl::from_pem_or_der(octets).map_err(|refusal| refusal.to_string())?;
    // Authentication keeps when the newest was made; its number does not matter beside that.
    let held = platform.authn.newest_card_list().map(|made| Held { made, number: &[] });
    fit(&list, &config.authority, held, now).map_err(|unfit| unfit.to_string())?;
    Ok(list)
}

fn believed(config: &JpkiConfig, lists: Vec<Crl>) -> CardTrust {
    CardTrust {
        anchors: vec![Anchor { certificate: config.authority.clone() }],
        lists,
        policies: vec![JPKI_AUTHENTICATION],
        oldest_list_s: config.status.oldest_s(),
        ..CardTrust::default()
    }
}

async fn fetch(list: &At) -> Result<Vec<u8>, String> {
    match list {
        At::File(file) => {
            let facts =
                std::fs::metadata(file).map_err(|why| format!("{}: {why}", file.display()))?;
            if facts.len() > LIST_MAX {
                return Err(format!("{}: {} octets", file.display(), facts.len()));
            }
            std::fs::read(file).map_err(|why| format!("{}: {why}", file.display()))
        }
        At::Http(base, path) => {
            let client = Client::new(base, None, PATIENCE).map_err(|why| why.to_string())?;
            let answer =
                client.send("GET", path, None, None).await.map_err(|why| why.to_string())?;
            match answer.status {
                200 => Ok(answer.body.to_vec()),
                other => Err(format!("{base}{path}: {other}")),
            }
        }
    }
}

/// Asks the authority about this card, where it is configured to be asked, and tells authentication
/// what it said. To be called before each use of a card, for a card is judged by what was said last.
pub(crate) async fn ask(platform: &Platform, certificate: &[u8], now: Timestamp) {
    let Some(config) = &platform.config.jpki else { return };
    let StatusFrom::Ocsp(responder) = &config.status else { return };
    // What is no certificate of this authority is refused for that, and nobody is asked about it:
    // anybody can write its name into one.
    let Ok(read) = approval::card::read(certificate) else { return };
    if !platform.authn.is_my_number_card(certificate, now) {
        return;
    }
    let said = match answer(responder, &read, &config.authority, now).await {
        Ok(said) => Some(said),
        Err(why) => {
            tracing::warn!(%why, "マイナンバーカードの有効性を認証局に確かめられません (the authority of My Number Cards gave no answer that can be believed)");
            None
        }
    };
    platform.authn.heard_of_card(certificate, said, now);
}

async fn answer(
    responder: &Responder,
    certificate: &Certificate,
    authority: &Certificate,
    now: Timestamp,
) -> Result<Standing, String> {
    let mut nonce = [0; 32];
    hsm::SystemRandom.fill(&mut nonce);
    let request =
        Request::about(certificate, authority, nonce).map_err(|wrong| wrong.to_string())?;
    let (base, path) = (&responder.base, &responder.path);
    let sent = hyper::Request::post(path)
        .header("content-type", "application/ocsp-request")
        .body(request.der())
        .map_err(|why| why.to_string())?;
    let client = Client::new(base, None, ANSWER_PATIENCE).map_err(|why| why.to_string())?;
    let answer = client.exchange(sent).await.map_err(|why| why.to_string())?;
    if answer.status() != 200 {
        return Err(format!("{base}{path}: {}", answer.status()));
    }
    let expected = Expected { nonce: responder.nonce, oldest_s: responder.oldest_s };
    ocsp::judge(answer.body(), &request, certificate, authority, expected, now)
        .map_err(|refusal| format!("{}: {refusal}", refusal.code()))
}
