//! Signing: the way it goes, what a retry gets, and who may not.

mod common;

use std::sync::Arc;

use common::*;
use custody::{Limits, Peer, SignOrder};
use hpki::kind::DocumentKind;
use hpki::qualification::Qualification;
use hsm::anomaly::{Anomaly, Call};
use ledger::Event;
use ledger::tlog::Proof;
use tempfile::tempdir;

#[test]
fn all_of_this_holds_on_postgresql_too() {
    common::engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn a_physician_signs_a_prescription_and_anybody_can_check_signature_and_journal() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);

    let document = "<Document id=\"Document\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\
        <Prescription><PrescriptionDocument id=\"PrescriptionDocument\">U0ox</PrescriptionDocument>\
        <PrescriptionSign></PrescriptionSign></Prescription></Document>";
    let digest = xades::reference_digest(document.as_bytes(), "PrescriptionDocument").unwrap();
    let order = SignOrder { number: number(), kind: DocumentKind::Prescription, digest };
    let signed = house.custody.sign(&token, &hospital(), order, NOW.plus(60)).await.unwrap();

    assert_eq!(signed.left, 299);
    assert_eq!(signed.signing_time, NOW.plus(60));
    let whole = document.replace(
        "<PrescriptionSign></PrescriptionSign>",
        &format!("<PrescriptionSign>{}</PrescriptionSign>", signed.signature),
    );
    let parsed = xades::parse(whole.as_bytes()).unwrap();
    let found = xades::signature::find(&parsed, DocumentKind::Prescription).unwrap();
    let verified = xades::signature::verify(&parsed, &found).unwrap();
    assert_eq!(verified.digest, digest);
    assert_eq!(verified.certificate.der(), &*signed.certificate);

    let entry = Proof::parse(&signed.proof).unwrap().verify(house.ledger.verify_key()).unwrap();
    let record = entry.opening.record;
    assert_eq!(entry.index, signed.index);
    assert_eq!(record.event, Event::SignatureMade);
    assert_eq!(record.time, NOW.plus(60));
    assert_eq!(record.dtbsr, Some(verified.dtbsr));
    assert_eq!(record.key, Some(doctor.key));
    assert_eq!(record.person, Some(doctor.person));
    assert_eq!(record.kind, Some(DocumentKind::Prescription));
    assert_eq!(record.facility, Some(hospital().facility));
    let outcome = record.outcome.unwrap();
    let value = wire::token::base64_decode(&value(&signed).replace('\n', "")).unwrap();
    assert_eq!(outcome.signature_hash, Some(hpki::encoding::sha256(&value)));
    let intended = house.ledger.prove(outcome.intention_index).await.unwrap();
    let intended = Proof::parse(&intended).unwrap().verify(house.ledger.verify_key()).unwrap();
    let intended = intended.opening.record;
    assert_eq!(intended.event, Event::SignatureIntended);
    assert!(record.activation.is_some() && intended.activation == record.activation);
    assert_eq!(balanced(&house).await.consumed, 1);
    assert_eq!(house.custody.loaded_keys(), 1);
}

#[tokio::test]
async fn a_retry_gets_the_same_signature_and_draws_nothing() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    let order = order(1);

    let first = house.custody.sign(&token, &hospital(), order, NOW).await.unwrap();
    let again = house.custody.sign(&token, &hospital(), order, NOW.plus(3_000)).await.unwrap();
    let asked = house.custody.answer(&facility(), order.number, NOW.plus(3_000)).await.unwrap();
    for answer in [&again, &asked] {
        assert_eq!(answer.signature, first.signature);
        assert_eq!(answer.index, first.index);
        assert_eq!(answer.signing_time, first.signing_time);
        assert_eq!(answer.left, 299);
        let proof = Proof::parse(&answer.proof).unwrap();
        assert_eq!(proof.verify(house.ledger.verify_key()).unwrap().index, first.index);
    }
    // Even when nothing is left and the token was ended.
    house.custody.end_budget(budget.id, NOW.plus(3_001)).await.unwrap();
    let ended = house.custody.sign(&token, &hospital(), order, NOW.plus(3_002)).await.unwrap();
    assert_eq!(ended.signature, first.signature);

    let late = NOW.plus(86_401);
    assert_eq!(code(house.custody.answer(&facility(), order.number, late).await), "order-closed");
    let elsewhere = other_hospital().facility;
    assert_eq!(
        code(house.custody.answer(&elsewhere, order.number, NOW.plus(3_000)).await),
        "order-unknown"
    );
}

