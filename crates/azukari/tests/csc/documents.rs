//! Documents that are signed by their digests alone (signDoc), and signatures that are fetched later
//! (signPolling): judged by OpenSSL and pyHanko.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::phone::Writer;
use crate::support::*;
use crate::town::{Answer, Town};
use crate::{Client, RSA, RSA_SHA256, SHA256, alike, hash, invalid, pdf, refused, verified};

impl Client<'_> {
    /// What `signDoc` asks for these documents, detached.
    pub(crate) fn documents(
        &self,
        credential: &str,
        sad: &str,
        documents: &[&str],
        format: &str,
    ) -> Value {
        let hashes: Vec<_> = documents.iter().map(|of| hash(of)).collect();
        json!({
            "credentialID": credential, "SAD": sad,
            "documentDigests": [{
                "hashes": hashes, "hashAlgorithmOID": SHA256, "signature_format": format,
                "conformance_level": "AdES-B-B", "signAlgo": RSA,
            }],
        })
    }

    pub(crate) fn sign_doc(&self, body: Value) -> Answer {
        self.ask("v2/signatures/signDoc", body)
    }

    /// Asks until the signatures are there.
    pub(crate) fn poll(&self, response: &Value) -> Value {
        loop {
            let polled = self.ask("v2/signatures/signPolling", json!({"requestID": response}));
            if polled.status == 200 {
                return polled.body;
            }
            assert_eq!((polled.status, &polled.body["error"]), (202, &json!("accepted_request")));
        }
    }
}

/// OpenSSL says whether this is a signature of the town's over the document, by the town's root and
/// lists, with the signing certificate named in it (`-cades`).
fn cms_verified(town: &Town, of: &str, object: &Value) -> bool {
    let (signature, trusted) = (town.out.join("object.p7s"), town.out.join("trusted.pem"));
    std::fs::write(&signature, STANDARD.decode(object.as_str().unwrap()).unwrap()).unwrap();
    let mut pem = std::fs::read(town.text("/anchor")).unwrap();
    for list in std::fs::read_dir(town.text("/crl_folder")).unwrap() {
        let list = list.unwrap().path();
        if list.extension().is_some_and(|extension| extension == "crl") {
            let read: [OsString; 5] =
                ["crl".into(), "-inform".into(), "DER".into(), "-in".into(), list.into()];
            pem.extend(judge("openssl", &read).out.into_bytes());
        }
    }
    std::fs::write(&trusted, pem).unwrap();
    let document = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("csc-{of}.bin"));
    let mut arguments: Vec<OsString> = ["cms", "-verify", "-cades", "-binary", "-inform", "DER"]
        .into_iter()
        .map(OsString::from)
        .collect();
    let files = [("-in", &signature), ("-content", &document), ("-CAfile", &trusted)];
    for (name, file) in files {
        arguments.extend([name.into(), file.into()]);
    }
    arguments.extend(["-crl_check_all", "-purpose", "any", "-out", "/dev/null"].map(Into::into));
    judge("openssl", &arguments).well()
}

pub(crate) fn a_document_is_signed_by_its_digest(client: &Client<'_>, haruko: &Value) {
    let credential = haruko["credentials"]["statement"].as_str().unwrap();
    let (town, both) = (client.town, ["contract", "consent"]);
    for (format, envelope) in [("C", "Detached"), ("P", "Revision")] {
        let sad = client.sad(credential, 2);
        let mut body = client.documents(credential, &sad, &both, format);
        body["documentDigests"][0]["signed_envelope_property"] = json!(envelope);
        body["returnValidationInfo"] = json!(true);
        let signed = client.sign_doc(body).well();
        let objects = signed["SignatureObject"].as_array().unwrap();
        assert_eq!((objects.len(), signed.get("DocumentWithSignature")), (2, None));
        for (of, object) in both.iter().zip(objects) {
            assert!(cms_verified(town, of, object), "{format} {of}");
        }
        assert!(!cms_verified(town, "consent", &objects[0]), "another document's");
        let lists = signed["validationInfo"]["crl"].as_array().unwrap();
        assert_eq!(lists.len(), 3, "her authority's, and the root's two");
    }
    // By the qualifier, in the default form, and one hash without brackets as the specification's
    // example has it.
    let sad = client.sad(credential, 1);
    let signed = client.sign_doc(json!({
        "signatureQualifier": "jp_hpki_statement", "SAD": sad,
        "documentDigests": [
            {"hashes": hash("contract"), "signature_format": "C", "signAlgo": RSA_SHA256},
        ],
    }));
    assert!(cms_verified(town, "contract", &signed.well()["SignatureObject"][0]));
    pyhanko_puts_the_signature_into_its_pdf(town);
}

fn pyhanko_puts_the_signature_into_its_pdf(town: &Town) {
    let (plain, signed) = (town.out.join("plain.pdf"), town.out.join("by-digest.pdf"));
    std::fs::write(&plain, pdf()).unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/csc_sign_doc.py");
    let arguments: [PathBuf; 4] = [example, town.out.join("demo.json"), plain, signed];
    let ran = judge(kept_judge("python"), &arguments);
    assert!(ran.well(), "{ran:?}");
    let said = ran.json();
    for member in ["intact", "valid", "trusted", "bottom_line", "hpki"] {
        assert_eq!(said[member], true, "{member}: {said}");
    }
    assert_eq!(said["whole_document"], "ENTIRE_FILE");
}

