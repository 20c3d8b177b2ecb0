//! The platform's side of the wire: reads requests as they travel, signs, keeps a real journal,
//! and loses, delays or falsifies what it is told to.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use approval::SessionStatement;
use gateway::{Call, Method, Platform, Reply, Unreachable};
use hpki::Certificate;
use hpki::encoding::sha256;
use hpki::id::{CeremonyId, FacilityCode, KeyId, OrderNumber, PersonId, TokenId};
use hpki::kind::DocumentKind;
use hpki::policy::VerifyingKey;
use hpki::sign::SignatureAlgorithm;
use hpki::time::Timestamp;
use ledger::{
    Event, Failed, Intention, Ledger, Note, Opening, Outcome, OutcomeFields, Record, Refusal,
};
use wire::refusal::Problem;
use wire::token::{Allowance, Claims, Confirmation, Header};
use wire::{
    ApprovalOutcome, Base64, BatchAnswer, BatchRequest, CardAnswerAnswer, CardAnswerRequest,
    CardAskAnswer, CardAskRequest, CeremonyState, CeremonyStep, CheckpointAnswer,
    ConsistencyAnswer, SignAnswer, SignRequest, StartAnswer, StartRequest, TokenAnswer,
};
use xades::compose::{Draft, Recipe, Signer};

use crate::estate::{Dice, ESTATE, LogKey, StreamKeys, now};

pub(crate) const ORIGIN: &str = "log.azukari.example/test";

/// What goes wrong with the next request.
pub(crate) enum Trouble {
    /// It never arrives.
    Lost,
    /// It is done, and the answer never arrives.
    AnswerLost,
    /// The platform answers this instead of doing it.
    Says(u16, &'static str),
}

type Ask = Box<dyn Fn(&mut SessionStatement) + Send>;
type Falsify = Box<dyn Fn(&mut SignAnswer) + Send>;

pub(crate) struct World {
    pub(crate) ledger: Mutex<Ledger>,
    pub(crate) facility: FacilityCode,
    pub(crate) troubles: Mutex<VecDeque<Trouble>>,
    pub(crate) falsify: Mutex<Option<Falsify>>,
    /// Sign this digest whatever is asked.
    pub(crate) sign_instead: Mutex<Option<[u8; 32]>>,
    /// Write this person into the journal.
    pub(crate) journal_person: Mutex<Option<PersonId>>,
    pub(crate) calls: Mutex<Vec<Call>>,
    pub(crate) pauses: Mutex<Vec<Duration>>,
    /// How often whoever asked will still wait.
    pub(crate) patience: AtomicUsize,
    pub(crate) clock: AtomicU64,
    pub(crate) made: AtomicUsize,
    pub(crate) people: Mutex<HashMap<String, (PersonId, DocumentKind)>>,
    stored: Mutex<HashMap<OrderNumber, (SignRequest, SignAnswer)>>,
    batches: Mutex<HashMap<OrderNumber, (BatchRequest, BatchAnswer)>>,
    /// Documents of the next batch that are not signed this time, by their places.
    pub(crate) not_now: Mutex<HashMap<usize, &'static str>>,
    /// One signature at a time.
    signing: tokio::sync::Mutex<()>,
    pub(crate) ceremonies: Mutex<HashMap<CeremonyId, (StartRequest, CeremonyState)>>,
    /// Whose card it is, the certificate that was sent, and what it is asked to sign.
    pub(crate) card_person: PersonId,
    card: Mutex<Option<(Certificate, [u8; 32])>>,
    /// Changes the statement that a card is asked to sign.
    pub(crate) ask_instead: Mutex<Option<Ask>>,
    /// The checkpoint that is published for all, with its cosignatures.
    pub(crate) published: Mutex<Option<String>>,
}

pub(crate) fn journal(folder: &std::path::Path, seed: u8) -> Ledger {
    Ledger::open(Opening {
        place: folder.into(),
        migrations: &[],
        log: Arc::new(LogKey::new(seed)),
        streams: Arc::new(StreamKeys),
        random: Arc::new(Dice),
        origin: ORIGIN.to_owned(),
        now: now(),
    })
    .unwrap()
}

pub(crate) async fn grow(ledger: &Ledger, entries: u8) {
    for number in 0..entries {
        let record = Record::of_key(Event::KeyHeld, KeyId::from_octets([number; 16]), now());
        ledger
            .record(move |_| Ok::<_, Failed<Refusal>>(((), Note(record.clone()))))
            .await
            .map(|_| ())
            .unwrap();
    }
}

pub(crate) fn key_of(person: PersonId) -> KeyId {
    KeyId::from_octets(person.octets().map(|octet| octet ^ 0xff))
}

impl World {
    pub(crate) fn new(ledger: Ledger, facility: FacilityCode) -> Self {
        Self {
            ledger: Mutex::new(ledger),
            facility,
            troubles: Mutex::default(),
            falsify: Mutex::default(),
            sign_instead: Mutex::default(),
            journal_person: Mutex::default(),
            calls: Mutex::default(),
            pauses: Mutex::default(),
            patience: AtomicUsize::new(20),
            clock: AtomicU64::new(now().seconds()),
            made: AtomicUsize::new(0),
            people: Mutex::default(),
            stored: Mutex::default(),
            batches: Mutex::default(),
            not_now: Mutex::default(),
            signing: tokio::sync::Mutex::default(),
            ceremonies: Mutex::default(),
            card_person: PersonId::from_octets([1; 16]),
            card: Mutex::default(),
            ask_instead: Mutex::default(),
            published: Mutex::default(),
        }
    }