#[tokio::test]
async fn an_order_number_serves_one_request_only() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    let first = order(1);
    house.custody.sign(&token, &hospital(), first, NOW).await.unwrap();

    let other = SignOrder { digest: [2; 32], ..first };
    assert_eq!(code(house.custody.sign(&token, &hospital(), other, NOW).await), "order-reused");
    assert_eq!(house.custody.budget(budget.id).await.unwrap().left, 299);
}

#[tokio::test]
async fn a_number_belongs_to_its_facility_and_to_the_person_who_used_it() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let colleague = enrol(&house, 2, Qualification::MedicalDoctor).await;
    let hers = token(&house, &morning(&house, &doctor).await);
    let his = token(&house, &morning(&house, &colleague).await);
    let order = order(1);
    house.custody.sign(&hers, &hospital(), order, NOW).await.unwrap();
    assert_eq!(code(house.custody.sign(&his, &hospital(), order, NOW).await), "order-reused");

    let mut elsewhere = session(&house, &colleague, &PRESCRIPTION).await;
    elsewhere.facility_id = other_hospital().facility;
    elsewhere.x5t_s256 = other_hospital().x5t;
    let elsewhere = approve(&colleague, elsewhere);
    let elsewhere = house.custody.open_budget(&elsewhere, NOW).await.unwrap();
    let elsewhere = token(&house, &elsewhere);
    assert!(house.custody.sign(&elsewhere, &other_hospital(), order, NOW).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_askings_of_one_order_make_one_signature() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token: Arc<str> = token(&house, &budget).into();
    let before = house.anomalies.calls(Call::Sign);
    let order = order(1);

    let mut waiting = Vec::new();
    for _ in 0..64 {
        let (custody, token) = (house.custody.clone(), Arc::clone(&token));
        waiting
            .push(tokio::spawn(async move { custody.sign(&token, &hospital(), order, NOW).await }));
    }
    let mut signatures = Vec::new();
    for each in waiting {
        match each.await.unwrap() {
            Ok(signed) => signatures.push(signed.signature),
            refused => assert_eq!(code(refused), "order-in-progress"),
        }
    }
    signatures.dedup();
    assert_eq!(signatures.len(), 1);
    let books = balanced(&house).await;
    assert_eq!((books.consumed, books.released), (1, 0));
    assert_eq!(house.custody.budget(budget.id).await.unwrap().left, 299);
    // The journal signs its checkpoints with the same device, so only subscribers' calls differ by
    // one: intention and outcome are one entry each.
    assert!(house.anomalies.calls(Call::Sign) > before);
    let head = house.ledger.stream_head(doctor.key.stream()).await.unwrap().unwrap();
    // generated, certified, held, linked, opened, intended, made
    assert_eq!(head.seq, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_orders_at_once_load_the_key_once_and_draw_sixty_four() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token: Arc<str> = token(&house, &budget).into();
    let loads = house.anomalies.calls(Call::Load);

    let mut waiting = Vec::new();
    for digest in 0..64 {
        let (custody, token) = (house.custody.clone(), Arc::clone(&token));
        waiting.push(tokio::spawn(async move {
            custody.sign(&token, &hospital(), order(digest), NOW).await
        }));
    }
    for each in waiting {
        each.await.unwrap().unwrap();
    }
    assert_eq!(house.anomalies.calls(Call::Load) - loads, 1);
    assert_eq!(house.custody.budget(budget.id).await.unwrap().left, 236);
    assert_eq!(balanced(&house).await.consumed, 64);
}

#[tokio::test]
async fn a_token_is_good_over_its_own_certificate_at_its_own_facility_in_its_own_time() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    let sign = |peer: Peer, now| {
        let (custody, token) = (house.custody.clone(), token.clone());
        async move { custody.sign(&token, &peer, order(1), now).await }
    };

    assert_eq!(code(sign(other_hospital(), NOW).await), "token-wrong-certificate");
    let stolen = Peer { x5t: hospital().x5t, ..other_hospital() };
    assert_eq!(code(sign(stolen, NOW).await), "token-wrong-facility");
    assert_eq!(code(sign(hospital(), NOW.plus(64_800)).await), "token-expired");
    assert_eq!(code(sign(hospital(), NOW.minus(6)).await), "token-times-wrong");
    assert!(sign(hospital(), NOW.plus(64_799)).await.is_ok());
}

