//! From backup to signing: officers are appointed, open the platform, a prescription is signed, a
//! backup is made, the machine is lost, and any three of the five bring it back on another one.
//! Two cannot, nor can anybody with another platform's share.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod place;
mod running;
#[path = "../support/mod.rs"]
mod support;
mod token;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use place::{OFFICERS, Place, kept_shares};
use support::*;

#[test]
fn a_lost_machine_is_brought_back_by_three_of_five_officers_and_signs_with_the_same_key() {
    let folder = scratch("officer");
    let first = Place::found(&folder.join("first"));
    let shares = first.appoint();
    let plain = first.path("unseal.secret");
    assert!(!plain.exists(), "no plain secret is left");
    first.opened_by_officers();

    // The platform waits: two of the right officers are not enough, and everybody else is told.
    let mut platform = first.start_serving();
    let strangers = Place::fresh(&folder.join("strangers"));
    let theirs = strangers.appoint();
    first.hand_in(&theirs[0]).refused("share-of-another-set");
    first.hand_in(&shares[1]).taken(1);
    first.hand_in(&shares[1]).refused("share-repeated");
    first.hand_in_typing_wrong(&shares[2]).refused("share-file-locked");
    first.hand_in(&shares[2]).taken(2);
    assert!(!first.answers(), "two officers opened it");
    first.hand_in(&shares[4]).taken(3);
    first.wait_until_it_answers(&mut platform);
    first.hand_in(&shares[0]).refused("platform-open");

    let order = first.order();
    let signed = first.sign(&order);
    assert_eq!(first.sign(&order), signed);
    let backup = folder.join("backup");
    let made =
        first.officer(&["backup"], &[("--config", first.config()), ("--out", backup.clone())]);
    assert!(made.well(), "{made:?}");
    only_wrapped_keys_are_in(&backup, &first);
    let again =
        first.officer(&["backup"], &[("--config", first.config()), ("--out", backup.clone())]);
    again.refused("backup-exists");
    let kept = first.checkpoint("kept-before");
    platform.end();

    // The machine is lost; what is left is the backup, the officers, and the configuration.
    let second = first.lost(&folder.join("second"));
    let mut waiting = second.start_restoring(&backup, &[&kept]);
    second.hand_in(&theirs[0]).refused("share-of-another-set");
    second.hand_in(&shares[0]).taken(1);
    second.hand_in(&shares[3]).taken(2);
    assert!(waiting.still_runs());
    waiting.kill();
    assert!(!second.path("platform").exists(), "two officers restored it");

    // A try that died half-way left something behind.
    std::fs::create_dir_all(second.path("platform.restoring/ledger")).unwrap();
    std::fs::write(second.path("platform.restoring/ledger/store.sqlite"), "half").unwrap();
    let mut restoring = second.start_restoring(&backup, &[&kept]);
    second.hand_in(&shares[3]).taken(1);
    second.hand_in(&shares[0]).taken(2);
    second.hand_in(&shares[2]).taken(3);
    restoring.ended_well();
    second.journal_is_whole(&[&kept]);

    let mut platform = second.start_serving();
    for share in &shares[..3] {
        second.hand_in(share);
    }
    second.wait_until_it_answers(&mut platform);
    assert_eq!(second.sign(&order), signed, "what was signed is still answered");
    let fresh = second.sign(&second.order());
    assert_eq!(fresh["certificate"], signed["certificate"], "with the same key");
    let later = second.checkpoint("kept-after");
    platform.end();
    second.journal_is_whole(&[&kept, &later]);
    let told = second.transcripts();
    for word in ["backup", "restore", "unseal", OFFICERS[0], OFFICERS[3]] {
        assert!(told.contains(word), "{word} is not in the transcripts:\n{told}");
    }

    // Over something, behind what is known, or not as it was made: refused.
    second.restore_at_once(&backup, &[]).refused("restore-would-overwrite");
    let third = second.lost(&folder.join("third"));
    let mut rolled = third.start_restoring(&backup, &[&later]);
    for share in &shares[..3] {
        third.hand_in(share);
    }
    rolled.ended().refused("restore-rolled-back");
    assert!(!third.path("platform").exists());
    let manifest = std::fs::read_to_string(backup.join("manifest.txt")).unwrap();
    let forged = changed(&manifest, "\nmade 2", "\nmade 3");
    std::fs::write(backup.join("manifest.txt"), forged).unwrap();
    let mut forged = third.start_restoring(&backup, &[]);
    for share in &shares[..3] {
        third.hand_in(share);
    }
    forged.ended().refused("backup-forged");
    std::fs::write(backup.join("manifest.txt"), manifest).unwrap();
    let store = backup.join("ledger/store.sqlite");
    let mut octets = std::fs::read(&store).unwrap();
    let middle = octets.len() / 2;
    octets[middle] ^= 1;
    std::fs::write(&store, octets).unwrap();
    third.restore_at_once(&backup, &[]).refused("backup-damaged");
    assert!(!third.path("platform").exists());
}