    /// What a card at this ceremony's terminal is asked to sign.
    fn card_question(&self, id: &str, request: &StartRequest) -> (CardAskAnswer, [u8; 32]) {
        let mut statement = SessionStatement {
            issuer: "https://platform.example".into(),
            rp_id: "platform.example".into(),
            ceremony: id.parse().unwrap(),
            nonce: [9; 32],
            facility_id: self.facility.clone(),
            facility_name: "架空総合病院（TEST）".into(),
            x5t_s256: [1; 32],
            terminal_id: request.terminal.id.clone(),
            terminal_label: request.terminal.label.clone(),
            person: self.card_person,
            key: key_of(self.card_person),
            kinds: request.kinds.clone(),
            max_count: 300,
            not_before: now(),
            not_after: now().plus(64_800),
            head_seq: 0,
            head_commitment: None,
        };
        let honest = statement.challenge();
        if let Some(change) = &*self.ask_instead.lock().unwrap() {
            change(&mut statement);
        }
        // Whoever changes a statement asks for its signature, unless only the words are changed.
        let challenge = if statement.nonce == [0; 32] { honest } else { statement.challenge() };
        let answer = CardAskAnswer {
            statement_type: "session".into(),
            statement: serde_json::to_value(&statement).unwrap(),
            challenge: Base64(challenge.to_vec()),
            until: self.time().plus(120),
        };
        (answer, challenge)
    }

    pub(crate) fn time(&self) -> Timestamp {
        Timestamp::from_seconds(self.clock.load(Ordering::SeqCst))
    }

    pub(crate) fn trouble(&self, troubles: impl IntoIterator<Item = Trouble>) {
        self.troubles.lock().unwrap().extend(troubles);
    }

    pub(crate) fn falsify(&self, with: impl Fn(&mut SignAnswer) + Send + 'static) {
        *self.falsify.lock().unwrap() = Some(Box::new(with));
    }

    pub(crate) fn made(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }

    /// Paths asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.calls.lock().unwrap().iter().map(|call| call.path.clone()).collect()
    }

    /// Order numbers that were sent, in order.
    pub(crate) fn numbers(&self) -> Vec<OrderNumber> {
        let calls = self.calls.lock().unwrap();
        calls
            .iter()
            .filter(|call| call.path == "/v1/signatures")
            .map(|call| {
                let body = call.body.as_deref().unwrap();
                serde_json::from_slice::<SignRequest>(body).unwrap().order
            })
            .collect()
    }

