//! The Cloud Signature Consortium's interface as strangers use it: pyHanko's own client signs a PDF
//! through it and pyHanko's validator accepts the result; curl walks version 2; and whoever brings
//! what is not theirs hears what they would hear of something that does not exist.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod described;
mod documents;
mod oauth;
mod phone;
mod reopened;
#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code, reason = "shared with the outside program's walk")]
#[path = "../outside/town.rs"]
mod town;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use described::*;
use documents::*;
use oauth::a_program_takes_its_token_by_oauth;
use phone::Writer;
use reopened::*;
use serde_json::{Value, json};
use support::*;
use town::{Answer, Identity, Town};

const RSA: &str = "1.2.840.113549.1.1.1";
const RSA_SHA256: &str = "1.2.840.113549.1.1.11";
const SHA256: &str = "2.16.840.1.101.3.4.2.1";

/// A client of the interface: one connection's certificate, one person's token.
struct Client<'a> {
    town: &'a Town,
    over: Identity,
    token: String,
}

impl Client<'_> {
    fn ask(&self, path: &str, body: Value) -> Answer {
        let curl = self.town.platform(&format!("/csc/{path}"));
        curl.over(&self.over).bearer(&self.token).post(&body)
    }

    /// A SAD for this many signatures, out of the morning's approval.
    fn sad(&self, credential: &str, count: usize) -> String {
        let body = json!({"credentialID": credential, "numSignatures": count});
        let answer = self.ask("v1/credentials/authorize", body).well();
        assert_eq!(answer["expiresIn"], 60);
        answer["SAD"].as_str().unwrap().to_owned()
    }

    fn sign_v1(&self, credential: &str, sad: &str, hashes: &[String]) -> Answer {
        let body = json!({
            "credentialID": credential, "SAD": sad, "hash": hashes,
            "hashAlgo": SHA256, "signAlgo": RSA, "clientData": "of no meaning here",
        });
        self.ask("v1/signatures/signHash", body)
    }

    fn sign_v2(&self, credential: &str, sad: &str, hashes: &[String]) -> Answer {
        let body = json!({
            "credentialID": credential, "SAD": sad, "hashes": hashes,
            "hashAlgorithmOID": SHA256, "signAlgo": RSA_SHA256,
        });
        self.ask("v2/signatures/signHash", body)
    }
}

/// The specification's no.
fn refused(answer: &Answer, error: &str, description: &str) {
    assert_eq!(answer.body["error"], error, "{answer:?}");
    let said = answer.body["error_description"].as_str().unwrap();
    assert!(said.contains(description), "{answer:?}");
    assert_eq!(answer.body.as_object().unwrap().len(), 2, "nothing else is said: {answer:?}");
    assert!(matches!(answer.status, 400 | 401 | 501), "{answer:?}");
}

fn invalid(answer: &Answer, description: &str) {
    refused(answer, "invalid_request", description);
    assert_eq!(answer.status, 400);
}

/// Both answers, octet by octet.
fn alike(one: &Answer, other: &Answer) {
    assert_eq!((one.status, one.body.to_string()), (other.status, other.body.to_string()));
}

/// A document, its hash for the interface.
fn hash(of: &str) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("csc-{of}.bin"));
    std::fs::write(&file, of).unwrap();
    let arguments = ["dgst".into(), "-sha256".into(), "-binary".into(), file.into_os_string()];
    let ran = std::process::Command::new("openssl").args(arguments).output().unwrap();
    assert_eq!(ran.stdout.len(), 32);
    STANDARD.encode(ran.stdout)
}

/// OpenSSL says whether this is the person's signature over the document.
fn verified(town: &Town, person: &Value, of: &str, signature: &Value) {
    let folder = &town.out;
    let (signed, key) = (folder.join("one.sig"), folder.join("one.pub"));
    std::fs::write(&signed, STANDARD.decode(signature.as_str().unwrap()).unwrap()).unwrap();
    let certificate = person["certificate"].as_str().unwrap();
    let public = judge("openssl", &["x509", "-in", certificate, "-noout", "-pubkey"]);
    std::fs::write(&key, public.out).unwrap();
    let document = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("csc-{of}.bin"));
    let arguments: Vec<OsString> = vec![
        "dgst".into(),
        "-sha256".into(),
        "-verify".into(),
        key.into(),
        "-signature".into(),
        signed.into(),
        document.into(),
    ];
    assert_eq!(judge("openssl", &arguments).out.trim(), "Verified OK");
}

