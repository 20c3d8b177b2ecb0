//! What was approved is signed once and handed out, whatever happens to the first answer: it is lost,
//! it cannot be judged yet, or two ask for it at once.

use tokio::sync::Notify;

use super::*;
use crate::http::tap::{Instead, Tap};

const SIGNATURES: &str = "/signatures";

impl Desk {
    /// In the morning, with somebody on the line to the platform.
    async fn over(tap: &Tap) -> Self {
        let house = House::found_as(&[], POLICY).await;
        let config = GatewayConfig::load(&house.founded.gateway_config(&SANDBOX)).unwrap();
        let hospital = crate::hospital::open_tapped(&config, Some(tap.clone())).await.unwrap();
        Self::in_the_morning(house, hospital).await
    }

    /// She has approved so many.
    async fn approved(&mut self, count: usize) -> Approving {
        let asked = self.ask(count).await;
        let shown = self.claimed(&asked).await;
        approve(&self.phones(), &mut self.hanako.phone, &shown).await.unwrap();
        asked
    }

    /// All of them are here, each with its evidence, and the journal holds one signature of each.
    async fn has_all(&self, asked: &Approving) {
        let done = self.state(asked).await.unwrap();
        assert_eq!(done.state, CeremonyStep::Released);
        assert_eq!(done.documents.len(), asked.orders.len());
        for one in &done.documents {
            assert!(one.outcome.is_ok(), "{:?}", one.outcome);
            self.hospital.gateway.evidence(one.order).await.unwrap();
        }
        let made = self.house.entries(Event::SignatureMade).await.len();
        assert_eq!(made, asked.orders.len());
        self.house.in_order().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signatures_whose_first_answer_was_lost_are_fetched_by_the_next_poll() {
    let tap = Tap::default();
    let mut desk = Desk::over(&tap).await;
    let asked = desk.approved(3).await;
    tap.replace(SIGNATURES, Instead::Nothing);
    assert_eq!(refused(desk.state(&asked).await), "platform-unreachable");
    assert_eq!(desk.house.entries(Event::SignatureMade).await.len(), 3);
    desk.has_all(&asked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_judged_or_proven_yet_waits_for_the_next_poll() {
    let tap = Tap::default();
    let mut desk = Desk::over(&tap).await;
    let asked = desk.approved(3).await;
    desk.hospital.gateway.set_crls(Vec::new());
    assert_eq!(refused(desk.state(&asked).await), "verification-undetermined");
    assert!(desk.hospital.renew_lists().await);
    // Signed and verified, and its evidence does not come.
    tap.replace("/evidence", Instead::Refusal("slow-down"));
    assert!(desk.state(&asked).await.is_err());
    desk.has_all(&asked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_to_ask_twice_closes_nothing_that_was_signed() {
    for code in ["activation-expired", "sad-unknown", "approval-spent"] {
        let tap = Tap::default();
        let mut desk = Desk::over(&tap).await;
        let asked = desk.approved(2).await;
        tap.replace(SIGNATURES, Instead::Refusal(code));
        assert_eq!(desk.state(&asked).await.unwrap().state, CeremonyStep::Released, "{code}");
        desk.has_all(&asked).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_ask_at_once_get_the_same_documents() {
    let tap = Tap::default();
    let mut desk = Desk::over(&tap).await;
    let asked = desk.approved(3).await;
    let (here, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    tap.replace(SIGNATURES, Instead::Held(Arc::clone(&here), Arc::clone(&go)));
    let poll = || {
        let (hospital, ceremony) = (Arc::clone(&desk.hospital), asked.ceremony);
        tokio::spawn(async move { hospital.gateway.approval(&staff(), ceremony, now()).await })
    };
    let one = poll();
    here.notified().await;
    // The first has its answer in hand; now the second asks.
    let other = poll();
    assert_eq!(desk.house.entries(Event::SignatureMade).await.len(), 3);
    go.notify_one();
    for poll in [one, other] {
        let state = poll.await.unwrap().unwrap();
        assert_eq!((state.state, state.documents.len()), (CeremonyStep::Released, 3));
    }
    desk.has_all(&asked).await;
}