#[tokio::test]
async fn each_wrong_thing_about_a_token_has_its_own_code() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let good = claims(&budget);
    let with = |change: &dyn Fn(&mut wire::token::Claims)| {
        let mut claims = good.clone();
        change(&mut claims);
        mint(&house, &claims)
    };
    let mut forged = token(&house, &budget);
    let last = forged.pop().unwrap();
    let before = forged.pop().unwrap();
    forged.push(if before == 'A' { 'B' } else { 'A' });
    forged.push(last);
    let alg_none = {
        let rest = forged.split_once('.').unwrap().1;
        let header = wire::token::base64url_encode(br#"{"typ":"at+jwt","alg":"none","kid":"k"}"#);
        format!("{header}.{rest}")
    };
    let unknown_key = {
        let rest = forged.split_once('.').unwrap().1;
        let header = wire::token::base64url_encode(br#"{"typ":"at+jwt","alg":"ES256","kid":"k"}"#);
        format!("{header}.{rest}")
    };
    for (token, wrong) in [
        ("rubbish".to_owned(), "token-malformed"),
        (alg_none, "token-malformed"),
        (unknown_key, "token-key-unknown"),
        (forged, "token-signature-wrong"),
        (with(&|c| c.iss.push('x')), "token-wrong-issuer"),
        (with(&|c| c.aud.push('x')), "token-wrong-audience"),
        (with(&|c| c.scope = "openid".into()), "token-wrong-scope"),
        (with(&|c| c.exp = c.auth_time.plus(64_801)), "token-times-wrong"),
        // A stolen token key can mint anything, and signs nothing without a budget.
        (
            with(&|c| c.allowance.budget = hpki::id::BudgetId::from_octets([8; 16])),
            "budget-unknown",
        ),
        (with(&|c| c.sub = person(99)), "budget-unknown"),
        (with(&|c| c.allowance.grant = wire::token::base64url_encode(&[1; 32])), "budget-unknown"),
    ] {
        let refused = house.custody.sign(&token, &hospital(), order(1), NOW).await;
        assert_eq!(code(refused), wrong);
    }
    assert_eq!(balanced(&house).await.consumed, 0);
}

#[tokio::test]
async fn a_budget_of_another_facility_is_not_drawn_by_a_minted_token() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let mut claims = claims(&budget);
    claims.cnf = wire::token::Confirmation::of(&other_hospital().x5t);
    claims.allowance.facility = other_hospital().facility;
    let token = mint(&house, &claims);
    let refused = house.custody.sign(&token, &other_hospital(), order(1), NOW).await;
    assert_eq!(code(refused), "token-wrong-certificate");
}

#[tokio::test]
async fn a_token_key_that_is_no_longer_pinned_is_refused_at_once() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    house.custody.sign(&token, &hospital(), order(1), NOW).await.unwrap();
    house.custody.pin_token_keys(&[]);
    let refused = house.custody.sign(&token, &hospital(), order(2), NOW).await;
    assert_eq!(code(refused), "token-key-unknown");
}

#[tokio::test]
async fn an_ended_token_signs_no_more_and_its_key_is_unloaded() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    house.custody.sign(&token, &hospital(), order(1), NOW).await.unwrap();

    let elsewhere = house.custody.end_token(&token, &other_hospital(), NOW).await;
    assert_eq!(code(elsewhere), "token-wrong-certificate");
    house.custody.end_token(&token, &hospital(), NOW).await.unwrap();
    house.custody.end_token(&token, &hospital(), NOW).await.unwrap();
    assert_eq!(house.custody.loaded_keys(), 0);
    let refused = house.custody.sign(&token, &hospital(), order(2), NOW).await;
    assert_eq!(code(refused), "token-ended");
}

