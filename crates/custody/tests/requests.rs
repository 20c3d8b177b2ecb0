//! Signatures that a program asks for and fetches later (CSC signPolling), and those around a
//! document's digest (signDoc).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use custody::{
    Authorize, Authorized, Format, KEEP_MOST_S, Later, Peer, Polled, Purpose, Ready, Rule, Sad,
    ToSign,
};
use hpki::Certificate;
use hpki::encoding::Digest32;
use hpki::id::RequestId;
use hpki::kind::DocumentKind;
use hpki::policy::VerifyingKey;
use hpki::qualification::Qualification;
use hpki::sign::SignatureAlgorithm;
use hpki::time::Timestamp;
use hsm::anomaly::{Anomaly, Call};
use tempfile::tempdir;
use wire::csc::CredentialId;
use xades::cades::Attributes;

/// A doctor whose key is for letters, and her token.
struct Writer {
    doctor: Member,
    budget: custody::Budget,
    token: String,
}

async fn writer(house: &House, number: u8) -> Writer {
    let doctor = enrol_for(house, number, Qualification::MedicalDoctor, Purpose::Hash).await;
    let asked = session(house, &doctor, &[DocumentKind::Referral]).await;
    let budget = house.custody.open_budget(&approve(&doctor, asked), NOW).await.unwrap();
    let token = token(house, &budget);
    Writer { doctor, budget, token }
}

impl Writer {
    fn credential(&self) -> CredentialId {
        CredentialId { key: self.doctor.key, kind: DocumentKind::Referral }
    }

    /// A SAD for these: out of the morning's approval, or approved on her phone by themselves.
    async fn sad(&self, house: &House, hashes: &[Digest32], format: Option<Format>) -> Sad {
        let ask = Authorize {
            credential: self.doctor.key,
            kind: None,
            count: hashes.len() as u32,
            hashes: Some(hashes.to_vec()),
            format,
        };
        let asked = house.custody.csc_authorize(&self.token, &hospital(), &ask, NOW).await.unwrap();
        match asked {
            Authorized::Granted(granted) => granted.sad,
            Authorized::Pending(prepared) => {
                let approval = approve_documents(&self.doctor, documents(&prepared, &hospital()));
                house.custody.authorise(prepared.id, &approval, NOW).await.unwrap().sad
            }
        }
    }

    async fn begin(
        &self,
        house: &House,
        sad: &Sad,
        wanted: &[ToSign],
    ) -> Result<RequestId, custody::Failed> {
        let later = Later { keep_s: 3_600, notify: None };
        let (peer, credential) = (hospital(), self.credential());
        house.custody.csc_begin(&self.token, &peer, credential, sad, (wanted, later), NOW).await
    }

    async fn poll(
        &self,
        house: &House,
        id: RequestId,
        at: Timestamp,
    ) -> Result<Polled, custody::Failed> {
        house.custody.csc_poll(&self.token, &hospital(), id, at).await
    }

    /// Asks until they are there.
    async fn fetch(&self, house: &House, id: RequestId, at: Timestamp) -> Vec<Ready> {
        loop {
            match self.poll(house, id, at).await.unwrap() {
                Polled::Signed { key, ready } => {
                    assert_eq!(key, self.doctor.key);
                    return ready;
                }
                Polled::Working => tokio::task::yield_now().await,
            }
        }
    }

    /// Until the device has done with it, one way or the other.
    async fn settled(&self, house: &House) {
        while house.custody.books().await.unwrap().reserved > 0 {
            tokio::task::yield_now().await;
        }
    }

    async fn certificate(&self, house: &House) -> Certificate {
        let own = house.custody.csc_credentials(&self.token, &hospital(), NOW).await.unwrap();
        Certificate::from_der(&own[0].certificate).unwrap()
    }
}

fn hashes(of: &[Digest32]) -> Vec<ToSign> {
    of.iter().copied().map(ToSign::hash).collect()
}

fn verified(certificate: &Certificate, dtbsr: &Digest32, signature: &[u8]) {
    let verifying =
        VerifyingKey::new(SignatureAlgorithm::RsaSha256, certificate.spki_der()).unwrap();
    verifying.verify_digest(dtbsr, signature).unwrap();
}

fn found_for(folder: &std::path::Path, rule: Rule) -> House {
    drop(found(folder));
    open_for_letters(folder, rule)
}

