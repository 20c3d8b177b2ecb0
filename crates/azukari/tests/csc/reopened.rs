//! The same platform once more: with another policy, and a minute later.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::*;
use crate::town::Town;
use crate::{Client, RSA_SHA256, hash, invalid, refused, verified};

/// The same platform, opened again with one kind switched off and nobody registered for the other.
pub(crate) fn a_kind_that_is_off_is_not_signed(mut town: Town, token: String) -> Town {
    let credentials = town.demo["csc"]["persons"][1]["credentials"].clone();
    assert!(town.interrupt().success());
    let file = town.out.join("town/platform.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let off = changed(
        &text,
        "name = \"statement\"\nenabled = true",
        "name = \"statement\"\nenabled = false",
    );
    let off = changed(&off, "kinds = [\"statement\", \"referral\"]", "kinds = [\"statement\"]");
    std::fs::write(&file, off).unwrap();
    town.serve(&file);
    let his = Client { town: &town, over: town.facility(), token };
    assert_eq!(his.ask("v1/credentials/list", json!({})).well()["credentialIDs"], json!([]));
    for kind in ["statement", "referral"] {
        let body =
            json!({"credentialID": credentials[kind], "numSignatures": 1, "hash": [hash("a")]});
        let answer = his.ask("v1/credentials/authorize", body);
        assert_eq!(answer.status, 400, "{kind}: {answer:?}");
    }
    drop(his);
    assert!(town.interrupt().success());
    std::fs::write(&file, text).unwrap();
    town
}

/// The same platform, opened again for a program that is not trusted with hashes of its own making.
pub(crate) fn without_raw_hashes_only_documents_are_signed(mut town: Town, haruko: &Value) -> Town {
    let file = town.out.join("town/platform.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, changed(&text, "raw_hashes = true\n", "")).unwrap();
    town.serve(&file);
    let credential = haruko["credentials"]["statement"].as_str().unwrap();
    let token = haruko["access_token"].as_str().unwrap();
    let client = Client { town: &town, over: town.facility(), token: token.to_owned() };
    let sad = client.sad(credential, 2);
    for answer in [
        client.sign_v1(credential, &sad, &[hash("a")]),
        client.sign_v2(credential, &sad, &[hash("a")]),
    ] {
        refused(&answer, "unauthorized_client", "raw-hashes-not-allowed");
    }
    let signed = client.sign_doc(client.documents(credential, &sad, &["a"], "C")).well();
    assert_eq!(signed["SignatureObject"].as_array().unwrap().len(), 1);
    drop(client);
    assert!(town.interrupt().success());
    std::fs::write(&file, text).unwrap();
    town
}

/// The same platform, opened again with an address at which the program is told. It is asked for a
/// signature and opened again before anybody has fetched it.
pub(crate) fn a_program_is_told_when_its_signatures_are_there(
    mut town: Town,
    haruko: &Value,
) -> Town {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}/csc/done", listener.local_addr().unwrap());
    let file = town.out.join("town/platform.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let kinds = "kinds = [\"statement\", \"referral\"]";
    let told = text.replacen(kinds, &format!("{kinds}\nresponse_uris = [\"{uri}\"]"), 1);
    assert_ne!(told, text);
    std::fs::write(&file, told).unwrap();
    town.serve(&file);
    let credential = haruko["credentials"]["statement"].as_str().unwrap();
    let token = haruko["access_token"].as_str().unwrap();
    let client = Client { town: &town, over: town.facility(), token: token.to_owned() };
    let sad = client.sad(credential, 1);
    let begun = client.ask(
        "v2/signatures/signHash",
        json!({
            "credentialID": credential, "SAD": sad, "hashes": [hash("a")], "signAlgo": RSA_SHA256,
            "operationMode": "A", "response_uri": uri,
        }),
    );
    let begun = begun.well();
    drop(client);
    assert!(town.interrupt().success());
    town.serve(&file);
    // Whoever is told too early, or answers badly, is told again.
    for status in ["500 Internal Server Error", "204 No Content"] {
        let (mut connection, _) = listener.accept().unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"}") {
            let mut octet = [0];
            connection.read_exact(&mut octet).unwrap();
            heard.extend(octet);
        }
        let heard = String::from_utf8(heard).unwrap();
        assert!(heard.starts_with("POST /csc/done HTTP/1.1"), "{heard}");
        let (_, body) = heard.split_once("\r\n\r\n").unwrap();
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), begun, "nothing else is told");
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        connection.write_all(answer.as_bytes()).unwrap();
    }
    let client = Client { town: &town, over: town.facility(), token: token.to_owned() };
    let signed = client.poll(&begun["responseID"]);
    verified(&town, haruko, "a", &signed["signatures"][0]);
    drop(client);
    assert!(town.interrupt().success());
    std::fs::write(&file, text).unwrap();
    town
}

/// The same platform once more, and then on a machine on which a minute has passed.
pub(crate) fn a_sad_of_a_minute_ago_has_expired(mut town: Town, haruko: &Value) {
    let shim = town.out.join("clock.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/csc/clock.c");
    let made = [
        OsStr::new("-shared"),
        OsStr::new("-fPIC"),
        OsStr::new("-o"),
        shim.as_ref(),
        source.as_ref(),
    ];
    assert!(judge("gcc", &made).well());
    let file = town.out.join("town/platform.toml");
    let credential = haruko["credentials"]["statement"].as_str().unwrap();
    let token = haruko["access_token"].as_str().unwrap();
    let client = |town: &Town| (town.facility(), token.to_owned());

    town.serve(&file);
    let (over, bearer) = client(&town);
    let sad = Client { town: &town, over, token: bearer }.sad(credential, 2);
    assert!(town.interrupt().success());
    // A minute is what a SAD lives; the token lives for hours.
    let ahead = [("LD_PRELOAD", shim.as_os_str()), ("AHEAD_S", OsStr::new("60"))];
    town.serve_with(&file, &ahead);
    let (over, token) = client(&town);
    let client = Client { town: &town, over, token };
    invalid(&client.sign_v1(credential, &sad, &[hash("a")]), "SAD expired");
    invalid(&client.sign_v2(credential, &sad, &[hash("a")]), "SAD expired");
    let extend = json!({"credentialID": credential, "SAD": sad});
    invalid(&client.ask("v1/credentials/extendTransaction", extend), "SAD expired");
    let fresh = client.sad(credential, 1);
    client.sign_v2(credential, &fresh, &[hash("a")]).well();
}