pub(crate) fn what_is_no_document_digest_is_named(client: &Client<'_>, haruko: &Value) {
    let credential = haruko["credentials"]["statement"].as_str().unwrap();
    let pinned = json!({
        "credentialID": credential, "numSignatures": 1, "hashes": [hash("contract")],
        "hashAlgorithmOID": SHA256,
    });
    let sad = client.ask("v2/credentials/authorize", pinned).well();
    let sad = sad["SAD"].as_str().unwrap();
    let whole = client.documents(credential, sad, &["contract"], "C");
    let document = json!([{"document": "JVBERi0=", "signature_format": "P", "signAlgo": RSA}]);
    for (member, value, description) in [
        ("credentialID", Value::Null, "string parameter credentialID"),
        ("credentialID", json!("nobody's"), "Invalid parameter credentialID"),
        ("signatureQualifier", json!("eu_eidas_qes"), "Invalid parameter signatureQualifier"),
        ("SAD", Value::Null, "string parameter SAD"),
        ("SAD", json!("no SAD of anybody"), "Invalid parameter SAD"),
        ("documents", document, "Both documentDigests and documents parameters passed"),
        ("documentDigests", json!({}), "Invalid object parameter documentDigests"),
        ("documentDigests", json!([]), "Empty documentDigests and documents objects"),
        ("documentDigests", Value::Null, "Empty documentDigests and documents objects"),
        ("operationMode", json!("B"), "Invalid parameter operationMode"),
        ("validity_period", json!(1), "Invalid parameter validity_period"),
        ("response_uri", json!("https://letters.test"), "Invalid parameter response_uri"),
    ] {
        let mut body = whole.clone();
        body[member] = value;
        invalid(&client.sign_doc(body), description);
    }
    for (member, value, description) in [
        ("hashes", json!([]), "Empty hash array"),
        ("hashes", json!(["*"]), "Invalid Base64 hashes string parameter"),
        ("hashes", json!(["AAAA"]), "Invalid digest value length"),
        ("hashes", json!([hash("consent")]), "are not authorized by the SAD"),
        ("hashAlgorithmOID", json!("1.3.14.3.2.26"), "Invalid parameter hashAlgorithmOID"),
        ("signature_format", json!("X"), "Invalid parameter signature_format"),
        ("signature_format", Value::Null, "string parameter signature_format"),
        ("conformance_level", json!("AdES-B-T"), "Invalid parameter conformance_level"),
        ("signed_envelope_property", json!("Attached"), "parameter signed_envelope_property"),
        ("signed_props", json!([{"attribute_name": "Reason"}]), "parameter signed_props (Reason)"),
        ("signAlgo", json!("1.2.840.113549.1.1.10"), "Invalid parameter signAlgo"),
        ("signAlgo", Value::Null, "string parameter signAlgo"),
    ] {
        let mut body = whole.clone();
        body["documentDigests"][0][member] = value;
        invalid(&client.sign_doc(body), description);
    }
    let mut contradicts = whole.clone();
    contradicts["documentDigests"][0]["signAlgo"] = json!(RSA_SHA256);
    contradicts["documentDigests"][0]["hashAlgorithmOID"] = json!("1.3.14.3.2.26");
    invalid(&client.sign_doc(contradicts), "hashAlgorithmOID contradicts with signAlgo");
    let mut sent = whole.clone();
    let body = sent.as_object_mut().unwrap();
    body.remove("documentDigests");
    body.insert("documents".into(), json!([{"document": "JVBERi0="}]));
    invalid(&client.sign_doc(sent), "Invalid array parameter documents");
    // None of it has spent the SAD.
    client.sign_doc(whole).well();
}

pub(crate) fn a_letter_is_approved_as_the_document_that_it_is(
    his: &Client<'_>,
    writer: &mut Writer<'_>,
) {
    let credential = writer.person["credentials"]["referral"].as_str().unwrap().to_owned();
    let asked = |format: &str| {
        json!({
            "credentialID": credential, "numSignatures": 1, "hashes": [hash("letter")],
            "hashAlgorithmOID": SHA256, "authData": [{"id": "phone"}],
            "signature_format": format,
        })
    };
    invalid(&his.ask("v2/credentials/authorize", asked("J")), "Invalid parameter signature_format");
    let pending = his.ask("v2/credentials/authorize", asked("C"));
    assert_eq!(pending.status, 202, "{pending:?}");
    // The same hash for another form of signature is another authorisation.
    let other = his.ask("v2/credentials/authorize", asked("P"));
    assert_ne!(other.body, pending.body);
    alike(&his.ask("v2/credentials/authorize", asked("C")), &pending);
    let challenge = json!({
        "credentialID": credential, "authObjectID": "phone", "hashes": [hash("letter")],
        "signature_format": "C",
    });
    let qr = his.ask("v2/credentials/getChallenge", challenge).well();
    writer.approve_documents(qr["challenge"].as_str().unwrap());
    let sad = his.ask("v2/credentials/authorizeCheck", pending.body).well();
    let sad = sad["SAD"].as_str().unwrap();
    let as_it_is = his.sign_v2(&credential, sad, &[hash("letter")]);
    invalid(&as_it_is, "Hash is not authorized by the SAD");
    let in_a_pdf = his.sign_doc(his.documents(&credential, sad, &["letter"], "P"));
    invalid(&in_a_pdf, "documentDigests or documents are not authorized by the SAD");
    let signed = his.sign_doc(his.documents(&credential, sad, &["letter"], "C")).well();
    assert!(cms_verified(his.town, "letter", &signed["SignatureObject"][0]));
}

