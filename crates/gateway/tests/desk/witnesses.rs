//! A gateway that counts witnesses, and a platform that cannot or will not have them look.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gateway::{GatewayConfig, Refusal, Signed};
use hpki::time::Timestamp;
use ledger::tlog::{Quorum, Submission};
use ledger::{Failed, Witness};

use crate::estate::{LogKey, now};
use crate::platform::{Trouble, grow, journal};
use crate::world::{Town, code, config, csv, id, later, open};

/// A town whose gateway wants two of three witnesses.
struct Watched {
    town: Town,
    witnesses: Vec<Witness>,
    known: [u64; 3],
}

impl Watched {
    async fn awake() -> Self {
        let town = Town::asleep();
        let log = town.world.ledger().verify_key().clone();
        let witness = |number: u8| {
            let name = format!("witness{number}.example");
            let folder = town.folder.path().join(&name);
            Witness::open(&folder, &name, Arc::new(LogKey::new(100 + number)), vec![log.clone()])
                .unwrap()
        };
        let witnesses: Vec<Witness> = (0..3).map(witness).collect();
        let keys = witnesses.iter().map(|witness| witness.key().clone()).collect();
        let quorum = Quorum::new(log, keys, 2).unwrap();
        let Town { folder, world, store, gateway } = town;
        drop((store, gateway));
        let config = GatewayConfig { quorum, ..config(&world) };
        let (store, gateway) = open(folder.path(), &world, config);
        let town = Town { folder, world, store, gateway };
        town.authenticate("dr-1", 1).await.unwrap();
        Self { town, witnesses, known: [0; 3] }
    }

    /// The platform publishes what its journal is, seen at this time by so many witnesses.
    async fn publish(&mut self, by: usize, at: Timestamp) {
        let ledger = self.town.world.ledger();
        let checkpoint = ledger.checkpoint();
        let mut note = checkpoint.clone();
        for (witness, known) in self.witnesses.iter().zip(&mut self.known).take(by) {
            let path = ledger.consistency(*known, ledger.size()).await.unwrap();
            let body = Submission { old: *known, path, checkpoint: checkpoint.clone() }.text();
            let line = witness.add_checkpoint(&body, at).await.unwrap();
            note = witness.key().attach(&note, &line).unwrap();
            *known = ledger.size();
        }
        *self.town.world.published.lock().unwrap() = Some(note);
    }

    /// A new prescription, at this time by everybody's clock.
    async fn prescribe(&self, text: &str, at: Timestamp) -> Result<Signed, Failed<Refusal>> {
        self.town.world.clock.store(at.seconds(), Ordering::SeqCst);
        let other = String::from_utf8(csv()).unwrap().replace("粉砕しない", text);
        self.town.gateway.prescribe(&id("dr-1"), other.as_bytes(), at).await
    }

    /// How often the published checkpoint was asked for.
    fn looks(&self) -> usize {
        self.town.world.asked().iter().filter(|path| *path == "/journal/checkpoint").count()
    }
}

#[tokio::test]
async fn it_signs_while_enough_witnesses_look_and_stops_ten_minutes_after_they_do_not() {
    let mut it = Watched::awake().await;
    grow(&it.town.world.ledger(), 3).await;
    it.publish(2, now()).await;
    it.prescribe("一", now()).await.unwrap();
    it.prescribe("二", later(600)).await.unwrap();
    assert_eq!(it.looks(), 1, "once is enough for ten minutes");
    // Two cosigned it, but too long ago; nothing is sent to be signed.
    let made = it.town.world.made();
    assert_eq!(code(it.prescribe("三", later(601)).await), "quorum-missing");
    assert_eq!((it.town.world.made(), it.looks()), (made, 4));
    it.publish(3, later(601)).await;
    it.prescribe("三", later(602)).await.unwrap();
}

#[tokio::test]
async fn too_few_witnesses_are_none() {
    let mut it = Watched::awake().await;
    it.publish(1, now()).await;
    assert_eq!(code(it.prescribe("一", now()).await), "quorum-missing");
    assert_eq!(code(it.town.gateway.watch(now()).await), "quorum-missing");
    assert_eq!(it.town.world.made(), 0);
    // The platform is published to nobody: that is no reason to sign either.
    it.town.world.trouble([Trouble::Says(503, "internal")]);
    assert_eq!(code(it.prescribe("一", now()).await), "platform-busy");
    it.publish(2, now()).await;
    it.prescribe("一", now()).await.unwrap();
}

#[tokio::test]
async fn what_is_shown_here_must_be_shown_to_the_witnesses_by_the_next_look() {
    let mut it = Watched::awake().await;
    it.publish(2, now()).await;
    it.prescribe("一", now()).await.unwrap();
    assert_eq!(it.town.gateway.watch(later(1)).await.unwrap(), 0, "a moment later it may be");
    assert_eq!(code(it.town.gateway.watch(later(60)).await), "quorum-missing");
    it.publish(2, later(61)).await;
    assert_eq!(it.town.gateway.watch(later(62)).await.unwrap(), 2);
}

#[tokio::test]
async fn a_journal_that_witnesses_see_and_this_gateway_does_not_is_a_fork() {
    let mut it = Watched::awake().await;
    it.publish(2, now()).await;
    it.prescribe("一", now()).await.unwrap();
    let own = it.town.world.ledger();
    let other = journal(&it.town.folder.path().join("other"), 7);
    grow(&other, 9).await;
    *it.town.world.ledger.lock().unwrap() = other;
    it.publish(3, now()).await;
    *it.town.world.ledger.lock().unwrap() = own;
    assert_eq!(code(it.town.gateway.watch(now()).await), "checkpoint-forked");
}
