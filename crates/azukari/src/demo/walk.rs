//! The story's steps as an outside program takes them: over HTTP only, with the town's phones. The
//! timeline, the page and the benchmark all walk through here.

use std::time::Duration;

use approval::{
    DocumentsStatement, LinkCardStatement, LinkStatement, LoginStatement, SessionStatement,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpki::encoding::Digest32;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use town::people::{Facility, Person};
use town::phone::{Phone, Scanned};
use wire::refusal::Problem;

use crate::http::client::{Answer, CallFault, Client};

/// How long a person waits for her card.
const BROWSER_PATIENCE: Duration = Duration::from_secs(40);

/// Why a step did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepFailed {
    /// Somebody said no.
    #[error("{}: {} – {}", .0.code, .0.title, .0.advice)]
    Refused(Box<Problem>),
    /// Nobody answered.
    #[error(transparent)]
    Unreachable(#[from] CallFault),
    /// The town's phone would not.
    #[error(transparent)]
    Phone(#[from] town::Refusal),
    /// An answer was not what was agreed.
    #[error("an unexpected answer: {0}")]
    Odd(String),
}

/// Sends JSON, takes JSON; a problem document becomes a refusal.
pub(crate) async fn call<T: DeserializeOwned>(
    client: &Client,
    method: &str,
    path: &str,
    bearer: Option<&str>,
    body: Option<&Value>,
) -> Result<T, StepFailed> {
    let body = body.map(|value| value.to_string().into_bytes());
    let answer = client.send(method, path, bearer, body).await?;
    read(path, &answer)
}

/// The same from a page on the phone: with its cookies, keeping those that come.
pub(crate) async fn ask<T: DeserializeOwned>(
    platform: &Client,
    phone: &Phone,
    path: &str,
    body: &Value,
) -> Result<T, StepFailed> {
    let page = platform.as_page(phone.origin(), phone.cookies());
    let answer = page.send("POST", path, None, Some(body.to_string().into_bytes())).await?;
    for line in &answer.cookies {
        phone.keep_cookie(line);
    }
    read(path, &answer)
}

fn read<T: DeserializeOwned>(path: &str, answer: &Answer) -> Result<T, StepFailed> {
    if answer.status == 200 {
        return serde_json::from_slice(&answer.body)
            .map_err(|error| StepFailed::Odd(format!("{path}: {error}")));
    }
    match serde_json::from_slice(&answer.body) {
        Ok(problem) => Err(StepFailed::Refused(Box::new(problem))),
        Err(_) => Err(StepFailed::Odd(format!("{path}: status {}", answer.status))),
    }
}

/// The gateway of one facility, as its EHR sees it.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) facility: &'static Facility,
    pub(crate) url: String,
    pub(crate) client: Client,
    pub(crate) ehr_key: String,
}

/// What a phone saw and did in one authentication: for the page and the timeline.
#[derive(Debug, Clone)]
pub(crate) struct Begun {
    pub(crate) ceremony: String,
    pub(crate) qr: String,
    pub(crate) until: u64,
}

/// What the phone was asked to approve.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    pub(crate) ceremony: String,
    /// `session`, `documents`, `login` or `link-card`.
    pub(crate) kind: String,
    pub(crate) statement: Value,
    pub(crate) options: Value,
}

impl Claimed {
    /// The challenge, as the phone computes it from what it displays.
    fn challenge(&self) -> Result<Digest32, StepFailed> {
        match self.kind.as_str() {
            "documents" => Ok(displayed::<DocumentsStatement>(&self.statement)?.challenge()),
            "login" => Ok(displayed::<LoginStatement>(&self.statement)?.challenge()),
            "link-card" => Ok(displayed::<LinkCardStatement>(&self.statement)?.challenge()),
            _ => Ok(displayed::<SessionStatement>(&self.statement)?.challenge()),
        }
    }

    /// Where the journal of her key stands, as her approval signs it.
    fn head(&self) -> Option<(u64, Digest32)> {
        let shown: SessionStatement = displayed(&self.statement).ok()?;
        Some((shown.head_seq, shown.head_commitment?))
    }

