//! What the owner of a key, an auditor and a monitor find in the journal of a running town.

use std::ffi::OsString;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::*;
use crate::town::Town;
use crate::{order, sign_request, token};

pub(crate) fn the_owner_reads_her_history_and_notices_another_one(town: &Town) {
    let person = town.person("Medical Doctor");
    let file = Path::new(person["history"].as_str().unwrap());
    let mine = |more: &[&str]| {
        let mut arguments: Vec<OsString> = vec!["journal".into(), "mine".into(), file.into()];
        arguments.extend(["--ca".into(), town.text("/ca_file").into()]);
        arguments.extend(["--log-key".into(), town.text("/log_key").into()]);
        arguments.extend(more.iter().map(OsString::from));
        azukari(&arguments)
    };
    let witness = town.out.join("town/witness-jma.vkey");
    let ran = mine(&["--witness", witness.to_str().unwrap()]);
    assert!(ran.well() && ran.out.contains("nothing is hidden"), "{ran:?}");
    assert!(ran.out.contains("署名 (signature.made)\t電子処方箋\t"), "{ran:?}");
    // What she read once is remembered beside what she approved.
    let kept: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(kept["heads"].as_array().unwrap().len(), 3, "{kept}");
    assert!(mine(&[]).well());
    // The platform's story is not the one that she remembers.
    let mut other = kept.clone();
    other["heads"][2]["commitment"] = STANDARD.encode([7; 32]).into();
    std::fs::write(file, other.to_string()).unwrap();
    let ran = mine(&[]);
    assert!(ran.code == 1 && ran.out.contains("✗ stream-forked"), "{ran:?}");
    // Not her phone's secrets, or for others to read: nothing can be said.
    let mut other = kept.clone();
    other["stream_key"] = STANDARD.encode([7; 32]).into();
    std::fs::write(file, other.to_string()).unwrap();
    let ran = mine(&[]);
    assert!(ran.code == 2 && ran.err.contains("stream-key-wrong"), "{ran:?}");
    judge("chmod", &["644".as_ref(), file.as_os_str()]);
    let ran = mine(&[]);
    assert!(ran.code == 2 && ran.err.contains("key-file-readable"), "{ran:?}");
}

pub(crate) fn the_journal_grows_and_a_rolled_back_copy_is_noticed(town: &Town) {
    let ledger = town.out.join("town/platform/ledger");
    let checkpoint = |name: &str| {
        let answer = town.platform("/v1/checkpoint").over(&town.facility()).get().well();
        let file = town.out.join(name);
        std::fs::write(&file, answer["checkpoint"].as_str().unwrap()).unwrap();
        file
    };
    let audit = |folder: &Path, since: &Path| {
        let mut arguments: Vec<OsString> = vec!["journal".into(), "verify".into()];
        arguments.extend(["--folder".into(), folder.into(), "--since".into(), since.into()]);
        arguments.extend(["--log-key".into(), town.text("/log_key").into()]);
        azukari(&arguments)
    };
    let earlier = checkpoint("earlier.txt");
    // A copy of today's journal with its head, as someone who wants to roll back would keep it.
    let copy = scratch("outside-ledger");
    std::fs::copy(ledger.join("journal.head"), copy.join("journal.head")).unwrap();
    let script = "import sqlite3, sys\n\
                  a, b = (sqlite3.connect(name) for name in sys.argv[1:])\n\
                  a.backup(b)";
    let (from, to) = (ledger.join("store.sqlite"), copy.join("store.sqlite"));
    let ran = judge("python3", &["-c".as_ref(), script.as_ref(), from.as_os_str(), to.as_os_str()]);
    assert!(ran.well(), "{ran:?}");
    let ran = audit(&copy, &earlier);
    assert!(ran.well(), "{ran:?}");

    let body = sign_request(&order(), "prescription", [14; 32]);
    let curl = town.platform("/v1/signatures").over(&town.facility());
    curl.bearer(token(town.person("Medical Doctor"))).post(&body).well();
    let later = checkpoint("later.txt");
    for since in [&earlier, &later] {
        let ran = audit(&ledger, since);
        assert!(ran.well(), "the running journal continues both: {ran:?}");
    }
    let ran = audit(&copy, &later);
    assert_eq!(ran.code, 1, "rolled back with its head: {ran:?}");
    // A monitor over the public files: it follows, and knows what others were shown.
    let ran = watch(town, "outside-watch", &[&earlier, &later]);
    assert!(ran.well() && ran.out.contains('✓'), "{ran:?}");
    let size = |file: &Path| {
        let text = std::fs::read_to_string(file).unwrap();
        text.lines().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let path = format!("/v1/consistency?from={}&to={}", size(&earlier), size(&later));
    let answer = town.platform(&path).over(&town.facility()).get().well();
    assert!(answer["hashes"].as_array().is_some_and(|hashes| !hashes.is_empty()), "{answer}");
}

/// `azukari journal watch --once`.
pub(crate) fn watch(town: &Town, state: &str, since: &[&Path]) -> Ran {
    let tls = town.out.join("town/tls/facility-ca.pem");
    let mut arguments: Vec<OsString> = vec!["journal".into(), "watch".into()];
    arguments.extend([town.text("/platform").into(), "--once".into()]);
    arguments.extend(["--ca".into(), tls.into()]);
    arguments.extend(["--log-key".into(), town.text("/log_key").into()]);
    arguments.extend(["--state".into(), town.out.join(state).into()]);
    for file in since {
        arguments.extend(["--since".into(), (*file).into()]);
    }
    azukari(&arguments)
}
