//! Who watches from outside: witnesses, the monitor, the owner of a key. Each meets a platform
//! that has the genuine log key and lies.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::fake::{Fake, Public};
use common::*;
use hpki::refusal::Refuse as _;
use hpki::time::Timestamp;
use ledger::tlog::{Missed, Proof, Quorum, Submission, VerifyKey, WitnessKey};
use ledger::{Auditor, Failed, HandedOver, Ledger, Monitor, Owner, Refusal, StreamKey, Witness};

fn log() -> VerifyKey {
    use hpki::sign::Sign as _;
    VerifyKey::from_spki(ORIGIN, LogKey::new(7).spki_der()).unwrap()
}

fn witness(folder: &Path, number: u8) -> Witness {
    let name = format!("witness{number}.example");
    let folder = folder.join(&name);
    Witness::open(&folder, &name, Arc::new(LogKey::new(100 + number)), vec![log()]).unwrap()
}

async fn grown(folder: &Path, entries: u64) -> Ledger {
    let ledger = open(folder);
    for number in 0..entries {
        add_note(&ledger, key((number % 5) as u8)).await.unwrap();
    }
    ledger
}

/// What a log hands to a witness that knows `old` entries.
async fn submission(ledger: &Ledger, old: u64) -> Submission {
    let path = ledger.consistency(old, ledger.size()).await.unwrap();
    Submission { old, path, checkpoint: ledger.checkpoint() }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Failed<Refusal>>) -> &'static str {
    match answer {
        Err(Failed::Refused(refusal)) => refusal.code(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn all_of_this_holds_on_postgresql_too() {
    engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn a_witness_cosigns_what_continues_the_last_and_two_of_three_are_believed_offline() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = grown(&folder.path().join("ledger"), 3).await;
    let witnesses: Vec<Witness> = (0..3).map(|n| witness(folder.path(), n)).collect();
    let keys: Vec<WitnessKey> =
        witnesses.iter().map(|w| w.key().to_string().parse().unwrap()).collect();
    let quorum = Quorum::new(log(), keys.clone(), 2).unwrap();

    let mut note = ledger.checkpoint();
    let mut known = 0;
    for round in 0..3_u64 {
        note = ledger.checkpoint();
        for (witness, key) in witnesses.iter().zip(&keys).take(2) {
            let body = submission(&ledger, known).await.text();
            let now = Timestamp::from_seconds(NOW.seconds() + round);
            let answer = witness.add_checkpoint(&body, now).await.unwrap();
            // Twice the same: again the same size, a later time.
            let again = submission(&ledger, ledger.size()).await.text();
            let answer = [answer, witness.add_checkpoint(&again, now).await.unwrap()].concat();
            note = key.attach(&note, &answer).unwrap();
        }
        known = ledger.size();
        let cosigned = quorum.verify(&note).unwrap();
        assert_eq!(cosigned.checkpoint.size, known);
        assert_eq!(cosigned.by.len(), 2);
        assert!(cosigned.by.iter().all(|(_, time)| time.seconds() == NOW.seconds() + round));
        ledger.keep_witnessed(&quorum, &note).await.unwrap();
        for _ in 0..300 {
            add_note(&ledger, key(9)).await.unwrap();
        }
    }
    assert_eq!(ledger.witnessed().await.unwrap().as_deref(), Some(note.as_str()));
    // The proof that the auditor takes along stands by itself.
    let auditor = Auditor::open(engine::place(&folder.path().join("ledger")), None, log()).unwrap();
    let (proof, is_witnessed) = auditor.prove(2).unwrap();
    assert!(is_witnessed);
    let proof = Proof::parse(&proof).unwrap();
    let (entry, cosigned) = proof.verify_witnessed(&quorum).unwrap();
    assert_eq!((entry.index, cosigned.checkpoint.size), (2, known));
    let three = Quorum::new(log(), keys, 3).unwrap();
    assert_eq!(proof.verify_witnessed(&three).unwrap_err().code(), "quorum-missing");
    // What no witness has seen yet is proven under the log's own checkpoint, and says so.
    let (proof, is_witnessed) = auditor.prove(ledger.size() - 1).unwrap();
    assert!(!is_witnessed);
    let proof = Proof::parse(&proof).unwrap();
    proof.verify(&log()).unwrap();
    assert_eq!(proof.verify_witnessed(&quorum).unwrap_err().code(), "quorum-missing");
}

#[tokio::test]
async fn a_stranger_reads_a_cosignature_as_the_specification_says() {
    use signed_note::{Note, StandardVerifier, VerifierList};
    let folder = tempfile::tempdir().unwrap();
    let ledger = grown(&folder.path().join("ledger"), 3).await;
    let witness = witness(folder.path(), 1);
    let answer = witness.add_checkpoint(&submission(&ledger, 0).await.text(), NOW).await.unwrap();
    let note = witness.key().attach(&ledger.checkpoint(), &answer).unwrap();
    // The log's own signature is still found, and the other line is one of an unknown key.
    let verifier = StandardVerifier::new(&log().to_string()).unwrap();
    let read = Note::from_bytes(note.as_bytes()).unwrap();
    let (good, unknown) = read.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
    assert_eq!((good.len(), unknown.len()), (1, 1));
    // Ed25519 over `cosignature/v1`, written out by hand.
    let text = note.split_once("\n\n").unwrap().0;
    let message = format!("cosignature/v1\ntime {}\n{text}\n", NOW.seconds());
    let signature = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&[101; 32])
        .unwrap()
        .sign(message.as_bytes());
    assert!(unknown[0].signature().ends_with(signature.as_ref()));
}

#[tokio::test]
async fn a_witness_refuses_whatever_does_not_continue_what_it_has_cosigned() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = grown(&folder.path().join("ledger"), 5).await;
    let mut judge = witness(folder.path(), 1);
    let ask = async |witness: &Witness, submission: &Submission| {
        refused(witness.add_checkpoint(&submission.text(), NOW).await)
    };
    let first = submission(&ledger, 0).await;
    judge.add_checkpoint(&first.text(), NOW).await.unwrap();
    for _ in 0..7 {
        add_note(&ledger, key(1)).await.unwrap();
    }
    let next = submission(&ledger, 5).await;
    // Another size than the one it has cosigned: it tells its own.
    for old in [0, 3, 12] {
        let answer = judge.add_checkpoint(&submission(&ledger, old).await.text(), NOW).await;
        assert_eq!(answer, Err(Failed::Refused(Refusal::WitnessSizeConflict(5))));
    }
    // No proof, half a proof, another proof.
    let wrong = Submission { path: vec![[0; 32]; next.path.len()], ..next.clone() };
    let half = Submission { path: next.path[1..].to_vec(), ..next.clone() };
    let none = Submission { path: Vec::new(), ..next.clone() };
    for wrong in [wrong, half, none] {
        assert_eq!(ask(&judge, &wrong).await, "consistency-wrong");
    }
    // A log with the genuine key that tells another history.
    let mut fork = Fake::of(&ledger).await;
    fork.entries[2][40] ^= 1;
    let forked = Submission { checkpoint: fork.checkpoint(), ..next.clone() };
    assert_eq!(ask(&judge, &forked).await, "consistency-wrong");
    fork.entries.truncate(5);
    let forked = Submission { old: 5, path: Vec::new(), checkpoint: fork.checkpoint() };
    assert_eq!(ask(&judge, &forked).await, "witness-root-conflict");
    // Over a restart too.
    drop(judge);
    judge = witness(folder.path(), 1);
    assert_eq!(ask(&judge, &forked).await, "witness-root-conflict");
    // What is no submission, of no log it watches, or not signed by it.
    for (text, code) in [
        (next.text().replacen("old", "new", 1), "witness-request-malformed"),
        (Submission { old: 13, ..next.clone() }.text(), "witness-request-malformed"),
        (next.text().replacen(ORIGIN, "log.other.example", 1), "witness-log-unknown"),
        (next.text().replacen("\n12\n", "\n13\n", 1), "checkpoint-signature-wrong"),
    ] {
        assert_eq!(refused(judge.add_checkpoint(&text, NOW).await), code, "{text}");
    }
    judge.add_checkpoint(&next.text(), NOW).await.unwrap();
    assert_eq!(judge.kept().await.unwrap(), [next.checkpoint]);
}