    /// The eight characters that the phone shows for documents, computed from their root.
    #[cfg(test)]
    pub(crate) fn short_code(&self) -> Option<String> {
        let shown: DocumentsStatement = displayed(&self.statement).ok()?;
        Some(shown.short_code())
    }
}

/// A signed document, as the gateway handed it to the EHR.
#[derive(Debug, Clone)]
pub(crate) struct SignedDocument {
    pub(crate) document: Vec<u8>,
    pub(crate) answer: Value,
}

/// A phone opens its sheet, gives the birth date, makes its credential and is linked.
pub(crate) async fn link(
    platform: &Client,
    phone: &mut Phone,
    sheet: &str,
    person: &Person,
) -> Result<(), StepFailed> {
    let Scanned::Sheet { id, secret } = phone.scan(sheet)? else {
        return Err(StepFailed::Odd("not a registration sheet".into()));
    };
    let open = json!({"sheet": id, "secret": secret});
    let opened: Value = ask(platform, phone, wire::path::LINK_OPEN, &open).await?;
    let birth = json!({"session": opened["session"], "birth_date": person.birth_date});
    let asked: Value = match opened.get("proven") {
        Some(asked) => asked.clone(),
        None => ask(platform, phone, wire::path::LINK_BIRTH, &birth).await?,
    };
    let shown: LinkStatement = displayed(&asked["statement"])?;
    let credential = phone.link(&shown.challenge(), &asked["options"])?;
    let finish = json!({
        "session": opened["session"], "credential": credential, "label": phone.label(),
    });
    let done: Value = ask(platform, phone, wire::path::LINK_FINISH, &finish).await?;
    phone.keep_stream_key(octets(&done, "stream_key")?);
    Ok(())
}

/// Reads the statement that the phone displays, to compute its challenge on the phone's side.
fn displayed<T: DeserializeOwned>(statement: &Value) -> Result<T, StepFailed> {
    serde_json::from_value(statement.clone())
        .map_err(|error| StepFailed::Odd(format!("statement: {error}")))
}

/// The phone reads the terminal's QR and shows what is asked.
pub(crate) async fn claim(
    platform: &Client,
    phone: &Phone,
    qr: &str,
) -> Result<Claimed, StepFailed> {
    let Scanned::Ceremony { id, secret } = phone.scan(qr)? else {
        return Err(StepFailed::Odd("not a terminal's QR".into()));
    };
    let claim = json!({"ceremony": id, "secret": secret});
    let asked: Value = ask(platform, phone, wire::path::SESSION_CLAIM, &claim).await?;
    Ok(Claimed {
        ceremony: id,
        kind: asked["type"].as_str().unwrap_or_default().to_owned(),
        statement: asked["statement"].clone(),
        options: asked["options"].clone(),
    })
}

/// The owner approves on the phone. Gives the three digits, where the place must be confirmed.
pub(crate) async fn approve(
    platform: &Client,
    phone: &mut Phone,
    claimed: &Claimed,
) -> Result<Option<String>, StepFailed> {
    let credential = phone.approve(&claimed.challenge()?, &claimed.options)?;
    let approval = json!({"ceremony": claimed.ceremony, "credential": credential});
    let done: Value = ask(platform, phone, wire::path::SESSION_APPROVE, &approval).await?;
    if let Some((seq, commitment)) = claimed.head() {
        phone.keep_head(seq, commitment);
    }
    Ok(done["number"].as_str().map(str::to_owned))
}

/// The owner refuses on the phone.
pub(crate) async fn refuse(platform: &Client, phone: &Phone, qr: &str) -> Result<(), StepFailed> {
    let Scanned::Ceremony { id, secret } = phone.scan(qr)? else {
        return Err(StepFailed::Odd("not a terminal's QR".into()));
    };
    let refusal = json!({"ceremony": id, "secret": secret});
    let _: Value = ask(platform, phone, wire::path::SESSION_REFUSE, &refusal).await?;
    Ok(())
}

