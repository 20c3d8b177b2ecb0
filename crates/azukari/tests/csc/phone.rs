//! The second writer's phone, played by the test from his registration sheet on.

use approval::{DocumentsStatement, LinkStatement, SessionStatement};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use town::phone::{Phone, Scanned};

use crate::town::{Identity, Town};

pub(crate) struct Writer<'a> {
    town: &'a Town,
    phone: Phone,
    pub(crate) person: Value,
}

fn shown<T: DeserializeOwned>(asked: &Value) -> T {
    serde_json::from_value(asked["statement"].clone()).unwrap()
}

impl<'a> Writer<'a> {
    /// He reads his sheet with a new phone and links it.
    pub(crate) fn link(town: &'a Town, person: &Value) -> Self {
        let mut phone = Phone::new("試験の電話", town.text("/csc/url")).unwrap();
        let Scanned::Sheet { id, secret } = phone.scan(person["sheet"].as_str().unwrap()).unwrap()
        else {
            panic!("not a sheet")
        };
        let to = |phone: &Phone, path: &str, body: Value| town.ask(phone, path, &body);
        let opened = to(&phone, "/phone/link/open", json!({"sheet": id, "secret": secret}));
        let birth = json!({"session": opened["session"], "birth_date": person["birth_date"]});
        let asked = to(&phone, "/phone/link/birth", birth);
        let statement: LinkStatement = shown(&asked);
        let credential = phone.link(&statement.challenge(), &asked["options"]).unwrap();
        let finish = json!({"session": opened["session"], "credential": credential});
        to(&phone, "/phone/link/finish", finish);
        Self { town, phone, person: person.clone() }
    }

    /// What he is asked when he reads this QR code.
    fn claim(&self, qr: &str) -> (String, Value) {
        let Scanned::Ceremony { id, secret } = self.phone.scan(qr).unwrap() else {
            panic!("not a ceremony")
        };
        let claim = json!({"ceremony": id, "secret": secret});
        (id, self.town.ask(&self.phone, "/phone/session/claim", &claim))
    }

    /// He approves documents: the statement that he saw.
    pub(crate) fn approve_documents(&mut self, qr: &str) -> DocumentsStatement {
        let (ceremony, asked) = self.claim(qr);
        let statement: DocumentsStatement = shown(&asked);
        let credential = self.phone.approve(&statement.challenge(), &asked["options"]).unwrap();
        let approval = json!({"ceremony": ceremony, "credential": credential});
        self.town.ask(&self.phone, "/phone/session/approve", &approval);
        statement
    }

    /// He lets his key be used for a while; the digits that his phone shows, if it does.
    pub(crate) fn approve_session(&mut self, qr: &str) -> Option<String> {
        let (ceremony, asked) = self.claim(qr);
        let statement: SessionStatement = shown(&asked);
        let credential = self.phone.approve(&statement.challenge(), &asked["options"]).unwrap();
        let approval = json!({"ceremony": ceremony, "credential": credential});
        let done = self.town.ask(&self.phone, "/phone/session/approve", &approval);
        done["number"].as_str().map(str::to_owned)
    }

    /// He refuses what is shown.
    pub(crate) fn refuse(&self, qr: &str) {
        self.claim(qr);
        let Scanned::Ceremony { id, secret } = self.phone.scan(qr).unwrap() else {
            panic!("not a ceremony")
        };
        let refusal = json!({"ceremony": id, "secret": secret});
        self.town.ask(&self.phone, "/phone/session/refuse", &refusal);
    }

    /// The morning's authentication over this client certificate: an access token.
    pub(crate) fn token(&mut self, over: &Identity, kinds: &[&str]) -> String {
        let start = json!({
            "terminal": {"id": "t-1", "label": "試験の端末"},
            "expected_person": self.person["person_id"],
            "kinds": kinds, "count": 20, "hours": 1,
        });
        let begun = self.town.platform("/v1/ceremonies").over(over).post(&start).well();
        let (ceremony, asked) = self.claim(begun["qr"].as_str().unwrap());
        let statement: SessionStatement = shown(&asked);
        let credential = self.phone.approve(&statement.challenge(), &asked["options"]).unwrap();
        let approval = json!({"ceremony": ceremony, "credential": credential});
        let done = self.town.ask(&self.phone, "/phone/session/approve", &approval);
        let at = format!("/v1/ceremonies/{ceremony}");
        if let Some(number) = done["number"].as_str() {
            let path = format!("{at}/number");
            self.town.platform(&path).over(over).post(&json!({"number": number})).well();
        }
        let state = self.town.platform(&at).over(over).get().well();
        state["token"]["token"].as_str().unwrap().to_owned()
    }
}
