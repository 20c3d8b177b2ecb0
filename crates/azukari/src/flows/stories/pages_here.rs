//! The pages of a facility's own browsers, over the gateway's door: for which card a PIN is, and that
//! an address leads nowhere for ever.

use gateway::reader::{Commands, InProcess};
use serde_json::json;
use town::people::{HANAKO, JIRO};

use super::*;
use crate::config::GatewayConfig;
use crate::demo::cards;

/// A gateway with a reader, behind its door.
struct Ward {
    house: House,
    reader: InProcess,
    ehr_key: String,
    browser: Client,
    /// Open as long as the story lasts.
    _stop: watch::Sender<bool>,
}

impl Ward {
    async fn open() -> Self {
        let house = House::found().await;
        let file = house.founded.gateway_config(&SANDBOX);
        let written = std::fs::read_to_string(&file).unwrap();
        let with_cards = "\n[gateway.cards]\nreaders = false\nsigning = true\n";
        std::fs::write(&file, written + with_cards).unwrap();
        let config = GatewayConfig::load(&file).unwrap();
        let ehr_key = std::fs::read_to_string(&config.ehr_key).unwrap().trim().to_owned();
        let reader = InProcess::new("TEST reader");
        let over = Arc::new(Commands::over(reader.clone()));
        let hospital = crate::hospital::open_with(&config, None, Some(over)).await.unwrap();
        let listener = loopback().await;
        let url = format!("http://{}", listener.local_addr().unwrap());
        let browser = Client::new(&url, None, Duration::from_secs(60)).unwrap();
        let (stop, stopped) = watch::channel(false);
        let router = crate::hospital::router(hospital);
        tokio::spawn(http::server::serve(listener, None, router, stopped));
        Self { house, reader, ehr_key, browser, _stop: stop }
    }

    fn insert(&self, person: &Person) {
        self.reader.insert(cards::chip(self.house.home(), person).unwrap());
    }

    /// The EHR begins her morning. Gives the secret of the page.
    async fn morning(&self, means: &str) -> String {
        let path = format!("/v1/staff/{}/authentication", SANDBOX.staff_id(&HANAKO).unwrap());
        let body = json!({"terminal": SANDBOX.terminals[0].id, "means": means});
        let answer: Value =
            call(&self.browser, "POST", &path, Some(&self.ehr_key), Some(&body)).await.unwrap();
        secret(&answer)
    }

    async fn ask(&self, path: &str, body: Value) -> Result<Value, StepFailed> {
        call(&self.browser, "POST", path, None, Some(&body)).await
    }

    async fn look(&self, secret: &str) -> Value {
        self.ask("/c/state", json!({"secret": secret})).await.unwrap()
    }

    async fn type_pin(&self, secret: &str, pin: &str, shown: &Value) -> Result<Value, StepFailed> {
        let certificate = &shown["certificate"];
        let typed =
            json!({"secret": secret, "pin": pin, "certificate": certificate, "last": false});
        self.ask("/c/pin", typed).await
    }
}

fn secret(answer: &Value) -> String {
    answer["page"].as_str().unwrap().split_once('#').unwrap().1.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_is_for_the_card_on_the_page_where_it_was_typed_whoever_looked_since() {
    let ward = Ward::open().await;
    ward.insert(&HANAKO);
    let page = ward.morning("hpki").await;
    let hers = ward.look(&page).await;
    assert_eq!((hers["state"].as_str(), hers["card"]["tries"].as_u64()), (Some("pin"), Some(15)));
    // His card lies there now, and somebody else who knows the page has looked.
    ward.insert(&JIRO);
    let his = ward.look(&page).await;
    assert_ne!(hers["certificate"], his["certificate"]);
    assert_eq!(code(ward.type_pin(&page, "0000", &hers).await), "card-changed");
    assert_eq!(ward.look(&page).await["card"], his["card"], "it has lost no try");
    let nothing = json!({"certificate": ""});
    assert_eq!(code(ward.type_pin(&page, "0000", &nothing).await), "request-malformed");

    // Hers again: the page that shows it says so.
    ward.insert(&HANAKO);
    assert_eq!(code(ward.type_pin(&page, cards::PIN, &hers).await), "card-changed");
    let hers = ward.look(&page).await;
    ward.type_pin(&page, cards::PIN, &hers).await.unwrap();
    until(|| async { (ward.look(&page).await["state"] == "done").then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_once_saw_a_terminals_page_cannot_begin_ceremonies_with_it_for_ever() {
    let ward = Ward::open().await;
    let page = ward.morning("phone").await;
    let here = || json!({"secret": page});
    let mut pins = Vec::new();
    for means in ["hpki", "jpki"] {
        let asked = json!({"secret": page, "means": means});
        pins.push(secret(&ward.ask("/t/card", asked).await.unwrap()));
    }
    let first = ward.ask("/c/state", json!({"secret": pins[0]})).await;
    assert_eq!(code(first), "terminal-page-unknown", "one leads to one page for a PIN");
    assert_eq!(ward.look(&pins[1]).await["state"], "card");

    let mut codes = 0;
    let over = loop {
        match ward.ask("/t/again", here()).await {
            Ok(view) => assert_eq!(view["state"], "waiting"),
            refused => break code(refused),
        }
        codes += 1;
        assert!(codes <= 100, "it has no end");
    };
    assert_eq!((over.as_str(), codes), ("terminal-page-unknown", 10));
    assert_eq!(code(ward.ask("/t/state", here()).await), "terminal-page-unknown");
}
