//! An outside program walks the whole way with curl, knowing nothing but `demo.json`; platform and
//! gateways are processes of their own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod journal;
#[path = "../support/mod.rs"]
mod support;
mod town;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use journal::{
    the_journal_grows_and_a_rolled_back_copy_is_noticed,
    the_owner_reads_her_history_and_notices_another_one, watch,
};
use serde_json::{Value, json};
use support::*;
use town::{Curl, HOSPITAL, Identity, Town};

/// A new order number: UUID version 7.
fn order() -> String {
    let millis = judge("date", &["+%s%3N"]).out.trim().parse().unwrap();
    let mut random = [0; 10];
    File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().to_string()
}

fn sign_request(order: &str, kind: &str, digest: [u8; 32]) -> Value {
    json!({
        "order": order,
        "kind": kind,
        "digest": {"algorithm": "sha256", "value": STANDARD.encode(digest)},
    })
}

fn token(person: &Value) -> &str {
    person["access_token"].as_str().unwrap()
}

fn base64(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

fn verify(town: &Town, file: &Path) -> Ran {
    let mut arguments: Vec<OsString> = vec!["verify".into(), file.into(), "--json".into()];
    arguments.extend(["--anchor".into(), town.text("/anchor").into()]);
    arguments.extend(["--crl".into(), town.text("/crl_folder").into()]);
    for authority in town.demo["authorities"].as_array().unwrap() {
        arguments.extend(["--ca".into(), authority.as_str().unwrap().into()]);
    }
    azukari(&arguments)
}

#[test]
fn an_outside_program_walks_the_whole_way_with_curl_and_demo_json_alone() {
    let mut town = Town::open();
    platform_and_gateways_are_processes_of_their_own(&town);
    every_file_that_is_named_is_there(&town);
    the_platform_says_who_it_takes_the_caller_for(&town);
    one_order_has_one_signature(&town);
    without_the_client_certificate_nothing_is_signed(&town);
    a_header_that_claims_a_certificate_changes_nothing(&town);
    a_token_is_worth_nothing_over_another_certificate(&town);
    a_token_allows_only_the_kinds_of_its_owner(&town);
    what_is_not_as_agreed_is_refused_by_name(&town);
    let prescription = a_prescription_is_signed_registered_and_dispensed(&town);
    several_prescriptions_are_signed_in_one_request(&town);
    a_signature_made_for_another_kind_proves_nothing_here(&town, &prescription);
    the_journal_grows_and_a_rolled_back_copy_is_noticed(&town);
    the_owner_reads_her_history_and_notices_another_one(&town);
    the_page_is_there_and_needs_nothing_from_outside(&town);
    a_second_demo_is_told_what_to_do(&town);
    ctrl_c_ends_everything(&mut town);
}

fn platform_and_gateways_are_processes_of_their_own(town: &Town) {
    let processes = town.processes();
    let count = |role: &str| processes.iter().filter(|(_, line)| line.contains(role)).count();
    assert_eq!((count(" serve "), count(" gateway ")), (1, 3), "{processes:?}");
}

fn every_file_that_is_named_is_there(town: &Town) {
    for name in [
        "/ca_file",
        "/openapi",
        "/log_key",
        "/anchor",
        "/facility/client_certificate",
        "/facility/client_key",
    ] {
        let file = Path::new(town.text(name));
        assert!(file.is_absolute() && file.is_file(), "{name}: {}", file.display());
    }
    let key = std::fs::read_to_string(town.text("/facility/client_key")).unwrap();
    assert!(key.contains("BEGIN PRIVATE KEY"), "PKCS#8");
    let openapi: Value =
        serde_json::from_slice(&std::fs::read(town.text("/openapi")).unwrap()).unwrap();
    assert!(openapi["openapi"].as_str().unwrap().starts_with("3."));
    for path in [
        "/v1/signatures",
        "/v1/facility",
        "/v1/prescriptions",
        "/v1/prescriptions/batch",
        "/v1/dispensings",
        "/v1/dispensings/batch",
        "/phone/key/history",
    ] {
        assert!(openapi["paths"][path].is_object(), "{path}");
    }
    let persons = town.demo["persons"].as_array().unwrap();
    assert!(persons.len() >= 2);
    for person in persons {
        let file = Path::new(person["certificate"].as_str().unwrap());
        assert!(
            azukari(&["inspect".as_ref(), file.as_os_str()])
                .out
                .contains(person["name_romaji"].as_str().unwrap())
        );
        for member in ["name", "credential_id", "person_id", "staff"] {
            assert!(person[member].is_string(), "{member}: {person}");
        }
        assert_eq!(token(person).split('.').count(), 3);
    }
    // The file holds ready tokens.
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(town.out.join("demo.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "only the owner reads demo.json");
}

fn the_platform_says_who_it_takes_the_caller_for(town: &Town) {
    let answer = town.platform("/v1/facility").over(&town.facility()).get().well();
    assert_eq!(answer["facility"], town.text("/facility/code"));
    assert_eq!(answer["name"], town.text("/facility/name"));
    let answer = town.platform("/v1/facility").over(&town.hospital()).get().well();
    assert_eq!(answer["facility"], HOSPITAL);
    // TLS is version 1.3 only.
    let mut old = town.platform("/v1/facility").over(&town.facility());
    old.arguments.extend(["--tls-max".into(), "1.2".into()]);
    assert!(!old.run().well());
}

fn one_order_has_one_signature(town: &Town) {
    let physician = town.person("Medical Doctor");
    let sign = |body: &Value| {
        let curl = town.platform("/v1/signatures").over(&town.facility());
        curl.bearer(token(physician)).post(body)
    };
    let order = order();
    let request = sign_request(&order, "prescription", [7; 32]);
    let first = sign(&request).well();
    assert_eq!((&first["order"], &first["kind"]), (&request["order"], &request["kind"]));
    let signature = String::from_utf8(base64(&first["signature"])).unwrap();
    assert!(
        signature.starts_with("<ds:Signature")
            && signature.contains("URI=\"#PrescriptionDocument\"")
    );
    let digest = between(&signature, "<ds:DigestValue>", "<").trim().to_owned();
    assert_eq!(digest, STANDARD.encode([7; 32]));
    assert!(first["proof"].as_str().unwrap().starts_with("c2sp.org/tlog-proof@v1"));
    let certificate = std::fs::read_to_string(physician["certificate"].as_str().unwrap()).unwrap();
    let certificate: String = certificate.lines().filter(|line| !line.starts_with('-')).collect();
    assert_eq!(first["certificate"], certificate);

    let same = |again: &Value| {
        for member in ["order", "kind", "signature", "certificate", "signing_time", "index"] {
            assert_eq!(again[member], first[member], "{member}");
        }
    };
    assert_eq!(sign(&request).well(), first, "the identical answer: nothing was drawn twice");
    let path = format!("/v1/signatures/{order}");
    same(&town.platform(&path).over(&town.facility()).get().well());
    town.platform(&path).over(&town.hospital()).get().refused("order-unknown");
    sign(&sign_request(&order, "prescription", [8; 32])).refused("order-reused");
    let next = sign(&sign_request(&self::order(), "prescription", [7; 32])).well();
    assert_ne!(next["signature"], first["signature"], "another order, another signature");
    assert_eq!(next["left"].as_u64().unwrap() + 1, first["left"].as_u64().unwrap());
}

fn without_the_client_certificate_nothing_is_signed(town: &Town) {
    let body = sign_request(&order(), "prescription", [9; 32]);
    let physician = token(town.person("Medical Doctor"));
    let missing = "client-certificate-missing";
    town.platform("/v1/signatures").bearer(physician).post(&body).refused(missing);
    for path in ["/v1/facility", "/v1/checkpoint"] {
        town.platform(path).get().refused(missing);
    }
    // A certificate that the facilities' authority did not issue does not even connect.
    let folder = scratch("outside-certificate");
    let (certificate, key) = (folder.join("own.pem"), folder.join("own.key"));
    let made = judge(
        "openssl",
        &[
            "req".as_ref(),
            "-x509".as_ref(),
            "-newkey".as_ref(),
            "rsa:2048".as_ref(),
            "-nodes".as_ref(),
            "-subj".as_ref(),
            "/C=JP/O=TEST/CN=1319990003".as_ref(),
            "-keyout".as_ref(),
            key.as_os_str(),
            "-out".as_ref(),
            certificate.as_os_str(),
        ],
    );
    assert!(made.well(), "{made:?}");
    let own = Identity { certificate, key };
    assert!(!town.platform("/v1/facility").over(&own).run().well());
}

/// The request with all these headers.
fn claiming<'a>(curl: Curl<'a>, claims: &[String]) -> Curl<'a> {
    claims.iter().fold(curl, |curl, line| curl.header(line))
}

fn a_header_that_claims_a_certificate_changes_nothing(town: &Town) {
    let pem = std::fs::read_to_string(town.text("/facility/client_certificate")).unwrap();
    let plain: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let url_encoded = pem.replace('\n', "%0A").replace(' ', "%20").replace('+', "%2B");
    let code = town.text("/facility/code");
    let claims = [
        format!("X-Client-Cert: {url_encoded}"),
        format!("X-SSL-Client-Cert: {url_encoded}"),
        format!("X-Forwarded-Client-Cert: Cert=\"{url_encoded}\""),
        format!("Client-Cert: :{plain}:"),
        "X-SSL-Client-Verify: SUCCESS".to_owned(),
        format!("X-SSL-Client-S-DN: CN={code}"),
        format!("X-Facility: {code}"),
        "Forwarded: for=127.0.0.1;proto=https;by=127.0.0.1".to_owned(),
        "X-Forwarded-For: 127.0.0.1".to_owned(),
    ];
    claiming(town.platform("/v1/facility"), &claims).get().refused("client-certificate-missing");
    let body = sign_request(&order(), "prescription", [10; 32]);
    let physician = token(town.person("Medical Doctor"));
    let curl = town.platform("/v1/signatures").bearer(physician);
    claiming(curl, &claims).post(&body).refused("client-certificate-missing");
    // The certificate of the connection counts, whatever the headers say.
    let answer =
        claiming(town.platform("/v1/facility").over(&town.hospital()), &claims).get().well();
    assert_eq!(answer["facility"], HOSPITAL);
    let curl = town.platform("/v1/signatures").over(&town.hospital()).bearer(physician);
    claiming(curl, &claims).post(&body).refused("token-wrong-certificate");
}

fn a_token_is_worth_nothing_over_another_certificate(town: &Town) {
    for (qualification, kind) in [("Medical Doctor", "prescription"), ("Pharmacist", "dispensing")]
    {
        let bearer = token(town.person(qualification));
        let body = sign_request(&order(), kind, [11; 32]);
        let curl = town.platform("/v1/signatures").over(&town.hospital()).bearer(bearer);
        curl.post(&body).refused("token-wrong-certificate");
        let curl = town.platform("/v1/sessions/end").over(&town.hospital()).bearer(bearer);
        curl.post(&json!({})).refused("token-wrong-certificate");
    }
}

fn a_token_allows_only_the_kinds_of_its_owner(town: &Town) {
    for (qualification, kind) in [("Medical Doctor", "dispensing"), ("Pharmacist", "prescription")]
    {
        let person = town.person(qualification);
        assert!(!person["kinds"].as_array().unwrap().contains(&json!(kind)));
        let body = sign_request(&order(), kind, [12; 32]);
        let curl = town.platform("/v1/signatures").over(&town.facility());
        curl.bearer(token(person)).post(&body).refused("kind-not-allowed");
    }
}

fn what_is_not_as_agreed_is_refused_by_name(town: &Town) {
    let physician = token(town.person("Medical Doctor"));
    let sign = |bearer: &str, body: &Value| {
        town.platform("/v1/signatures").over(&town.facility()).bearer(bearer).post(body)
    };
    let good = || sign_request(&order(), "prescription", [13; 32]);
    let body = good();
    let curl = town.platform("/v1/signatures").over(&town.facility());
    curl.post(&body).refused("token-missing");
    sign("not.a.token", &body).refused("token-malformed");
    let (head, tail) = physician.rsplit_once('.').unwrap();
    sign(&format!("{head}.{}", changed_after(tail, "")), &body).refused("token-signature-wrong");
    let mut body = good();
    body["digest"]["algorithm"] = "sha1".into();
    sign(physician, &body).refused("digest-not-allowed");
    let mut body = good();
    body["digest"]["value"] = STANDARD.encode([1; 31]).into();
    sign(physician, &body).refused("digest-not-allowed");
    for (member, value) in [
        ("order", json!("8d5b8f0e-0f43-4f3c-9d0c-0d7c4b1f3a11")), // version 4
        ("kind", json!("a love letter")),
        ("document", json!("the document itself")),
    ] {
        let mut body = good();
        body[member] = value;
        sign(physician, &body).refused("request-malformed");
    }
    let mut body = good();
    body["kind"] = json!("referral");
    sign(physician, &body).refused("kind-not-enabled");
    // The EHR's door.
    let url = format!("{}/v1/staff/S0001", town.text("/gateway"));
    town.curl(url.clone()).get().refused("ehr-key-wrong");
    town.curl(url).bearer("0000").get().refused("ehr-key-wrong");
    town.gateway("/v1/staff/NOBODY").get().refused("staff-unknown");
}

/// Today in Japan; `TZ` is written so that no time zone table is needed.
fn today() -> String {
    judge("env", &["TZ=JST-9", "date", "+%Y%m%d"]).out.trim().to_owned()
}

fn prescription_csv(town: &Town) -> String {
    let code = town.text("/facility/code");
    format!(
        "SJ1\n\
         1,{table},{number},{prefecture},{institution}\n\
         2,100-0000,東京都架空区見本町３－３\n\
         3,03-0000-0003\n\
         4,1,01,内科\n\
         5,S0001,ｶｸｳ ﾊﾅｺ,{physician}\n\
         11,,仮名\u{3000}健太,ｶﾒｲ ｹﾝﾀ\n\
         12,1\n\
         13,19700707\n\
         14,1\n\
         21,1\n\
         22,06999999\n\
         23,見本,９９９,1,01\n\
         51,{day}\n\
         52,{day}\n\
         62,1\n\
         101,1,1,内服,7\n\
         111,1,1,1013044400000000,１日３回毎食後服用\n\
         201,1,1,1,2,699999901,架空プラセボ錠５ｍｇ（試験用）,3,1,錠\n",
        table = &code[2..3],
        number = &code[3..],
        prefecture = &code[..2],
        institution = town.text("/facility/name"),
        physician = town.person("Medical Doctor")["name"].as_str().unwrap(),
        day = today(),
    )
}

fn dispensing_csv(town: &Town, prescription_id: &str) -> String {
    let code = town.text("/facility/code");
    format!(
        "CJ1,\n\
         1,仮名\u{3000}健太,1,19700707,,,,ｶﾒｲ ｹﾝﾀ\n\
         2,,1\n\
         4,,1\n\
         5,{day},1\n\
         6,06999999,見本,９９９\n\
         7,{prescription_id}\n\
         11,テスト外の薬局,13,4,9990009,100-0000,東京都架空区見本町３－３,03-0000-0003\n\
         15,{pharmacist},03-0000-0003,1\n\
         51,{institution},{prefecture},{table},{number},1\n\
         55,{physician},内科,1\n\
         201,1,架空プラセボ錠５ｍｇ（試験用）,3,錠,2,699999901,1\n\
         301,1,１日３回毎食後服用,7,,1,1,,1\n",
        table = &code[2..3],
        number = &code[3..],
        prefecture = &code[..2],
        institution = town.text("/facility/name"),
        pharmacist = town.person("Pharmacist")["name"].as_str().unwrap(),
        physician = town.person("Medical Doctor")["name"].as_str().unwrap(),
        day = today(),
    )
}

/// The whole story; gives the registered prescription.
fn a_prescription_is_signed_registered_and_dispensed(town: &Town) -> PathBuf {
    let (physician, pharmacist) = (town.person("Medical Doctor"), town.person("Pharmacist"));
    for person in [physician, pharmacist] {
        let path = format!("/v1/staff/{}", person["staff"].as_str().unwrap());
        assert_eq!(town.gateway(&path).get().well()["light"], "green");
    }
    // Prescribe: the record stays at the facility, a verified document comes back.
    let csv = prescription_csv(town);
    let body = |person: &Value| json!({"staff": person["staff"], "csv": STANDARD.encode(&csv)});
    let signed = town.gateway("/v1/prescriptions").post(&body(physician)).well();
    assert_eq!(
        (&signed["kind"], &signed["report"]["verdict"]),
        (&json!("prescription"), &json!("valid"))
    );
    town.gateway("/v1/prescriptions").post(&body(pharmacist)).refused("kind-not-theirs");

    // Register: the service verifies it and gives the number that the patient carries.
    let registered =
        town.service("/v1/prescriptions").post(&json!({"document": signed["document"]})).well();
    let id = registered["prescription_id"].as_str().unwrap();
    let number = registered["exchange_number"].as_str().unwrap();
    let again =
        town.service("/v1/prescriptions").post(&json!({"document": signed["document"]})).well();
    assert_eq!(again["exchange_number"], number, "asked again, the same number");
    let forged = changed_after(
        &String::from_utf8(base64(&signed["document"])).unwrap(),
        "<PrescriptionDocument id=\"PrescriptionDocument\">",
    );
    let forged = json!({"document": STANDARD.encode(forged)});
    let refused = town.service("/v1/prescriptions").post(&forged);
    assert!(
        (400..500).contains(&refused.status) && refused.body["code"].is_string(),
        "{refused:?}"
    );

    // Fetch by the exchange number, dispense, register.
    let fetched = town.service(&format!("/v1/prescriptions/{number}")).get().well();
    assert_eq!(fetched["document"], registered["document"]);
    let csv = dispensing_csv(town, id);
    let body = |prescription: &Value| json!({"staff": pharmacist["staff"], "prescription": prescription, "csv": STANDARD.encode(&csv)});
    let dispensed = town.gateway("/v1/dispensings").post(&body(&fetched["document"])).well();
    let refused = town.gateway("/v1/dispensings").post(&body(&forged["document"]));
    assert!(
        (400..500).contains(&refused.status),
        "a forged prescription is not dispensed: {refused:?}"
    );
    let document = json!({"document": dispensed["document"]});
    let accepted = town.service("/v1/dispensings").post(&document).well();
    assert_eq!(accepted["prescription_id"], id);

    // A stranger judges what came out.
    let mut files = Vec::new();
    for (name, answer, signatures) in
        [("prescription.xml", &fetched, 1), ("dispensing.xml", &accepted, 2)]
    {
        let file = town.out.join(name);
        std::fs::write(&file, base64(&answer["document"])).unwrap();
        let ran = verify(town, &file);
        assert!(ran.well(), "{ran:?}");
        assert_eq!(ran.json()["signatures"].as_array().unwrap().len(), signatures);
        files.push(file);
    }
    files.swap_remove(0)
}

/// The pharmacist signs the very digest of the prescription's record, as a dispensing result; put
/// into the prescription, that signature has a code of its own.
fn a_signature_made_for_another_kind_proves_nothing_here(town: &Town, prescription: &Path) {
    let digest = verify(town, prescription).json()["signatures"][0]["digest"].clone();
    let digest: [u8; 32] = hex::decode(digest.as_str().unwrap()).unwrap().try_into().unwrap();
    let body = sign_request(&order(), "dispensing", digest);
    let curl = town.platform("/v1/signatures").over(&town.facility());
    let answer = curl.bearer(token(town.person("Pharmacist"))).post(&body).well();
    let foreign = String::from_utf8(base64(&answer["signature"])).unwrap();
    let document = std::fs::read_to_string(prescription).unwrap();
    let own = between(&document, "<PrescriptionSign>", "</PrescriptionSign>").to_owned();
    let file = town.out.join("foreign.xml");
    std::fs::write(&file, changed(&document, &own, &foreign)).unwrap();
    let ran = verify(town, &file);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(ran.json()["signatures"][0]["refusal"]["code"], "signature-other-kind");
}

fn several_prescriptions_are_signed_in_one_request(town: &Town) {
    let physician = town.person("Medical Doctor");
    let csv = prescription_csv(town);
    let ask = |order: &str, count: usize| {
        let records = vec![STANDARD.encode(&csv); count];
        let body = json!({"staff": physician["staff"], "order": order, "records": records});
        town.gateway("/v1/prescriptions/batch").post(&body)
    };
    let number = order();
    let signed = ask(&number, 5).well();
    assert_eq!(signed["order"], json!(number));
    let documents = signed["documents"].as_array().unwrap();
    assert_eq!(documents.len(), 5);
    for (place, one) in documents.iter().enumerate() {
        let file = town.out.join(format!("several-{place}.xml"));
        std::fs::write(&file, base64(&one["document"])).unwrap();
        assert!(verify(town, &file).well(), "{one}");
        assert!(documents[..place].iter().all(|other| other["order"] != one["order"]));
    }
    // Asked again, octet for octet the same; the number is for these records alone.
    assert_eq!(ask(&number, 5).well(), signed);
    ask(&number, 4).refused("order-reused");
    ask(&order(), 0).refused("gateway-batch-size-wrong");
}

fn the_page_is_there_and_needs_nothing_from_outside(town: &Town) {
    let page = town.text("/page").to_owned();
    let mut curl = town.curl(page.clone());
    curl.arguments.push("-i".into());
    let ran = curl.run();
    assert!(ran.well() && ran.out.ends_with("200"), "{ran:?}");
    let text = ran.out.to_lowercase();
    for words in ["content-security-policy:", "content-type: text/html", "<html lang=\"ja\""] {
        assert!(text.contains(words), "{words}: {text}");
    }
    for outside in ["src=\"http", "href=\"http", "url(http"] {
        assert!(!text.contains(outside), "{outside}");
    }
    // A name that was bent to this machine is not this machine.
    let ran = town.curl(page).header("Host: evil.example").run();
    assert!(ran.well() && !ran.out.ends_with("200"), "{ran:?}");
}

fn a_second_demo_is_told_what_to_do(town: &Town) {
    let demo = |arguments: &[&OsStr]| {
        let ran = azukari(&[&["demo".as_ref()], arguments].concat());
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(!ran.err.contains("panicked"), "{ran:?}");
        ran.err
    };
    let said = demo(&["--once".as_ref(), "--out".as_ref(), town.out.as_os_str()]);
    assert!(said.contains("別のデモが動いています") && said.contains("--out"), "{said}");
    let other = scratch("outside-second");
    let page = town.text("/page").trim_end_matches('/');
    let port = page.rsplit(':').next().unwrap();
    let said = demo(&["--port".as_ref(), port.as_ref(), "--out".as_ref(), other.as_os_str()]);
    assert!(said.contains(port) && said.contains("--port"), "{said}");
    let file = other.join("a-file");
    std::fs::write(&file, "not a folder").unwrap();
    let said = demo(&["--once".as_ref(), "--out".as_ref(), file.as_os_str()]);
    assert!(said.contains("a-file") && said.contains("--out"), "{said}");
}

fn ctrl_c_ends_everything(town: &mut Town) {
    let processes = town.processes();
    let status = town.interrupt();
    assert!(status.success(), "{status}: {}", town.said());
    for (id, line) in processes {
        let left = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        assert!(left.is_empty(), "{line} is still there");
    }
    assert!(!town.platform("/v1/facility").over(&town.facility()).run().well());
    let ran = watch(town, "outside-watch", &[]);
    assert_eq!(ran.code, 2, "nothing can be said of a platform that is not there: {ran:?}");
    // Nothing is left half done: the journal is whole, and the folder is free for the next town.
    let ledger = town.out.join("town/platform/ledger");
    let ran = azukari(&[
        "journal".as_ref(),
        "verify".as_ref(),
        "--folder".as_ref(),
        ledger.as_os_str(),
        "--log-key".as_ref(),
        town.text("/log_key").as_ref(),
    ]);
    assert!(ran.well() && !ran.out.contains("open intention"), "{ran:?}");
}
