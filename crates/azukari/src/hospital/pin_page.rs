//! `/c`: the page of this host's browser on which somebody types her card's PIN, and what follows.
//! Which card it is and how many tries are left stands there before she types.
//!
//! The reader is in this host, so the browser must be, too: a PIN goes from its keyboard to its
//! reader and nowhere else. Another peer than this host itself is refused, whatever listens where.
//!
//! What is known of an open page is memory, as with `terminal`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use gateway::reader::{CardUse, Chosen, LastTry, Pin};
use gateway::{CardAsked, CardOrderState, Entered, SignedHere, StaffId, TerminalId};
use hpki::encoding::Digest32;
use hpki::id::{CeremonyId, OrderNumber};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use wire::CeremonyStep;
use wire::refusal::Problem;
use zeroize::Zeroizing;

use super::Hospital;
use super::cards::FaceAnswer;
use super::open_pages::PageName;
use super::terminal::{Documents, plainly};
use crate::clock::now;
use crate::http::ask::{Ask, With};
use crate::http::problem::Trouble;
use crate::http::server::From as Peer;
use crate::pages::phone;
use crate::platform::pages::{Shown, shown};

type Desk = State<Arc<Hospital>>;

pub(super) fn routes() -> Router<Arc<Hospital>> {
    Router::new().route("/c", get(page)).route("/c/state", post(state)).route("/c/pin", post(pin))
}

/// What one of these pages shows.
#[derive(Clone)]
pub(super) struct Open {
    staff: StaffId,
    terminal: TerminalId,
    purpose: Purpose,
}

/// What the PIN is for.
#[derive(Clone)]
enum Purpose {
    /// Signing a document that waits for the card in this reader.
    Document {
        order: OrderNumber,
        kind: DocumentKind,
        reader: String,
        /// SHA-256 of the certificate on the card that was there when it was asked for.
        certificate: Digest32,
    },
    /// Authenticating with a card of this use.
    Session {
        usage: CardUse,
        ceremony: CeremonyId,
        /// Until when that ceremony can be answered; later a new one is begun.
        until: Timestamp,
        /// The card that was shown last.
        shown: Option<Box<Chosen>>,
        /// It was answered.
        answered: bool,
    },
    /// Approving documents with a card of this use.
    Approval {
        usage: CardUse,
        ceremony: CeremonyId,
        documents: Documents,
        /// The card that was shown last.
        shown: Option<Box<Chosen>>,
    },
}

impl Purpose {
    const fn name(&self) -> &'static str {
        match self {
            Self::Document { .. } => "sign",
            Self::Session { usage, .. } => usage.name(),
            Self::Approval { usage: CardUse::Jpki, .. } => "approve-jpki",
            Self::Approval { .. } => "approve-hpki",
        }
    }

    /// Keeps the card that is shown, if a card is to answer a challenge.
    fn show(&mut self, card: Chosen) {
        match self {
            Self::Document { .. } => {}
            Self::Session { shown, .. } | Self::Approval { shown, .. } => {
                *shown = Some(Box::new(card));
            }
        }
    }

    /// The PIN is for the card with this certificate, which stood on the page on which it was typed,
    /// and for no other, whatever another page showed meanwhile.
    fn is_for(&self, certificate: &Digest32) -> Result<(), Trouble> {
        let known = match self {
            Self::Document { certificate, .. } => Some(*certificate),
            Self::Session { shown, .. } | Self::Approval { shown, .. } => {
                shown.as_ref().map(|card| card.certificate.sha256())
            }
        };
        match known {
            None => Err(Trouble::refused("card-missing", "no card was shown")),
            Some(known) if known == *certificate => Ok(()),
            Some(_) => Err(Trouble::refused("card-changed", "another card was shown")),
        }
    }
}

/// The page as it stands.
#[derive(Serialize)]
struct View {
    facility: String,
    terminal: String,
    person: String,
    /// `sign`, `hpki` or `jpki` (authentication), `approve-hpki` or `approve-jpki`.
    purpose: &'static str,
    /// The kind of document to be signed.
    kind: Option<DocumentKind>,
    /// What is to be approved.
    documents: Option<Documents>,
    /// `card` (put the card in), `pin`, `busy`, `done` or `over`.
    state: &'static str,
    /// Once authenticated: until when this person can sign.
    until: Option<Timestamp>,
    /// The card in the reader.
    card: Option<FaceAnswer>,
    /// SHA-256 of its certificate, hexadecimal: the PIN that is typed beside it is for this card.
    certificate: Option<String>,
    /// What is wrong with it, or why it is over.
    trouble: Option<Problem>,
}

impl Hospital {
    /// The address of a page on which this document's signer types her PIN.
    pub(super) fn page_of_signature(
        &self,
        staff: &StaffId,
        terminal: &TerminalId,
        asked: &CardAsked,
    ) -> String {
        let (order, kind, reader) = (asked.order, asked.kind, asked.reader.clone());
        let certificate = asked.face.certificate.sha256();
        self.pin_page(staff, terminal, Purpose::Document { order, kind, reader, certificate }).0
    }