    /// The person approves: the ceremony's token is there to be fetched.
    pub(crate) fn release(&self, ceremony: CeremonyId, person: PersonId, until: Timestamp) {
        let mut ceremonies = self.ceremonies.lock().unwrap();
        let (request, state) = ceremonies.get_mut(&ceremony).unwrap();
        let jti = TokenId::random(&Dice);
        let claims = Claims {
            iss: "https://platform.example".into(),
            aud: "https://platform.example/sign".into(),
            sub: person,
            client_id: self.facility.to_string(),
            iat: now(),
            exp: until,
            auth_time: now(),
            jti,
            scope: "sign".into(),
            acr: "urn:azukari:acr:phone".into(),
            amr: vec!["hwk".into()],
            cnf: Confirmation::of(&[7; 32]),
            allowance: Allowance {
                facility: self.facility.clone(),
                budget: hpki::id::BudgetId::random(&Dice),
                grant: "AAAA".into(),
                kinds: request.kinds.clone(),
            },
        };
        let header = Header { typ: "at+jwt".into(), alg: "ES256".into(), kid: "test".into() };
        let input = wire::token::signing_input(&header, &claims);
        let token = wire::token::compact(&input, &[1; 64]);
        self.people.lock().unwrap().insert(token.clone(), (person, request.kinds[0]));
        state.state = CeremonyStep::Released;
        state.token = Some(TokenAnswer {
            token,
            until,
            person,
            key: key_of(person),
            kinds: request.kinds.clone(),
            count: request.count,
            means: "phone".into(),
        });
    }

    async fn answer(&self, call: &Call) -> Reply {
        let body = call.body.as_deref().unwrap_or_default();
        match (call.method, call.path.as_str()) {
            (Method::Post, "/v1/signatures") => {
                let request: SignRequest = serde_json::from_slice(body).unwrap();
                self.sign(call.token.as_ref().map(gateway::Bearer::as_str), request).await
            }
            (Method::Post, "/v1/signatures/batch") => {
                let request: BatchRequest = serde_json::from_slice(body).unwrap();
                self.sign_batch(call.token.as_ref().map(gateway::Bearer::as_str), request).await
            }
            (Method::Get, path) if path.starts_with("/v1/signatures/batch/") => {
                let order = path["/v1/signatures/batch/".len()..].parse().unwrap();
                match self.batches.lock().unwrap().get(&order) {
                    Some((_, answer)) => ok(answer),
                    None => problem(404, "order-unknown"),
                }
            }
            (Method::Post, "/v1/ceremonies") => {
                let request: StartRequest = serde_json::from_slice(body).unwrap();
                let ceremony = CeremonyId::random(&Dice);
                let state = CeremonyState { state: CeremonyStep::Waiting, token: None };
                self.ceremonies.lock().unwrap().insert(ceremony, (request, state));
                let qr = format!("https://platform.example/q#1.{ceremony}.secret");
                ok(&StartAnswer { ceremony, qr, until: self.time().plus(60) })
            }
            (Method::Post, "/v1/sessions/end") => {
                let token = call.token.as_ref().unwrap().as_str();
                match self.people.lock().unwrap().remove(token) {
                    Some(_) => ok(&wire::EndAnswer { ended: true }),
                    None => problem(401, "token-ended"),
                }
            }
            (Method::Get, "/v1/checkpoint") => {
                let checkpoint = self.ledger().checkpoint();
                ok(&CheckpointAnswer { checkpoint })
            }
            (Method::Get, "/journal/checkpoint") => match &*self.published.lock().unwrap() {
                Some(note) => Reply { status: 200, body: note.clone().into_bytes() },
                None => problem(404, "path-unknown"),
            },
            (Method::Get, path) if path.starts_with("/v1/consistency?from=") => {
                let (from, to) = path["/v1/consistency?from=".len()..].split_once("&to=").unwrap();
                let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
                match self.ledger().consistency(from, to).await {
                    Ok(hashes) => {
                        ok(&ConsistencyAnswer { hashes: hashes.iter().map(hex::encode).collect() })
                    }
                    Err(_) => problem(404, "journal-no-such-entry"),
                }
            }
            (Method::Get, path) if path.starts_with("/v1/signatures/") => {
                let order: OrderNumber = path["/v1/signatures/".len()..].parse().unwrap();
                match self.stored.lock().unwrap().get(&order) {
                    Some((_, answer)) => ok(answer),
                    None => problem(404, "order-unknown"),
                }
            }
            (method, path) if path.starts_with("/v1/ceremonies/") => {
                let rest = &path["/v1/ceremonies/".len()..];
                let (id, number) = rest.split_once('/').unwrap_or((rest, ""));
                let ceremonies = self.ceremonies.lock().unwrap();
                let Some((_, state)) = ceremonies.get(&id.parse().unwrap()) else {
                    return problem(404, "ceremony-unknown");
                };
                match (method, number) {
                    (Method::Post, "card") => {
                        let asked: CardAskRequest = serde_json::from_slice(body).unwrap();
                        let certificate = Certificate::from_der(&asked.certificate.0).unwrap();
                        let request = ceremonies[&id.parse().unwrap()].0.clone();
                        let (answer, challenge) = self.card_question(id, &request);
                        *self.card.lock().unwrap() = Some((certificate, challenge));
                        ok(&answer)
                    }
                    (Method::Post, "card/answer") => {
                        let given: CardAnswerRequest = serde_json::from_slice(body).unwrap();
                        let (certificate, challenge) = self.card.lock().unwrap().take().unwrap();
                        let key = VerifyingKey::new(
                            SignatureAlgorithm::RsaSha256,
                            certificate.spki_der(),
                        );
                        key.unwrap().verify(&challenge, &given.signature.0).unwrap();
                        drop(ceremonies);
                        let until = now().plus(64_800);
                        self.release(id.parse().unwrap(), self.card_person, until);
                        ok(&CardAnswerAnswer { approved: true })
                    }
                    (Method::Get, "") => ok(state),
                    (Method::Post, "number") => {
                        let request: wire::NumberRequest = serde_json::from_slice(body).unwrap();
                        if request.number == "042" {
                            ok(state)
                        } else {
                            problem(403, "place-not-confirmed")
                        }
                    }
                    _ => problem(404, "path-unknown"),
                }
            }
            _ => problem(404, "path-unknown"),
        }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.ledger.lock().unwrap().clone()
    }

