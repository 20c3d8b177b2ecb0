//! Change of phones by the owner herself (機種変更): the old phone shows a QR, the new one makes its
//! passkey, the old one approves exactly that passkey. Both show the same eight characters meanwhile,
//! so that she sees that it is the phone in her hand.
//!
//! Until she approves, all of it is memory: whoever dies has changed nothing, and she begins again.
//! Her approval is carried out in one commit: the old phone is nobody's, the new one hers, every
//! session ended, custody told. The new phone has its device secret before that; it names nobody until
//! then.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard};

use approval::{
    Approval, ChangeEvidence, ChangeStatement, Credential, LinkEvidence, LinkStatement,
    RegistrationResponse, Statement, binding_commitment, check_link,
};
use hpki::encoding::Digest32;
use hpki::id::{BindingId, SessionId, SheetId};
use hpki::sign::Mac;
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Note, Record};
use wire::{
    Base64, ChangeOfferAnswer, ChangeOfferRequest, ChangeOpenAnswer, ChangeOpenRequest,
    ChangeStandAnswer, ChangeStandRequest, ChangeState, ChangeStep,
};

use crate::answered::Answered;
use crate::binding::{BindingRow, LIVE};
use crate::config::CHANGE_S;
use crate::label::is_label;
use crate::linking::{NAMELESS, keep_linking};
use crate::notice::{NoticeKind, tell};
use crate::options;
use crate::owning::keep;
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::{Secret, same};
use crate::session::end_all;
use crate::visit::Visit;

/// Outbox topic: another phone took the place of the linked one. The payload is a [`ChangeEvidence`]
/// as JSON; custody verifies it again.
pub const TOPIC_PHONE_CHANGED: &str = "phone-changed";

/// A change that is going on.
pub(crate) struct Change {
    old: BindingRow,
    secret_hash: Digest32,
    begun: Timestamp,
    step: Step,
}

enum Step {
    /// The old phone shows the QR.
    Shown,
    /// A phone has scanned it.
    Opened { session: SessionId, statement: LinkStatement, user_handle: Vec<u8> },
    /// It has made its passkey.
    Offered(Box<Offer>),
    /// She approved.
    Done { session: SessionId },
    /// She said no.
    Refused,
}

#[derive(Clone)]
struct Offer {
    session: SessionId,
    evidence: LinkEvidence,
    credential: Credential,
    device_hash: Digest32,
    label: String,
}

fn no<T>(refusal: Refusal) -> Result<T, Failed<Refusal>> {
    Err(Failed::Refused(refusal))
}

impl Change {
    fn over(&self, now: Timestamp) -> bool {
        now.since(self.begun) > CHANGE_S && !matches!(self.step, Step::Done { .. })
    }

    fn session(&self) -> Option<SessionId> {
        match &self.step {
            Step::Opened { session, .. } | Step::Done { session } => Some(*session),
            Step::Offered(offer) => Some(offer.session),
            Step::Shown | Step::Refused => None,
        }
    }

    fn seen(&self, now: Timestamp) -> ChangeStep {
        match self.step {
            _ if self.over(now) => ChangeStep::Expired,
            Step::Shown => ChangeStep::Shown,
            Step::Opened { .. } => ChangeStep::Opened,
            Step::Offered(_) => ChangeStep::Offered,
            Step::Done { .. } => ChangeStep::Done,
            Step::Refused => ChangeStep::Refused,
        }
    }
}

impl Authn {
    fn changes(&self) -> MutexGuard<'_, HashMap<SheetId, Change>> {
        self.changes.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The old phone begins: the text of the QR to show, and until when the change must be done. A
    /// newer beginning takes the place of the older.
    ///
    /// # Errors
    /// `phone-needed` where she came by card.
    pub fn begin_change(
        &self,
        visit: &Visit,
        now: Timestamp,
    ) -> Result<(String, Timestamp), Failed<Refusal>> {
        let old = visit.phone()?.clone();
        let sheet = SheetId::random(&*self.random);
        let secret = Secret::new(&*self.random);
        let mut changes = self.changes();
        changes.retain(|_, other| other.old.id != old.id && now.since(other.begun) <= 2 * CHANGE_S);
        let secret_hash = secret.hash();
        changes.insert(sheet, Change { old, secret_hash, begun: now, step: Step::Shown });
        let qr = format!("{}/n#1.{sheet}.{}", self.config.url, secret.text());
        Ok((qr, now.plus(CHANGE_S)))
    }

