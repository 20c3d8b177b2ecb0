//! What a configuration may say, and how it is refused.

use custody::Rule;
use hpki::kind::DocumentKind;

use super::*;

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../azukari.example.toml")
}

fn with(change: impl Fn(&str) -> String) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("azukari.toml");
    std::fs::write(&file, change(&std::fs::read_to_string(example()).unwrap())).unwrap();
    (folder, file)
}

#[test]
fn the_example_is_a_valid_configuration_of_both_roles() {
    let platform = PlatformConfig::load(&example()).unwrap();
    assert_eq!(platform.token_seconds, 64_800);
    assert_eq!((platform.witnesses.len(), platform.witnesses_needed), (1, 1));
    assert!(WitnessConfig::load(&example()).unwrap().tls.is_none());
    let gateway = GatewayConfig::load(&example()).unwrap();
    assert!(gateway.listen.ip().is_loopback());
    assert_eq!((gateway.witnesses.len(), gateway.witnesses_needed), (1, 1));
}

#[test]
fn a_gateway_needs_most_of_its_witnesses_and_never_more_than_it_has_or_none_of_them() {
    let needed = |named: &str, needed: &str| {
        let (_folder, file) = with(|text| {
            let text = text.replacen("witnesses = [\"witness.vkey\"]", named, 1);
            let (before, after) = text.split_once("[gateway]").unwrap();
            let after = after.replacen("witnesses_needed = 1\n", needed, 1);
            format!("{before}[gateway]{after}")
        });
        GatewayConfig::load(&file).map(|config| config.witnesses_needed)
    };
    let three = "witnesses = [\"a\", \"b\", \"c\"]";
    assert_eq!(needed(three, "").unwrap(), 2);
    assert_eq!(needed(three, "witnesses_needed = 3\n").unwrap(), 3);
    assert_eq!(needed("", "").unwrap(), 0);
    for (named, wrong) in [(three, 0), (three, 4), ("", 1)] {
        assert!(needed(named, &format!("witnesses_needed = {wrong}\n")).is_err(), "{wrong}");
    }
}

#[test]
fn the_example_shows_how_a_pkcs11_device_is_named_and_without_it_there_is_a_vault() {
    let vault = PlatformConfig::load(&example()).unwrap().device;
    assert!(matches!(vault, hsm::DeviceConfig::Vault { .. }));
    let shown = |text: &str| text.replace("# [device]", "[device]").replace("# pkcs11", "pkcs11");
    let (folder, file) = with(shown);
    let module = "/usr/lib/softhsm/libsofthsm2.so";
    let expected =
        hsm::DeviceConfig::pkcs11(folder.path().join("platform/vault"), module, "azukari");
    assert_eq!(PlatformConfig::load(&file).unwrap().device, expected);
    for token in ["", " azukari", &"a".repeat(33)] {
        let (_folder, file) =
            with(|text| shown(text).replace("\"azukari\"", &format!("{token:?}")));
        let refusal = PlatformConfig::load(&file).unwrap_err();
        assert!(matches!(refusal, ConfigRefusal::Value("device.pkcs11.token", _)), "{token:?}");
    }
}

#[test]
fn an_unknown_key_is_refused() {
    let (_folder, file) = with(|text| text.replace("[platform]", "[platform]\nfolderr = \"x\""));
    assert!(matches!(PlatformConfig::load(&file), Err(ConfigRefusal::Malformed(..))));
}

#[test]
fn nineteen_hours_are_refused() {
    let (_folder, file) = with(|text| text.replace("token_hours = 18", "token_hours = 19"));
    let refusal = PlatformConfig::load(&file).unwrap_err();
    assert!(matches!(refusal, ConfigRefusal::OutOfBounds { key: "token_hours", .. }));
}

