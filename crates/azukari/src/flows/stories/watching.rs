//! Whoever watches the running platform from outside, over its real doors: witnesses, a monitor,
//! the owner of a key.

use ledger::tlog::{Missed, Proof, Quorum, Submission, WitnessKey};
use ledger::{Auditor, Monitor, Seen};
use town::people::HANAKO;

use super::*;
use crate::config::WitnessConfig;
use crate::demo::prepare::witness_file;
use crate::journal::mine::Mine;
use crate::journal::watching::Web;
use crate::platform::journal::publish;

const AUTHORITIES: [&str; 3] = ["jma", "jpa", "medis"];

/// A witness behind its door.
struct Watching {
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    url: String,
}

fn watching(house: &House, authority: &str, listener: tokio::net::TcpListener) -> Watching {
    let config = WitnessConfig::load(&house.home().join(witness_file(authority))).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = crate::witness::router(Arc::new(crate::witness::open(&config).unwrap()));
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(http::server::serve(listener, None, router, stopped));
    Watching { stop, serving, url }
}

fn quorum(house: &House, needed: usize) -> Quorum {
    let key = |authority: &str| -> WitnessKey {
        crate::witness::read_key(&house.home().join(format!("witness-{authority}.vkey"))).unwrap()
    };
    let log = house.platform().ledger.verify_key().clone();
    Quorum::new(log, AUTHORITIES.map(key).to_vec(), needed).unwrap()
}

/// Publishes, and has the monitor look. A witness that does not answer within its time is asked again
/// by the next publication.
async fn published(house: &House, monitor: &Monitor, web: &Web) -> Result<Seen, Missed> {
    publish(house.platform(), now()).await;
    monitor.look(web).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_three_witnesses_cosign_what_is_published_and_monitor_owner_and_auditor_follow_it() {
    let mut listeners = Vec::new();
    let mut places = Vec::new();
    for authority in AUTHORITIES {
        let listener = loopback().await;
        places.push((authority, listener.local_addr().unwrap()));
        listeners.push(listener);
    }
    let mut house = House::found_with(&places).await;
    // The third is never reached: nobody opens its door.
    listeners.pop();
    let second = listeners.pop().unwrap();
    let first = watching(&house, "jma", listeners.pop().unwrap());
    let web = Web::of(house.founded.client(None).unwrap());
    let state = house.home().join("watch");
    let monitor = Monitor::open(&state, quorum(&house, 2)).unwrap();

    // One witness is not enough for whoever wants two.
    let one_alone = async || match published(&house, &monitor, &web).await {
        Err(missed) => missed.to_string().starts_with("1 of the 2 witnesses").then_some(()),
        Ok(seen) => panic!("{seen:?}"),
    };
    until(one_alone).await;
    assert_eq!(house.platform().ledger.witnessed().await.unwrap(), None);
    let second = watching(&house, "jpa", second);
    let seen = until(async || published(&house, &monitor, &web).await.ok()).await;
    assert_eq!(seen.cosigned.by.len(), 2);

    let mut hanako = house.resident(&HANAKO).await;
    let token = house.morning(&mut hanako).await.unwrap();
    send(&house.at(&SANDBOX), &token, &some_order()).await.unwrap();
    let seen = until(async || published(&house, &monitor, &web).await.ok()).await;
    assert!(seen.new_entries >= 2 && seen.cosigned.by.len() == 2);

    // The owner of the key finds all of it by herself.
    let stream = hanako.citizen.key.stream();
    let ledger = house.platform().ledger.clone();
    let head = ledger.stream_head(stream).await.unwrap().unwrap();
    let log = ledger.verify_key().clone();
    let mine = Mine::of(&house.founded.url, &hanako.phone).unwrap();
    let way = house.founded.client(None).unwrap();
    let history = mine.look(&way, &quorum(&house, 2)).await.unwrap();
    let last = &history.entries.last().unwrap().1.record;
    assert_eq!((history.entries.len() as u64, last.event), (head.seq, Event::SignatureMade));
    assert_eq!((history.head, history.cosigned.by.len()), (head.commitment, 2));
    let last = history.entries.last().unwrap().0;

    // The auditor's proof stands without any of us.
    let place = house.platform().config.store.clone();
    let auditor = Auditor::open(place, None, log.clone()).unwrap();
    let (proof, witnessed) = auditor.prove(last).unwrap();
    assert!(witnessed);
    let (entry, cosigned) =
        Proof::parse(&proof).unwrap().verify_witnessed(&quorum(&house, 2)).unwrap();
    assert_eq!((entry.opening.record.event, cosigned.by.len()), (Event::SignatureMade, 2));
    drop((auditor, ledger));

    // A platform that starts anew asks the witnesses how far they are.
    house.again().await;
    let web = Web::of(house.founded.client(None).unwrap());
    let seen = until(async || published(&house, &monitor, &web).await.ok()).await;
    assert_eq!(seen.cosigned.by.len(), 2);

    // The statuses of the protocol.
    let ledger = &house.platform().ledger;
    let note = ledger.checkpoint();
    let client = Client::new(&first.url, None, std::time::Duration::from_secs(20)).unwrap();
    let ask = async |text: String| {
        let answer = client.send("POST", "/add-checkpoint", None, Some(text.into_bytes())).await;
        let answer = answer.unwrap();
        (answer.status, String::from_utf8(answer.body.to_vec()).unwrap())
    };
    let whole = Submission { old: 0, path: Vec::new(), checkpoint: note.clone() };
    assert_eq!(ask(whole.text()).await, (409, format!("{}\n", ledger.size())));
    let origin = log.origin();
    let statuses = [
        (whole.text().replacen(origin, "log.example", 1), 404),
        (whole.text().replacen(&format!("\n{}\n", ledger.size()), "\n1\n", 1), 403),
        ("old\n\n".to_owned(), 400),
        (Submission { old: ledger.size() + 1, ..whole.clone() }.text(), 400),
        (Submission { old: ledger.size(), path: vec![[0; 32]], ..whole }.text(), 422),
    ];
    for (text, status) in statuses {
        assert_eq!(ask(text.clone()).await.0, status, "{text}");
    }
    let way = house.founded.client(None).unwrap();
    for path in ["tile/0/999", "tile/0/0", "tile/entries/999.p/1", "keys"] {
        let answer = way.send("GET", &format!("/journal/{path}"), None, None).await.unwrap();
        assert_eq!(answer.status, 404, "{path}");
    }
    for watching in [first, second] {
        watching.stop.send(true).unwrap();
        watching.serving.await.unwrap();
    }
    house.in_order().await;
}
