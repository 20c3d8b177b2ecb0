//! A My Number Card that its authority revokes while nobody looks.

use authn::NoticeKind;

use super::*;
use crate::flows::card_look;

const HOUR: u64 = 3_600;

/// A card that is linked, and by which a session was opened; the list is of an hour ago.
struct Linked {
    nation: Nation,
    hpki: MadeCard,
    card: MadeCard,
    token: String,
}

impl Linked {
    async fn found() -> Self {
        let nation = Nation::found_with_list(now().minus(HOUR)).await;
        let (hpki, card) = (nation.hpki(&HANAKO).await, nation.my_number(&HANAKO));
        let linked = Self { nation, hpki, card, token: String::new() };
        linked.fetch().await;
        linked.nation.link(&linked.hpki, &linked.card).await.unwrap();
        let token = morning(&linked.way(), "jpki", &linked.card).await.unwrap().token;
        Self { token, ..linked }
    }

    fn way(&self) -> Client {
        self.nation.house.at(&SANDBOX)
    }

    async fn fetch(&self) {
        flows::card_status::refresh(self.nation.house.platform()).await;
    }

    /// The look that the platform takes by itself.
    async fn look(&self) {
        card_look::round(self.nation.house.platform(), now()).await.unwrap();
    }

    async fn is_linked(&self) -> bool {
        let platform = self.nation.house.platform();
        let key = citizen(&self.nation.house, &HANAKO).key;
        platform.authn.linked_card(key).await.unwrap().is_some()
    }

    async fn notices(&self) -> Vec<NoticeKind> {
        let platform = self.nation.house.platform();
        let key = citizen(&self.nation.house, &HANAKO).key;
        platform.authn.notices(key).await.unwrap().iter().map(|notice| notice.kind).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_that_is_revoked_while_nobody_uses_it_ends_its_link_and_what_it_opened() {
    let town = Linked::found().await;
    let house = &town.nation.house;
    let his = town.nation.my_number(&JIRO);
    town.nation.link(&town.nation.hpki(&JIRO).await, &his).await.unwrap();
    let by_hpki = morning(&town.way(), "hpki", &town.hpki).await.unwrap().token;
    town.look().await;
    assert!(town.is_linked().await, "nothing is wrong with it");

    town.nation.publish(&[&town.card], now());
    town.fetch().await;
    send(&town.way(), &town.token, &some_order()).await.unwrap();
    town.look().await;
    assert!(!town.is_linked().await);
    // Custody has heard: the budget is over there, too, and what another means opened goes on.
    assert_eq!(code(send(&town.way(), &town.token, &some_order()).await), "token-ended");
    send(&town.way(), &by_hpki, &some_order()).await.unwrap();
    assert_eq!(town.notices().await[0], NoticeKind::CardRevoked);
    // The journal says it once for each room, and of this card.
    let ended = house.entries(Event::CardUnlinked).await;
    assert_eq!(ended.len(), 2);
    let commitment = card_commitment(&town.card.certificate);
    assert_eq!(ended.iter().filter(|entry| entry.evidence == Some(commitment)).count(), 1);
    // His is as it was, and was looked at by the same list: nothing is left to do.
    let his_key = citizen(house, &JIRO).key;
    assert!(house.platform().authn.linked_card(his_key).await.unwrap().is_some());
    let newest = house.platform().authn.newest_card_list().unwrap();
    assert_eq!(house.platform().authn.cards_to_look_at(newest, 10).await.unwrap(), []);

    // The renewed card is linked as any other.
    assert_eq!(code(morning(&town.way(), "jpki", &town.card).await), "card-revoked");
    let renewed = town.nation.my_number(&HANAKO);
    town.nation.link(&town.hpki, &renewed).await.unwrap();
    morning(&town.way(), "jpki", &renewed).await.unwrap();
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_card_that_somebody_uses_does_not_wait_for_its_turn() {
    let town = Linked::found().await;
    let ceremony = start(&town.way(), None).await;
    let asked = ask(&town.way(), ceremony, "jpki", &town.card.certificate).await.unwrap();
    town.nation.publish(&[&town.card], now());
    town.fetch().await;
    // The question was asked before; the answer comes too late, and ends what was there.
    let late = town.card.authentication.sign(&asked.challenge.0).unwrap();
    assert_eq!(code(answer(&town.way(), ceremony, late).await), "card-revoked");
    assert!(!town.is_linked().await);
    assert_eq!(code(send(&town.way(), &town.token, &some_order()).await), "token-ended");
    assert_eq!(town.notices().await[0], NoticeKind::CardRevoked);
    town.nation.house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_told_ends_no_link() {
    let mut town = Linked::found().await;
    // After a start there is no younger one.
    town.nation.publish(&[], now().minus(49 * HOUR));
    town.nation.house.again().await;
    town.look().await;
    assert!(town.is_linked().await, "a stale list says nothing good and nothing bad");
    let authn = &town.nation.house.platform().authn;
    let newest = authn.newest_card_list().unwrap();
    assert_eq!(authn.cards_to_look_at(newest, 10).await.unwrap().len(), 1, "it stays to be done");
    // A stale list can say that a card is revoked, though.
    town.nation.publish(&[&town.card], now().minus(49 * HOUR));
    town.fetch().await;
    town.look().await;
    assert!(!town.is_linked().await);
    assert_eq!(code(send(&town.way(), &town.token, &some_order()).await), "token-ended");
    town.nation.house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_a_look_breaks_the_next_one_ends_the_link() {
    let mut town = Linked::found().await;
    let mut revoked = Vec::new();
    for how in HOWS {
        for n in 1.. {
            let card = town.nation.my_number(&HANAKO);
            town.nation.link(&town.hpki, &card).await.unwrap();
            let token = morning(&town.way(), "jpki", &card).await.unwrap().token;
            revoked.push(card);
            let all: Vec<&MadeCard> = revoked.iter().collect();
            town.nation.publish(&all, now());
            town.fetch().await;
            town.nation.house.faults.arm(n, how);
            let _ = card_look::round(town.nation.house.platform(), now()).await;
            let happened = town.nation.house.mended(how).await;
            town.fetch().await;
            town.look().await;
            assert!(!town.is_linked().await, "{how:?} {n}");
            flows::deliver::all(town.nation.house.platform(), now()).await.unwrap();
            assert_eq!(code(send(&town.way(), &token, &some_order()).await), "token-ended");
            if !happened {
                assert!(n > 2, "a look takes more steps than {n}");
                break;
            }
        }
    }
    town.nation.house.in_order().await;
}