#[tokio::test]
async fn one_key_under_two_names_is_one_witness_and_the_log_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let one = witness(folder.path(), 1).key().clone();
    let key = || Arc::new(LogKey::new(101));
    let same = Witness::key_of("another.example", key()).unwrap();
    let own = Witness::key_of(ORIGIN, Arc::new(LogKey::new(7))).unwrap();
    for two in [vec![one.clone(), same], vec![one.clone(), own], vec![one.clone()]] {
        let quorum = Quorum::new(log(), two, 2).unwrap_err();
        assert_eq!(quorum.code(), "quorum-impossible");
    }
    assert_eq!(Witness::key_of("a b", key()).unwrap_err().code(), "witness-key-malformed");
    let as_log = one.to_string().parse::<VerifyKey>().unwrap_err();
    assert_eq!(as_log.code(), "log-key-malformed");
    let as_witness = log().to_string().parse::<WitnessKey>().unwrap_err();
    assert_eq!(as_witness.code(), "witness-key-malformed");
}

#[tokio::test]
async fn a_bad_cosignature_is_refused_and_not_merely_left_uncounted() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = grown(&folder.path().join("ledger"), 3).await;
    let witness = witness(folder.path(), 1);
    let key = witness.key().clone();
    let answer = witness.add_checkpoint(&submission(&ledger, 0).await.text(), NOW).await.unwrap();
    let note = key.attach(&ledger.checkpoint(), &answer).unwrap();
    add_note(&ledger, common::key(1)).await.unwrap();
    // The line of an older checkpoint.
    assert_eq!(key.attach(&ledger.checkpoint(), &answer).unwrap_err().code(), "cosignature-wrong");
    let moved = format!("{}{answer}", ledger.checkpoint());
    let quorum = Quorum::new(log(), vec![key.clone()], 1).unwrap();
    assert_eq!(quorum.verify(&moved).unwrap_err().code(), "cosignature-wrong");
    assert_eq!(quorum.verify(&ledger.checkpoint()).unwrap_err().code(), "quorum-missing");
    quorum.verify(&note).unwrap();
    let refused = ledger.keep_witnessed(&quorum, &moved).await;
    assert_eq!(refused, Err(Failed::Refused(Refusal::CosignatureWrong("witness1.example".into()))));
    // Somebody else's line is no answer of this witness.
    let other = answer.replace("witness1", "witness2");
    assert_eq!(key.attach(&ledger.checkpoint(), &other).unwrap_err().code(), "cosignature-wrong");
}

