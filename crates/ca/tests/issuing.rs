//! The estate from its ceremony to a revocation, with a real vault and a real ledger.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::process::Command;
use std::task::Poll;

use ca::{
    Authority, CardApplication, CardHolder, Face, Photo, Refusal, Revocation, ServerOrder,
    SigningAuthority,
};
use hpki::certificate::Certificate;
use hpki::crl::{Crl, Reason};
use hpki::oid;
use hpki::path::{Anchor, Question, Revocation as Lists, Usage, ValidPath, validate};
use hpki::profile::facility_tls::GatewayName;
use hpki::qualification::Qualification;
use hpki::refusal::Refuse;
use hpki::time::Timestamp;
use ledger::{Event, Failed, LeafOpening};
use support::{Estate, Running, card, differing, doctor, gateway, now, pharmacist, plan};

async fn estate() -> (Estate, Running) {
    let estate = Estate::new();
    let running = estate.start();
    running.ca.ceremony(&plan(), now()).await.unwrap();
    (estate, running)
}

async fn judge(
    running: &Running,
    leaf: &Certificate,
    at: Timestamp,
) -> Result<ValidPath, hpki::Refusal> {
    judge_for(running, leaf, at, (oid::POLICY_SIGNING, Usage::NonRepudiation)).await
}

async fn judge_for(
    running: &Running,
    leaf: &Certificate,
    at: Timestamp,
    (policy, usage): (oid::ObjectIdentifier, Usage),
) -> Result<ValidPath, hpki::Refusal> {
    let authorities = running.ca.authorities().await.unwrap();
    let root = running.ca.authority(Authority::Root).await.unwrap();
    let intermediates: Vec<_> = authorities.into_iter().map(|(_, made)| made).collect();
    let lists: Vec<Crl> =
        running.ca.lists().await.unwrap().into_iter().map(|(_, list)| list).collect();
    validate(&Question {
        leaf,
        intermediates: &intermediates,
        anchors: &[Anchor { certificate: root }],
        revocation: Lists::Lists(&lists),
        at,
        policies: &[policy],
        usage,
    })
}