#[tokio::test]
async fn a_pharmacist_signs_no_prescription() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let pharmacist = enrol(&house, 2, Qualification::Pharmacist).await;
    let asked = session(&house, &pharmacist, &PRESCRIPTION).await;
    let refused = house.custody.open_budget(&approve(&pharmacist, asked), NOW).await;
    assert_eq!(code(refused), "kind-not-allowed");

    let asked = session(&house, &pharmacist, &[DocumentKind::Dispensing]).await;
    let budget = house.custody.open_budget(&approve(&pharmacist, asked), NOW).await.unwrap();
    let refused = house.custody.sign(&token(&house, &budget), &hospital(), order(1), NOW).await;
    assert_eq!(code(refused), "kind-not-allowed");
    // Neither does a minted token help.
    let mut claims = claims(&budget);
    claims.allowance.kinds = PRESCRIPTION.to_vec();
    let refused = house.custody.sign(&mint(&house, &claims), &hospital(), order(1), NOW).await;
    assert_eq!(code(refused), "kind-not-allowed");
}

#[tokio::test]
async fn a_kind_that_is_switched_off_is_neither_approved_nor_signed() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let asked = session(&house, &doctor, &[DocumentKind::Referral]).await;
    let refused = house.custody.open_budget(&approve(&doctor, asked), NOW).await;
    assert_eq!(code(refused), "kind-not-enabled");
    let budget = morning(&house, &doctor).await;
    let referral = custody::SignOrder { kind: DocumentKind::Referral, ..order(1) };
    let refused = house.custody.sign(&token(&house, &budget), &hospital(), referral, NOW).await;
    assert_eq!(code(refused), "kind-not-enabled");
}

#[tokio::test]
async fn the_count_and_the_hour_are_limits() {
    let folder = tempdir().unwrap();
    let house = {
        drop(found(folder.path()));
        open_with(folder.path(), Limits::new(5, 3).unwrap())
    };
    let doctor = physician(&house).await;
    let mut asked = session(&house, &doctor, &PRESCRIPTION).await;
    asked.max_count = 6;
    let refused = house.custody.open_budget(&approve(&doctor, asked.clone()), NOW).await;
    assert_eq!(code(refused), "allowance-too-large");
    asked.max_count = 5;
    let budget = house.custody.open_budget(&approve(&doctor, asked), NOW).await.unwrap();
    let token = token(&house, &budget);

    let mut outcomes = Vec::new();
    for (digest, later) in [0, 0, 0, 0, 3_600, 3_600, 3_600].into_iter().enumerate() {
        let order = order(u8::try_from(digest).unwrap());
        let signed = house.custody.sign(&token, &hospital(), order, NOW.plus(later)).await;
        outcomes.push(match signed {
            Ok(signed) => signed.left.to_string(),
            refused => code(refused).to_owned(),
        });
    }
    assert_eq!(outcomes, ["4", "3", "2", "hourly-limit-reached", "1", "0", "budget-exhausted"]);
    assert_eq!(balanced(&house).await.consumed, 5);
}

#[tokio::test]
async fn nothing_is_signed_while_something_about_the_key_is_undelivered() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    let key = doctor.key;
    house
        .ledger
        .write(move |tx| {
            tx.outbox("revocation", Some(key), "{}")?;
            Ok::<_, ledger::Failed<std::convert::Infallible>>(())
        })
        .await
        .unwrap();
    let order = order(1);
    let refused = house.custody.sign(&token, &hospital(), order, NOW).await;
    assert_eq!(code(refused), "status-unknown");
    let waiting = house.ledger.undelivered().await.unwrap();
    house.ledger.delivered(waiting[0].id).await.unwrap();
    assert!(house.custody.sign(&token, &hospital(), order, NOW).await.is_ok());
}