#[test]
fn makers_of_authenticators_are_listed_by_roots_that_can_be_read_and_models_that_are_models() {
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (root, model) in [(None, ""), (Some(pem), ""), (Some(pem), "\"security key\"")] {
        let (folder, file) = with(|text| {
            let line = "[[platform.authenticator]]\nname = \"m\"\nroots = \"maker.pem\"";
            text.replacen("[witness]", &format!("{line}\nmodels = [{model}]\n[witness]"), 1)
        });
        if let Some(root) = root {
            std::fs::write(folder.path().join("maker.pem"), root).unwrap();
        }
        let refused = PlatformConfig::load(&file).map(drop).unwrap_err();
        assert!(matches!(refused, ConfigRefusal::Value("authenticator", _)), "{refused}");
    }
    assert!(!PlatformConfig::load(&example()).unwrap().makers.are_listed());
}

#[test]
fn an_arm_that_does_not_exist_is_refused() {
    let (_folder, file) = with(|text| text.replace("policy_arm = 3", "policy_arm = 1"));
    for refused in [
        PlatformConfig::load(&file).map(drop).unwrap_err(),
        GatewayConfig::load(&file).map(drop).unwrap_err(),
    ] {
        assert!(matches!(refused, ConfigRefusal::Value("policy_arm", _)));
    }
}

#[test]
fn a_kind_is_switched_on_by_its_own_line_and_named_once() {
    let policy = PlatformConfig::load(&example()).unwrap().policy;
    assert_eq!(policy, Policy::default());
    let line = "\n[[kind]]\nname = \"statement\"\nenabled = true\napproval = \"document\"\n";
    let (_folder, file) = with(|text| format!("{text}{line}"));
    assert!(matches!(PlatformConfig::load(&file), Err(ConfigRefusal::Value("kind.name", _))));
    let (_folder, file) = with(|text| {
        let at = text.find("name = \"statement\"").unwrap();
        let (before, after) = text.split_at(at);
        format!("{before}{}", after.replacen("enabled = false", "enabled = true", 1))
    });
    let policy = PlatformConfig::load(&file).unwrap().policy;
    assert_eq!(policy.rule(DocumentKind::Statement), Rule::EACH_DOCUMENT);
    assert_eq!(policy.rule(DocumentKind::Referral), Rule::OFF);
}

/// The example's lines for a client, taken out of their comment.
fn with_client(change: impl Fn(&str) -> String) -> (tempfile::TempDir, PathBuf) {
    with(|text| {
        let (before, rest) = text.split_once("# [[client]]").unwrap();
        let (lines, after) = rest.split_once("\n\n").unwrap();
        let lines = format!("[[client]]{}", lines.replace("\n# ", "\n"));
        format!("{before}{}\n\n{after}", change(&lines))
    })
}

#[test]
fn nobody_is_registered_for_hashes_until_a_line_says_so() {
    assert!(PlatformConfig::load(&example()).unwrap().clients.is_empty());
    let (_folder, file) = with_client(str::to_owned);
    let clients = PlatformConfig::load(&file).unwrap().clients;
    assert_eq!((clients.len(), clients[0].id.as_str()), (1, "letters"));
    assert!(registered(&clients).is_err(), "its certificate is not there");
}

#[test]
fn a_client_is_named_once_and_never_for_what_the_platform_composes() {
    for (key, change) in [
        (
            "client.response_uris",
            Box::new(|lines: &str| lines.replace("https://letters", "http://letters"))
                as Box<dyn Fn(&str) -> String>,
        ),
        (
            "client.response_uris",
            Box::new(|lines: &str| lines.replace("response_ca", "# response_ca")),
        ),
        ("client.id", Box::new(|lines: &str| format!("{lines}\n{lines}"))),
        ("client.id", Box::new(|lines: &str| lines.replace("letters", "Letters!"))),
        ("client.kinds", Box::new(|lines: &str| lines.replace("referral", "prescription"))),
    ] {
        let (_folder, file) = with_client(change);
        let refused = PlatformConfig::load(&file).map(drop).unwrap_err();
        assert!(matches!(refused, ConfigRefusal::Value(found, _) if found == key), "{refused}");
    }
}