#[test]
fn a_registered_client_signs_hashes_by_their_owners_approval_and_nobody_elses() {
    let town = Town::open_with("csc-town", &["--csc"]);
    let persons = town.demo["csc"]["persons"].clone();
    let (haruko, natsuo) = (&persons[0], &persons[1]);
    let client = Client {
        town: &town,
        over: town.facility(),
        token: haruko["access_token"].as_str().unwrap().to_owned(),
    };
    info_says_what_is_there(&town);
    the_owner_finds_her_credentials(&client, haruko);
    pyhanko_signs_a_pdf_and_accepts_it(&town);
    one_authorisation_signs_as_often_as_it_says(&client, haruko);
    hashes_that_are_named_are_the_only_ones(&client, haruko);
    what_is_not_as_specified_is_named(&client, haruko);
    a_document_is_signed_by_its_digest(&client, haruko);
    what_is_no_document_digest_is_named(&client, haruko);

    let mut writer = Writer::link(&town, natsuo);
    let his = Client {
        town: &town,
        over: town.facility(),
        token: writer.token(&town.facility(), &["statement", "referral"]),
    };
    what_is_anothers_does_not_exist(&client, haruko, &his, natsuo);
    a_letter_is_signed_when_its_owner_has_approved_it(&his, &mut writer, &client);
    what_its_owner_refuses_is_not_signed(&his, &writer);
    a_letter_is_approved_as_the_document_that_it_is(&his, &mut writer);
    signatures_are_fetched_later(&client, haruko, &his);
    a_token_is_given_back(&town, &mut writer, &his);
    a_key_for_prescriptions_is_no_credential(&town, &client);
    only_registered_clients_are_served(&town, &client, haruko, &mut writer);
    a_program_takes_its_token_by_oauth(&town, &mut writer);
    every_description_has_its_door_and_every_endpoint_its_description(&town);
    the_description_has_every_path_of_both_versions(&town);
    let token = his.token.clone();
    let town = a_kind_that_is_off_is_not_signed(town, token);
    let town = a_program_is_told_when_its_signatures_are_there(town, haruko);
    let town = without_raw_hashes_only_documents_are_signed(town, haruko);
    a_sad_of_a_minute_ago_has_expired(town, haruko);
}

fn info_says_what_is_there(town: &Town) {
    // Anyone may ask, also without a body.
    let v1 = town.platform("/csc/v1/info").post(&json!({"lang": "ja"})).well();
    assert_eq!(
        (&v1["specs"], &v1["region"], &v1["lang"]),
        (&json!("1.0.4.0"), &json!("JP"), &json!("ja-JP"))
    );
    let v2 = town.platform("/csc/v2/info").post(&json!({})).well();
    assert_eq!((&v2["specs"], &v2["asynchronousOperationMode"]), (&json!("2.0.0.2"), &json!(true)));
    assert_eq!(
        v2["signature_formats"],
        json!({"formats": ["C", "P"],
            "envelope_properties": [["Detached"], ["Certification", "Revision"]]})
    );
    assert_eq!(v2["conformance_levels"], json!(["Ades-B-B"]));
    for (version, info) in [("v1", &v1), ("v2", &v2)] {
        let oauth = if version == "v2" { json!(["TLS", "oauth2code"]) } else { json!(["TLS"]) };
        assert_eq!(info["authType"], oauth);
        for method in info["methods"].as_array().unwrap() {
            // What is named is there: without a certificate it is refused, not missing.
            let path = format!("/csc/{version}/{}", method.as_str().unwrap());
            let answer = town.platform(&path).post(&json!({}));
            assert_ne!(answer.status, 501, "{path}");
            let oauth = method.as_str().is_some_and(|method| method.starts_with("oauth2/"));
            if method != "info" && !oauth {
                refused(&answer, "unauthorized_client", "client certificate");
            }
        }
        let of_version_2 = ["signatures/signDoc", "signatures/signPolling"];
        let absent = ["signatures/timestamp", "auth/login", "credentials/sendOTP"];
        let absent = absent.iter().chain(of_version_2.iter().filter(|_| version == "v1"));
        for absent in absent {
            assert!(!info["methods"].as_array().unwrap().contains(&json!(absent)));
            let answer = town.platform(&format!("/csc/{version}/{absent}")).post(&json!({}));
            assert_eq!(answer.status, 501);
            refused(&answer, "invalid_request", "does not have this method");
        }
    }
    let logo = town.platform("/csc/logo.png").run();
    assert!(logo.well() && logo.out.contains("PNG"));
}