    /// The address of a page on which somebody authenticates with a card of this use.
    pub(super) fn page_of_card_session(
        &self,
        staff: &StaffId,
        terminal: &TerminalId,
        usage: CardUse,
        (ceremony, until): (CeremonyId, Timestamp),
    ) -> (String, PageName) {
        let (shown, answered) = (None, false);
        let purpose = Purpose::Session { usage, ceremony, until, shown, answered };
        self.pin_page(staff, terminal, purpose)
    }

    /// The address of a page on which somebody approves these documents with a card of this use.
    pub(super) fn page_of_card_approval(
        &self,
        staff: &StaffId,
        terminal: &TerminalId,
        usage: CardUse,
        ceremony: CeremonyId,
        documents: Documents,
    ) -> (String, PageName) {
        let purpose = Purpose::Approval { usage, ceremony, documents, shown: None };
        self.pin_page(staff, terminal, purpose)
    }

    fn pin_page(
        &self,
        staff: &StaffId,
        terminal: &TerminalId,
        purpose: Purpose,
    ) -> (String, PageName) {
        let (staff, terminal) = (staff.clone(), terminal.clone());
        let (secret, name) = self.pins.open(Open { staff, terminal, purpose }, now());
        (format!("{}/c#{secret}", self.door), name)
    }

    /// Signs to the end, also when whoever asked hangs up: a card that signs is not left alone.
    pub(super) async fn signed(
        self: Arc<Self>,
        staff: StaffId,
        order: OrderNumber,
        typed: Option<(Pin, LastTry)>,
    ) -> Result<SignedHere, Trouble> {
        let signing =
            tokio::spawn(
                async move { self.gateway.sign_with_card(&staff, order, typed, now()).await },
            );
        match signing.await {
            Ok(signed) => Ok(signed?),
            Err(error) => Err(Trouble::fault(&error)),
        }
    }

    async fn pin_view(&self, secret: &str, open: Open) -> Result<View, Trouble> {
        let config = self.gateway.config();
        let mut view = View {
            facility: self.name.clone(),
            terminal: config.terminal(&open.terminal).unwrap_or_default().to_owned(),
            person: config.staff(&open.staff).map(|staff| staff.name.clone()).unwrap_or_default(),
            purpose: open.purpose.name(),
            kind: None,
            documents: None,
            state: "pin",
            until: None,
            card: None,
            certificate: None,
            trouble: None,
        };
        let (usage, reader) = match &open.purpose {
            Purpose::Document { order, kind, reader, .. } => {
                view.kind = Some(*kind);
                match self.gateway.card_order(&open.staff, *order).await? {
                    CardOrderState::Waiting => {}
                    CardOrderState::Signing => view.state = "busy",
                    CardOrderState::Done(_) => view.state = "done",
                    CardOrderState::Refused(code) => {
                        view.state = "over";
                        view.trouble = Some(Problem::refused(&code, ""));
                    }
                }
                (CardUse::Signing, Some(reader.clone()))
            }
            Purpose::Session { usage, ceremony, answered, .. } => {
                if *answered {
                    let gateway = &self.gateway;
                    let found = gateway.authentication_state(&open.staff, *ceremony, now()).await;
                    let found = found.map_err(plainly)?;
                    view.until = found.until;
                    view.state = match found.state {
                        CeremonyStep::Released => "done",
                        CeremonyStep::Refused | CeremonyStep::Expired => "over",
                        _ => "busy",
                    };
                    if view.state == "over" {
                        view.trouble = Some(Problem::refused("qr-expired", ""));
                    }
                }
                (*usage, None)
            }
            Purpose::Approval { usage, ceremony, documents, .. } => {
                view.documents = Some(documents.clone());
                let found = self.gateway.approval(&open.staff, *ceremony, now()).await;
                match found.map_err(plainly)?.state {
                    CeremonyStep::Waiting | CeremonyStep::Claimed => {}
                    CeremonyStep::Number | CeremonyStep::Approved => view.state = "busy",
                    CeremonyStep::Released => view.state = "done",
                    over @ (CeremonyStep::Refused | CeremonyStep::Expired) => {
                        let refused = over == CeremonyStep::Refused;
                        let code = if refused { "approval-refused" } else { "approval-expired" };
                        view.state = "over";
                        view.trouble = Some(Problem::refused(code, ""));
                    }
                }
                (*usage, None)
            }
        };
        if view.state != "pin" {
            return Ok(view);
        }
        match self.gateway.card_for(usage, reader.as_deref()).await {
            Ok((chosen, face)) => {
                view.card = Some(FaceAnswer::from(&face));
                view.certificate = Some(hex::encode(chosen.certificate.sha256()));
                self.pins.update(secret, now(), |open| open.purpose.show(chosen))?;
            }
            Err(failed) => {
                view.state = "card";
                view.trouble = Some(Trouble::from(failed).problem());
            }
        }
        Ok(view)
    }

