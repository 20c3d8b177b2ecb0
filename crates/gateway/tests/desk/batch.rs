//! Several records in one request: one number, one batch at the platform, each its own outcome.

use std::sync::atomic::Ordering;

use gateway::{DocumentOutcome, Paper, Refusal};
use hpki::id::OrderNumber;
use hpki::time::Timestamp;
use ledger::Failed;
use prescription::document::Parsed;
use verifier::Verdict;

use crate::estate::{Dice, now};
use crate::platform::Trouble::{AnswerLost, Lost, Says};
use crate::world::{Town, code, csv, dispensing_csv, id, later};

type Outcomes = Result<Vec<DocumentOutcome>, Failed<Refusal>>;

fn number() -> OrderNumber {
    OrderNumber::new(now().seconds() * 1000, &Dice)
}

/// So many records, of which none is like another.
fn records(count: usize) -> Vec<Vec<u8>> {
    let csv = String::from_utf8(csv()).unwrap();
    (0..count).map(|n| csv.replace("粉砕しない", &format!("{n}回目")).into_bytes()).collect()
}

async fn ask(town: &Town, number: OrderNumber, records: &[Vec<u8>], at: Timestamp) -> Outcomes {
    let papers: Vec<_> = records.iter().cloned().map(Paper::Prescription).collect();
    town.gateway.sign_many(&id("dr-1"), number, &papers, at).await
}

/// The record in each document, or why there is none.
fn told(outcomes: Outcomes) -> Vec<Result<Vec<u8>, String>> {
    let record = |document: Vec<u8>| Parsed::parse(&document).unwrap().csv;
    outcomes.unwrap().into_iter().map(|one| one.outcome.map(record)).collect()
}

/// How often the platform was asked for a batch, and asked about one.
fn asked(town: &Town) -> (usize, usize) {
    let paths = town.world.asked();
    let count = |wanted: &dyn Fn(&&String) -> bool| paths.iter().filter(wanted).count();
    let about = "/v1/signatures/batch/";
    (count(&|path| *path == "/v1/signatures/batch"), count(&|path| path.starts_with(about)))
}

#[tokio::test]
async fn several_records_are_signed_in_one_request_and_the_same_request_gets_the_same_documents() {
    let town = Town::awake().await;
    let (number, mut records) = (number(), records(3));
    // The same record twice is two prescriptions.
    records.push(records[0].clone());
    let first = ask(&town, number, &records, now()).await.unwrap();
    let orders: Vec<_> = first.iter().map(|one| one.order).collect();
    let documents: Vec<_> = first.into_iter().map(|one| one.outcome.unwrap()).collect();
    for (document, record) in documents.iter().zip(&records) {
        assert_eq!(Parsed::parse(document).unwrap().csv, *record);
    }
    assert_eq!((town.world.made(), asked(&town)), (4, (1, 0)));
    let again = ask(&town, number, &records, later(3_600)).await.unwrap();
    for ((again, order), document) in again.iter().zip(&orders).zip(&documents) {
        assert_eq!((&again.order, again.outcome.as_ref().unwrap()), (order, document));
        assert_eq!(town.gateway.document(again.order).await.unwrap(), *document);
    }
    assert_eq!((town.world.made(), asked(&town)), (4, (1, 0)));
}

#[tokio::test]
async fn whatever_gets_lost_the_batch_is_sent_again_under_its_number() {
    let town = Town::awake().await;
    town.world.trouble([Lost, AnswerLost, Says(503, "internal"), Says(409, "order-in-progress")]);
    let records = records(3);
    let outcomes = told(ask(&town, number(), &records, now()).await);
    assert_eq!(outcomes, records.into_iter().map(Ok).collect::<Vec<_>>());
    assert_eq!((town.world.made(), asked(&town)), (3, (5, 0)));
}

#[tokio::test]
async fn each_document_has_its_own_outcome() {
    let town = Town::awake().await;
    let (number, records) = (number(), records(3));
    *town.world.not_now.lock().unwrap() =
        [(0, "order-in-progress"), (2, "key-suspended")].into_iter().collect();
    let (one, two) = ("platform-refused:order-in-progress", "platform-refused:key-suspended");
    let outcomes = told(ask(&town, number, &records, now()).await);
    let expected = [Err(one.to_owned()), Ok(records[1].clone()), Err(two.to_owned())];
    assert_eq!(outcomes, expected);
    // What was in progress is asked for again; what was refused stays refused.
    let outcomes = told(ask(&town, number, &records, now()).await);
    assert_eq!(outcomes, [Ok(records[0].clone()), Ok(records[1].clone()), Err(two.to_owned())]);
}