fn alone() -> Quorum {
    Quorum::new(log(), Vec::new(), 0).unwrap()
}

fn caught<T: std::fmt::Debug>(answer: Result<T, Missed>) -> &'static str {
    match answer {
        Err(Missed::Caught(refusal)) => refusal.code(),
        other => panic!("not caught: {other:?}"),
    }
}

#[tokio::test]
async fn the_monitor_follows_an_honest_log_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = grown(&folder.path().join("ledger"), 300).await;
    let watch = folder.path().join("watch");
    let mut monitor = Monitor::open(&watch, alone()).unwrap();
    assert_eq!(monitor.look(&Public(&ledger)).await.unwrap().new_entries, 300);
    assert_eq!(monitor.look(&Public(&ledger)).await.unwrap().new_entries, 0);
    for more in [1_u64, 255, 300] {
        drop(monitor);
        monitor = Monitor::open(&watch, alone()).unwrap();
        let earlier = ledger.checkpoint();
        for _ in 0..more {
            add_note(&ledger, key(1)).await.unwrap();
        }
        let seen = monitor.look(&Public(&ledger)).await.unwrap();
        assert_eq!((seen.new_entries, seen.cosigned.checkpoint.size), (more, ledger.size()));
        monitor.compare(&Public(&ledger), &earlier).await.unwrap();
    }
    assert_eq!(monitor.kept().await.unwrap(), Some(ledger.checkpoint()));
}