#[test]
fn a_witness_is_reached_and_opened_without_tls_on_this_machine_only() {
    for (from, to) in [
        ("http://127.0.0.1:8555", "http://192.0.2.1:8555"),
        ("http://127.0.0.1:8555", "https://witness.example"),
        ("http://127.0.0.1:8555", "ftp://127.0.0.1"),
    ] {
        let (_folder, file) = with(|text| text.replace(from, to));
        let refused = PlatformConfig::load(&file).unwrap_err();
        assert!(matches!(refused, ConfigRefusal::Value("platform.witness.url", _)), "{to}");
    }
    let (_folder, file) =
        with(|text| text.replace("listen = \"127.0.0.1:8555\"", "listen = \"0.0.0.0:8555\""));
    let refused = WitnessConfig::load(&file).unwrap_err();
    assert!(matches!(refused, ConfigRefusal::Value("witness.listen", _)));
}

#[test]
fn a_gateway_door_open_to_the_network_is_refused() {
    let (_folder, file) = with(|text| text.replace("127.0.0.1:3030", "0.0.0.0:3030"));
    assert!(matches!(GatewayConfig::load(&file), Err(ConfigRefusal::Value("listen", _))));
}

#[test]
fn the_example_shows_how_cards_are_used_and_odd_uses_are_refused() {
    let cards = GatewayConfig::load(&example()).unwrap().cards.unwrap();
    assert!(cards.policy.signs && !cards.readers && cards.modules.is_empty());
    assert_eq!(cards.policy.keeping, ::gateway::Keeping::EachTime);
    let changed = |from: &str, to: &str| {
        let (_folder, file) = with(|text| text.replacen(from, to, 1));
        GatewayConfig::load(&file).map(|config| config.cards)
    };
    let kept = changed("pin = \"each-time\"", "pin = \"while-inserted\"").unwrap().unwrap();
    assert_eq!(kept.policy.keeping, ::gateway::Keeping::WhileInserted);
    let module = |usage: &str| {
        let to = format!("[[gateway.cards.module]]\nfile = \"a.so\"\nuse = \"{usage}\"\n");
        changed("# [[gateway.cards.module]]\n", &to)
    };
    assert_eq!(module("jpki").unwrap().unwrap().modules[0].1, ::gateway::reader::CardUse::Jpki);
    assert!(matches!(module("card"), Err(ConfigRefusal::Value("cards.module.use", _))));
    for (from, to) in
        [("patience_s = 30", "patience_s = 4"), ("patience_s = 30", "patience_s = 121")]
    {
        assert!(matches!(changed(from, to), Err(ConfigRefusal::OutOfBounds { .. })), "{to}");
    }
    let readers = changed("readers = false", "readers = true");
    assert_eq!(readers.is_ok(), cfg!(feature = "pcsc"));
    assert!(changed("[gateway.cards]", "[gateway.elsewhere]").is_err());
}

#[test]
fn my_number_cards_are_believed_by_a_list_or_by_asking_and_never_by_both_or_neither() {
    let folder = tempfile::tempdir().unwrap();
    let office = crate::demo::jpki::Office::found(folder.path());
    assert!(office.is_ok());
    let authority = folder.path().join("jpki-auth-ca.pem");
    let read = |more: &str| {
        let table = format!("[platform.jpki]\nauthority = {authority:?}\n{more}\n");
        let (_folder, file) = with(|text| text.replacen("# [platform.jpki]\n", &table, 1));
        PlatformConfig::load(&file).map(|config| config.jpki.unwrap().status)
    };
    let list = "list = \"http://crl.jpki.example/a.crl\"";
    let ocsp = "ocsp = \"http://ocsp.jpki.example:8080/b\"";
    let asked = read(&format!("{ocsp}\nocsp_minutes = 5\nocsp_nonce = false")).unwrap();
    let jpki::StatusFrom::Ocsp(responder) = asked else { panic!("{asked:?}") };
    assert_eq!(
        (responder.base.as_str(), responder.path.as_str(), responder.oldest_s, responder.nonce),
        ("http://ocsp.jpki.example:8080", "/b", 300, false)
    );
    let asked = read(ocsp).unwrap();
    let jpki::StatusFrom::Ocsp(responder) = asked else { panic!("{asked:?}") };
    assert_eq!((responder.oldest_s, responder.nonce), (3_600, true));
    let listed = read(list).unwrap();
    assert!(matches!(listed, jpki::StatusFrom::List { at: jpki::At::Http(..), oldest_s: 172_800 }));
    let file = read("list = \"jpki.crl\"\nlist_hours = 1").unwrap();
    assert!(matches!(file, jpki::StatusFrom::List { at: jpki::At::File(_), oldest_s: 3_600 }));
    for (more, key) in [
        (String::new(), "jpki.list"),
        (format!("{list}\n{ocsp}"), "jpki.list"),
        ("list = \"https://crl.jpki.example/a.crl\"".into(), "jpki.list"),
        ("ocsp = \"https://ocsp.jpki.example/\"".into(), "jpki.ocsp"),
        ("ocsp = \"http:///b\"".into(), "jpki.ocsp"),
        (format!("{list}\nocsp_nonce = true"), "jpki.ocsp_minutes"),
        (format!("{ocsp}\nlist_hours = 48"), "jpki.list_hours"),
    ] {
        let refused = read(&more);
        assert!(matches!(&refused, Err(ConfigRefusal::Value(k, _)) if *k == key), "{refused:?}");
    }
    for more in [format!("{ocsp}\nocsp_minutes = 0"), format!("{list}\nlist_hours = 169")] {
        assert!(matches!(read(&more), Err(ConfigRefusal::OutOfBounds { .. })), "{more}");
    }
}

