//! One visit: what the visitor has done so far, and the acts that drive the real town on.
//!
//! Every act goes over HTTP as an outside program would go; what the taps heard of it is shown. A
//! refusal of the town stands in its step; an act out of turn is answered by [`OutOfTurn`].

mod authentication;
mod cards;

use std::path::PathBuf;

use hpki::time::Timestamp;
use serde_json::Value;
use town::people::{HANAKO, HOSPITAL, JIRO, PHARMACY, Person};
use town::phone::Phone;
use wire::refusal::Problem;

use super::travel::{self, Side};
use super::view::{blank, crossed, glance, journal_size};
use super::{checks, words};
use crate::clock::{Stopwatch, now};
use crate::demo::rack::Rack;
use crate::demo::town::Town;
use crate::demo::walk::{self, Begun, Claimed, Door, SignedDocument, StepFailed};
use crate::http::client::Client;
use crate::http::tap::{Heard, Tap};
use crate::pages::demo::{
    Place, PrescribeRequest, Registered, Role, Signed, State, Status, Step, StepId, Text, Travel,
    Verification, with_amounts,
};
use crate::runtime::Stop;

/// The step cannot be taken now.
pub(super) struct OutOfTurn;

/// A person, her phone and her place of work.
pub(super) struct Actor {
    pub(super) role: Role,
    pub(super) person: &'static Person,
    pub(super) door: Door,
    pub(super) phone: Phone,
    pub(super) until: Option<Timestamp>,
    pub(super) means: Text,
    pub(super) left: u64,
}

/// An authentication that is open.
pub(super) struct Open {
    pub(super) role: Role,
    pub(super) begun: Begun,
    pub(super) claimed: Claimed,
}

/// The signed papers so far.
#[derive(Default)]
pub(super) struct Papers {
    pub(super) prescription: Option<Vec<u8>>,
    pub(super) dispensing: Option<Vec<u8>>,
}

/// A visit.
pub(super) struct Visit {
    pub(super) home: PathBuf,
    pub(super) papers: Papers,
    tap: Tap,
    platform: Client,
    service: Client,
    own: Option<Vec<u8>>,
    physician: Actor,
    pharmacist: Actor,
    open: Option<Open>,
    rack: Option<Rack>,
    prescribed: bool,
    verified: bool,
    state: State,
}

impl Visit {
    /// Takes the residents' phones out of the town and begins.
    pub(super) fn begin(town: &mut Town, own: Option<Vec<u8>>) -> Result<Self, Stop> {
        let mut physician = None;
        let mut pharmacist = None;
        for resident in std::mem::take(&mut town.residents) {
            let person = resident.citizen.person;
            let (place, role, facility) = if person.slug == HANAKO.slug {
                (&mut physician, Role::Physician, &HOSPITAL)
            } else if person.slug == JIRO.slug {
                (&mut pharmacist, Role::Pharmacist, &PHARMACY)
            } else {
                continue;
            };
            *place = Some(Actor {
                role,
                person,
                door: town.door(facility)?,
                phone: resident.phone,
                until: None,
                means: Text::default(),
                left: 0,
            });
        }
        town.tap.listen();
        let mut visit = Self {
            home: town.founded.home.clone(),
            papers: Papers::default(),
            tap: town.tap.clone(),
            platform: town.platform.clone(),
            service: town.service.clone(),
            own,
            physician: physician.ok_or("no physician lives here")?,
            pharmacist: pharmacist.ok_or("no pharmacist lives here")?,
            open: None,
            rack: town.rack.take(),
            prescribed: false,
            verified: false,
            state: blank(),
        };
        visit.state.csv = visit.record();
        Ok(visit)
    }

    /// Everything the page shows, now. An authentication that the platform has given up meanwhile
    /// is closed here, as a terminal that asks on and on would notice.
    pub(super) async fn look(&mut self) -> State {
        let at = now();
        if let Some(open) = &self.open
            && at.seconds() > open.begun.until
        {
            let (role, ceremony) = (open.role, open.begun.ceremony.clone());
            let actor = self.actor(role);
            let asked = actor.door.state(actor.person, &ceremony).await;
            self.tap.take();
            let over = match &asked {
                Ok(state) => match state["state"].as_str() {
                    Some("expired") => Some("ceremony-expired"),
                    Some("refused") => Some("ceremony-refused"),
                    _ => None,
                },
                Err(StepFailed::Refused(problem)) => Some(problem.code.as_str()),
                Err(_) => None,
            };
            if let Some(code) = over {
                let problem = Problem::refused(code, "");
                self.close(role, Some(&problem));
                self.settle();
            }
        }
        if self.open.is_none() && self.state.ceremony.is_some() {
            // A browser that left in the middle of an act took the act with it.
            self.state.ceremony = None;
            self.settle();
        }
        if [&self.physician, &self.pharmacist].iter().any(|it| it.until.is_some_and(|u| u <= at)) {
            self.settle();
        }
        if self.cards_changed() {
            self.settle();
        }
        self.state.now = words::exactly(at);
        self.state.clone()
    }