#[tokio::test]
async fn the_monitor_catches_each_kind_of_lie_by_its_own_name_and_again_at_the_next_look() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = grown(&folder.path().join("ledger"), 270).await;
    let seen = Fake::of(&ledger).await;
    for _ in 0..30 {
        add_note(&ledger, key(8)).await.unwrap();
    }
    let honest = Fake::of(&ledger).await;
    let with = |change: &dyn Fn(&mut Fake)| {
        let mut lie = honest.clone();
        change(&mut lie);
        lie
    };
    let other = |entry: &mut ledger::Entry| entry[64] ^= 1;
    let lies = [
        ("log-rolled-back", with(&|lie| lie.entries.truncate(269))),
        ("log-rolled-back", with(&|lie| lie.entries.clear())),
        (
            "log-forked",
            with(&|lie| {
                lie.entries.truncate(270);
                other(&mut lie.entries[3]);
            }),
        ),
        ("log-forked", with(&|lie| other(&mut lie.entries[3]))),
        (
            "log-forked",
            with(&|lie| {
                lie.entries.remove(3);
            }),
        ),
        (
            "log-entry-changed",
            with(&|lie| {
                let mut entry = lie.entries[280];
                other(&mut entry);
                lie.shown.insert(280, entry);
            }),
        ),
        ("log-hidden", with(&|lie| lie.hidden.push("tile/entries/001.p/44".into()))),
        ("log-hidden", with(&|lie| lie.hidden.push("checkpoint".into()))),
        (
            "log-label-twice",
            with(&|lie| {
                let label = lie.entries[3][1..33].to_vec();
                lie.entries[290][1..33].copy_from_slice(&label);
            }),
        ),
        (
            "log-label-twice",
            with(&|lie| {
                let label = lie.entries[289][1..33].to_vec();
                lie.entries[290][1..33].copy_from_slice(&label);
            }),
        ),
        ("log-entry-changed", with(&|lie| lie.entries[280][0] = 2)),
    ];
    for (number, (code, lie)) in lies.into_iter().enumerate() {
        let folder = folder.path().join(format!("watch{number}"));
        let monitor = Monitor::open(&folder, alone()).unwrap();
        monitor.look(&seen).await.unwrap();
        assert_eq!(caught(monitor.look(&lie).await), code, "{number}");
        drop(monitor);
        let monitor = Monitor::open(&folder, alone()).unwrap();
        assert_eq!(caught(monitor.look(&lie).await), code, "{number} again");
        // The honest log is still followed from where it was good.
        assert_eq!(monitor.look(&honest).await.unwrap().new_entries, 30);
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_reached_is_neither_good_nor_caught() {
    let folder = tempfile::tempdir().unwrap();
    let monitor = Monitor::open(folder.path(), alone()).unwrap();
    let silent = Fake { silent: true, ..Fake::default() };
    assert!(matches!(monitor.look(&silent).await, Err(Missed::Unreachable(_))));
}

#[tokio::test]
async fn two_people_who_were_shown_two_histories_find_out_when_they_compare() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = grown(&folder.path().join("ledger"), 270).await;
    let shown_to_us = Fake::of(&ledger).await;
    let mut shown_to_them = shown_to_us.clone();
    shown_to_them.entries.truncate(260);
    shown_to_them.entries[259][64] ^= 1;
    let monitor = Monitor::open(&folder.path().join("watch"), alone()).unwrap();
    monitor.look(&shown_to_us).await.unwrap();
    let theirs = shown_to_them.checkpoint();
    assert_eq!(caught(monitor.compare(&shown_to_us, &theirs).await), "log-forked");
    shown_to_them.entries.extend_from_within(0..20);
    let theirs = shown_to_them.checkpoint();
    assert_eq!(caught(monitor.compare(&shown_to_us, &theirs).await), "log-rolled-back");
}

#[tokio::test]
async fn a_monitor_that_counts_witnesses_wants_their_signatures() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = grown(&folder.path().join("ledger"), 3).await;
    let witness = witness(folder.path(), 1);
    let quorum = Quorum::new(log(), vec![witness.key().clone()], 1).unwrap();
    let monitor = Monitor::open(&folder.path().join("watch"), quorum).unwrap();
    let mut public = Fake::of(&ledger).await;
    assert_eq!(caught(monitor.look(&public).await), "quorum-missing");
    public.lines = witness.add_checkpoint(&submission(&ledger, 0).await.text(), NOW).await.unwrap();
    assert_eq!(monitor.look(&public).await.unwrap().cosigned.by.len(), 1);
}

/// An owner with her stream in a journal of others, and what she knows of it.
struct Story {
    _folder: tempfile::TempDir,
    public: Fake,
    key: StreamKey,
    handed: Vec<HandedOver>,
    heads: Vec<(u64, [u8; 32])>,
}

async fn story() -> Story {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let mine = common::key(1);
    let mut heads = Vec::new();
    for number in 0..12_u8 {
        add_note(&ledger, common::key(number % 4)).await.unwrap();
        let intended = add_intention(&ledger, mine).await.unwrap();
        if let Some(head) = ledger.stream_head(mine.stream()).await.unwrap() {
            heads.push((head.seq, head.commitment));
        }
        add_outcome(&ledger, mine, intended.index()).await.unwrap();
    }
    let key = ledger.stream_key(mine.stream()).unwrap();
    let mut handed = ledger.stream(mine.stream(), None, u64::MAX).await.unwrap();
    handed.reverse();
    Story { public: Fake::of(&ledger).await, _folder: folder, key, handed, heads }
}

impl Story {
    async fn check(&self) -> Result<ledger::History, Missed> {
        let quorum = &Quorum::new(log(), Vec::new(), 0).unwrap();
        let owner = Owner { quorum, key: &self.key, handed: &self.handed, heads: &self.heads };
        owner.check(&self.public).await
    }

    /// The platform tells the log without this entry of hers (1 is her first).
    fn leave_out(&mut self, seq: usize) {
        let index = self.handed[seq - 1].index;
        self.public.entries.remove(usize::try_from(index).unwrap());
        self.handed.remove(seq - 1);
        for later in &mut self.handed {
            later.index -= u64::from(later.index > index);
        }
    }
}