fn the_owner_finds_her_credentials(client: &Client<'_>, haruko: &Value) {
    let statement = &haruko["credentials"]["statement"];
    let all = json!([haruko["credentials"]["referral"], statement]);
    for version in ["v1", "v2"] {
        let list = client.ask(&format!("{version}/credentials/list"), json!({})).well();
        assert_eq!(list["credentialIDs"], all);
        let other = client.ask(&format!("{version}/credentials/list"), json!({"userID": "x"}));
        invalid(&other, "userID parameter MUST be null");
    }
    // Page by page.
    let first = client.ask("v1/credentials/list", json!({"maxResults": 1})).well();
    assert_eq!(first["credentialIDs"], json!([all[0]]));
    let next = json!({"maxResults": 1, "pageToken": first["nextPageToken"]});
    let second = client.ask("v1/credentials/list", next).well();
    assert_eq!((&second["credentialIDs"], second.get("nextPageToken")), (&json!([all[1]]), None));
    let odd = client.ask("v1/credentials/list", json!({"pageToken": "elsewhere"}));
    invalid(&odd, "Invalid parameter pageToken");

    let body = json!({"credentialID": statement, "certificates": "chain", "certInfo": true, "authInfo": true});
    let v1 = client.ask("v1/credentials/info", body.clone()).well();
    let v2 = client.ask("v2/credentials/info", body).well();
    for info in [&v1, &v2] {
        assert_eq!(
            info["key"],
            json!({"status": "enabled", "algo": [RSA, RSA_SHA256], "len": 2048})
        );
        assert_eq!(info["cert"]["status"], "valid");
        let certificates = info["cert"]["certificates"].as_array().unwrap();
        let pem = std::fs::read_to_string(haruko["certificate"].as_str().unwrap()).unwrap();
        let hers: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        assert_eq!(
            (certificates.len(), &certificates[0]),
            (3, &json!(hers)),
            "hers, its CA's, the root's"
        );
        assert!(info["cert"]["subjectDN"].as_str().unwrap().ends_with("C=JP"), "RFC 4514 order");
        assert_eq!(info["cert"]["validTo"].as_str().unwrap().len(), 15);
        assert_eq!((&info["SCAL"], &info["multisign"]), (&json!("1"), &json!(1000)));
    }
    assert_eq!(v1["authMode"], "implicit");
    assert_eq!(
        (&v2["auth"], &v2["signatureQualifier"]),
        (&json!({"mode": "explicit", "objects": []}), &json!("jp_hpki_statement"))
    );

    let body = json!({"credentialInfo": true, "certificates": "none", "authInfo": true, "onlyValid": true, "lang": "ja"});
    let list = client.ask("v2/credentials/list", body).well();
    let referral = &list["credentialInfos"][0];
    assert_eq!((&list["onlyValid"], &referral["SCAL"]), (&json!(true), &json!("2")));
    assert_eq!((&referral["description"], &referral["lang"]), (&json!("紹介状"), &json!("ja-JP")));
    assert_eq!(referral["auth"]["objects"][0]["type"], "ChallengeResponseOOB");
    assert!(referral["cert"].get("certificates").is_none());
    assert!(client.ask("v2/credentials/list", json!({})).well().get("credentialInfos").is_none());
}