/// Names no secret file, holds no private key in the clear, and is its owner's alone.
fn only_wrapped_keys_are_in(backup: &Path, place: &Place) {
    let mut seen = 0;
    for folder in ["device", "ledger"] {
        for entry in std::fs::read_dir(backup.join(folder)).unwrap() {
            let file = entry.unwrap().path();
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o077, 0);
            let octets = std::fs::read(&file).unwrap();
            // PKCS#8 of RSA, P-256 and Ed25519 begin with their algorithm; PEM says so.
            let marks: [&[u8]; 4] = [
                b"PRIVATE KEY",
                b"\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01",
                b"\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01",
                b"\x30\x05\x06\x03\x2b\x65\x70\x04\x22",
            ];
            for mark in marks {
                assert!(!octets.windows(mark.len()).any(|w| w == mark), "{}", file.display());
            }
            let secret = place.secret_once();
            assert!(secret.is_empty() || !octets.windows(64).any(|w| w == secret.as_bytes()));
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen} files");
}

#[test]
fn a_share_is_written_on_paper_as_four_lines() {
    let folder = scratch("officer-paper");
    let place = Place::fresh(&folder);
    let shares = place.appoint();
    let shown = place.paper(&shares[0]);
    assert!(shown.well(), "{shown:?}");
    assert!(shown.out.contains(OFFICERS[0]), "{shown:?}");
    let share = hsm::shares::Share::from_lines(&shown.out).unwrap();
    assert_eq!(share.index(), 1);
    for share in &shares {
        let mode = std::fs::metadata(&share.file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(kept_shares(&place).len(), 5);
    place.appoint_again().refused("officers-appointed");
}

#[test]
fn officers_who_hand_over_can_open_nothing_any_more() {
    let place = Place::fresh(&scratch("officer-renewal"));
    let outgoing = place.appoint();
    let (mut renewing, incoming) = place.start_renewing();
    place.hand_in(&outgoing[4]).taken(1);
    place.hand_in(&outgoing[1]).taken(2);
    place.hand_in(&outgoing[2]).taken(3);
    renewing.ended_well();
    let backup = place.path("backup");
    let mut backing = place.start_backing_up(&backup);
    place.hand_in(&outgoing[0]).refused("share-of-another-set");
    for share in &incoming[..3] {
        place.hand_in(share);
    }
    backing.ended_well();
    assert!(backup.join("manifest.txt").exists());
    let told = place.transcripts();
    assert!(told.contains("renew") && told.contains("officers"), "{told}");
}

#[test]
fn both_sets_of_officers_give_the_device_a_new_key_and_the_kept_keys_stay() {
    let place = Place::found(&scratch("officer-rotation"));
    let shares = place.appoint();
    place.opened_by_officers();
    // Without security officers nobody rotates.
    let alone = place.officer(&["rotate"], &[("--config", place.config())]);
    alone.refused("officers-not-appointed");
    let mut appointing = place.start_appointing_security();
    for share in &shares[1..4] {
        place.hand_in(share);
    }
    appointing.0.ended_well();
    let security = appointing.1;

    let mut rotating = place.start_rotating();
    place.hand_in(&shares[0]).refused("share-of-another-duty");
    for share in &security[2..] {
        place.hand_in(share);
    }
    place.wait_for_the_key_officers(&rotating);
    place.hand_in(&security[0]).refused("share-of-another-duty");
    for share in &shares[..3] {
        place.hand_in(share);
    }
    let ran = rotating.ended();
    assert!(ran.well() && ran.out.contains("版 2"), "{ran:?}");
    let blobs = std::fs::read_dir(place.path("platform/vault")).unwrap();
    let blobs = blobs.map(|entry| entry.unwrap().path());
    for file in blobs.filter(|file| file.extension().is_some_and(|end| end == "azkb")) {
        let header = hsm::blob::header(&std::fs::read(&file).unwrap()[..]);
        assert!(header.is_none_or(|header| header.kek_version == 2), "{}", file.display());
    }
    assert!(!place.path("platform/vault/vault-next.azkv").exists());

    let mut platform = place.start_serving();
    for share in &shares[2..] {
        place.hand_in(share);
    }
    place.wait_until_it_answers(&mut platform);
    place.sign(&place.order());
    platform.end();
    place.journal_is_whole(&[]);
    assert!(place.transcripts().contains("包み直した鍵"), "{}", place.transcripts());
}

#[test]
fn a_key_that_others_may_read_stops_the_start() {
    let folder = scratch("officer-keys");
    let place = Place::found(&folder);
    let key = place.path("tls/platform.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let config = place.config();
    azukari(&["serve", "--config", config.to_str().unwrap()]).refused("key-file-readable");
}

trait Refused {
    fn refused(&self, code: &str);
}

impl Refused for Ran {
    fn refused(&self, code: &str) {
        assert!(!self.well(), "{self:?}");
        assert!(self.text().contains(&format!("[{code}]")), "{code}: {self:?}");
    }
}
