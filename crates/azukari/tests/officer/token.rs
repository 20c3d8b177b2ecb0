//! A platform whose keys are in a token of SoftHSM2, and its way to a second token.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::place::{Kept, Place, Process};
use crate::Refused as _;
use crate::support::*;

impl Place {
    /// A platform that does not exist yet, on an empty token of SoftHSM2.
    pub(crate) fn fresh_on_a_token(home: &Path) -> Self {
        let mut place = Self::fresh(home);
        let folder = place.path("tokens");
        std::fs::create_dir(&folder).unwrap();
        let conf = place.path("softhsm2.conf");
        let text =
            format!("directories.tokendir = {}\nobjectstore.backend = file\n", folder.display());
        std::fs::write(&conf, text).unwrap();
        place.tokens = Some(conf);
        let text = std::fs::read_to_string(place.config()).unwrap();
        let text = changed(&text, "# [device]\n# pkcs11", "[device]\npkcs11");
        std::fs::write(place.config(), text).unwrap();
        place
    }

    /// A town with its keys in a token is founded and closed again.
    fn found_on_a_token(home: &Path) -> Self {
        let mut place = Self::found_with(home, &["--device", "softhsm"]);
        place.tokens = Some(home.join("softhsm/softhsm2.conf"));
        place
    }

    /// The label of the token in the configuration.
    fn label(&self) -> String {
        let text = std::fs::read_to_string(self.config()).unwrap();
        between(&text, "token = \"", "\"").to_owned()
    }

    /// Writes a configuration that differs in this.
    fn configured(&self, name: &str, from: &str, to: &str) -> PathBuf {
        let text = std::fs::read_to_string(self.config()).unwrap();
        std::fs::write(self.path(name), changed(&text, from, to)).unwrap();
        self.path(name)
    }

    fn transferring(&self, to: &Path) -> Ran {
        self.officer(&["transfer"], &[("--config", self.path("first.toml")), ("--to", to.into())])
    }

    fn start_transferring(&self, more: &[&str]) -> Process {
        let mut command = self.azukari();
        command.args(["officer", "transfer", "--config"]).arg(self.path("first.toml"));
        command.arg("--to").arg(self.path("second.toml")).args(more);
        self.waiting_for_officers(&mut command, "transfer.log")
    }

    /// Where SoftHSM2 keeps the token of this label.
    fn token_folder(&self, label: &str) -> PathBuf {
        let tokens = self.tokens.as_ref().unwrap().with_file_name("tokens");
        let mut folders = std::fs::read_dir(tokens).unwrap().map(|entry| entry.unwrap().path());
        let is = |folder: &PathBuf| {
            let octets = std::fs::read(folder.join("token.object")).unwrap();
            let mut name = label.as_bytes().to_vec();
            name.resize(32, b' ');
            octets.windows(32).any(|window| window == name)
        };
        folders.find(is).unwrap()
    }

    fn sign_once_opened_by(&self, shares: &[Kept]) {
        let mut platform = self.start_serving();
        for share in &shares[..3] {
            self.hand_in(share);
        }
        self.wait_until_it_answers(&mut platform);
        self.sign(&self.order());
        platform.end();
    }

    /// Every key is whole.
    fn audited(&self, shares: &[Kept]) {
        let mut command = self.azukari();
        command.args(["custody", "audit", "--config"]).arg(self.config());
        let mut audit = self.waiting_for_officers(&mut command, "audit.log");
        for share in &shares[2..] {
            self.hand_in(share);
        }
        let ran = audit.ended();
        assert!(ran.well() && ran.out.contains("異常はありません"), "{ran:?}");
    }
}

/// What SoftHSM2 keeps in a token's folder.
fn objects(token: &Path) -> Vec<String> {
    let names = std::fs::read_dir(token).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    names.filter(|name| name.ends_with(".object")).collect()
}

/// A token's file, telling that the PIN of its security officers is locked.
fn security_officers_locked(token: &[u8]) -> Vec<u8> {
    let (plain, locked) = (0x42D_u64.to_be_bytes(), 0x40_042D_u64.to_be_bytes());
    let at = token.windows(8).position(|window| window == plain).unwrap();
    [&token[..at], &locked, &token[at + 8..]].concat()
}

#[test]
fn a_token_is_made_and_opened_by_officers_alone_and_nobody_knows_its_pin() {
    let place = Place::fresh_on_a_token(&scratch("officer-token"));
    place.appoint_again().refused("officers-not-appointed");
    let (shares, security) = place.appoint_both(&[]);
    let backup = place.path("backup");
    let mut backing = place.start_backing_up(&backup);
    place.hand_in(&security[0]).refused("share-of-another-duty");
    for share in &shares[1..4] {
        place.hand_in(share);
    }
    backing.ended_well();
    crate::only_wrapped_keys_are_in(&backup, &place);
}