#[tokio::test]
async fn the_owner_finds_her_whole_history_and_nothing_else() {
    let story = story().await;
    let history = story.check().await.unwrap();
    assert_eq!(history.entries.len(), 27);
    for (seq, (_, opening)) in (1..).zip(&history.entries) {
        assert_eq!((opening.seq, opening.record.key), (seq, Some(common::key(1))));
    }
    // Somebody else's stream key finds nothing here.
    let other = Story { key: StreamKey::from_octets([9; 32]), heads: Vec::new(), ..story };
    assert_eq!(caught(other.check().await), "stream-not-in-log");
}

#[tokio::test]
async fn a_stream_is_handed_over_in_pages_and_nothing_of_another_stream() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let (mine, other) = (common::key(1), common::key(2));
    for number in 0..9_u8 {
        add_note(&ledger, if number % 2 == 0 { mine } else { other }).await.unwrap();
    }
    let page = async |before, most| {
        let page = ledger.stream(mine.stream(), before, most).await.unwrap();
        page.iter().map(|entry| entry.index).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2).await, [8, 6]);
    assert_eq!(page(Some(6), 2).await, [4, 2]);
    assert_eq!(page(Some(2), 2).await, [0]);
    for nothing in [Some(0), Some(3), Some(99)] {
        assert_eq!(page(nothing, 2).await, [0_u64; 0], "{nothing:?}");
    }
}

#[tokio::test]
async fn a_platform_that_leaves_out_an_entry_is_caught_by_the_owner() {
    let mut story = story().await;
    story.heads.clear();
    story.leave_out(5);
    assert_eq!(caught(story.check().await), "stream-gap");
}

#[tokio::test]
async fn a_platform_that_leaves_out_the_last_entries_contradicts_what_the_owner_signed() {
    let mut story = story().await;
    while story.handed.len() > 20 {
        story.leave_out(story.handed.len());
    }
    assert_eq!(caught(story.check().await), "stream-not-in-log");
    // Without any approval since, nobody can know: that is what the heads in approvals are for.
    story.heads.retain(|(seq, _)| *seq <= 20);
    story.check().await.unwrap();
}

#[tokio::test]
async fn a_platform_that_rewrites_renumbers_forks_or_withholds_is_caught_by_the_owner() {
    let place = |story: &Story, seq: usize| usize::try_from(story.handed[seq - 1].index).unwrap();
    // Another entry under her label, where she has approved another one.
    let mut forked = story().await;
    let at = place(&forked, 4);
    forked.public.entries[at][40] ^= 1;
    let known = forked.heads.clone();
    assert!(known.iter().any(|(seq, _)| *seq == 4));
    assert_eq!(caught(forked.check().await), "stream-forked");
    forked.heads.clear();
    assert_eq!(caught(forked.check().await), "stream-renumbered");
    // The same number twice.
    let mut twice = story().await;
    let entry = twice.public.entries[place(&twice, 4)];
    twice.public.entries.push(entry);
    assert_eq!(caught(twice.check().await), "stream-forked");
    // An entry in her stream of which she was not told.
    let mut withheld = story().await;
    withheld.handed.remove(6);
    assert_eq!(caught(withheld.check().await), "stream-withheld");
    // Two of her entries under each other's numbers.
    let mut renumbered = story().await;
    let (a, b) = (place(&renumbered, 5), place(&renumbered, 6));
    let (left, right) = (renumbered.public.entries[a], renumbered.public.entries[b]);
    renumbered.public.entries[a][33..].copy_from_slice(&right[33..]);
    renumbered.public.entries[b][33..].copy_from_slice(&left[33..]);
    let (salt, opening) = (renumbered.handed[4].salt, renumbered.handed[4].opening.clone());
    renumbered.handed[4] = HandedOver { index: a as u64, ..renumbered.handed[5].clone() };
    renumbered.handed[5] = HandedOver { index: b as u64, salt, opening };
    renumbered.heads.clear();
    assert_eq!(caught(renumbered.check().await), "stream-renumbered");
    // Something handed over as hers that the log does not have under her labels.
    let mut invented = story().await;
    invented.handed.push(HandedOver { index: 0, ..invented.handed[1].clone() });
    assert_eq!(caught(invented.check().await), "stream-not-in-log");
    // The log shows other entries than it has signed.
    let mut changed = story().await;
    let mut entry = changed.public.entries[0];
    entry[64] ^= 1;
    changed.public.shown.insert(0, entry);
    assert_eq!(caught(changed.check().await), "log-entry-changed");
}