    async fn sign(&self, token: Option<&str>, request: SignRequest) -> Reply {
        let _one = self.signing.lock().await;
        let known = token.and_then(|token| self.people.lock().unwrap().get(token).copied());
        let Some((person, kind)) = known else { return problem(401, "token-ended") };
        if let Some((former, answer)) = self.stored.lock().unwrap().get(&request.order) {
            return if *former == request { ok(answer) } else { problem(409, "order-reused") };
        }
        if kind != request.kind {
            return problem(403, "kind-not-allowed");
        }
        let answer = self.make(person, &request).await;
        self.stored.lock().unwrap().insert(request.order, (request, answer.clone()));
        ok(&answer)
    }

    async fn sign_batch(&self, token: Option<&str>, request: BatchRequest) -> Reply {
        let _one = self.signing.lock().await;
        let known = token.and_then(|token| self.people.lock().unwrap().get(token).copied());
        let Some((person, kind)) = known else { return problem(401, "token-ended") };
        let former = self.batches.lock().unwrap().get(&request.order).cloned();
        let mut answer = match former {
            Some((former, answer)) if former == request => answer,
            Some(_) => return problem(409, "order-reused"),
            None => {
                let none = ApprovalOutcome { signed: None, refused: None };
                let documents = vec![none; request.documents.len()];
                BatchAnswer { order: request.order, documents }
            }
        };
        let not_now = std::mem::take(&mut *self.not_now.lock().unwrap());
        for (place, document) in request.documents.iter().enumerate() {
            assert_eq!(document.kind, kind);
            let outcome = &mut answer.documents[place];
            if let Some(code) = not_now.get(&place) {
                outcome.refused = Some(Problem::refused(code, "as the test asked"));
            } else if outcome.signed.is_none() {
                let (order, digest) = (request.order, document.digest.clone());
                let one = SignRequest { order, kind, digest };
                outcome.signed = Some(self.make(person, &one).await);
                outcome.refused = None;
            }
        }
        self.batches.lock().unwrap().insert(request.order, (request, answer.clone()));
        ok(&answer)
    }