#[test]
fn custody_is_rotated_and_moves_to_a_second_token_and_signs_when_the_first_is_gone() {
    let place = Place::found_on_a_token(&scratch("officer-transfer"));
    let (shares, security) = place.appoint_both(&["--remove-unseal-secret"]);
    assert!(!place.path("unseal.secret").exists());
    assert!(!place.path("security-officers.secret").exists());
    place.opened_by_officers();
    place.sign_once_opened_by(&shares);

    let mut rotating = place.start_rotating();
    place.both_hand_in(&rotating, &security, &shares);
    let ran = rotating.ended();
    assert!(ran.well() && ran.out.contains("版 2"), "{ran:?}");
    place.sign_once_opened_by(&shares);

    // What can be refused is refused before an officer is asked.
    let first = place.label();
    std::fs::copy(place.config(), place.path("first.toml")).unwrap();
    place.transferring(&place.path("first.toml")).refused("transfer-same-token");
    let to = place.configured("vault.toml", "[device]\npkcs11", "#");
    place.transferring(&to).refused("transfer-unsupported");
    let to = place.configured("other.toml", "folder = \"platform\"", "folder = \"other\"");
    place.transferring(&to).refused("transfer-another-platform");
    let second = place.configured("second.toml", &first, "azukari-second");
    let conf = std::fs::read_to_string(place.tokens.as_ref().unwrap()).unwrap();
    // SoftHSM2 2.6.1 overlooks the first of those that it is to do without.
    let less = format!("{conf}slots.mechanisms = -CKM_MD5,CKM_AES_KEY_WRAP_PAD\n");
    std::fs::write(place.tokens.as_ref().unwrap(), less).unwrap();
    place.transferring(&second).refused("mechanism-missing");
    std::fs::write(place.tokens.as_ref().unwrap(), conf).unwrap();

    // The first token does not let its security officers in: it is given up.
    let token = place.token_folder(&first).join("token.object");
    let whole = std::fs::read(&token).unwrap();
    std::fs::write(&token, security_officers_locked(&whole)).unwrap();
    let mut moving = place.start_transferring(&[]);
    place.both_hand_in(&moving, &security, &shares);
    moving.ended().refused("pin-locked");
    std::fs::write(&token, whole).unwrap();
    let mut giving_up = place.start_transferring(&["--give-up"]);
    for share in &shares[..3] {
        place.hand_in(share);
    }
    giving_up.ended_well();
    assert_eq!(objects(&place.token_folder("azukari-second")), ["token.object"]);
    place.sign_once_opened_by(&shares);

    // The power goes while the keys are on their way.
    let mut moving = place.start_transferring(&[]);
    place.both_hand_in(&moving, &security, &shares);
    moving.until_it_says("(the keys are wrapped)");
    moving.kill();

    // It goes on, and stops again when the second token is in charge: here by a ledger in use.
    let busy = File::create(place.path("platform/ledger/store.lock")).unwrap();
    busy.try_lock().unwrap();
    let mut moving = place.start_transferring(&[]);
    place.both_hand_in(&moving, &security, &shares);
    let ran = moving.ended();
    assert!(!ran.well() && ran.out.contains("(the second device is in charge)"), "{ran:?}");
    drop(busy);

    // Meanwhile the platform runs, on the second token alone, and officers are not replaced.
    let (here, away) = (place.token_folder(&first), place.path("away"));
    std::fs::rename(&here, &away).unwrap();
    std::fs::copy(&second, place.config()).unwrap();
    place.sign_once_opened_by(&shares);
    let (mut renewing, _) = place.start_renewing();
    for share in &shares[..3] {
        place.hand_in(share);
    }
    renewing.ended().refused("transfer-unfinished");
    let mut giving_up = place.start_transferring(&["--give-up"]);
    for share in &shares[..3] {
        place.hand_in(share);
    }
    giving_up.ended().refused("transfer-handed-over");

    // Without the first token its keys cannot be destroyed; everything else is done.
    let mut moving = place.start_transferring(&[]);
    place.both_hand_in(&moving, &security, &shares);
    moving.ended().refused("transfer-token-missing");
    std::fs::rename(&away, &here).unwrap();
    let mut moving = place.start_transferring(&[]);
    place.both_hand_in(&moving, &security, &shares);
    let ran = moving.ended();
    assert!(ran.well() && ran.out.contains("azukari-second に移りました"), "{ran:?}");
    assert_eq!(objects(&here), ["token.object"], "its keys are destroyed");
    let again = place.transferring(&second);
    assert!(again.well() && again.out.contains("済んでいます"), "{again:?}");

    std::fs::remove_dir_all(&here).unwrap();
    place.sign_once_opened_by(&shares);
    place.audited(&shares);
    place.journal_is_whole(&[]);
    let told = place.transcripts();
    for word in ["(transfer)", "(rotate)", "新しい装置 (to): azukari-second", "版 (version): 3"]
    {
        assert!(told.contains(word), "{word} is not in the transcripts:\n{told}");
    }
}