impl Door {
    async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, StepFailed> {
        call(&self.client, method, path, Some(&self.ehr_key), body).await
    }

    fn staff(&self, person: &Person) -> Result<&'static str, StepFailed> {
        self.facility
            .staff_id(person)
            .ok_or_else(|| StepFailed::Odd(format!("{} does not work here", person.slug)))
    }

    /// The terminal begins an authentication.
    pub(crate) async fn begin(&self, person: &Person) -> Result<Begun, StepFailed> {
        let path = format!("/v1/staff/{}/authentication", self.staff(person)?);
        let terminal = json!({"terminal": self.facility.terminals[0].id});
        let begun = self.ask("POST", &path, Some(&terminal)).await?;
        let text = |name: &str| begun[name].as_str().unwrap_or_default().to_owned();
        Ok(Begun {
            ceremony: text("ceremony"),
            qr: text("qr"),
            until: begun["until"].as_u64().unwrap_or_default(),
        })
    }

    /// The three digits are typed at the terminal.
    pub(crate) async fn number(
        &self,
        person: &Person,
        ceremony: &str,
        number: &str,
    ) -> Result<Value, StepFailed> {
        let path = format!("/v1/staff/{}/authentication/{ceremony}/number", self.staff(person)?);
        self.ask("POST", &path, Some(&json!({"number": number}))).await
    }

    /// How far the authentication is.
    pub(crate) async fn state(&self, person: &Person, ceremony: &str) -> Result<Value, StepFailed> {
        let path = format!("/v1/staff/{}/authentication/{ceremony}", self.staff(person)?);
        self.ask("GET", &path, None).await
    }

    /// Ends this person's authentication here.
    pub(crate) async fn end(&self, person: &Person) -> Result<Value, StepFailed> {
        self.ask("POST", &format!("/v1/staff/{}/end", self.staff(person)?), Some(&json!({}))).await
    }

    /// Waits until the token is on the shelf: the platform opens the budget in the meantime.
    pub(crate) async fn released(
        &self,
        person: &Person,
        ceremony: &str,
    ) -> Result<Value, StepFailed> {
        for _ in 0..200 {
            let state = self.state(person, ceremony).await?;
            match state["state"].as_str() {
                Some("released") => return Ok(state),
                Some("refused" | "expired") | None => {
                    return Err(StepFailed::Odd(format!("the authentication ended: {state}")));
                }
                Some(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        Err(StepFailed::Odd("the authentication did not end".into()))
    }

    /// The whole authentication, as the owner walks through it in the morning.
    pub(crate) async fn authenticate(
        &self,
        platform: &Client,
        phone: &mut Phone,
        person: &Person,
    ) -> Result<Value, StepFailed> {
        let begun = self.begin(person).await?;
        let claimed = claim(platform, phone, &begun.qr).await?;
        if let Some(number) = approve(platform, phone, &claimed).await? {
            self.number(person, &begun.ceremony, &number).await?;
        }
        self.released(person, &begun.ceremony).await
    }

    /// The EHR has a prescription record signed.
    pub(crate) async fn prescribe(
        &self,
        person: &Person,
        csv: &[u8],
    ) -> Result<SignedDocument, StepFailed> {
        let body = json!({"staff": self.staff(person)?, "csv": STANDARD.encode(csv)});
        signed(self.ask("POST", "/v1/prescriptions", Some(&body)).await?)
    }

    /// The morning with the card in this host's reader: its holder types the PIN on the page of this
    /// host's browser.
    pub(crate) async fn authenticate_by_card(
        &self,
        person: &Person,
        means: &str,
        pin: &str,
    ) -> Result<Value, StepFailed> {
        let path = format!("/v1/staff/{}/authentication", self.staff(person)?);
        let body = json!({"terminal": self.facility.terminals[0].id, "means": means});
        let secret = page_secret(&self.ask("POST", &path, Some(&body)).await?)?;
        let browser = self.browser()?;
        let here = json!({"secret": secret});
        type_pin(&browser, &secret, pin).await?;
        for _ in 0..200 {
            let view: Value = call(&browser, "POST", "/c/state", None, Some(&here)).await?;
            match view["state"].as_str() {
                Some("done") => return Ok(view),
                Some("busy") => tokio::time::sleep(Duration::from_millis(10)).await,
                _ => return Err(StepFailed::Odd(format!("the authentication ended: {view}"))),
            }
        }
        Err(StepFailed::Odd("the authentication did not end".into()))
    }

    /// This host's browser, on a line of its own: no tap of the page hears a PIN.
    fn browser(&self) -> Result<Client, StepFailed> {
        Ok(Client::new(&self.url, None, BROWSER_PATIENCE)?)
    }

    /// The EHR asks for a signature with the card in this host's reader, its holder types the PIN on
    /// the page of this host's browser, and the EHR fetches the document.
    pub(crate) async fn prescribe_by_card(
        &self,
        person: &Person,
        csv: &[u8],
        pin: &str,
    ) -> Result<SignedDocument, StepFailed> {
        let orders = format!("/v1/staff/{}/card-signatures", self.staff(person)?);
        let body = json!({
            "terminal": self.facility.terminals[0].id,
            "document": {"kind": "prescription", "csv": STANDARD.encode(csv)},
        });
        let asked = self.ask("POST", &orders, Some(&body)).await?;
        let secret = page_secret(&asked)?;
        type_pin(&self.browser()?, &secret, pin).await?;
        let order = asked["order"].as_str().unwrap_or_default();
        let state = self.ask("GET", &format!("{orders}/{order}"), None).await?;
        Ok(SignedDocument { document: octets(&state, "document")?, answer: asked })
    }

    /// The receipt computer has a dispensing result signed.
    pub(crate) async fn dispense(
        &self,
        person: &Person,
        prescription: &[u8],
        csv: &[u8],
    ) -> Result<SignedDocument, StepFailed> {
        let body = json!({
            "staff": self.staff(person)?,
            "prescription": STANDARD.encode(prescription),
            "csv": STANDARD.encode(csv),
        });
        signed(self.ask("POST", "/v1/dispensings", Some(&body)).await?)
    }
}

/// On the page with this secret: which card it is first, then its PIN.
async fn type_pin(browser: &Client, secret: &str, pin: &str) -> Result<(), StepFailed> {
    let here = json!({"secret": secret});
    let view: Value = call(browser, "POST", "/c/state", None, Some(&here)).await?;
    if let Ok(problem) = serde_json::from_value(view["trouble"].clone()) {
        return Err(StepFailed::Refused(problem));
    }
    let certificate = view["certificate"].as_str().unwrap_or_default();
    let typed = json!({"secret": secret, "pin": pin, "certificate": certificate, "last": false});
    let _: Value = call(browser, "POST", "/c/pin", None, Some(&typed)).await?;
    Ok(())
}

/// The secret of the page that an answer names.
fn page_secret(answer: &Value) -> Result<String, StepFailed> {
    let page = answer["page"].as_str().and_then(|page| page.split_once('#'));
    let secret = page.map(|(_, secret)| secret.to_owned());
    secret.ok_or_else(|| StepFailed::Odd(format!("no page: {answer}")))
}

fn signed(answer: Value) -> Result<SignedDocument, StepFailed> {
    Ok(SignedDocument { document: octets(&answer, "document")?, answer })
}

/// A base64 member of an answer.
pub(crate) fn octets(answer: &Value, member: &str) -> Result<Vec<u8>, StepFailed> {
    answer[member]
        .as_str()
        .and_then(|text| STANDARD.decode(text).ok())
        .ok_or_else(|| StepFailed::Odd(format!("{member} is missing or not base64")))
}

/// Hands a signed document to the prescription management service.
pub(crate) async fn register(
    service: &Client,
    path: &str,
    document: &[u8],
) -> Result<Value, StepFailed> {
    let body = json!({"document": STANDARD.encode(document)});
    call(service, "POST", path, None, Some(&body)).await
}
