//! Linked My Number Cards are looked at in turn, also while nobody uses them: a revoked one ends its
//! linking and what it opened. Authentication judges and ends; custody hears of it by a message.

use authn::CardLook;
use hpki::time::Timestamp;
use ledger::Failed;

use super::card_status;
use crate::config::jpki::StatusFrom;
use crate::http::problem::Trouble;
use crate::platform::Platform;

/// So many at once. A million linked cards are looked at within nine hours of a new list.
const ROUND: u32 = 1_000;

/// So many of them, where the authority is asked about each.
const ASKED_ROUND: u32 = 100;
/// An authority that is silent about so many is asked again in the next round.
const SILENT: usize = 3;
/// Each is asked about once a day, as far as the rounds reach: 288,000 cards.
const ASKED_EACH_S: u64 = 86_400;

/// One round: cards that were last judged by an older list than the newest, or, where the authority is
/// asked about each, that it was not asked about for a day.
pub(crate) async fn round(platform: &Platform, now: Timestamp) -> Result<(), Trouble> {
    let Some(config) = &platform.config.jpki else { return Ok(()) };
    let (older_than, by, count) = match config.status {
        StatusFrom::Ocsp(_) => (now.minus(ASKED_EACH_S), now, ASKED_ROUND),
        StatusFrom::List { .. } => match platform.authn.newest_card_list() {
            Some(newest) => (newest, newest, ROUND),
            None => return Ok(()),
        },
    };
    let (mut looked, mut untold, mut ended) = (Vec::new(), Vec::new(), 0);
    for card in platform.authn.cards_to_look_at(older_than, count).await? {
        card_status::ask(platform, &card.certificate, now).await;
        match platform.authn.look_at_card(&card.certificate, now).await {
            Ok(CardLook::Untold) => {
                untold.push(card.id);
                if untold.len() >= SILENT {
                    break;
                }
                continue;
            }
            Ok(CardLook::Ended) => ended += 1,
            Ok(CardLook::Stays) => {}
            // A row that cannot be believed holds nobody else up; every use of it is refused.
            Err(Failed::Refused(refusal)) => {
                tracing::warn!(card = %card.id, %refusal, "a linked card cannot be ended");
            }
            Err(fault) => return Err(fault.into()),
        }
        looked.push(card.id);
    }
    platform.authn.cards_looked_at(looked, by).await?;
    // They wait on, behind the others: one card without an answer holds up none that has one.
    platform.authn.cards_looked_at(untold, older_than.minus(1)).await?;
    if ended > 0 {
        tracing::info!(
            ended,
            "失効したマイナンバーカードの紐付けを終えました (linkings of revoked cards ended)"
        );
        super::deliver::soon(platform, now).await;
    }
    Ok(())
}

/// Somebody uses this card: if it is revoked, its linking does not wait for its turn.
pub(crate) async fn at_use(platform: &Platform, certificate: &[u8], now: Timestamp) {
    match platform.authn.look_at_card(certificate, now).await {
        Ok(CardLook::Ended) => super::deliver::soon(platform, now).await,
        Ok(CardLook::Stays | CardLook::Untold) => {}
        Err(failed) => tracing::warn!(%failed, "a revoked card's linking waits for its turn"),
    }
}