    /// The new phone has scanned the QR: what it makes its passkey for. Once.
    ///
    /// # Errors
    /// `sheet-unknown` for whoever does not have the secret; with it `change-already-opened`,
    /// `change-expired`; `phone-holds-another` and `phone-linked-here` for a phone that is linked.
    pub async fn open_change(
        &self,
        request: &ChangeOpenRequest,
        device: Option<&str>,
        now: Timestamp,
    ) -> Result<ChangeOpenAnswer, Failed<Refusal>> {
        let id: SheetId =
            request.sheet.parse().map_err(|_| Failed::Refused(Refusal::SheetUnknown))?;
        let shown =
            Secret::hash_of(&request.secret).ok_or(Failed::Refused(Refusal::SheetUnknown))?;
        let key = match self.changes().get(&id) {
            Some(change) if same(&change.secret_hash, &shown) => change.old.key,
            _ => return no(Refusal::SheetUnknown),
        };
        self.holds_nothing(device, key).await?;
        let mut user_handle = vec![0; 32];
        self.random.fill(&mut user_handle);
        let session = SessionId::random(&*self.random);
        let nonce = self.nonce();
        let mut changes = self.changes();
        let change = changes.get_mut(&id).ok_or(Failed::Refused(Refusal::SheetUnknown))?;
        if change.over(now) {
            return no(Refusal::ChangeExpired);
        }
        if !matches!(change.step, Step::Shown) {
            return no(Refusal::ChangeAlreadyOpened);
        }
        let statement = LinkStatement {
            issuer: self.config.issuer.clone(),
            rp_id: self.config.rp_id.clone(),
            sheet: id,
            session,
            nonce,
            person: change.old.person,
            key: change.old.key,
            terms_hash: self.config.terms_hash,
        };
        let display_id = change.old.display_id.clone();
        let challenge = statement.challenge();
        let options = options::create(&self.config, &challenge, &user_handle, &display_id);
        let shown = serde_json::to_value(&statement)
            .map_err(|why| Fault::Misuse(format!("a statement as JSON: {why}")))?;
        change.step = Step::Opened { session, statement, user_handle };
        Ok(ChangeOpenAnswer {
            session: session.to_string(),
            person_display: display_id,
            statement: shown,
            options,
        })
    }

    /// The new phone has made its passkey. Gives what both phones show, and the device secret for
    /// its cookie.
    ///
    /// # Errors
    /// `change-unknown`, `change-expired`, `phone-name-malformed`, whatever `approval` refuses of the
    /// registration.
    pub fn offer_change(
        &self,
        request: &ChangeOfferRequest,
        now: Timestamp,
    ) -> Result<(ChangeOfferAnswer, String), Failed<Refusal>> {
        let label = request.label.clone().unwrap_or_else(|| NAMELESS.to_owned());
        if !is_label(&label) {
            return no(Refusal::PhoneNameMalformed);
        }
        let mut changes = self.changes();
        let change = by_session(&mut changes, &request.session)?;
        if change.over(now) {
            return no(Refusal::ChangeExpired);
        }
        let Step::Opened { session, statement, user_handle } = &change.step else {
            return no(Refusal::CeremonyOutOfStep("a passkey was offered already"));
        };
        let refused = |refusal| Failed::Refused(Refusal::Approval(refusal));
        let evidence = LinkEvidence {
            statement: statement.clone(),
            registration: RegistrationResponse::from_json(&request.credential).map_err(refused)?,
            user_handle: user_handle.clone(),
            binding: BindingId::random(&*self.random),
            linked: now,
        };
        let credential = check_link(&evidence, &self.config.relying_party()).map_err(refused)?;
        self.config.makers.judge(&credential.attestation, now).map_err(refused)?;
        let device = Secret::new(&*self.random);
        let code =
            approval::statement::short_code(&binding_commitment(&credential.id, &credential.cose));
        let (session, device_hash) = (*session, device.hash());
        change.step =
            Step::Offered(Box::new(Offer { session, evidence, credential, device_hash, label }));
        Ok((ChangeOfferAnswer { code }, device.text()))
    }

    /// How the change stands, for the new phone; once it is linked, with the key of her stream.
    ///
    /// # Errors
    /// `change-unknown`, or a fault.
    pub fn change_stands(
        &self,
        request: &ChangeStandRequest,
        now: Timestamp,
    ) -> Result<ChangeStandAnswer, Failed<Refusal>> {
        let (step, key) = {
            let mut changes = self.changes();
            let change = by_session(&mut changes, &request.session)?;
            (change.seen(now), change.old.key)
        };
        let stream_key = match step {
            ChangeStep::Done => {
                Some(Base64(self.ledger.stream_key(key.stream())?.octets().to_vec()))
            }
            _ => None,
        };
        Ok(ChangeStandAnswer { step, stream_key })
    }

    /// How the change stands, for the old phone; once there is a new passkey, with the question
    /// whether to go on.
    ///
    /// # Errors
    /// `change-unknown` where none is going on.
    pub fn change_state(
        &self,
        visit: &Visit,
        now: Timestamp,
    ) -> Result<ChangeState, Failed<Refusal>> {
        let phone = visit.phone()?.id;
        let (step, offer) = {
            let changes = self.changes();
            let change = changes.values().find(|change| change.old.id == phone);
            let change = change.ok_or(Failed::Refused(Refusal::ChangeUnknown))?;
            match &change.step {
                Step::Offered(offer) if !change.over(now) => {
                    (ChangeStep::Offered, Some(offer.clone()))
                }
                _ => (change.seen(now), None),
            }
        };
        let Some(offer) = offer else {
            return Ok(ChangeState { step, code: None, label: None, ask: None });
        };
        let statement = ChangeStatement {
            issuer: self.config.issuer.clone(),
            rp_id: self.config.rp_id.clone(),
            nonce: self.nonce(),
            person: visit.person(),
            key: visit.key(),
            sheet: offer.evidence.statement.sheet,
            credential: binding_commitment(&offer.credential.id, &offer.credential.cose),
        };
        let code = statement.short_code();
        let ask = self.ask(visit.phone()?, Statement::Change(statement), now)?;
        Ok(ChangeState { step, code: Some(code), label: Some(offer.label), ask: Some(ask) })
    }

