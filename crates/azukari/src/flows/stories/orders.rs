//! An order has one signature, however often and from wherever it is asked for.

use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt as _;
use town::people::{HANAKO, HOSPITAL, SANDBOX};
use wire::{BatchAnswer, BatchDocument, BatchRequest};

use super::*;

/// Sends an order over a connection of its own, which breaks as soon as the work has begun.
async fn send_and_hang_up(house: &House, token: &str, order: &SignRequest) {
    let tls = house.home().join("tls");
    let (certificate, key) =
        (tls.join(format!("{}.pem", SANDBOX.code)), tls.join(format!("{}.key", SANDBOX.code)));
    let config =
        http::tls::client(&tls.join("facility-ca.pem"), Some((&certificate, &key))).unwrap();
    let address = house.founded.url.trim_start_matches("https://").to_owned();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = tokio_rustls::TlsConnector::from(config).connect(name, stream).await.unwrap();
    let body = serde_json::to_string(order).unwrap();
    let request = format!(
        "POST /v1/signatures HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let size = house.platform().ledger.size();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    // From the first commit on the work goes on by itself.
    let ledger = &house.platform().ledger;
    until(|| async { (ledger.size() > size).then_some(()) }).await;
    drop(stream);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_after_a_lost_answer_gets_the_signature_that_was_made() {
    let house = House::found().await;
    let mut hanako = house.resident(&HANAKO).await;
    let token = house.morning(&mut hanako).await.unwrap();
    let way = house.at(&SANDBOX);
    let order = some_order();
    send_and_hang_up(&house, &token, &order).await;
    let made = until(|| async { asked(&way, &token, &order).await.ok() }).await;
    let size = house.platform().ledger.size();

    let retry = send(&way, &token, &order).await.unwrap();
    assert!(same(&retry, &made));
    assert_eq!(retry.left, 299, "drawn once");
    assert_eq!(house.platform().ledger.size(), size, "a retry writes nothing");

    let mut other = some_order();
    other.order = order.order;
    assert_eq!(code(send(&way, &token, &other).await), "order-reused");
    assert_eq!(house.entries(Event::SignatureMade).await.len(), 1);
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_outlives_the_platform_that_gave_it() {
    let mut house = House::found().await;
    let mut hanako = house.resident(&HANAKO).await;
    let token = house.morning(&mut hanako).await.unwrap();
    let order = some_order();
    let first = send(&house.at(&SANDBOX), &token, &order).await.unwrap();
    house.again().await;
    let way = house.at(&SANDBOX);
    assert!(same(&send(&way, &token, &order).await.unwrap(), &first));
    // The morning's authentication outlives it too.
    assert_eq!(send(&way, &token, &some_order()).await.unwrap().left, 298);
    assert_eq!(house.entries(Event::SignatureMade).await.len(), 2);
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_senders_of_one_order_get_one_signature() {
    let house = House::found().await;
    let mut hanako = house.resident(&HANAKO).await;
    let token = Arc::new(house.morning(&mut hanako).await.unwrap());
    let way = house.at(&SANDBOX);
    let order = some_order();
    let senders: Vec<_> = (0..64)
        .map(|_| {
            let (way, token, order) = (way.clone(), Arc::clone(&token), order.clone());
            tokio::spawn(async move { send(&way, &token, &order).await })
        })
        .collect();
    let mut answers = Vec::new();
    for sender in senders {
        match sender.await.unwrap() {
            Ok(answer) => answers.push(answer),
            // Told to come again with the same number.
            refused => assert_eq!(code(refused), "order-in-progress"),
        }
    }
    answers.push(send(&way, &token, &order).await.unwrap());
    assert!(answers.len() > 1, "somebody's call made it");
    assert!(answers.iter().all(|answer| same(answer, &answers[0])));
    assert_eq!(answers.last().unwrap().left, 299, "drawn once");
    assert_eq!(house.entries(Event::SignatureIntended).await.len(), 1);
    assert_eq!(house.entries(Event::SignatureMade).await.len(), 1);
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_works_over_the_certificate_it_was_given_to_and_over_no_other() {
    let house = House::found().await;
    let mut hanako = house.resident(&HANAKO).await;
    let token = house.morning(&mut hanako).await.unwrap();
    let (mine, theirs) = (house.at(&SANDBOX), house.at(&HOSPITAL));
    let size = house.platform().ledger.size();
    let order = some_order();
    assert_eq!(code(send(&theirs, &token, &order).await), "token-wrong-certificate");
    let nobody = house.founded.client(None).unwrap();
    assert_eq!(code(send(&nobody, &token, &order).await), "client-certificate-missing");
    let end = wire::path::SESSIONS_END;
    let ending = call::<Value>(&theirs, "POST", end, Some(&token), None).await;
    assert_eq!(code(ending), "token-wrong-certificate");
    assert_eq!(house.platform().ledger.size(), size, "nothing was begun");

    send(&mine, &token, &order).await.unwrap();
    // Another facility's question about this number is a question about nothing.
    assert_eq!(code(asked(&theirs, &token, &order).await), "order-unknown");

    call::<Value>(&mine, "POST", end, Some(&token), None).await.unwrap();
    assert_eq!(code(send(&mine, &token, &some_order()).await), "token-ended");
    assert_eq!(house.entries(Event::SignatureMade).await.len(), 1);
    house.in_order().await;
}

fn batch(count: usize) -> BatchRequest {
    let orders: Vec<SignRequest> = (0..count).map(|_| some_order()).collect();
    let document = |one: &SignRequest| BatchDocument { kind: one.kind, digest: one.digest.clone() };
    BatchRequest { order: some_order().order, documents: orders.iter().map(document).collect() }
}

async fn send_batch(
    way: &Client,
    token: &str,
    batch: &BatchRequest,
) -> Result<BatchAnswer, StepFailed> {
    let body: Value = serde_json::to_value(batch).unwrap();
    call(way, "POST", wire::path::BATCHES, Some(token), Some(&body)).await
}

async fn stored_batch(way: &Client, order: OrderNumber) -> Result<BatchAnswer, StepFailed> {
    let path = wire::path::BATCH.replace("{order}", &order.to_string());
    call(way, "GET", &path, None, None).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_signed_under_one_number_and_its_answer_is_kept_for_its_facility() {
    let house = House::found().await;
    let mut hanako = house.resident(&HANAKO).await;
    let token = house.morning(&mut hanako).await.unwrap();
    let (mine, theirs) = (house.at(&SANDBOX), house.at(&HOSPITAL));
    for (wrong, why) in [(batch(0), "batch-size-wrong"), (batch(101), "hourly-limit-reached")] {
        assert_eq!(code(send_batch(&mine, &token, &wrong).await), why);
        assert_eq!(code(stored_batch(&mine, wrong.order).await), "order-unknown");
    }
    // A thousand fit into a request; what they do not fit into is the budget.
    assert_eq!(code(send_batch(&mine, &token, &batch(1_000)).await), "budget-exhausted");

    let three = batch(3);
    assert_eq!(code(send_batch(&theirs, &token, &three).await), "token-wrong-certificate");
    let signed = send_batch(&mine, &token, &three).await.unwrap();
    assert_eq!((signed.order, signed.documents.len()), (three.order, 3));
    let again = send_batch(&mine, &token, &three).await.unwrap();
    let stored = stored_batch(&mine, three.order).await.unwrap();
    for (one, other) in signed.documents.iter().zip(again.documents.iter().zip(&stored.documents)) {
        let one = one.signed.as_ref().unwrap();
        assert_eq!((one.order, one.left), (three.order, 297));
        assert!(same(one, other.0.signed.as_ref().unwrap()));
        assert!(same(one, other.1.signed.as_ref().unwrap()));
    }
    assert_eq!(code(stored_batch(&theirs, three.order).await), "order-unknown");
    let mut other = three.clone();
    other.documents.swap(0, 1);
    assert_eq!(code(send_batch(&mine, &token, &other).await), "order-reused");
    assert_eq!(house.entries(Event::SignatureMade).await.len(), 3);
    house.in_order().await;
}