    /// The EHR writes the record; nothing leaves it yet.
    pub(super) fn prescribe(&mut self, request: PrescribeRequest) -> Result<(), OutOfTurn> {
        if self.state.signed.is_some() || !self.is_in(Role::Physician) {
            return Err(OutOfTurn);
        }
        use hpki::refusal::Refuse as _;
        let csv = request.csv.unwrap_or_else(|| self.state.csv.clone());
        self.state.csv = with_amounts(&csv, &request.amounts);
        self.fresh(StepId::Prescribe);
        self.fresh(StepId::Sign);
        let csv = self.state.csv.clone();
        let read = prescription::PrescriptionRecord::parse(csv.as_bytes());
        self.prescribed = read.is_ok();
        let step = self.step(StepId::Prescribe);
        match read {
            Ok(_) => {
                step.summary = Text::new(
                    "処方箋の記録ができました。この時点では、電子カルテの中だけにあります。",
                    "The record is written. At this point it is inside the EHR and nowhere else.",
                );
                step.travelled = vec![Travel {
                    from: Place::Ehr,
                    to: Place::Ehr,
                    label: Text::new("処方箋の記録", "the record"),
                    content_type: "text/csv; charset=utf-8".into(),
                    size: csv.len() as u64,
                    content: csv,
                }];
            }
            Err(refusal) => {
                let problem = Problem::refused(refusal.code(), &refusal.to_string());
                step.refusal = Some(words::refused(&problem));
            }
        }
        self.settle();
        Ok(())
    }

    /// The prescription is signed and registered.
    pub(super) async fn sign(&mut self) -> Result<(), OutOfTurn> {
        let ready = self.prescribed && self.state.signed.is_none() && self.is_in(Role::Physician);
        if !ready {
            return Err(OutOfTurn);
        }
        self.fresh(StepId::Sign);
        let watch = Stopwatch::start();
        let csv = self.state.csv.clone().into_bytes();
        let signed = self.physician.door.prescribe(self.physician.person, &csv).await;
        let took = watch.elapsed();
        let registered = match &signed {
            Ok(signed) => {
                walk::register(&self.service, "/v1/prescriptions", &signed.document).await.map(Some)
            }
            Err(_) => Ok(None),
        };
        let heard = self.tap.take();
        let sealed = signed.as_ref().ok().and_then(|it| checks::sealed(&it.document));
        let step = self.step(StepId::Sign);
        step.travelled = travel::told(&heard, Side::Hospital, sealed.as_ref());
        step.took_ms = Some(millis(watch));
        let done = signed.and_then(|signed| {
            let Some(registered) = registered? else {
                return Err(StepFailed::Odd("not registered".into()));
            };
            let document = walk::octets(&registered, "document")?;
            Ok((signed, registered, document))
        });
        match done {
            Ok((signed, registered, document)) => {
                let shown = self.signed(Role::Physician, &signed, &heard, took);
                self.physician.left = signed.answer["left"].as_u64().unwrap_or_default();
                self.state.signed = Some(shown);
                let text = |name: &str| registered[name].as_str().unwrap_or_default().to_owned();
                self.state.registered = Some(Registered {
                    prescription_id: text("prescription_id"),
                    exchange_number: text("exchange_number"),
                });
                self.papers.prescription = Some(document);
                self.step(StepId::Sign).summary = crossed(&heard, &csv);
            }
            Err(failed) => {
                self.step(StepId::Sign).refusal = Some(words::refused(&words::problem(failed)));
            }
        }
        self.settle();
        Ok(())
    }