    /// Authenticates to the end, also when whoever asked hangs up. Gives the page as it is then.
    async fn authenticated(
        self: Arc<Self>,
        secret: &str,
        open: Open,
        entered: Entered,
    ) -> Result<Open, Trouble> {
        let Purpose::Session { ceremony, until, shown, .. } = &open.purpose else {
            return Err(Trouble::refused("terminal-page-unknown", "nobody authenticates here"));
        };
        let Some(card) = shown.clone() else {
            return Err(Trouble::refused("card-missing", "no card was shown"));
        };
        let (mut ceremony, mut until) = (*ceremony, *until);
        if now() >= until {
            let begun = self.gateway.authenticate(&open.staff, &open.terminal, now()).await;
            let begun = begun.map_err(plainly)?;
            (ceremony, until) = (begun.ceremony, begun.until);
        }
        let (hospital, staff) = (Arc::clone(&self), open.staff);
        let answering = tokio::spawn(async move {
            let gateway = &hospital.gateway;
            gateway.authenticate_with_card(&staff, ceremony, &card, entered, now()).await
        });
        match answering.await {
            Ok(answer) => answer.map_err(plainly)?,
            Err(error) => return Err(Trouble::fault(&error)),
        };
        let answer = (ceremony, until, true);
        self.pins.update(secret, now(), |open| {
            if let Purpose::Session { ceremony, until, answered, .. } = &mut open.purpose {
                (*ceremony, *until, *answered) = answer;
            }
            open.clone()
        })
    }

    /// Approves and signs to the end, also when whoever asked hangs up.
    async fn approved(self: Arc<Self>, open: &Open, entered: Entered) -> Result<(), Trouble> {
        let Purpose::Approval { ceremony, shown, .. } = &open.purpose else {
            return Err(Trouble::refused(
                "terminal-page-unknown",
                "no documents are approved here",
            ));
        };
        let card = shown.clone();
        let card = card.ok_or_else(|| Trouble::refused("card-missing", "no card was shown"))?;
        let (staff, ceremony) = (open.staff.clone(), *ceremony);
        let approving = tokio::spawn(async move {
            self.gateway.approve_with_card(&staff, ceremony, &card, entered, now()).await
        });
        match approving.await {
            Ok(answer) => answer.map(|_| ()).map_err(plainly),
            Err(error) => Err(Trouble::fault(&error)),
        }
    }
}

/// Which page asks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageRequest {
    secret: String,
}

/// The PIN.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PinRequest {
    secret: String,
    #[serde(deserialize_with = "zeroed")]
    pin: Zeroizing<String>,
    /// SHA-256 of the certificate on the card that the page showed beside it, hexadecimal.
    certificate: String,
    /// She was told that it is her last try.
    last: bool,
}

fn zeroed<'d, D: Deserializer<'d>>(from: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(from).map(Zeroizing::new)
}

/// The browser is on the host that has the reader.
fn here(Peer(peer): Peer) -> Result<(), Trouble> {
    if peer.is_loopback() {
        return Ok(());
    }
    Err(Trouble::refused("card-pin-elsewhere", "a PIN is typed on the host that has the reader"))
}

async fn page(With(asked): With<Shown>) -> Result<Response, Trouble> {
    shown(phone::pin(asked.lang()))
}

async fn state(
    State(hospital): Desk,
    Extension(peer): Extension<Peer>,
    Ask(request): Ask<PageRequest>,
) -> Result<Json<View>, Trouble> {
    here(peer)?;
    let open = hospital.pins.get(&request.secret, now())?;
    Ok(Json(hospital.pin_view(&request.secret, open).await?))
}

async fn pin(
    State(hospital): Desk,
    Extension(peer): Extension<Peer>,
    Ask(request): Ask<PinRequest>,
) -> Result<Json<View>, Trouble> {
    here(peer)?;
    let secret = request.secret;
    let open = hospital.pins.get(&secret, now())?;
    let last = if request.last { LastTry::Wanted } else { LastTry::Unasked };
    let pin = Pin::new(request.pin);
    let mut certificate = [0; 32];
    hex::decode_to_slice(&request.certificate, &mut certificate)
        .map_err(|_| Trouble::refused("request-malformed", "certificate is SHA-256 in hex"))?;
    open.purpose.is_for(&certificate)?;
    let open = match &open.purpose {
        Purpose::Document { order, .. } => {
            let typed = Some((pin, last));
            Arc::clone(&hospital).signed(open.staff.clone(), *order, typed).await?;
            open
        }
        Purpose::Session { .. } => {
            let entered = Entered::new(pin, last);
            Arc::clone(&hospital).authenticated(&secret, open, entered).await?
        }
        Purpose::Approval { .. } => {
            Arc::clone(&hospital).approved(&open, Entered::new(pin, last)).await?;
            open
        }
    };
    Ok(Json(hospital.pin_view(&secret, open).await?))
}