#[tokio::test]
async fn a_clock_behind_the_journal_signs_nothing() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    house.custody.sign(&token, &hospital(), order(1), NOW.plus(100)).await.unwrap();
    let refused = house.custody.sign(&token, &hospital(), order(2), NOW.plus(94)).await;
    assert_eq!(code(refused), "clock-unsure");
    assert!(house.custody.sign(&token, &hospital(), order(3), NOW.plus(95)).await.is_ok());
}

#[tokio::test]
async fn a_signature_that_does_not_verify_goes_nowhere_and_freezes_the_key() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    let order = order(1);
    let now = NOW.plus(1);
    // Checkpoints are signed by the same device: the next call is commit A's checkpoint, then the
    // subscriber's key.
    house.anomalies.plan(Call::Sign, 2, Anomaly::AnswerWrongly);
    assert_eq!(code(house.custody.sign(&token, &hospital(), order, now).await), "key-frozen");
    assert_eq!(code(house.custody.sign(&token, &hospital(), order, now).await), "key-frozen");
    assert_eq!(code(house.custody.answer(&facility(), order.number, now).await), "key-frozen");
    let office = common::office::office(&house).await;
    let act = custody::Act::Restart { key: doctor.key, evidence: "00".repeat(32) };
    let again = common::office::decided(&house, &office, act).await;
    assert_eq!(code(house.custody.restart(again, now).await), "key-wrong-state");
    let books = balanced(&house).await;
    assert_eq!((books.failed, books.consumed), (1, 0));
    assert_eq!(house.custody.loaded_keys(), 0);
}

#[tokio::test]
async fn an_idle_key_is_unloaded() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    house.custody.sign(&token, &hospital(), order(1), NOW).await.unwrap();
    house.custody.sweep(NOW.plus(900)).await.unwrap();
    assert_eq!(house.custody.loaded_keys(), 1);
    house.custody.sweep(NOW.plus(901)).await.unwrap();
    assert_eq!(house.custody.loaded_keys(), 0);
    assert!(house.custody.sign(&token, &hospital(), order(2), NOW.plus(902)).await.is_ok());
}

#[tokio::test]
async fn a_key_stays_loaded_no_longer_than_the_last_of_its_budgets() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let mut short = session(&house, &doctor, &PRESCRIPTION).await;
    short.not_after = NOW.plus(3_600);
    let short = house.custody.open_budget(&approve(&doctor, short), NOW).await.unwrap();
    let long = morning(&house, &doctor).await;
    let (soon, last) = (short.until, long.until);
    assert!(soon < last);
    let token = |budget| token(&house, budget);
    house.custody.sign(&token(&short), &hospital(), order(1), soon.minus(1)).await.unwrap();
    house.custody.sweep(soon).await.unwrap();
    assert_eq!(house.custody.loaded_keys(), 1, "one budget is open");
    house.custody.sign(&token(&long), &hospital(), order(2), last.minus(1)).await.unwrap();
    house.custody.sweep(last.minus(1)).await.unwrap();
    assert_eq!(house.custody.loaded_keys(), 1);
    house.custody.sweep(last).await.unwrap();
    assert_eq!(house.custody.loaded_keys(), 0);
}

#[tokio::test]
async fn a_key_whose_budget_another_process_ended_is_unloaded_here() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let (doctor, other) =
        (physician(&house).await, enrol(&house, 2, Qualification::MedicalDoctor).await);
    for member in [&doctor, &other] {
        let token = token(&house, &morning(&house, member).await);
        house.custody.sign(&token, &hospital(), order(1), NOW).await.unwrap();
    }
    assert_eq!(house.custody.loaded_keys(), 2);
    let ended = "UPDATE custody_budget SET ended = $1 WHERE kept = $2";
    assert_eq!(by_sql(&house, ended, vec![NOW.into(), doctor.key.into()]).await, 1);
    house.custody.sweep(NOW.plus(1)).await.unwrap();
    assert_eq!(house.custody.loaded_keys(), 1);
}

/// There it is PostgreSQL's turn too: a token and a database together.
#[test]
fn all_of_this_is_so_on_softhsm_too() {
    if common::engine::on_postgres() {
        return;
    }
    hsm::testing::again_on_softhsm("on_softhsm_too", &[], &[]);
}