#[tokio::test]
async fn a_batch_is_refused_whole_before_anything_is_sent() {
    let town = Town::awake().await;
    for count in [0, 301] {
        let refused = ask(&town, number(), &records(count), now()).await;
        assert_eq!(code(refused), "gateway-batch-size-wrong");
    }
    // One of the records names somebody else.
    let mut others = records(2);
    let text = String::from_utf8(others[1].clone()).unwrap();
    others[1] = text.replace("架空　太郎", "架空　次郎").into_bytes();
    assert_ne!(others[1], text.as_bytes());
    assert_eq!(code(ask(&town, number(), &others, now()).await), "prescriber-mismatch");
    assert_eq!(asked(&town), (0, 0));

    // What the platform refuses as a whole is refused for every document.
    town.world.trouble([Says(403, "hourly-limit-reached")]);
    let (number, records) = (number(), records(2));
    assert_eq!(code(ask(&town, number, &records, now()).await), "platform-refused");
    let told = told(ask(&town, number, &records, now()).await);
    assert_eq!(told, vec![Err("platform-refused:hourly-limit-reached".to_owned()); 2]);
    // A number is for one request.
    let swapped = [records[1].clone(), records[0].clone()];
    for other in [&records[..1], &swapped[..]] {
        assert_eq!(code(ask(&town, number, other, now()).await), "order-reused");
    }
    assert_eq!((town.world.made(), asked(&town)), (0, (1, 0)));
}

#[tokio::test]
async fn after_a_crash_the_batch_is_resumed_and_its_documents_are_there() {
    for (trouble, made_before) in [(Lost, 0), (AnswerLost, 3)] {
        let town = Town::awake().await;
        town.world.patience.store(0, Ordering::SeqCst);
        town.world.trouble([trouble]);
        let (number, records) = (number(), records(3));
        assert_eq!(code(ask(&town, number, &records, now()).await), "platform-unreachable");
        assert_eq!(town.world.made(), made_before);
        let town = town.restarted();
        let resumed = town.gateway.resume(later(30)).await.unwrap();
        assert!(resumed.len() == 3 && resumed.iter().all(|one| one.outcome.is_ok()));
        assert!(town.gateway.resume(later(31)).await.unwrap().is_empty());
        let outcomes = told(ask(&town, number, &records, later(60)).await);
        assert_eq!(outcomes, records.into_iter().map(Ok).collect::<Vec<_>>());
        assert_eq!((town.world.made(), asked(&town)), (3, (2, 0)));
    }
}

#[tokio::test]
async fn a_batch_that_nobody_expects_any_more_is_only_asked_about() {
    for (trouble, made) in [(Lost, 0), (AnswerLost, 2)] {
        let town = Town::awake().await;
        town.world.patience.store(0, Ordering::SeqCst);
        town.world.trouble([trouble]);
        let (number, records) = (number(), records(2));
        assert_eq!(code(ask(&town, number, &records, now()).await), "platform-unreachable");
        town.world.clock.store(later(5_000).seconds(), Ordering::SeqCst);
        let resumed = town.gateway.resume(later(5_000)).await.unwrap();
        assert_eq!(resumed.len(), 2);
        for one in resumed {
            match made {
                0 => assert_eq!(code(one.outcome), "order-expired"),
                _ => assert_eq!(one.outcome.unwrap().signing_time, now()),
            }
        }
        assert_eq!((town.world.made(), asked(&town)), (made, (1, 1)));
        assert!(town.gateway.resume(later(5_001)).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_pharmacist_has_several_results_signed_over_verified_prescriptions() {
    let town = Town::awake().await;
    let registered = town.registered().await;
    let made = town.world.made();
    let csv = String::from_utf8(dispensing_csv()).unwrap();
    let paper = |note: &str| Paper::Dispensing {
        prescription: registered.clone(),
        csv: csv.replace("粉砕しない", note).into_bytes(),
    };
    let (number, papers) = (number(), [paper("一"), paper("二")]);
    let ask = |papers: Vec<Paper>| {
        let (gateway, staff) = (&town.gateway, id("ph-1"));
        async move { gateway.sign_many(&staff, number, &papers, now()).await }
    };
    let signed = ask(papers.to_vec()).await.unwrap();
    let documents: Vec<_> = signed.iter().map(|one| one.outcome.clone().unwrap()).collect();
    for document in &documents {
        assert_eq!(town.gateway.report(document, now()).verdict, Verdict::Valid);
        assert_eq!(Parsed::parse(document).unwrap().prescription_csv, Some(crate::world::csv()));
    }
    // Each composition of a result has an identifier of its own; the request is what is compared.
    let again: Vec<_> = ask(papers.to_vec()).await.unwrap();
    assert!(again.iter().zip(&documents).all(|(one, before)| one.outcome.as_ref() == Ok(before)));
    assert_eq!(town.world.made(), made + 2);
    assert_eq!(code(ask(vec![papers[1].clone(), papers[0].clone()]).await), "order-reused");

    // One forged prescription among them, and nothing is sent.
    let forged = String::from_utf8(registered.clone()).unwrap();
    let (start, rest) = forged.split_once("<ds:SignatureValue").unwrap();
    let forged = format!("{start}<ds:SignatureValue{}", rest.replacen('A', "B", 1)).into_bytes();
    let csv = dispensing_csv();
    let mixed = [paper("三"), Paper::Dispensing { prescription: forged, csv }];
    let other = OrderNumber::new(now().seconds() * 1000, &Dice);
    let refused = town.gateway.sign_many(&id("ph-1"), other, &mixed, now()).await;
    assert_eq!(code(refused), "prescription-invalid");
    assert_eq!(town.world.made(), made + 2);
}