/// The smallest PDF there is.
pub(crate) fn pdf() -> Vec<u8> {
    let objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<<>>>>",
    ];
    let mut text = String::from("%PDF-1.7\n");
    let mut table = String::from("xref\n0 4\n0000000000 65535 f \n");
    for (index, object) in objects.iter().enumerate() {
        table.push_str(&format!("{:010} 00000 n \n", text.len()));
        text.push_str(&format!("{} 0 obj\n{object}\nendobj\n", index + 1));
    }
    let at = text.len();
    text.push_str(&format!("{table}trailer\n<</Size 4/Root 1 0 R>>\nstartxref\n{at}\n%%EOF\n"));
    text.into_bytes()
}

fn pyhanko_signs_a_pdf_and_accepts_it(town: &Town) {
    let (plain, signed) = (town.out.join("plain.pdf"), town.out.join("signed.pdf"));
    std::fs::write(&plain, pdf()).unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/csc_sign_pdf.py");
    let arguments: [PathBuf; 4] = [example, town.out.join("demo.json"), plain, signed.clone()];
    let ran = judge(kept_judge("python"), &arguments);
    assert!(ran.well(), "{ran:?}");
    let said = ran.json();
    for member in ["intact", "valid", "trusted", "bottom_line", "hpki"] {
        assert_eq!(said[member], true, "{member}: {said}");
    }
    assert_eq!(said["whole_document"], "ENTIRE_FILE");
    assert!(said["signer"].as_str().unwrap().contains("Haruko"));
    // And the judge is one: a changed octet is noticed.
    let mut changed = std::fs::read(&signed).unwrap();
    let at = changed.windows(9).position(|octets| octets == b"/MediaBox").unwrap();
    changed[at + 12] ^= 1;
    std::fs::write(&signed, changed).unwrap();
    let check = [
        OsString::from("-c"),
        "import sys; sys.path.insert(0, sys.argv[1]); import asyncio, json, pathlib, csc_sign_pdf as e; \
         asyncio.run(e.verify(json.loads(pathlib.Path(sys.argv[2]).read_text()), pathlib.Path(sys.argv[3])))"
            .into(),
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples").into(),
        town.out.join("demo.json").into(),
        signed.into(),
    ];
    assert!(!judge(kept_judge("python"), &check).well(), "a changed PDF is refused");
}

fn one_authorisation_signs_as_often_as_it_says(client: &Client<'_>, haruko: &Value) {
    let credential = haruko["credentials"]["statement"].as_str().unwrap();
    let (a, b, c) = (hash("a"), hash("b"), hash("c"));
    let sad = client.sad(credential, 3);
    let both = client.sign_v1(credential, &sad, &[a.clone(), b.clone()]).well();
    verified(client.town, haruko, "a", &both["signatures"][0]);
    verified(client.town, haruko, "b", &both["signatures"][1]);
    // One is left; the new SAD ends the old one.
    // Under the same key's name for another kind, the SAD is nobody's.
    let other = credential.replace(".statement", ".referral");
    assert_ne!(other, credential);
    let nobodys = client.sign_v2(&other, &sad, std::slice::from_ref(&c));
    invalid(&nobodys, "Invalid parameter SAD");
    let elsewhere = json!({"credentialID": other, "SAD": sad});
    invalid(&client.ask("v2/credentials/extendTransaction", elsewhere), "Invalid parameter SAD");
    let extend = json!({"credentialID": credential, "SAD": sad});
    let extended = client.ask("v2/credentials/extendTransaction", extend.clone()).well();
    let next = extended["SAD"].as_str().unwrap().to_owned();
    assert_ne!(next, sad);
    invalid(&client.sign_v1(credential, &sad, std::slice::from_ref(&c)), "Invalid parameter SAD");
    invalid(&client.ask("v1/credentials/extendTransaction", extend), "Invalid parameter SAD");
    let too_many = client.sign_v2(credential, &next, &[a.clone(), c.clone()]);
    invalid(&too_many, "Numbers of signatures is too high");
    let last = client.sign_v2(credential, &next, std::slice::from_ref(&c)).well();
    verified(client.town, haruko, "c", &last["signatures"][0]);
    // Used up.
    let spent = client.sign_v2(credential, &next, std::slice::from_ref(&c));
    assert_eq!(spent.status, 400, "{spent:?}");
    assert_eq!(spent.body["error"], "invalid_request");
    // More than one authorisation gives.
    let body = json!({"credentialID": credential, "numSignatures": 1001});
    let answer = client.ask("v1/credentials/authorize", body);
    invalid(&answer, "Numbers of signatures is too high");
}

