//! The platform asks the authority of My Number Cards at each use of one, and believes no card where
//! it gives no answer that can be believed.

use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use gateway::reader::{Commands, InProcess};
use hpki::Certificate;
use town::card::Kept;
use town::people::{HANAKO, JIRO, SANDBOX};

use super::home_cards::{act, linked, morning};
use super::made::{self, MadeCard};
use super::*;
use crate::config::GatewayConfig;
use crate::demo::cards::InTown;
use crate::demo::jpki::{Office, PIN};
use crate::demo::walk::Door;

/// What the responder does today.
#[derive(Clone, Copy)]
enum Mood {
    Answers,
    /// With what it answered to the question before.
    Repeats,
    /// With what another office of the same name says.
    Foreign,
    /// With what it said an hour and more ago.
    Late,
    Silent(StatusCode),
    Babbles,
}

struct Responder {
    office: Arc<Office>,
    foreign: Office,
    mood: Mutex<Mood>,
    said: Mutex<Vec<u8>>,
}

async fn asked(State(there): State<Arc<Responder>>, question: Bytes) -> Response {
    let mood = *there.mood.lock().unwrap();
    let answer = match mood {
        Mood::Answers => there.office.answer(&question).unwrap(),
        Mood::Repeats => there.said.lock().unwrap().clone(),
        Mood::Foreign => there.foreign.answer(&question).unwrap(),
        Mood::Late => {
            // The same words, true at another time: the signature still holds.
            there.office.answer_at(&question, now().minus(3_601)).unwrap()
        }
        Mood::Silent(status) => return status.into_response(),
        Mood::Babbles => b"<html>maintenance</html>".to_vec(),
    };
    there.said.lock().unwrap().clone_from(&answer);
    answer.into_response()
}

/// How the platform learns what was revoked; `AT` is where the office is.
const BY_ASKING: &str = "ocsp = \"http://AT/ask\"\n";
const BY_LIST: &str = "list = \"http://AT/user-authentication.crl\"\n";

/// A town whose platform asks this responder.
struct Asking {
    house: House,
    there: Arc<Responder>,
    stop: watch::Sender<bool>,
}

impl Asking {
    async fn found(how: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (office, elsewhere) = (folder.path(), tempfile::tempdir().unwrap());
        let there = Responder {
            office: Arc::new(Office::found(office).unwrap()),
            foreign: Office::found(elsewhere.path()).unwrap(),
            mood: Mutex::new(Mood::Answers),
            said: Mutex::default(),
        };
        let there = Arc::new(there);
        let listener = loopback().await;
        let at = listener.local_addr().unwrap();
        let router = Router::new().route("/ask", post(asked)).with_state(Arc::clone(&there));
        let router = router.merge(crate::demo::jpki::router(Arc::clone(&there.office)));
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(http::server::serve(listener, None, router, stopped));
        let authority = office.join(Office::AUTHORITY);
        let how = how.replace("AT", &at.to_string());
        let lines = format!("\n[platform.jpki]\nauthority = {authority:?}\n{how}");
        let house = House::found_as(&[], &lines).await;
        Self { house, there, stop }
    }

    fn is(&self, mood: Mood) {
        *self.there.mood.lock().unwrap() = mood;
    }

    fn card(&self, person: &Person) -> MadeCard {
        of_kept(&self.there.office.card(person).unwrap())
    }

    /// The developers' facility, with a reader of its own on its terminal.
    async fn facility(&self, reader: &InProcess) -> Door {
        let file = self.house.founded.gateway_config(&SANDBOX);
        let written = std::fs::read_to_string(&file).unwrap();
        let cards = "\n[gateway.cards]\nreaders = false\nsigning = false\n";
        std::fs::write(&file, written + cards).unwrap();
        let config = GatewayConfig::load(&file).unwrap();
        let cards = Arc::new(Commands::over(reader.clone()));
        let hospital = crate::hospital::open_with(&config, None, Some(cards)).await.unwrap();
        let listener = loopback().await;
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (router, stopped) = (crate::hospital::router(hospital), self.stop.subscribe());
        tokio::spawn(http::server::serve(listener, None, router, stopped));
        Door {
            facility: &SANDBOX,
            client: Client::new(&url, None, Duration::from_secs(20)).unwrap(),
            url,
            ehr_key: std::fs::read_to_string(&config.ehr_key).unwrap().trim().to_owned(),
        }
    }

    async fn hpki(&self, person: &Person) -> MadeCard {
        let citizen = super::cards::citizen(&self.house, person);
        made::hpki(self.house.platform(), &citizen).await
    }