    /// The pharmacy fetches the prescription, and the pharmacist signs what was dispensed.
    pub(super) async fn dispense(&mut self) -> Result<(), OutOfTurn> {
        if self.state.dispensed.is_some() || !self.is_in(Role::Pharmacist) {
            return Err(OutOfTurn);
        }
        let registered = self.state.registered.clone().ok_or(OutOfTurn)?;
        self.fresh(StepId::Dispense);
        let watch = Stopwatch::start();
        let mut took = std::time::Duration::ZERO;
        let done = self.dispense_and_register(&registered, &mut took).await;
        let heard = self.tap.take();
        let signed = done.as_ref().ok().map(|(signed, ..)| &signed.document);
        let sealed = signed.and_then(|document| checks::sealed(document));
        let step = self.step(StepId::Dispense);
        step.travelled = travel::told(&heard, Side::Pharmacy, sealed.as_ref());
        step.took_ms = Some(millis(watch));
        match done {
            Ok((signed, document, csv)) => {
                self.pharmacist.left = signed.answer["left"].as_u64().unwrap_or_default();
                let shown = self.signed(Role::Pharmacist, &signed, &heard, took);
                self.state.dispensed = Some(shown);
                self.papers.dispensing = Some(document);
                self.step(StepId::Dispense).summary = crossed(&heard, &csv);
            }
            Err(failed) => {
                self.step(StepId::Dispense).refusal = Some(words::refused(&words::problem(failed)));
            }
        }
        self.settle();
        Ok(())
    }

    async fn dispense_and_register(
        &self,
        registered: &Registered,
        took: &mut std::time::Duration,
    ) -> Result<(SignedDocument, Vec<u8>, Vec<u8>), StepFailed> {
        let path = format!("/v1/prescriptions/{}", registered.exchange_number);
        let fetched: Value = walk::call(&self.service, "GET", &path, None, None).await?;
        let prescription = walk::octets(&fetched, "document")?;
        let csv = town::ehr::dispensing_csv(
            self.state.csv.as_bytes(),
            &registered.prescription_id,
            self.pharmacist.person,
            &PHARMACY,
            now(),
        )
        .map_err(|refusal| {
            use hpki::refusal::Refuse as _;
            let problem = Problem::refused(refusal.code(), &refusal.to_string());
            StepFailed::Refused(Box::new(problem))
        })?;
        let watch = Stopwatch::start();
        let pharmacist = &self.pharmacist;
        let signed = pharmacist.door.dispense(pharmacist.person, &prescription, &csv).await?;
        *took = watch.elapsed();
        let accepted = walk::register(&self.service, "/v1/dispensings", &signed.document).await?;
        Ok((signed, walk::octets(&accepted, "document")?, csv))
    }

    /// Anyone verifies, with one character changed first if the visitor wishes.
    pub(super) fn verify(&mut self, tamper: bool) -> Result<(), OutOfTurn> {
        let document = self.papers.dispensing.clone().ok_or(OutOfTurn)?;
        self.fresh(StepId::Verify);
        let (document, change) = match tamper.then(|| checks::tampered(&document)).flatten() {
            Some(changed) => changed,
            None if tamper => return Err(OutOfTurn),
            None => (document, Text::default()),
        };
        let watch = Stopwatch::start();
        let report = crate::verify::with_folder(&document, &self.home, now());
        let took = millis(watch);
        let step = self.step(StepId::Verify);
        let report = match report {
            Ok(report) => report,
            Err(problem) => {
                let problem = crate::http::problem::Trouble::fault(&problem).problem();
                step.refusal = Some(words::refused(&problem));
                self.settle();
                return Ok(());
            }
        };
        step.took_ms = Some(took);
        step.travelled = checks::travelled(&document, &report, tamper);
        step.summary = Text::new(
            "基盤には一度も問い合わせていません。使ったのは文書、ルート証明書、認証局の証明書、失効リストだけです。",
            "The platform was not asked at all: the document, the root, the CA certificates and the \
             revocation lists were enough.",
        );
        let valid = report.verdict == verifier::Verdict::Valid;
        self.verified |= valid;
        self.state.verification = Some(Verification {
            valid,
            tampered: tamper,
            change,
            signatures: words::verified(&report),
        });
        self.settle();
        Ok(())
    }