pub(crate) fn signatures_are_fetched_later(
    client: &Client<'_>,
    haruko: &Value,
    colleague: &Client<'_>,
) {
    let credential = haruko["credentials"]["statement"].as_str().unwrap();
    let sad = client.sad(credential, 2);
    let whole = json!({
        "credentialID": credential, "SAD": sad, "hashes": [hash("b"), hash("a")],
        "hashAlgorithmOID": SHA256, "signAlgo": RSA, "operationMode": "A",
        "validity_period": 600_000,
    });
    for (member, value, description) in [
        ("operationMode", json!("B"), "Invalid parameter operationMode"),
        ("operationMode", json!(7), "Invalid parameter operationMode"),
        ("operationMode", json!("S"), "Invalid parameter validity_period"),
        ("validity_period", json!("long"), "Invalid parameter validity_period"),
        ("validity_period", json!(0), "Out of bounds parameter validity_period"),
        ("validity_period", json!(86_400_001), "Out of bounds parameter validity_period"),
        ("response_uri", json!("https://elsewhere.test/"), "Invalid parameter response_uri"),
    ] {
        let mut body = whole.clone();
        body[member] = value;
        invalid(&client.ask("v2/signatures/signHash", body), description);
    }
    let begun = client.ask("v2/signatures/signHash", whole).well();
    let signed = client.poll(&begun["responseID"]);
    verified(client.town, haruko, "b", &signed["signatures"][0]);
    verified(client.town, haruko, "a", &signed["signatures"][1]);
    assert_eq!(client.poll(&begun["responseID"]), signed, "and the same when asked again");
    assert_eq!(signed.get("SignatureObject"), None);

    let sad = client.sad(credential, 1);
    let mut body = client.documents(credential, &sad, &["contract"], "C");
    body["operationMode"] = json!("A");
    let begun = client.sign_doc(body).well();
    let signed = client.poll(&begun["responseID"]);
    assert!(cms_verified(client.town, "contract", &signed["SignatureObject"][0]));
    assert_eq!(signed.get("signatures"), None);

    // Her request in a colleague's hands is like one that nobody has made.
    let ask = |who: &Client<'_>, id: &Value| {
        who.ask("v2/signatures/signPolling", json!({"requestID": id}))
    };
    let nobodys = json!("0".repeat(32));
    alike(&ask(colleague, &begun["responseID"]), &ask(colleague, &nobodys));
    for odd in [nobodys, json!("odd")] {
        invalid(&ask(client, &odd), "Invalid parameter requestID");
    }
    invalid(&ask(client, &Value::Null), "string parameter requestID");
    let named = json!({"requestID": begun["responseID"], "userID": "x"});
    invalid(&client.ask("v2/signatures/signPolling", named), "userID parameter MUST be null");
}

pub(crate) fn a_token_is_given_back(town: &Town, writer: &mut Writer<'_>, other: &Client<'_>) {
    for version in ["v1", "v2"] {
        let token = writer.token(&town.facility(), &["statement"]);
        let his = Client { town, over: town.facility(), token: token.clone() };
        let path = format!("{version}/auth/revoke");
        invalid(&his.ask(&path, json!({})), "string parameter token");
        let odd = json!({"token": token, "token_type_hint": "id_token"});
        invalid(&his.ask(&path, odd), "Invalid parameter token_type_hint");
        // Over another certificate it is nobody's, and still good.
        let elsewhere = Client { town, over: town.hospital(), token: token.clone() };
        assert_eq!(elsewhere.ask(&path, json!({"token": token})).status, 204);
        assert_eq!(his.ask("v2/credentials/list", json!({})).status, 200);
        let hinted = json!({"token": token, "token_type_hint": "access_token"});
        assert_eq!(his.ask(&path, hinted.clone()).status, 204);
        let own = &writer.person["credentials"]["statement"];
        let ended = json!({"credentialID": own, "numSignatures": 1});
        let answer = his.ask("v2/credentials/authorize", ended);
        assert_eq!(answer.status, 401);
        refused(&answer, "expired_token", "token-ended");
        assert_eq!(his.ask(&path, hinted).status, 204, "twice is once");
    }
    assert_eq!(other.ask("v2/credentials/list", json!({})).status, 200, "nobody else's ended");
}