    async fn link(&self, hpki: &MadeCard, card: &MadeCard) -> Result<(), StepFailed> {
        linked(&self.house.founded.client(None).unwrap(), hpki, card).await.map(|_| ())
    }
}

fn of_kept(kept: &Kept) -> MadeCard {
    let Kept::Jpki { auth, .. } = kept else { panic!("a My Number Card") };
    MadeCard { authentication: auth.key().unwrap(), certificate: auth.certificate().unwrap() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_my_number_card_in_the_terminals_reader_opens_the_day() {
    let town = Asking::found(BY_ASKING).await;
    let (hpki, kept) = (town.hpki(&HANAKO).await, town.there.office.card(&HANAKO).unwrap());
    let reader = InProcess::new("試験のリーダー");
    let door = town.facility(&reader).await;
    let by_card = async |pin: &str| door.authenticate_by_card(&HANAKO, "jpki", pin).await;
    let refused = async |pin: &str, code: &str| {
        let said = by_card(pin).await.unwrap_err().to_string();
        assert!(said.contains(code), "{code}: {said}");
    };
    refused(PIN, "card-missing").await;
    reader.insert(InTown(kept.card().unwrap()));
    refused(PIN, "card-not-linked").await;
    town.link(&hpki, &of_kept(&kept)).await.unwrap();
    refused("9999", "card-pin-wrong").await;
    let done = by_card(PIN).await.unwrap();
    assert_eq!(done["state"], "done");
    let csv = ::town::ehr::prescription_csv(&HANAKO, &SANDBOX, now());
    let signed = door.prescribe(&HANAKO, &csv).await.unwrap();
    assert!(String::from_utf8(signed.document).unwrap().contains("<ds:SignatureValue"));

    // His own card speaks for nobody at her place, and a revoked one not for her.
    let his = town.there.office.card(&JIRO).unwrap();
    town.link(&town.hpki(&JIRO).await, &of_kept(&his)).await.unwrap();
    reader.insert(InTown(his.card().unwrap()));
    refused(PIN, "not-the-expected-person").await;
    let serial = Certificate::from_der(&of_kept(&kept).certificate).unwrap().serial().to_vec();
    town.there.office.revoke(&serial);
    reader.insert(InTown(kept.card().unwrap()));
    refused(PIN, "card-revoked").await;
    town.is(Mood::Babbles);
    refused(PIN, "card-status-unknown").await;
    town.house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authority_is_asked_at_each_use_and_a_revocation_counts_at_once() {
    let town = Asking::found(BY_ASKING).await;
    let way = town.house.at(&SANDBOX);
    let (hpki, card) = (town.hpki(&HANAKO).await, town.card(&HANAKO));
    town.link(&hpki, &card).await.unwrap();
    let token = morning(&way, "jpki", &card).await.unwrap();
    assert_eq!(token.means, "jpki");

    // Between question and answer her card is revoked at the town hall.
    let ceremony = super::cards::start(&way, None).await;
    let asked = super::cards::ask(&way, ceremony, "jpki", &card.certificate).await.unwrap();
    let serial = Certificate::from_der(&card.certificate).unwrap().serial().to_vec();
    town.there.office.revoke(&serial);
    let late = hpki::sign::Sign::sign(&card.authentication, &asked.challenge.0).unwrap();
    assert_eq!(code(super::cards::answer(&way, ceremony, late).await), "card-revoked");
    assert_eq!(code(morning(&way, "jpki", &card).await), "card-revoked");

    // The next card, linked in its place.
    let renewed = town.card(&HANAKO);
    assert_eq!(code(morning(&way, "jpki", &renewed).await), "card-not-linked");
    town.link(&hpki, &renewed).await.unwrap();
    morning(&way, "jpki", &renewed).await.unwrap();
    act(&town.house.founded.client(None).unwrap(), "jpki", &renewed, "unlink-jpki").await.unwrap();
    town.house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_that_its_authority_does_not_know_is_refused_for_that() {
    let town = Asking::found(BY_ASKING).await;
    let way = town.house.at(&SANDBOX);
    let (hpki, card) = (town.hpki(&JIRO).await, town.card(&JIRO));
    town.there.office.forget();
    assert_eq!(code(town.link(&hpki, &card).await), "card-unknown-to-issuer");
    assert_eq!(code(morning(&way, "jpki", &card).await), "card-unknown-to-issuer");
    // Nobody is asked about another authority's card.
    town.is(Mood::Silent(StatusCode::INTERNAL_SERVER_ERROR));
    assert_eq!(code(morning(&way, "jpki", &hpki).await), "card-issuer-unknown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_answer_that_can_be_believed_no_card_proves_anything() {
    let town = Asking::found(BY_ASKING).await;
    let way = town.house.at(&SANDBOX);
    let (hpki, card) = (town.hpki(&HANAKO).await, town.card(&HANAKO));
    town.link(&hpki, &card).await.unwrap();
    morning(&way, "jpki", &card).await.unwrap();
    for mood in [
        Mood::Repeats,
        Mood::Foreign,
        Mood::Late,
        Mood::Silent(StatusCode::SERVICE_UNAVAILABLE),
        Mood::Babbles,
    ] {
        town.is(mood);
        // What was good a moment ago does not count any more.
        assert_eq!(code(morning(&way, "jpki", &card).await), "card-status-unknown");
        let other = town.card(&HANAKO);
        assert_eq!(code(town.link(&hpki, &other).await), "card-status-unknown");
        town.is(Mood::Answers);
        morning(&way, "jpki", &card).await.unwrap();
    }
    town.house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_made_ahead_are_believed_where_that_is_configured_and_only_while_young() {
    let ahead = format!("{BY_ASKING}ocsp_nonce = false\nocsp_minutes = 120\n");
    let town = Asking::found(&ahead).await;
    let way = town.house.at(&SANDBOX);
    let (hpki, card) = (town.hpki(&HANAKO).await, town.card(&HANAKO));
    town.link(&hpki, &card).await.unwrap();
    // An answer with somebody else's nonce is never believed.
    town.is(Mood::Repeats);
    assert_eq!(code(morning(&way, "jpki", &card).await), "card-status-unknown");
    // Ten minutes after its time there is newer word, whatever we would believe.
    town.is(Mood::Late);
    assert_eq!(code(morning(&way, "jpki", &card).await), "card-status-unknown");
    town.is(Mood::Answers);
    morning(&way, "jpki", &card).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn linked_cards_are_asked_about_in_turn_and_a_revoked_one_ends_its_link() {
    let town = Asking::found(BY_ASKING).await;
    let (way, platform) = (town.house.at(&SANDBOX), Arc::clone(town.house.platform()));
    let (hpki, card) = (town.hpki(&HANAKO).await, town.card(&HANAKO));
    town.link(&hpki, &card).await.unwrap();
    let his = town.card(&JIRO);
    town.link(&town.hpki(&JIRO).await, &his).await.unwrap();
    let token = morning(&way, "jpki", &card).await.unwrap();
    let serial = Certificate::from_der(&card.certificate).unwrap().serial().to_vec();
    town.there.office.revoke(&serial);

    // While nothing can be told nothing ends, and nothing counts as done.
    town.is(Mood::Silent(StatusCode::SERVICE_UNAVAILABLE));
    crate::flows::card_look::round(&platform, now()).await.unwrap();
    assert!(platform.authn.linked_card(token.key).await.unwrap().is_some());
    send(&way, &token.token, &some_order()).await.unwrap();
    town.is(Mood::Answers);
    crate::flows::card_look::round(&platform, now()).await.unwrap();
    assert!(platform.authn.linked_card(token.key).await.unwrap().is_none());
    assert_eq!(code(send(&way, &token.token, &some_order()).await), "token-ended");
    // His stays, and is not asked about again today.
    let key = super::cards::citizen(&town.house, &JIRO).key;
    assert!(platform.authn.linked_card(key).await.unwrap().is_some());
    let today = now().minus(86_400);
    assert_eq!(platform.authn.cards_to_look_at(today, 10).await.unwrap(), []);
    town.house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_lists_are_configured_nobody_is_asked_and_a_revocation_counts_with_the_next_list() {
    let town = Asking::found(BY_LIST).await;
    town.is(Mood::Silent(StatusCode::SERVICE_UNAVAILABLE));
    let way = town.house.at(&SANDBOX);
    let (hpki, card) = (town.hpki(&HANAKO).await, town.card(&HANAKO));
    town.link(&hpki, &card).await.unwrap();
    morning(&way, "jpki", &card).await.unwrap();
    let serial = Certificate::from_der(&card.certificate).unwrap().serial().to_vec();
    town.there.office.revoke(&serial);
    morning(&way, "jpki", &card).await.unwrap();
    crate::flows::card_status::refresh(town.house.platform()).await;
    assert_eq!(code(morning(&way, "jpki", &card).await), "card-revoked");
}