#[test]
fn all_of_this_holds_on_postgresql_too() {
    engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn what_is_asked_for_is_fetched_later_in_its_order_and_only_once_drawn() {
    for rule in [Rule::SESSION, Rule::EACH_DOCUMENT] {
        let folder = tempdir().unwrap();
        let house = found_for(folder.path(), rule);
        let her = writer(&house, 1).await;
        let asked = [[2; 32], [1; 32]];
        let sad = her.sad(&house, &asked, None).await;
        let id = her.begin(&house, &sad, &hashes(&asked)).await.unwrap();
        let ready = her.fetch(&house, id, NOW).await;
        let certificate = her.certificate(&house).await;
        for (hash, ready) in asked.iter().zip(&ready) {
            verified(&certificate, hash, &ready.signature);
            assert_eq!(ready.attributes, None);
        }
        assert_eq!(her.fetch(&house, id, NOW.plus(3_599)).await, ready);
        assert_eq!(code(her.poll(&house, id, NOW.plus(3_600)).await), "request-unknown");
        // By the same SAD nothing is left.
        let again = her.begin(&house, &sad, &hashes(&asked)).await;
        assert!(["sad-exhausted", "activation-spent"].contains(&code(again)));
        let drawn = if rule == Rule::SESSION { 298 } else { 300 };
        assert_eq!(house.custody.budget(her.budget.id).await.unwrap().left, drawn);
        assert_eq!(balanced(&house).await.consumed, 2);
        house.custody.sweep(NOW.plus(3_600 + 86_400)).await.unwrap();
        assert_eq!(by_sql(&house, "DELETE FROM custody_request", vec![]).await, 0, "forgotten");
    }
}

#[tokio::test]
async fn a_request_is_its_bearers_alone() {
    let folder = tempdir().unwrap();
    let house = found_for(folder.path(), Rule::SESSION);
    let (her, other) = (writer(&house, 1).await, writer(&house, 2).await);
    let sad = her.sad(&house, &[[1; 32]], None).await;
    let id = her.begin(&house, &sad, &hashes(&[[1; 32]])).await.unwrap();
    her.fetch(&house, id, NOW).await;
    let nobodys = RequestId::from_octets([9; 16]);
    for id in [id, nobodys] {
        assert_eq!(code(other.poll(&house, id, NOW).await), "request-unknown");
    }
    let elsewhere = house.custody.csc_poll(&her.token, &other_hospital(), id, NOW).await;
    assert_eq!(code(elsewhere), "token-wrong-certificate");
    let unregistered = Peer { x5t: [7; 32], ..hospital() };
    assert!(house.custody.csc_poll(&her.token, &unregistered, id, NOW).await.is_err());
    // What was signed before her session ended is hers; after it nothing is taken up.
    let sad = her.sad(&house, &[[2; 32]], None).await;
    house.anomalies.plan(Call::Sign, 2, Anomaly::FailAfter);
    let interrupted = her.begin(&house, &sad, &hashes(&[[2; 32]])).await.unwrap();
    her.settled(&house).await;
    house.custody.end_budget(her.budget.id, NOW).await.unwrap();
    assert_eq!(her.fetch(&house, id, NOW).await.len(), 1);
    assert_eq!(code(her.poll(&house, interrupted, NOW).await), "token-ended");
    balanced(&house).await;
}

#[tokio::test]
async fn what_cannot_be_signed_is_refused_before_there_is_a_request() {
    let folder = tempdir().unwrap();
    let house = found_for(folder.path(), Rule::SESSION);
    let her = writer(&house, 1).await;
    let sad = her.sad(&house, &[[1; 32]], None).await;
    for (wanted, why) in [
        (vec![], "batch-size-wrong"),
        (hashes(&[[2; 32]]), "hash-not-authorised"),
        (hashes(&[[1; 32], [1; 32]]), "sad-exhausted"),
    ] {
        assert_eq!(code(her.begin(&house, &sad, &wanted).await), why);
    }
    assert_eq!(by_sql(&house, "DELETE FROM custody_request", vec![]).await, 0);
    assert_eq!(
        her.fetch(&house, her.begin(&house, &sad, &hashes(&[[1; 32]])).await.unwrap(), NOW)
            .await
            .len(),
        1
    );
}

#[tokio::test]
async fn what_the_device_failed_at_is_taken_up_by_asking_while_it_may_be() {
    for (rule, until, late) in
        [(Rule::SESSION, 600, "order-interrupted"), (Rule::EACH_DOCUMENT, 59, "activation-expired")]
    {
        for at in [until, until + 1] {
            let folder = tempdir().unwrap();
            let house = found_for(folder.path(), rule);
            let her = writer(&house, 1).await;
            let asked = [[1; 32], [2; 32]];
            let sad = her.sad(&house, &asked, None).await;
            // The first call signs commit A's checkpoint.
            house.anomalies.plan(Call::Sign, 3, Anomaly::FailAfter);
            let id = her.begin(&house, &sad, &hashes(&asked)).await.unwrap();
            her.settled(&house).await;
            let books = balanced(&house).await;
            assert_eq!((books.consumed, books.released), (0, 2));
            assert_eq!(house.custody.budget(her.budget.id).await.unwrap().left, 300);
            // It can still be taken up: a SAD for so many signatures allows none beside them.
            if late == "order-interrupted" {
                let beside = her.begin(&house, &sad, &hashes(&asked)).await;
                assert_eq!(code(beside), "sad-exhausted");
            }
            if at > until {
                assert_eq!(code(her.poll(&house, id, NOW.plus(at)).await), late);
            } else {
                assert_eq!(her.fetch(&house, id, NOW.plus(at)).await.len(), 2);
                assert_eq!(balanced(&house).await.consumed, 2);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_step_breaks_a_request_that_was_answered_is_signed_once_after_a_restart() {
    for (rule, how) in [Rule::SESSION, Rule::EACH_DOCUMENT]
        .into_iter()
        .flat_map(|rule| every_way().into_iter().map(move |how| (rule, how)))
    {
        let folder = tempdir().unwrap();
        let house = found_for(folder.path(), rule);
        let her = writer(&house, 1).await;
        drop(house);
        let (mut answered, mut consumed) = (0, 0);
        for n in 1.. {
            let house = open_for_letters(folder.path(), rule);
            house.custody.recover(NOW).await.unwrap();
            let asked = [[n as u8; 32], [100; 32]];
            let sad = her.sad(&house, &asked, None).await;
            let mut known = None;
            house.faults.arm(n, how);
            let asking = async {
                let id = her.begin(&house, &sad, &hashes(&asked)).await?;
                known = Some(id);
                loop {
                    match her.poll(&house, id, NOW).await? {
                        Polled::Signed { .. } => return Ok::<_, custody::Failed>(()),
                        Polled::Working if house.faults.happened() => return Ok(()),
                        Polled::Working => tokio::task::yield_now().await,
                    }
                }
            };
            let ended = or_the_end(&house.faults, asking).await;
            let happened = house.faults.happened();
            house.faults.disarm();
            if happened {
                // Also where it broke behind the answer.
                house.faults.end();
            }
            drop(house);
            let house = open_for_letters(folder.path(), rule);
            house.custody.recover(NOW).await.unwrap();
            balanced(&house).await;
            if let Some(id) = known {
                // Whatever became of it: there, after asking, and the same when asked again.
                let ready = her.fetch(&house, id, NOW).await;
                let certificate = her.certificate(&house).await;
                for (hash, ready) in asked.iter().zip(&ready) {
                    verified(&certificate, hash, &ready.signature);
                }
                assert_eq!(her.fetch(&house, id, NOW).await, ready);
                answered += 1;
                consumed += 2;
            }
            let books = balanced(&house).await;
            match known {
                Some(_) => assert_eq!(books.consumed, consumed, "step {n} {how:?}"),
                // Commit A may have gone through unheard; nobody can ask for it, and what it signed
                // is in the journal.
                None => {
                    assert!(books.consumed <= consumed + 2, "step {n} {how:?}");
                    consumed = books.consumed;
                }
            }
            if !happened {
                ended.unwrap();
                assert!(answered > 0 && n > 10, "only {n} steps ({how:?})");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_request_changed_by_sql_gives_nothing() {
    let folder = tempdir().unwrap();
    let house = found_for(folder.path(), Rule::SESSION);
    let her = writer(&house, 1).await;
    let sad = her.sad(&house, &[[1; 32]], None).await;
    let id = her.begin(&house, &sad, &hashes(&[[1; 32]])).await.unwrap();
    her.fetch(&house, id, NOW).await;
    by_sql(&house, "UPDATE custody_activation SET dtbsr = $1", vec![(&[7; 32]).into()]).await;
    assert!(is_fault(&her.poll(&house, id, NOW).await));
    by_sql(&house, "UPDATE custody_request SET until = until + 1", vec![]).await;
    assert_eq!(code(her.poll(&house, id, NOW).await), "seal-broken");
    assert_eq!(house.custody.books().await.unwrap().broken_seals, 1);
}

#[tokio::test]
async fn a_program_is_told_once_what_it_asked_for_is_settled() {
    let folder = tempdir().unwrap();
    let house = found_for(folder.path(), Rule::SESSION);
    let her = writer(&house, 1).await;
    let sad = her.sad(&house, &[[1; 32]], None).await;
    let later = Later { keep_s: KEEP_MOST_S + 1, notify: Some("https://letters.test/done".into()) };
    let (wanted, peer) = (hashes(&[[1; 32]]), hospital());
    let credential = her.credential();
    let asked = house.custody.csc_begin(&her.token, &peer, credential, &sad, (&wanted, later), NOW);
    let id = asked.await.unwrap();
    her.settled(&house).await;
    let completed = house.custody.csc_completed(Vec::new(), NOW).await.unwrap();
    assert_eq!((completed.len(), completed[0].id), (1, id));
    assert_eq!(completed[0].notify, "https://letters.test/done");
    // Nobody is told of what is kept no more, and nothing is kept longer than a day.
    assert!(
        house.custody.csc_completed(Vec::new(), NOW.plus(KEEP_MOST_S)).await.unwrap().is_empty()
    );
    house.custody.csc_told(id, NOW).await.unwrap();
    assert!(house.custody.csc_completed(Vec::new(), NOW).await.unwrap().is_empty());
}

#[tokio::test]
async fn around_a_documents_digest_exactly_the_attributes_are_signed() {
    let digests = [[1; 32], [2; 32]];
    for rule in [Rule::SESSION, Rule::EACH_DOCUMENT] {
        for format in [Format::Cades, Format::Pades] {
            let folder = tempdir().unwrap();
            let house = found_for(folder.path(), rule);
            let her = writer(&house, 1).await;
            let certificate = her.certificate(&house).await;
            let wanted = digests.map(|digest| ToSign { digest, format: Some(format) });
            let (peer, credential) = (hospital(), her.credential());

            let sad = her.sad(&house, &digests, Some(format)).await;
            let at = NOW.plus(4);
            let signed =
                house.custody.csc_sign(&her.token, &peer, credential, &sad, &wanted, at).await;
            let signed = signed.unwrap();
            // Approved documents were composed when they were prepared, drawn ones just now.
            let made = if rule == Rule::SESSION { at } else { NOW };
            for (digest, one) in digests.iter().zip(&signed) {
                let expected = Attributes::new(format, digest, &certificate, made);
                assert_eq!(one.attributes.as_ref(), Some(&expected));
                verified(&certificate, &expected.digest(), &one.signature);
            }

            let sad = her.sad(&house, &digests, Some(format)).await;
            let id = her.begin(&house, &sad, &wanted).await.unwrap();
            let ready = her.fetch(&house, id, NOW.plus(30)).await;
            for (digest, one) in digests.iter().zip(&ready) {
                let expected = Attributes::new(format, digest, &certificate, NOW);
                assert_eq!(one.attributes.as_ref(), Some(&expected));
                verified(&certificate, &expected.digest(), &one.signature);
            }
            balanced(&house).await;
        }
    }
}

#[tokio::test]
async fn what_was_approved_in_one_way_is_not_signed_in_another() {
    let folder = tempdir().unwrap();
    let house = found_for(folder.path(), Rule::EACH_DOCUMENT);
    let her = writer(&house, 1).await;
    let ways = [None, Some(Format::Cades), Some(Format::Pades)];
    let (peer, credential, digest) = (hospital(), her.credential(), [1; 32]);
    for approved in ways {
        let sad = her.sad(&house, &[digest], approved).await;
        for format in ways.into_iter().filter(|other| *other != approved) {
            let wanted = [ToSign { digest, format }];
            let signed =
                house.custody.csc_sign(&her.token, &peer, credential, &sad, &wanted, NOW).await;
            assert_eq!(code(signed), "hash-not-authorised");
        }
        // Nor is what the attributes of the other way hash to.
        let certificate = her.certificate(&house).await;
        let inside = Attributes::new(Format::Pades, &digest, &certificate, NOW).digest();
        let wanted = [ToSign::hash(inside)];
        let signed =
            house.custody.csc_sign(&her.token, &peer, credential, &sad, &wanted, NOW).await;
        assert_eq!(code(signed), "hash-not-authorised");
        let wanted = [ToSign { digest, format: approved }];
        house.custody.csc_sign(&her.token, &peer, credential, &sad, &wanted, NOW).await.unwrap();
    }
    balanced(&house).await;
}

#[test]
fn all_of_this_is_so_on_softhsm_too() {
    again_on_softhsm(&[]);
}