fn hashes_that_are_named_are_the_only_ones(client: &Client<'_>, haruko: &Value) {
    let credential = haruko["credentials"]["statement"].as_str().unwrap();
    let body = json!({
        "credentialID": credential, "numSignatures": 2, "hashes": [hash("a"), hash("b")],
        "hashAlgorithmOID": SHA256,
    });
    let sad = client.ask("v2/credentials/authorize", body).well();
    let sad = sad["SAD"].as_str().unwrap();
    // One of two changed: nothing is signed, and nothing is spent.
    let changed = client.sign_v2(credential, sad, &[hash("a"), hash("c")]);
    invalid(&changed, "Hash is not authorized by the SAD");
    let well = client.sign_v2(credential, sad, &[hash("a"), hash("b")]).well();
    verified(client.town, haruko, "b", &well["signatures"][1]);
}

fn what_is_not_as_specified_is_named(client: &Client<'_>, haruko: &Value) {
    let credential = haruko["credentials"]["statement"].as_str().unwrap();
    let sad = client.sad(credential, 1);
    let whole = json!({
        "credentialID": credential, "SAD": sad, "hash": [hash("a")],
        "hashAlgo": SHA256, "signAlgo": RSA,
    });
    for (member, value, description) in [
        ("signAlgo", json!("1.2.840.113549.1.1.10"), "Invalid parameter signAlgo"),
        ("signAlgo", json!("1.2.840.10045.4.3.2"), "Invalid parameter signAlgo"),
        ("hashAlgo", json!("1.3.14.3.2.26"), "Invalid parameter hashAlgo"),
        ("hashAlgo", Value::Null, "string parameter hashAlgo"),
        ("hash", json!([]), "Empty hash array"),
        ("hash", json!(["AAAA"]), "Invalid digest value length"),
        ("SAD", json!("no SAD of anybody"), "Invalid parameter SAD"),
        ("SAD", Value::Null, "string parameter SAD"),
        ("credentialID", json!("nobody's"), "Invalid parameter credentialID"),
    ] {
        let mut body = whole.clone();
        body[member] = value;
        invalid(&client.ask("v1/signatures/signHash", body), description);
    }
    // None of it has spent the SAD.
    client.ask("v1/signatures/signHash", whole).well();

    let raw = client.town.platform("/csc/v1/credentials/list").over(&client.over);
    invalid(&raw.post(&json!({})), "Malformed authorization header");
    let raw = client.town.platform("/csc/v1/credentials/list").over(&client.over);
    let answer = raw.bearer("not.a.token").post(&json!({}));
    refused(&answer, "invalid_token", "token-malformed");
    assert_eq!(answer.status, 401);
    let answer = client.ask("v1/credentials/list", json!([]));
    assert_eq!((answer.status, &answer.body["error"]), (400, &json!("invalid_request")));
}