    async fn make(&self, person: PersonId, request: &SignRequest) -> SignAnswer {
        let (key, certificate) = match request.kind {
            DocumentKind::Prescription => &ESTATE.physician,
            _ => &ESTATE.pharmacist,
        };
        let digest = self.sign_instead.lock().unwrap().unwrap_or(request.digest.octets().unwrap());
        let number = self.made.fetch_add(1, Ordering::SeqCst) as u8;
        let mark = [number, 2, 3, request.kind as u8];
        let recipe = Recipe { kind: request.kind, digest, signing_time: self.time(), mark };
        let draft = Draft::new(&recipe, &Signer::new(certificate.der()));
        let value = key.sign(draft.signed_info());
        let mut record = Record::of_key(Event::SignatureIntended, key_of(person), self.time());
        record.person = Some(self.journal_person.lock().unwrap().unwrap_or(person));
        record.facility = Some(self.facility.clone());
        record.kind = Some(request.kind);
        record.dtbsr = Some(draft.dtbsr());
        let ledger = self.ledger();
        let intended = record.clone();
        let ((), intention) = ledger
            .record(move |_| Ok::<_, Failed<Refusal>>(((), Intention(intended.clone()))))
            .await
            .unwrap_or_else(|_| panic!("the journal failed"));
        record.event = Event::SignatureMade;
        record.outcome = Some(OutcomeFields {
            signature_hash: Some(sha256(&value)),
            intention_index: intention.index(),
        });
        let ((), outcome) = ledger
            .record(move |_| Ok::<_, Failed<Refusal>>(((), Outcome(record.clone()))))
            .await
            .unwrap_or_else(|_| panic!("the journal failed"));
        SignAnswer {
            order: request.order,
            kind: request.kind,
            signature: Base64(draft.finish(&value).into_bytes()),
            certificate: Base64(certificate.der().to_vec()),
            signing_time: self.time(),
            index: outcome.index(),
            proof: outcome.proof(),
            left: 299,
        }
    }
}

fn ok(body: &impl serde::Serialize) -> Reply {
    Reply { status: 200, body: serde_json::to_vec(body).unwrap() }
}

fn problem(status: u16, code: &str) -> Reply {
    let problem = Problem::refused(code, "as the test asked");
    Reply { status, body: serde_json::to_vec(&problem).unwrap() }
}

/// One connection to the world.
#[derive(Clone)]
pub(crate) struct Wire(pub(crate) Arc<World>);

impl Platform for Wire {
    async fn send(&self, call: Call) -> Result<Reply, Unreachable> {
        let world = &self.0;
        world.calls.lock().unwrap().push(call.clone());
        let trouble = world.troubles.lock().unwrap().pop_front();
        match trouble {
            Some(Trouble::Lost) => return Err(Unreachable("lost".into())),
            Some(Trouble::Says(status, code)) => return Ok(problem(status, code)),
            Some(Trouble::AnswerLost) => {
                world.answer(&call).await;
                return Err(Unreachable("answer lost".into()));
            }
            None => {}
        }
        let mut reply = world.answer(&call).await;
        let falsify = world.falsify.lock().unwrap();
        if let (Some(falsify), true) = (&*falsify, call.path.starts_with("/v1/signatures")) {
            let mut answer: SignAnswer = serde_json::from_slice(&reply.body).unwrap();
            falsify(&mut answer);
            reply.body = serde_json::to_vec(&answer).unwrap();
        }
        Ok(reply)
    }

    async fn wait(&self, pause: Duration) -> Option<Timestamp> {
        let world = &self.0;
        if world.patience.load(Ordering::SeqCst) == 0 {
            return None;
        }
        world.patience.fetch_sub(1, Ordering::SeqCst);
        world.pauses.lock().unwrap().push(pause);
        world.clock.fetch_add(pause.as_secs(), Ordering::SeqCst);
        Some(world.time())
    }
}