#[test]
fn a_service_is_registered_only_so_that_everybody_knows_who_it_is_and_where_its_answers_go() {
    let line = |more: &str| {
        let (_folder, file) = with(|text| format!("{text}\n[[relying_party]]\n{more}\n"));
        PlatformConfig::load(&file).map(|config| config.relying_parties)
    };
    let usual = "id = \"app\"\nname = \"n\"\nredirects = [\"https://a.test/cb\"]\n";
    let known = line(&format!("{usual}scopes = [\"openid\"]")).unwrap();
    assert_eq!((known[0].sector.as_str(), known[0].proof.name()), ("a.test", "none"));
    let named = |refused: Result<_, ConfigRefusal>| match refused {
        Err(ConfigRefusal::Value(key, _)) => key,
        other => panic!("{other:?}"),
    };
    for (more, key) in [
        ("scopes = []", "relying_party.scopes"),
        // What a qualification is told to must prove who it is.
        ("scopes = [\"openid\", \"qualification\"]", "relying_party.scopes"),
        ("scopes = [\"openid\", \"registration_number\"]", "relying_party.scopes"),
        ("scopes = [\"openid\"]\nproof = \"private_key_jwt\"", "relying_party.proof"),
        ("scopes = [\"openid\"]\nproof = \"tls_client_auth\"", "relying_party.proof"),
        ("scopes = [\"openid\"]\nfacility = \"1310000001\"", "relying_party.proof"),
        ("scopes = [\"service\"]", "relying_party.kinds"),
        ("scopes = [\"openid\"]\nkinds = [\"statement\"]", "relying_party.kinds"),
        ("scopes = [\"openid\"]\ndevice = true", "relying_party.device"),
    ] {
        assert_eq!(named(line(&format!("{usual}{more}"))), key, "{more}");
    }
    let of = |redirects: &str, id: &str| {
        line(&format!(
            "id = {id:?}\nname = \"n\"\nredirects = [{redirects}]\nscopes = [\"openid\"]"
        ))
    };
    assert_eq!(named(of("", "a")), "relying_party.redirects");
    assert_eq!(named(of("\"http://a.test/cb\"", "a")), "relying_party.redirects");
    assert_eq!(
        named(of("\"https://a.test/cb\", \"https://b.test/cb\"", "a")),
        "relying_party.sector"
    );
    assert_eq!(named(of("\"https://a.test/cb\"", "a b")), "relying_party.id");
    let twice = format!("{usual}scopes = [\"openid\"]\n");
    assert_eq!(named(line(&format!("{twice}\n[[relying_party]]\n{twice}"))), "relying_party.id");
    let (_folder, file) =
        with(|text| text.replacen("qualification = []", "qualification = [\"nobody\"]", 1));
    assert_eq!(named(PlatformConfig::load(&file).map(|_| Vec::new())), "login.qualification");
}