fn what_is_anothers_does_not_exist(
    client: &Client<'_>,
    haruko: &Value,
    his: &Client<'_>,
    natsuo: &Value,
) {
    let hers = haruko["credentials"]["statement"].as_str().unwrap();
    let own = natsuo["credentials"]["statement"].as_str().unwrap();
    let nobodys = format!("{}.statement", "0".repeat(32));
    let sad = client.sad(hers, 1);
    let unknown = STANDARD.encode([7; 32]).replace(['+', '/'], "-").replace('=', "");
    for path in [
        "v1/credentials/info",
        "v2/credentials/info",
        "v1/credentials/authorize",
        "v2/credentials/authorize",
    ] {
        let with = |credential: &str| {
            his.ask(path, json!({"credentialID": credential, "numSignatures": 1}))
        };
        alike(&with(hers), &with(&nobodys));
        invalid(&with(hers), "Invalid parameter credentialID");
    }
    // Her SAD in his hands, with her credential or his own: like one that nobody has.
    for credential in [hers, own, nobodys.as_str()] {
        let foreign = his.sign_v2(credential, &sad, &[hash("a")]);
        alike(&foreign, &his.sign_v2(credential, &unknown, &[hash("a")]));
        let extend = |sad: &str| {
            his.ask(
                "v1/credentials/extendTransaction",
                json!({"credentialID": credential, "SAD": sad}),
            )
        };
        alike(&extend(&sad), &extend(&unknown));
    }
    invalid(&his.sign_v2(own, &sad, &[hash("a")]), "Invalid parameter SAD");
    // It is still hers to spend.
    client.sign_v2(hers, &sad, &[hash("a")]).well();
}

fn a_letter_is_signed_when_its_owner_has_approved_it(
    his: &Client<'_>,
    writer: &mut Writer<'_>,
    stranger: &Client<'_>,
) {
    let credential = writer.person["credentials"]["referral"].as_str().unwrap().to_owned();
    let body = json!({
        "credentialID": credential, "numSignatures": 2, "hashes": [hash("x"), hash("y")],
        "hashAlgorithmOID": SHA256, "authData": [{"id": "phone"}],
    });
    let without = json!({"credentialID": credential, "numSignatures": 1});
    let answer = his.ask("v2/credentials/authorize", without);
    assert_eq!(answer.status, 400, "hashes must be pinned: {answer:?}");

    let pending = his.ask("v2/credentials/authorize", body.clone());
    assert_eq!(pending.status, 202, "{pending:?}");
    let handle = pending.body.clone();
    let challenge = json!({"credentialID": credential, "authObjectID": "phone"});
    let qr = his.ask("v2/credentials/getChallenge", challenge.clone()).well();
    let check = || his.ask("v2/credentials/authorizeCheck", handle.clone());
    alike(&check(), &pending);
    // Asking again while the owner thinks is the same authorisation.
    alike(&his.ask("v2/credentials/authorize", body), &pending);

    let seen = writer.approve_documents(qr["challenge"].as_str().unwrap());
    assert_eq!((seen.count, seen.kinds.len()), (2, 1));
    assert_eq!(seen.terminal_id, "letters");
    // His colleague at the same client gets nothing by the handle, nor takes anything away.
    let nobodys = json!({"handle": format!("{0}.{0}", "0".repeat(32))});
    let with = |handle: &Value| stranger.ask("v2/credentials/authorizeCheck", handle.clone());
    alike(&with(&handle), &with(&nobodys));
    invalid(&with(&handle), "Invalid parameter handle");
    let sad = check().well();
    let sad = sad["SAD"].as_str().unwrap();
    let changed = his.sign_v2(&credential, sad, &[hash("x"), hash("z")]);
    invalid(&changed, "Hash is not authorized by the SAD");
    let signed = his.sign_v2(&credential, sad, &[hash("x"), hash("y")]).well();
    verified(his.town, &writer.person, "x", &signed["signatures"][0]);
    verified(his.town, &writer.person, "y", &signed["signatures"][1]);
    let again = his.sign_v2(&credential, sad, &[hash("x")]);
    assert_eq!(again.status, 400, "{again:?}");
    // Nothing waits any more.
    assert_eq!(his.ask("v2/credentials/getChallenge", challenge).status, 400);

    // The other way round: the challenge first, for hashes that authorize then names; version 1,
    // which has no second question, waits for the owner.
    let challenge = json!({
        "credentialID": credential, "authObjectID": "phone", "hashes": [hash("z")],
    });
    let qr = his.ask("v2/credentials/getChallenge", challenge).well();
    writer.approve_documents(qr["challenge"].as_str().unwrap());
    let body = json!({"credentialID": credential, "numSignatures": 1, "hash": [hash("z")]});
    let sad = his.ask("v1/credentials/authorize", body).well();
    let signed = his.sign_v1(&credential, sad["SAD"].as_str().unwrap(), &[hash("z")]).well();
    verified(his.town, &writer.person, "z", &signed["signatures"][0]);
}

