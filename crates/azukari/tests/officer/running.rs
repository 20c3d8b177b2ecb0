//! What the operator does while the platform runs.

use serde_json::Value;

use crate::place::{Place, wait_for};
use crate::support::*;

#[test]
fn a_running_platform_tells_how_it_stands_and_a_revocation_needs_no_pause() {
    let place = Place::found(&scratch("running"));
    let asked = place.operator("status", &["--json"]);
    assert_eq!(asked.code, 2, "{asked:?}");
    assert!(asked.text().contains("officers-door-closed"), "{asked:?}");

    let mut platform = place.start_serving();
    place.wait_until_it_answers(&mut platform);
    place.sign(&place.order());
    let before = standing(&place.operator("status", &["--json"]));
    assert_eq!(before["device"]["state"], "working");
    assert_eq!(before["device"]["kind"], "vault");
    assert_eq!(before["undelivered"], 0);
    assert!(before["keys"].as_u64() > Some(1), "{before}");
    assert_eq!(before["attention"], serde_json::json!([]));
    let said = place.operator("status", &[]);
    assert!(said.code == 0 && said.out.contains("正常"), "{said:?}");

    let certificate = place.physicians_certificate();
    let revoke = |reason| {
        let file = certificate.to_str().unwrap();
        place.operator("revoke", &["--certificate", file, "--reason", reason])
    };
    let wrong = revoke("because");
    assert!(wrong.code == 1 && wrong.text().contains("because"), "{wrong:?}");
    let revoked = revoke("keyCompromise");
    assert!(revoked.well() && revoked.out.contains("keyCompromise"), "{revoked:?}");
    let again = revoke("keyCompromise");
    assert!(again.code == 1 && again.text().contains("certificate-already-revoked"), "{again:?}");
    // The same process goes on, and this key signs no more.
    assert!(platform.still_runs());
    let refused = place.try_to_sign(&place.order());
    assert_eq!(refused["code"], "key-suspended", "{refused}");
    let after = standing(&place.operator("status", &["--json"]));
    assert!(after["journal"]["entries"].as_u64() > before["journal"]["entries"].as_u64());
    assert_eq!(after["undelivered"], 0);
    platform.end();
}

#[test]
fn a_running_platform_makes_keys_ahead_and_sees_by_itself_what_was_changed_behind_its_back() {
    let place = Place::found(&scratch("running-keys"));
    let written = std::fs::read_to_string(place.config()).unwrap();
    let stocking = changed(&written, "[platform]\n", "[platform]\npool_level = 3\n");
    std::fs::write(place.config(), &stocking).unwrap();
    let status = || place.operator("status", &["--json"]);

    let mut platform = place.start_serving();
    place.wait_until_it_answers(&mut platform);
    let stocked = wait_for("a full pool", || {
        let told = status().json();
        (told["pool"]["level"] == 3).then_some(told)
    });
    assert_eq!(stocked["pool"], serde_json::json!({ "level": 3, "of": 3 }));
    assert_eq!(stocked["alarms"], serde_json::json!({}));
    assert!(status().well(), "{stocked}");
    platform.end();

    // Far more than can have been made meanwhile.
    let wanting = changed(&written, "[platform]\n", "[platform]\npool_level = 100000\n");
    std::fs::write(place.config(), wanting).unwrap();
    let mut platform = place.start_serving();
    place.wait_until_it_answers(&mut platform);
    let ran = place.operator("status", &[]);
    assert!(ran.code == 1 && ran.out.contains("nearly empty"), "{ran:?}");
    platform.end();
    std::fs::write(place.config(), &stocking).unwrap();

    let store = place.path("platform/ledger/store.sqlite");
    let change = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); \
        c.execute(\"UPDATE custody_key SET purpose='hash' \
            WHERE id=(SELECT max(id) FROM custody_key WHERE purpose='prescription')\"); c.commit()";
    assert!(judge("python3", &["-c", change, store.to_str().unwrap()]).well());
    let mut platform = place.start_serving();
    place.wait_until_it_answers(&mut platform);
    let looked = wait_for("an alarm", || {
        let told = status().json();
        (told["alarms"] != serde_json::json!({})).then_some(told)
    });
    assert_eq!(looked["alarms"], serde_json::json!({ "seal-broken": 1 }));
    assert!(looked["pool"]["level"].as_u64() >= Some(3), "what was made ahead is there still");
    let ran = status();
    assert!(ran.code == 1 && ran.out.contains("azukari custody alarms"), "{ran:?}");
    platform.end();
}

fn standing(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.json()
}

#[test]
fn officers_of_the_desk_are_invited_and_dismissed_whether_the_platform_runs_or_not() {
    let place = Place::found(&scratch("running-desk"));
    let desk = |verb: &str, more: &[&str]| -> Ran {
        let mut command = place.azukari();
        command.args(["desk", verb, "--config"]).arg(place.config()).args(more);
        command.stdin(std::process::Stdio::null()).output().unwrap().into()
    };
    let invited = |ran: &Ran| {
        assert!(ran.well() && ran.out.contains("/desk#1."), "{ran:?}");
    };
    let nobody = ["--officer", "00000000000000000000000000000000"];
    invited(&desk("invite", &["--name", "架空 係子"]));
    let mut platform = place.start_serving();
    place.wait_until_it_answers(&mut platform);
    invited(&desk("invite", &["--name", "見本 係郎"]));
    let unseen = desk("invite", &["--name", "見えない\u{202e}名前"]);
    assert!(unseen.code == 1 && unseen.text().contains("desk-text-malformed"), "{unseen:?}");
    let unknown = desk("dismiss", &nobody);
    assert!(unknown.code == 1 && unknown.text().contains("officer-unknown"), "{unknown:?}");
    // Who was invited is no officer yet.
    let listed = desk("officers", &[]);
    assert!(listed.well() && !listed.out.contains("係"), "{listed:?}");
    assert!(platform.still_runs());
    platform.end();
    let unknown = desk("dismiss", &nobody);
    assert!(unknown.code == 1 && unknown.text().contains("officer-unknown"), "{unknown:?}");
}