    /// From the beginning: both authentications are ended at the platform.
    pub(super) async fn reset(&mut self) {
        if let Some(open) = self.open.take() {
            let phone = &self.actor(open.role).phone;
            let _ = walk::refuse(&self.platform, phone, &open.begun.qr).await;
        }
        for actor in [&mut self.physician, &mut self.pharmacist] {
            if actor.until.take().is_some()
                && let Err(failed) = actor.door.end(actor.person).await
            {
                tracing::warn!(%failed, "an authentication could not be ended");
            }
        }
        self.tap.take();
        self.papers = Papers::default();
        self.prescribed = false;
        self.verified = false;
        let revision = self.state.revision;
        self.state = blank();
        self.state.revision = revision;
        self.state.csv = self.record();
        self.settle();
    }

    /// Statuses, glances and files, out of what has happened; the page is to be drawn anew.
    pub(super) fn settle(&mut self) {
        let at = now();
        for actor in [&mut self.physician, &mut self.pharmacist] {
            if actor.until.is_some_and(|until| until <= at) {
                actor.until = None;
            }
        }
        let open = self.open.as_ref().map(|open| open.role);
        let signed = self.state.signed.is_some();
        let doctor = self.is_in(Role::Physician);
        for step in &mut self.state.steps {
            let (done, ready, running) = match step.id {
                StepId::Authenticate => (doctor || signed, true, open == Some(Role::Physician)),
                StepId::Prescribe => (self.prescribed, doctor, false),
                StepId::Sign => (signed, self.prescribed, false),
                StepId::Dispense => {
                    (self.state.dispensed.is_some(), signed, open == Some(Role::Pharmacist))
                }
                StepId::Verify => (self.verified, self.state.dispensed.is_some(), false),
            };
            step.status = match () {
                () if running => Status::Running,
                () if step.refusal.is_some() => Status::Refused,
                () if done => Status::Done,
                () if ready => Status::Ready,
                () => Status::Waiting,
            };
        }
        self.state.people = vec![glance(&self.physician), glance(&self.pharmacist)];
        self.state.files = super::files::listed(self);
        self.show_cards();
        self.state.revision += 1;
    }

    fn close(&mut self, role: Role, problem: Option<&Problem>) {
        self.open = None;
        self.state.ceremony = None;
        self.step(step_of(role)).refusal = problem.map(words::refused);
    }

    /// The step as if nothing had come of it yet.
    fn fresh(&mut self, id: StepId) {
        let step = self.step(id);
        step.summary = Text::default();
        step.travelled.clear();
        step.refusal = None;
        step.took_ms = None;
    }

    fn step(&mut self, id: StepId) -> &mut Step {
        let place = StepId::ALL.iter().position(|it| *it == id).unwrap_or_default();
        &mut self.state.steps[place]
    }

    fn actor(&self, role: Role) -> &Actor {
        match role {
            Role::Physician => &self.physician,
            Role::Pharmacist => &self.pharmacist,
        }
    }

    fn actor_mut(&mut self, role: Role) -> &mut Actor {
        match role {
            Role::Physician => &mut self.physician,
            Role::Pharmacist => &mut self.pharmacist,
        }
    }

    fn is_in(&self, role: Role) -> bool {
        self.actor(role).until.is_some_and(|until| until > now())
    }

    /// The record to begin with: the visitor's own, else today's sample.
    fn record(&self) -> String {
        let sample = || town::ehr::prescription_csv(&HANAKO, &HOSPITAL, now());
        let octets = self.own.clone().unwrap_or_else(sample);
        String::from_utf8_lossy(&octets).into_owned()
    }

    /// The record as it stands.
    pub(super) fn csv(&self) -> &str {
        &self.state.csv
    }

    fn signed(
        &self,
        role: Role,
        signed: &SignedDocument,
        heard: &[Heard],
        took: std::time::Duration,
    ) -> Signed {
        let answer = &signed.answer;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let time = answer["signing_time"].as_str().and_then(Timestamp::parse);
        let index = answer["index"].as_u64().unwrap_or_default();
        let person = self.actor(role).person;
        Signed {
            signer: words::name(person),
            qualification: words::qualification(person.qualification),
            time: time.map(words::exactly).unwrap_or_default(),
            digest: text(&answer["report"]["signatures"][0]["digest"]),
            order: text(&answer["order"]),
            journal_index: index,
            journal_size: journal_size(&self.home, heard).unwrap_or(index + 1),
            took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

fn step_of(role: Role) -> StepId {
    match role {
        Role::Physician => StepId::Authenticate,
        Role::Pharmacist => StepId::Dispense,
    }
}

fn millis(watch: Stopwatch) -> u64 {
    u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
}