fn code<T: std::fmt::Debug>(result: Result<T, Failed<Refusal>>) -> &'static str {
    match result {
        Err(Failed::Refused(refusal)) => refusal.code(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn all_of_this_holds_on_postgresql_too() {
    support::engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn subscribers_of_both_layouts_are_believed_under_the_root() {
    let (estate, running) = estate().await;
    let physician = running.ca.issue_signing(&doctor(), now()).await.unwrap();
    let dispenser = running.ca.issue_signing(&pharmacist(), now()).await.unwrap();
    for leaf in [&physician, &dispenser] {
        let path = judge(&running, leaf, now()).await.unwrap();
        assert_eq!(path.chain.len(), 3);
    }
    assert_eq!(physician.name_ja(), Some("架空　太郎"));
    assert_eq!(physician.qualification(), Some(Qualification::MedicalDoctor));
    assert_eq!((dispenser.name_ja(), dispenser.organization()), (None, None));
    assert_eq!(dispenser.qualification(), Some(Qualification::Pharmacist));
    // Issuers begin first, and all of them before the midnight of the first subscriber.
    let path = judge(&running, &physician, physician.not_before());
    assert_eq!(path.await.unwrap_err().code(), "crl-stale");
    running.balance(&estate);
}

#[tokio::test]
async fn the_estate_has_its_names_numbers_and_lists() {
    let (estate, running) = estate().await;
    let root = running.ca.authority(Authority::Root).await.unwrap();
    assert_eq!(root.serial(), [1]);
    assert_eq!(root.common_name(), None);
    assert_eq!(root.subject().all(oid::ORGANIZATIONAL_UNIT).count(), 2);
    assert!(root.subject().to_string().ends_with("OU=TEST MHLW HPKI Root CA V2"));
    for signing in SigningAuthority::ALL {
        let authority = running.ca.authority(signing.into()).await.unwrap();
        let name = authority.common_name().unwrap();
        assert!(name.starts_with("HPKI-01-TEST_") && name.ends_with("-forNonRepudiation"));
        assert!(root.not_before() < authority.not_before());
        assert!(authority.not_before() < now().jst_midnight());
        let of_cards = running.ca.authority(Authority::Authentication(signing)).await.unwrap();
        let name = of_cards.common_name().unwrap();
        let pattern = "-forAuthentication-forIndividual";
        assert!(name.starts_with("HPKI-01-TEST_") && name.ends_with(pattern));
        assert_eq!(of_cards.organization(), authority.organization());
        assert_eq!(of_cards.policies(), [oid::POLICY_AUTHENTICATION]);
    }
    let lists = running.ca.lists().await.unwrap();
    let names: Vec<_> = lists.iter().map(|(name, _)| name.as_str()).collect();
    let expected =
        ["facility", "jma", "jma-auth", "jpa", "jpa-auth", "medis", "medis-auth", "rarl", "sarl"];
    assert_eq!(names, expected);
    let number = |wanted: &str| {
        lists.iter().find(|(name, _)| name == wanted).and_then(|(_, list)| list.number())
    };
    // The root's two lists share one counter.
    assert_eq!((number("rarl"), number("sarl"), number("jma")), (Some(1), Some(2), Some(1)));
    let transcript = running.ca.ceremony_transcript().await.unwrap().unwrap();
    assert!(transcript.text().contains("架空 一郎"));
    assert!(transcript.text().contains(&hex::encode(root.sha256())));
    running.balance(&estate);
    for (name, list) in running.ca.lists().await.unwrap() {
        let published = running.ca.published_list(&name).await.unwrap();
        assert_eq!(published.as_deref(), Some(list.der()), "{name}");
    }
    assert_eq!(running.ca.published_list("nobody").await.unwrap(), None);
}

async fn judge_card(running: &Running, card: &Certificate) -> Result<ValidPath, hpki::Refusal> {
    judge_for(running, card, now(), (oid::POLICY_AUTHENTICATION, Usage::Authentication)).await
}

#[tokio::test]
async fn a_card_has_a_certificate_for_each_of_its_keys_and_the_books_know_its_holder() {
    let (estate, running) = estate().await;
    for kept in [doctor(), pharmacist()] {
        let order = card(&kept, CardApplication::Authentication);
        let made = running.ca.issue_card(&order, now()).await.unwrap();
        assert_eq!(running.ca.issue_card(&order, now()).await.unwrap(), made);
        assert_eq!(made.subject_serial_number(), Some(kept.subscriber.subject_serial.as_str()));
        assert_eq!(made.qualification(), Some(kept.subscriber.qualification));
        judge_card(&running, &made).await.unwrap();
        judge(&running, &made, now()).await.unwrap_err();

        // Nobody keeps a key for her yet.
        assert_eq!(code(running.ca.card_holder(&made).await), "card-holder-without-key");
        running.ca.issue_signing(&kept, now()).await.unwrap();
        let holder = running.ca.card_holder(&made).await.unwrap();
        assert_eq!(holder, CardHolder { person: kept.subscriber.person, key: kept.key });

        // The other key of the card signs documents, and answers for nobody.
        let signs = card(&kept, CardApplication::Signing);
        let signs = running.ca.issue_card(&signs, now()).await.unwrap();
        judge(&running, &signs, now()).await.unwrap();
        assert_eq!(code(running.ca.card_holder(&signs).await), "certificate-unknown");
    }
    running.balance(&estate);
}

#[tokio::test]
async fn a_revoked_card_is_known_at_once_and_names_the_key_it_spoke_for() {
    let (estate, running) = estate().await;
    let kept = doctor();
    running.ca.issue_signing(&kept, now()).await.unwrap();
    let order = card(&kept, CardApplication::Authentication);
    let made = running.ca.issue_card(&order, now()).await.unwrap();
    let issuer = Authority::Authentication(order.subscriber.authority);
    let reason = Reason::KeyCompromise;
    let revoked = running.ca.revoke(issuer, made.serial(), reason, now()).await.unwrap();
    assert_eq!((revoked.key, revoked.card_for), (None, Some(kept.key)));
    assert_eq!(code(running.ca.card_holder(&made).await), "card-revoked");
    running.ca.issue_crls_of(issuer, now()).await.unwrap();
    assert_eq!(judge_card(&running, &made).await.unwrap_err().code(), "certificate-revoked");
    // The certificate of her kept key is another one, and stays.
    let (_, signing) = running.ca.certificate_of_key(kept.key).await.unwrap().unwrap();
    judge(&running, &signing, now()).await.unwrap();
    running.balance(&estate);
}

#[tokio::test]
async fn openssl_believes_the_estate() {
    let (_estate, running) = estate().await;
    let leaf = running.ca.issue_signing(&doctor(), now()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    write("leaf.pem", leaf.pem());
    for (authority, certificate) in running.ca.authorities().await.unwrap() {
        write(&format!("{authority}.pem"), certificate.pem());
    }
    let lists = running.ca.lists().await.unwrap();
    write("lists.pem", lists.iter().map(|(_, list)| list.pem()).collect());
    let at = now().plus(60).seconds().to_string();
    let output = Command::new("openssl")
        .current_dir(folder.path())
        .args(["verify", "-x509_strict", "-crl_check_all", "-explicit_policy", "-policy"])
        .args(["1.2.392.100495.1.5.1.1.3.1", "-attime", &at, "-CAfile", "root.pem"])
        .args(["-untrusted", "medis.pem", "-CRLfile", "lists.pem", "leaf.pem"])
        .output()
        .expect("openssl must be installed: it judges our certificates");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn the_same_order_again_gives_the_same_certificate() {
    let (estate, running) = estate().await;
    let order = doctor();
    let first = running.ca.issue_signing(&order, now()).await.unwrap();
    let second = running.ca.issue_signing(&order, now().plus(86_400)).await.unwrap();
    assert_eq!(first, second);
    let other = differing(&order, |other| other.name_romaji = "Jiro Kakuu".into());
    assert_eq!(code(running.ca.issue_signing(&other, now()).await), "key-already-certified");
    let known = running.ca.certificate_of_key(order.key).await.unwrap().unwrap();
    assert_eq!(known, (SigningAuthority::Medis, first));
    running.balance(&estate);
}

#[tokio::test]
async fn one_order_placed_many_times_at_once_makes_one_certificate() {
    let (estate, running) = estate().await;
    let ca = std::sync::Arc::new(running.ca);
    let order = doctor();
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let (ca, order) = (ca.clone(), order.clone());
        tasks.push(tokio::spawn(async move { ca.issue_signing(&order, now()).await }));
    }
    let mut made = Vec::new();
    for task in tasks {
        made.push(task.await.unwrap().unwrap());
    }
    assert!(made.iter().all(|certificate| *certificate == made[0]));
    drop(ca);
    let audit = ledger::audit::Audit {
        place: support::engine::place(&estate.books()),
        head: None,
        log: running.ledger.verify_key(),
        streams: None,
        since: &[],
    };
    let report = ledger::audit::verify(&audit).unwrap();
    assert!(report.is_whole() && report.open_intentions.is_empty());
}

#[tokio::test]
async fn a_test_policy_under_a_production_authority_is_issued_only_to_be_refused() {
    let mut estate = Estate::new();
    estate.config.subscriber_policy = oid::POLICY_SIGNING_TEST;
    let running = estate.start();
    running.ca.ceremony(&plan(), now()).await.unwrap();
    let leaf = running.ca.issue_signing(&doctor(), now()).await.unwrap();
    let refusal = judge(&running, &leaf, now()).await.unwrap_err();
    assert_eq!(refusal.code(), "policy-not-allowed");
}

#[tokio::test]
async fn a_certificate_does_not_begin_before_its_authority() {
    let (_estate, running) = estate().await;
    let order = differing(&doctor(), |it| it.valid_from = now().minus(86_400));
    assert_eq!(code(running.ca.issue_signing(&order, now()).await), "validity-outside-authority");
    let later = differing(&doctor(), |it| it.valid_from = now().plus(16 * 366 * 86_400));
    assert_eq!(code(running.ca.issue_signing(&later, now()).await), "validity-outside-authority");
}

#[tokio::test]
async fn what_cannot_be_certified_leaves_no_trace() {
    let (estate, running) = estate().await;
    let entries = running.ledger.size();
    let unknown = Qualification::CertifiedPublicPsychologist;
    let order = differing(&doctor(), |it| it.qualification = unknown);
    let refused = running.ca.issue_signing(&order, now()).await;
    assert_eq!(code(refused), "qualification-not-certifiable");
    let order = differing(&doctor(), |it| it.subject_serial = "１２".into());
    assert_eq!(code(running.ca.issue_signing(&order, now()).await), "name-malformed");
    let order = ca::SigningOrder { spki_der: vec![0x30, 0], ..doctor() };
    assert_eq!(code(running.ca.issue_signing(&order, now()).await), "algorithm-not-allowed");
    assert_eq!(running.ledger.size(), entries);
    running.balance(&estate);
}

#[tokio::test]
async fn a_revocation_tells_the_other_rooms_in_the_same_commit() {
    let (estate, running) = estate().await;
    let order = doctor();
    let leaf = running.ca.issue_signing(&order, now()).await.unwrap();
    let medis = Authority::Signing(SigningAuthority::Medis);
    let at = now().plus(3600);
    let reason = Reason::CessationOfOperation;
    let revoked = running.ca.revoke(medis, leaf.serial(), reason, at).await.unwrap();
    assert_eq!(revoked.key, Some(order.key));

    let messages = running.ledger.undelivered().await.unwrap();
    let [message] = messages.as_slice() else { panic!("one message, not {messages:?}") };
    assert_eq!((message.topic.as_str(), message.concerns), (ca::REVOCATION_TOPIC, Some(order.key)));
    assert_eq!(Revocation::from_payload(&message.payload), Some(revoked));

    // The list of the night before does not know it; the next one does.
    assert!(judge(&running, &leaf, at).await.is_ok());
    let lists = running.ca.issue_crls_of(medis, at).await.unwrap();
    assert_eq!(lists.len(), 1);
    let refusal = judge(&running, &leaf, at).await.unwrap_err();
    assert_eq!(refusal.code(), "certificate-revoked");

    let again = running.ca.revoke(medis, leaf.serial(), reason, at).await;
    assert_eq!(code(again), "certificate-already-revoked");
    let unknown = running.ca.revoke(medis, &[0x77], reason, at).await;
    assert_eq!(code(unknown), "certificate-unknown");
    let hold = running.ca.revoke(medis, leaf.serial(), Reason::CertificateHold, at).await;
    assert_eq!(code(hold), "revocation-reason-not-allowed");
    // A revoked certificate does not come back under the same key.
    assert_eq!(code(running.ca.issue_signing(&order, at).await), "key-already-certified");
    running.balance(&estate);
}

#[tokio::test]
async fn an_expired_certificate_leaves_the_list_after_one_more() {
    let (_estate, running) = estate().await;
    let leaf = running.ca.issue_signing(&doctor(), now()).await.unwrap();
    let medis = Authority::Signing(SigningAuthority::Medis);
    running.ca.revoke(medis, leaf.serial(), Reason::Superseded, now()).await.unwrap();
    for (at, listed) in [
        (leaf.not_after(), 1),
        (leaf.not_after().plus(96 * 3600), 1),
        (leaf.not_after().plus(96 * 3600 + 1), 0),
    ] {
        let made = running.ca.issue_crls_of(medis, at).await.unwrap();
        assert_eq!(Crl::from_der(&made[0].1).unwrap().len(), listed);
    }
}

#[tokio::test]
async fn a_revoked_authority_issues_nothing_and_stands_on_the_roots_list() {
    let (estate, running) = estate().await;
    let leaf = running.ca.issue_signing(&doctor(), now()).await.unwrap();
    let medis = running.ca.authority(SigningAuthority::Medis.into()).await.unwrap();
    let reason = Reason::CaCompromise;
    running.ca.revoke(Authority::Root, medis.serial(), reason, now()).await.unwrap();
    assert_eq!(code(running.ca.issue_signing(&doctor(), now()).await), "authority-revoked");
    let lists = running.ca.issue_crls_of(Authority::Root, now()).await.unwrap();
    let sizes: Vec<_> = lists
        .iter()
        .map(|(name, der)| (name.as_str(), Crl::from_der(der).unwrap().len()))
        .collect();
    assert_eq!(sizes, [("rarl", 0), ("sarl", 1)]);
    let refusal = judge(&running, &leaf, now()).await.unwrap_err();
    assert_eq!(refusal.code(), "certificate-revoked");
    running.balance(&estate);
}

#[tokio::test]
async fn a_gateway_and_a_server_get_certificates_of_the_tls_authority_only() {
    let (_estate, running) = estate().await;
    let order = gateway();
    let client = running.ca.issue_facility(&order, now()).await.unwrap();
    let name = GatewayName::of(&client).unwrap();
    assert_eq!((name.facility, name.gateway.as_str()), (order.code.clone(), "gw1"));
    assert_eq!(running.ca.issue_facility(&order, now().plus(60)).await.unwrap(), client);
    let renewed = running.ca.issue_facility(&order, now().plus(9 * 30 * 86_400)).await.unwrap();
    assert!(renewed.not_after() > client.not_after());

    let server = ServerOrder {
        name: "TEST Azukari platform".into(),
        dns_names: vec!["localhost".into()],
        addresses: vec!["127.0.0.1".parse().unwrap()],
        spki_der: support::p256_spki(),
    };
    let server = running.ca.issue_tls_server(&server, now()).await.unwrap();
    let tls = Anchor { certificate: running.ca.authority(Authority::Facility).await.unwrap() };
    let root = Anchor { certificate: running.ca.authority(Authority::Root).await.unwrap() };
    let question = Question {
        leaf: &client,
        intermediates: &[],
        anchors: &[tls],
        revocation: Lists::NotChecked,
        at: now(),
        policies: &[],
        usage: Usage::TlsClient,
    };
    assert!(validate(&question).is_ok());
    let as_server = Question { leaf: &server, usage: Usage::TlsServer, ..question };
    assert!(validate(&as_server).is_ok());
    let under_root = Question { anchors: &[root], ..question };
    assert_eq!(validate(&under_root).unwrap_err().code(), "issuer-unknown");
    let signs =
        Question { usage: Usage::NonRepudiation, policies: &[oid::POLICY_SIGNING], ..question };
    assert_eq!(validate(&signs).unwrap_err().code(), "key-usage-wrong");
}

#[tokio::test]
async fn a_revocation_for_which_nobody_waits_is_remembered_all_the_same() {
    let (_estate, running) = estate().await;
    let ca = &running.ca;
    for _ in 0..20 {
        let certificate = ca.issue_facility(&gateway(), now()).await.unwrap();
        assert!(ca.facility_in_force(&certificate, now()).await.is_ok());
        let reason = Reason::CessationOfOperation;
        let mut revoking =
            Box::pin(ca.revoke(Authority::Facility, certificate.serial(), reason, now()));
        std::future::poll_fn(|context| Poll::Ready(revoking.as_mut().poll(context).is_ready()))
            .await;
        drop(revoking);
        // Asked while the commit goes on: what is read before it must not outlive it.
        let mut asked = 0;
        while ca.facility_in_force(&certificate, now()).await.is_ok() {
            asked += 1;
            assert!(asked < 100_000, "it stands still");
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_facility_stands_from_its_certificates_beginning_until_its_end_or_its_revocation() {
    let (estate, running) = estate().await;
    let ca = &running.ca;
    let (order, reason) = (gateway(), Reason::CessationOfOperation);
    let first = ca.issue_facility(&order, now()).await.unwrap();
    let renewed = ca.issue_facility(&order, now().plus(9 * 30 * 86_400)).await.unwrap();
    let facility = ca.facility_in_force(&first, now()).await.unwrap();
    assert_eq!((&facility.code, facility.name.as_str()), (&order.code, order.name.as_str()));
    assert_eq!(facility.x5t, first.sha256());
    for (at, stands) in [
        (first.not_before().minus(1), false),
        (first.not_before(), true),
        (first.not_after(), true),
        (first.not_after().plus(1), false),
    ] {
        let found = ca.facility_in_force(&first, at).await;
        match stands {
            true => assert_eq!(found.unwrap(), facility),
            false => assert_eq!(code(found), "facility-certificate-expired"),
        }
    }
    // The next certificate stands beside the one that is revoked.
    ca.revoke(Authority::Facility, first.serial(), reason, now()).await.unwrap();
    assert_eq!(code(ca.facility_in_force(&first, now()).await), "facility-certificate-revoked");
    assert!(ca.facility_in_force(&renewed, renewed.not_before()).await.is_ok());

    // Neither our server, nor a person, nor another estate's facility is one of ours.
    let server = ServerOrder {
        name: "TEST Azukari platform".into(),
        dns_names: vec!["localhost".into()],
        addresses: Vec::new(),
        spki_der: support::p256_spki(),
    };
    let server = ca.issue_tls_server(&server, now()).await.unwrap();
    let person = ca.issue_signing(&doctor(), now()).await.unwrap();
    let (_elsewhere, other) = self::estate().await;
    let theirs = other.ca.issue_facility(&order, now()).await.unwrap();
    for stranger in [&server, &person, &theirs] {
        assert_eq!(code(ca.facility_in_force(stranger, now()).await), "facility-unknown");
    }
    running.balance(&estate);
}

#[tokio::test]
async fn before_the_ceremony_there_is_no_authority() {
    let estate = Estate::new();
    let running = estate.start();
    assert_eq!(code(running.ca.issue_signing(&doctor(), now()).await), "authority-unknown");
    assert_eq!(code(running.ca.authority(Authority::Root).await), "authority-unknown");
    assert!(running.ca.issue_crls(now()).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_face_of_a_card_is_filed_with_its_digest_and_the_newest_counts() {
    let (estate, running) = estate().await;
    let (order, png) = (pharmacist(), include_bytes!("../../town/portraits/misaki.png"));
    let face = |name: &str| Face { name: name.into(), photo: Some(Photo::read(png).unwrap()) };
    let nobody = running.ca.file_face(order.key, face("架空　花子"), now()).await;
    assert_eq!(code(nobody), "subscriber-unknown");
    running.ca.issue_signing(&order, now()).await.unwrap();
    assert_eq!(running.ca.face_of(order.key).await.unwrap(), None);
    for wrong in ["", "架空\n花子", "あ".repeat(65).as_str()] {
        assert_eq!(
            code(running.ca.file_face(order.key, face(wrong), now()).await),
            "name-malformed"
        );
    }
    for name in ["架空　花子", "架空　花子", "見本　花子"] {
        running.ca.file_face(order.key, face(name), now()).await.unwrap();
        assert_eq!(running.ca.face_of(order.key).await.unwrap(), Some(face(name)));
    }
    // The journal tells of each change once, in the stream that its owner reads, by its digest.
    let mut filed = Vec::new();
    for entry in running.ledger.stream(order.key.stream(), None, 100).await.unwrap() {
        let record = LeafOpening::decode(&entry.opening).unwrap().record;
        if record.event == Event::FaceFiled {
            filed.push((record.person, record.evidence));
        }
    }
    let digest =
        |name| (Some(order.subscriber.person), Some(face(name).digest(order.subscriber.person)));
    assert_eq!(filed, [digest("見本　花子"), digest("架空　花子")]);
    running.balance(&estate);
}