    /// The owner does not want it.
    pub fn refuse_change(&self, visit: &Visit) {
        let Ok(phone) = visit.phone().map(|phone| phone.id) else { return };
        let mut changes = self.changes();
        let going = changes.values_mut().find(|change| change.old.id == phone);
        if let Some(change) = going.filter(|change| !matches!(change.step, Step::Done { .. })) {
            change.step = Step::Refused;
        }
    }

    /// She approved on the old phone.
    ///
    /// # Errors
    /// `change-unknown`, `change-expired`, `phone-already-linked`, `phone-not-linked`.
    pub(crate) async fn change(
        &self,
        answered: Answered,
        now: Timestamp,
    ) -> Result<Approval, Failed<Refusal>> {
        let Statement::Change(said) = answered.approval.statement.clone() else {
            return no(Refusal::ChangeUnknown);
        };
        let offer = {
            let changes = self.changes();
            let change = changes.get(&said.sheet).ok_or(Failed::Refused(Refusal::ChangeUnknown))?;
            match &change.step {
                _ if change.over(now) => return no(Refusal::ChangeExpired),
                Step::Offered(offer) => offer.clone(),
                _ => return no(Refusal::ChangeUnknown),
            }
        };
        let json = |why| Fault::Misuse(format!("a change as JSON: {why}"));
        let mut new = BindingRow {
            id: offer.evidence.binding,
            person: said.person,
            key: said.key,
            display_id: String::new(),
            label: offer.label.clone(),
            credential_text: serde_json::to_string(&offer.credential).map_err(json)?,
            credential: offer.credential,
            device_hash: offer.device_hash,
            linked: now,
            state: LIVE.into(),
            seal: Vec::new(),
        };
        let commitment = binding_commitment(&new.credential.id, &new.credential.cose);
        let evidence =
            ChangeEvidence { link: offer.evidence.clone(), approval: answered.approval.clone() };
        let payload = serde_json::to_string(&evidence).map_err(json)?;
        let (linked, agreed) = (
            offer.evidence.statement.clone(),
            serde_json::to_string(&offer.evidence).map_err(json)?,
        );
        let (hash, key, session) = (evidence.evidence_hash(), said.key, offer.session);
        let desk = Arc::clone(&self.desk);
        let old = {
            let (desk, id) = (Arc::clone(&desk), answered.approval.binding);
            self.ledger.read(move |tx| BindingRow::live(tx, id, &desk)).await?
        };
        new.display_id.clone_from(&old.display_id);
        new.seal = desk.mac(&new.sealed())?.to_vec();
        let answered = Arc::new(answered);
        let work = Arc::new((Arc::clone(&answered), old, new));
        self.ledger
            .record_many(move |tx| {
                let (answered, old, new) = &*work;
                answered.count(tx)?;
                keep(tx, &answered.approval, "phone.changed", now)?;
                old.end(tx, &desk)?;
                let taken = "SELECT 1 FROM authn_binding WHERE credential_id = $1";
                if tx.query_opt(taken, &[(&new.credential.id).into()])?.is_some() {
                    return no(Refusal::PhoneAlreadyLinked);
                }
                // The first note is about the new phone: this row says where it stands.
                new.insert(tx)?;
                keep_linking(tx, &linked, &agreed, now)?;
                end_all(tx, key, now)?;
                tx.outbox(TOPIC_PHONE_CHANGED, Some(key), &payload)?;
                tell(tx, key, NoticeKind::PhoneChanged, &new.label, now)?;
                let note = |event, evidence| {
                    let mut record = Record::of_key(event, key, now);
                    record.person = Some(new.person);
                    record.evidence = Some(evidence);
                    Note(record)
                };
                let linked = note(Event::PhoneLinked, commitment);
                Ok(((), vec![linked, note(Event::PhoneUnlinked, hash)]))
            })
            .await?;
        self.close_question(&answered.approval);
        self.forget_ceremonies(key);
        if let Some(change) = self.changes().get_mut(&said.sheet) {
            change.step = Step::Done { session };
        }
        Ok(answered.approval.clone())
    }
}

/// The change in which the new phone has this sitting.
fn by_session<'a>(
    changes: &'a mut HashMap<SheetId, Change>,
    session: &str,
) -> Result<&'a mut Change, Failed<Refusal>> {
    let unknown = || Failed::Refused(Refusal::ChangeUnknown);
    let session: SessionId = session.parse().map_err(|_| unknown())?;
    changes.values_mut().find(|change| change.session() == Some(session)).ok_or_else(unknown)
}