fn what_its_owner_refuses_is_not_signed(his: &Client<'_>, writer: &Writer<'_>) {
    let credential = writer.person["credentials"]["referral"].as_str().unwrap();
    let body = json!({"credentialID": credential, "numSignatures": 1, "hashes": [hash("no")]});
    let pending = his.ask("v2/credentials/authorize", body);
    assert_eq!(pending.status, 202, "{pending:?}");
    let challenge = json!({"credentialID": credential, "authObjectID": "phone"});
    let qr = his.ask("v2/credentials/getChallenge", challenge).well();
    writer.refuse(qr["challenge"].as_str().unwrap());
    let answer = his.ask("v2/credentials/authorizeCheck", pending.body);
    refused(&answer, "access_denied", "ceremony-refused");
}

fn a_key_for_prescriptions_is_no_credential(town: &Town, client: &Client<'_>) {
    let hanako = town.person("Medical Doctor");
    let hers = Client {
        town,
        over: town.facility(),
        token: hanako["access_token"].as_str().unwrap().to_owned(),
    };
    let list = hers.ask("v2/credentials/list", json!({})).well();
    assert_eq!(list["credentialIDs"], json!([]));
    for kind in ["prescription", "statement", "referral"] {
        let credential = format!("{}.{kind}", hanako["credential_id"].as_str().unwrap());
        let nobodys = format!("{}.{kind}", "0".repeat(32));
        for caller in [&hers, client] {
            let with = |credential: &str| {
                let body = json!({"credentialID": credential, "numSignatures": 1});
                caller.ask("v1/credentials/authorize", body)
            };
            alike(&with(&credential), &with(&nobodys));
            assert_eq!(with(&credential).status, 400);
        }
    }
}

fn only_registered_clients_are_served(
    town: &Town,
    client: &Client<'_>,
    haruko: &Value,
    writer: &mut Writer<'_>,
) {
    let credential = haruko["credentials"]["statement"].as_str().unwrap();
    // A token is bound to its connection.
    let stolen = Client { town, over: town.hospital(), token: client.token.clone() };
    let answer = stolen
        .ask("v1/credentials/authorize", json!({"credentialID": credential, "numSignatures": 1}));
    refused(&answer, "invalid_token", "token-wrong-certificate");
    // A facility in good standing, with a token of its own, that nobody has registered.
    let stranger = Client {
        town,
        over: town.hospital(),
        token: writer.token(&town.hospital(), &["statement"]),
    };
    let own = &writer.person["credentials"]["statement"];
    for path in ["v1/credentials/list", "v2/credentials/info", "v2/credentials/authorize"] {
        let answer = stranger.ask(path, json!({"credentialID": own, "numSignatures": 1}));
        refused(&answer, "unauthorized_client", "client-unknown");
    }
}

fn the_description_has_every_path_of_both_versions(town: &Town) {
    let openapi = described(town);
    for (version, methods) in [("v1", 7), ("v2", 11)] {
        let begin = format!("/csc/{version}/");
        let paths = openapi["paths"].as_object().unwrap();
        let ours = |path: &str| path.starts_with(&begin) && !path.contains("/oauth2/");
        let found: Vec<_> = paths.iter().filter(|(path, _)| ours(path)).collect();
        assert_eq!(found.len(), methods);
        for (path, item) in found {
            let body = &item["post"]["requestBody"]["content"]["application/json"]["schema"];
            let schema = body["$ref"].as_str().unwrap().trim_start_matches('#');
            assert!(openapi.pointer(schema).unwrap()["example"].is_object(), "{path}: {schema}");
        }
    }
}
