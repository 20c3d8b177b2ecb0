//! Linking the first phone (S002): the sheet's secret, the birth date, the new credential.
//!
//! A birth date is about 15 bits and known to colleagues: it only catches a misdelivered letter.
//! The secret and the post are the proof, so nothing about a sheet is told, and no try counted,
//! before its secret was shown.

use std::sync::Arc;

use approval::{LinkEvidence, LinkStatement, RegistrationResponse, binding_commitment, check_link};
use hpki::encoding::Digest32;
use hpki::id::{BindingId, KeyId, SessionId, SheetId};
use hpki::sign::Mac;
use hpki::time::Timestamp;
use hsm::TokenDesk;
use ledger::{Event, Failed, Fault, Note, Record, StreamKey, Tx};
use wire::token::base64url_decode;
use wire::{
    LinkBirthAnswer, LinkBirthRequest, LinkFinishRequest, LinkHeldRequest, LinkOpenAnswer,
    LinkOpenRequest,
};

use crate::binding::{BindingRow, LIVE};
use crate::config::{BIRTH_TRIES, SITTING_S};
use crate::label::is_label;
use crate::notice::{NoticeKind, tell};
use crate::options;
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::{Secret, same};
use crate::session::{Session, end_all};
use crate::sheet::{SheetRow, Standing, birth_hash, is_birth_date};
use crate::sitting::{self, SittingRow};

/// Outbox topic: a phone was linked. The payload is a [`LinkEvidence`] as JSON; custody verifies
/// it again and seals its own copy of the public key.
pub const TOPIC_PHONE_LINKED: &str = "phone-linked";
/// Outbox topic: the phone of a key is linked no more. The payload is `{"key","binding"}`.
pub const TOPIC_PHONE_UNLINKED: &str = "phone-unlinked";

/// A phone that was just linked.
#[derive(Clone)]
pub struct Linked {
    /// What custody verifies again. The outbox holds it too, under [`TOPIC_PHONE_LINKED`].
    pub evidence: LinkEvidence,
    /// The device secret, for the phone's cookie: says who is asked, proves nothing.
    pub device: String,
    /// The key of the stream in which the journal tells of the key, for the phone to keep.
    pub stream_key: StreamKey,
    /// Where the journal has it.
    pub index: u64,
}

impl std::fmt::Debug for Linked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Linked").field("binding", &self.evidence.binding).finish_non_exhaustive()
    }
}

/// What a phone is called whose owner gave it no name.
pub(crate) const NAMELESS: &str = "スマートフォン";

fn no<T>(refusal: Refusal) -> Result<T, Failed<Refusal>> {
    Err(Failed::Refused(refusal))
}

fn session_of(text: &str) -> Result<SessionId, Failed<Refusal>> {
    text.parse().map_err(|_| Failed::Refused(Refusal::SittingUnknown))
}

impl Authn {
    /// A phone shows the secret of a sheet: a sitting of 15 minutes begins, and the former ends.
    ///
    /// # Errors
    /// `sheet-unknown` for whoever does not have the secret, whatever the sheet is. With it:
    /// `phone-linked-here`, `phone-holds-another`, `phone-already-linked`, `sheet-locked`,
    /// `sheet-expired`, `sheet-revoked`, `sheet-void`, `slow-down`; `card-proof-needed` where a
    /// card must have ordered the sheet and none did.
    pub async fn open(
        &self,
        request: &LinkOpenRequest,
        device: Option<&str>,
        now: Timestamp,
    ) -> Result<LinkOpenAnswer, Failed<Refusal>> {
        let (Ok(id), Some(shown)) =
            (request.sheet.parse::<SheetId>(), Secret::hash_of(&request.secret))
        else {
            return no(Refusal::SheetUnknown);
        };
        let sheet = self.ledger.read(move |tx| Ok(SheetRow::find(tx, id)?)).await?;
        let Some(sheet) = sheet.filter(|sheet| same(&sheet.secret_hash, &shown)) else {
            return no(Refusal::SheetUnknown);
        };
        sheet.check_seal(&self.desk)?;
        self.holds_nothing(device, sheet.key).await?;
        self.enough(&sheet)?;
        let by_card = self.config.require_card_proof;
        if !self.may_open(id, now) {
            return no(Refusal::SlowDown);
        }
        let session = SessionId::random(&*self.random);
        let (mut nonce, mut user_handle) = ([0; 32], vec![0; 32]);
        self.random.fill(&mut nonce);
        self.random.fill(&mut user_handle);
        let sitting = SittingRow {
            hash: sitting::hash(session),
            sheet: id,
            until: now.plus(SITTING_S),
            nonce,
            user_handle,
            proven: by_card,
            ended: false,
        };
        let opened = sitting.clone();
        let standing = if by_card { Standing::Proven } else { Standing::Opened };
        self.ledger
            .record(move |tx| {
                let sheet =
                    SheetRow::find(tx, id)?.ok_or_else(|| Fault::Row("a sheet vanished".into()))?;
                sheet.usable(now).map_err(Failed::Refused)?;
                tx.exec(
                    "UPDATE authn_sitting SET ended = 1 WHERE sheet = $1 AND ended = 0",
                    &[id.into()],
                )?;
                tx.exec(
                    "UPDATE authn_sheet SET state = $2 WHERE id = $1",
                    &[id.into(), standing.name().into()],
                )?;
                sitting.insert(tx)?;
                Ok(((), sheet.note(Event::SheetOpened, now)))
            })
            .await?;
        let proven = by_card.then(|| self.proven(session, &opened, &sheet)).transpose()?;
        Ok(LinkOpenAnswer { session: session.to_string(), proven })
    }

    /// One certificate for each phone: a browser that is known as a linked phone links nothing
    /// else. One that has lost its device secret cannot be told from a new phone.
    pub(crate) async fn holds_nothing(
        &self,
        device: Option<&str>,
        key: KeyId,
    ) -> Result<(), Failed<Refusal>> {
        match self.phone_of(device).await {
            Ok(binding) if binding.key == key => no(Refusal::PhoneLinkedHere),
            Ok(_) => no(Refusal::PhoneHoldsAnother),
            Err(Failed::Refused(Refusal::PhoneNotLinked)) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// The owner gives her birth date; if it is right she is shown what she is about to agree to.
    ///
    /// The try is committed before the date is compared, so a crash gives no free try.
    ///
    /// # Errors
    /// `birth-date-malformed` (no try counted), `birth-date-wrong`, the fifth time `sheet-locked`;
    /// `sitting-unknown`; what [`Authn::open`] refuses.
    pub async fn birth(
        &self,
        request: &LinkBirthRequest,
        now: Timestamp,
    ) -> Result<LinkBirthAnswer, Failed<Refusal>> {
        let session = session_of(&request.session)?;
        if !is_birth_date(&request.birth_date) {
            return no(Refusal::BirthDateMalformed);
        }
        let hash = sitting::hash(session);
        let (sitting, sheet) = self.count_try(hash, now).await?;
        sheet.check_seal(&self.desk)?;
        self.enough(&sheet)?;
        let given = birth_hash(&self.desk, sheet.person, &request.birth_date)?;
        if same(&given, &sheet.birth) {
            self.prove(hash, now).await?;
        } else {
            return self.mistaken(sitting, sheet, now).await;
        }
        Ok(self.proven(session, &sitting, &sheet)?)
    }

    /// Whether such a sheet is enough here: also for a sitting that began before it was not.
    fn enough(&self, sheet: &SheetRow) -> Result<(), Failed<Refusal>> {
        if self.config.require_card_proof && !sheet.by_card {
            return no(Refusal::CardProofNeeded);
        }
        Ok(())
    }

    /// What she is about to agree to, once it is proven that the sheet is hers.
    fn proven(
        &self,
        session: SessionId,
        sitting: &SittingRow,
        sheet: &SheetRow,
    ) -> Result<LinkBirthAnswer, Fault> {
        let statement = self.link_statement(session, sitting, sheet);
        let options = options::create(
            &self.config,
            &statement.challenge(),
            &sitting.user_handle,
            &sheet.display_id,
        );
        let statement = serde_json::to_value(&statement)
            .map_err(|why| Fault::Misuse(format!("a statement as JSON: {why}")))?;
        Ok(LinkBirthAnswer { person_display: sheet.display_id.clone(), statement, options })
    }

    /// Commits one try; gives the sheet with that try counted.
    async fn count_try(
        &self,
        hash: Digest32,
        now: Timestamp,
    ) -> Result<(SittingRow, SheetRow), Failed<Refusal>> {
        let counted = self.ledger.record(move |tx| {
            let (sitting, mut sheet) = SittingRow::going_on(tx, hash, now)?;
            tx.exec("UPDATE authn_sheet SET tries = tries + 1 WHERE id = $1", &[sheet.id.into()])?;
            sheet.tries += 1;
            let note = sheet.note(Event::SheetTried, now);
            Ok(((sitting, sheet), note))
        });
        Ok(counted.await?.0)
    }

    /// The date was right: the try is given back.
    async fn prove(&self, hash: Digest32, now: Timestamp) -> Result<(), Failed<Refusal>> {
        self.ledger
            .write(move |tx| {
                // The try that is given back may have been the fifth: only a wrong one locks.
                let row = tx.query_opt(
                    "SELECT s.id, s.state, t.ended, t.until FROM authn_sitting t
                     JOIN authn_sheet s ON s.id = t.sheet WHERE t.hash = $1",
                    &[hash.into()],
                )?;
                let row = row.ok_or(Failed::Refused(Refusal::SittingUnknown))?;
                let id = SheetId::from_octets(row.array(0)?);
                match row.text(1)? {
                    "used" => return no(Refusal::PhoneAlreadyLinked),
                    "locked" => return no(Refusal::SheetLocked),
                    "revoked" => return no(Refusal::SheetRevoked),
                    "void" => return no(Refusal::SheetVoid),
                    _ => {}
                }
                if row.flag(2)? || now > row.time(3)? {
                    return no(Refusal::SittingUnknown);
                }
                tx.exec(
                    "UPDATE authn_sheet SET state = 'proven', tries = tries - 1 WHERE id = $1",
                    &[id.into()],
                )?;
                tx.exec("UPDATE authn_sitting SET proven = 1 WHERE hash = $1", &[hash.into()])?;
                Ok(())
            })
            .await
    }

    /// The date was wrong: the fifth locks the sheet.
    async fn mistaken<T>(
        &self,
        sitting: SittingRow,
        sheet: SheetRow,
        now: Timestamp,
    ) -> Result<T, Failed<Refusal>> {
        if sheet.tries < BIRTH_TRIES {
            return no(Refusal::BirthDateWrong { left: BIRTH_TRIES - sheet.tries });
        }
        self.ledger
            .record(move |tx| {
                tx.exec(
                    "UPDATE authn_sheet SET state = 'locked' WHERE id = $1 AND state <> 'used'",
                    &[sitting.sheet.into()],
                )?;
                tx.exec(
                    "UPDATE authn_sitting SET ended = 1 WHERE sheet = $1",
                    &[sitting.sheet.into()],
                )?;
                Ok::<_, Failed<Refusal>>(((), sheet.note(Event::SheetLocked, now)))
            })
            .await?;
        no(Refusal::SheetLocked)
    }

    fn link_statement(
        &self,
        session: SessionId,
        sitting: &SittingRow,
        sheet: &SheetRow,
    ) -> LinkStatement {
        LinkStatement {
            issuer: self.config.issuer.clone(),
            rp_id: self.config.rp_id.clone(),
            sheet: sheet.id,
            session,
            nonce: sitting.nonce,
            person: sheet.person,
            key: sheet.key,
            terms_hash: self.config.terms_hash,
        }
    }

    /// One certificate for each phone, where the cookie is lost but the key is still there: the
    /// phone's browser names the credential that it holds. What a browser says of itself proves
    /// nothing, so this keeps honest people from a mistake.
    ///
    /// # Errors
    /// `phone-linked-here`, `phone-holds-another`; `birth-date-missing`, `sitting-unknown`, what
    /// [`Authn::open`] refuses.
    pub async fn held(
        &self,
        request: &LinkHeldRequest,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let hash = sitting::hash(session_of(&request.session)?);
        let id = base64url_decode(&request.credential_id).unwrap_or_default();
        self.ledger
            .read(move |tx| {
                let (sitting, sheet) = SittingRow::going_on(tx, hash, now)?;
                if !sitting.proven {
                    return no(Refusal::BirthDateMissing);
                }
                let sql = "SELECT key FROM authn_binding
                           WHERE credential_id = $1 AND state = 'live'";
                match tx.query_opt(sql, &[(&id).into()])? {
                    None => Ok(()),
                    Some(row) if KeyId::from_octets(row.array(0)?) == sheet.key => {
                        no(Refusal::PhoneLinkedHere)
                    }
                    Some(_) => no(Refusal::PhoneHoldsAnother),
                }
            })
            .await
    }

    /// The phone's new credential: verified, linked and journalled in one transaction, together
    /// with the message to custody. Of two phones that race for a sheet, one wins.
    ///
    /// # Errors
    /// `phone-already-linked`, `phone-name-malformed`, `birth-date-missing`, `sitting-unknown`, what
    /// [`Authn::open`] refuses, and whatever `approval` refuses of the registration.
    pub async fn finish_link(
        &self,
        request: &LinkFinishRequest,
        device: Option<&str>,
        now: Timestamp,
    ) -> Result<Linked, Failed<Refusal>> {
        let session = session_of(&request.session)?;
        let label = request.label.as_deref().unwrap_or(NAMELESS);
        if !is_label(label) {
            return no(Refusal::PhoneNameMalformed);
        }
        let hash = sitting::hash(session);
        let (sitting, sheet) =
            self.ledger.read(move |tx| SittingRow::going_on(tx, hash, now)).await?;
        sheet.check_seal(&self.desk)?;
        self.enough(&sheet)?;
        if !sitting.proven {
            return no(Refusal::BirthDateMissing);
        }
        self.holds_nothing(device, sheet.key).await?;
        let refused = |refusal| Failed::Refused(Refusal::Approval(refusal));
        let evidence = LinkEvidence {
            statement: self.link_statement(session, &sitting, &sheet),
            registration: RegistrationResponse::from_json(&request.credential).map_err(refused)?,
            user_handle: sitting.user_handle.clone(),
            binding: BindingId::random(&*self.random),
            linked: now,
        };
        let credential = check_link(&evidence, &self.config.relying_party()).map_err(refused)?;
        self.config.makers.judge(&credential.attestation, now).map_err(refused)?;
        let json = |why| Fault::Misuse(format!("link evidence as JSON: {why}"));
        let device = Secret::new(&*self.random);
        // Before anything is committed: a device that cannot give it links nothing.
        let stream_key = self.ledger.stream_key(sheet.key.stream())?;
        let mut binding = BindingRow {
            id: evidence.binding,
            person: sheet.person,
            key: sheet.key,
            display_id: sheet.display_id.clone(),
            label: label.to_owned(),
            credential_text: serde_json::to_string(&credential).map_err(json)?,
            credential,
            device_hash: device.hash(),
            linked: now,
            state: LIVE.into(),
            seal: Vec::new(),
        };
        binding.seal = self.desk.mac(&binding.sealed())?.to_vec();
        let payload = serde_json::to_string(&evidence).map_err(json)?;
        // Custody's own entry holds the hash of the whole evidence; this one commits to the key, so
        // that a stranger with an approval can find whose phone gave it.
        let commitment = binding_commitment(&binding.credential.id, &binding.credential.cose);
        let binding = Arc::new(binding);
        let linked = evidence.statement.clone();
        let ((), receipt) = self
            .ledger
            .record(move |tx| {
                let (sitting, sheet) = SittingRow::going_on(tx, hash, now)?;
                let used = tx.exec(
                    "UPDATE authn_sheet SET state = 'used' WHERE id = $1 AND state = 'proven'",
                    &[sheet.id.into()],
                )?;
                if used != 1 || !sitting.proven {
                    return no(Refusal::BirthDateMissing);
                }
                let taken = tx.query(
                    "SELECT 1 FROM authn_binding
                     WHERE (key = $1 AND state = 'live') OR credential_id = $2 LIMIT 1",
                    &[binding.key.into(), (&binding.credential.id).into()],
                )?;
                if !taken.is_empty() {
                    return no(Refusal::PhoneAlreadyLinked);
                }
                binding.insert(tx)?;
                keep_linking(tx, &linked, &payload, now)?;
                tx.exec("UPDATE authn_sitting SET ended = 1 WHERE sheet = $1", &[sheet.id.into()])?;
                tx.outbox(TOPIC_PHONE_LINKED, Some(binding.key), &payload)?;
                tell(tx, binding.key, NoticeKind::PhoneLinked, &binding.label, now)?;
                let mut record = Record::of_key(Event::PhoneLinked, binding.key, now);
                record.person = Some(binding.person);
                record.evidence = Some(commitment);
                Ok(((), Note(record)))
            })
            .await?;
        Ok(Linked { evidence, device: device.text(), stream_key, index: receipt.index() })
    }

    /// The key's certificate was revoked: sheets that were not used yet link nothing any more. Again
    /// changes nothing. Gives how many.
    ///
    /// # Errors
    /// A fault.
    pub async fn void_sheets(&self, key: KeyId) -> Result<u64, Failed<Refusal>> {
        self.ledger
            .write(move |tx| {
                tx.exec(
                    "UPDATE authn_sitting SET ended = 1 WHERE ended = 0 AND sheet IN
                     (SELECT id FROM authn_sheet WHERE key = $1 AND state <> 'used')",
                    &[key.into()],
                )?;
                Ok(tx.exec(
                    "UPDATE authn_sheet SET state = 'void'
                     WHERE key = $1 AND state NOT IN ('used', 'revoked', 'void')",
                    &[key.into()],
                )?)
            })
            .await
    }

    /// Ends the linking of a key's phone, and all its sessions, in one commit. Custody is told
    /// through the outbox and signs nothing by the key until it has heard.
    ///
    /// # Errors
    /// `phone-not-linked`, `seal-broken`, or a fault.
    pub async fn unlink(
        &self,
        key: KeyId,
        now: Timestamp,
    ) -> Result<Vec<Session>, Failed<Refusal>> {
        self.unlink_if(key, |_| true, now).await
    }

    /// The same for this one linking: a phone that was linked in its place since stays.
    ///
    /// # Errors
    /// As [`Authn::unlink`]; `phone-not-linked` also where another phone is.
    pub async fn unlink_this(
        &self,
        key: KeyId,
        phone: BindingId,
        now: Timestamp,
    ) -> Result<Vec<Session>, Failed<Refusal>> {
        self.unlink_if(key, move |live| live == phone, now).await
    }

    async fn unlink_if(
        &self,
        key: KeyId,
        meant: impl Fn(BindingId) -> bool + Send + Sync + 'static,
        now: Timestamp,
    ) -> Result<Vec<Session>, Failed<Refusal>> {
        let desk = Arc::clone(&self.desk);
        let (sessions, _receipt) = self
            .ledger
            .record(move |tx| {
                if !meant(BindingRow::of_key(tx, key, &desk)?.id) {
                    return Err(Failed::Refused(Refusal::PhoneNotLinked));
                }
                let (sessions, record) = unlink_in(tx, key, &desk, now)?;
                tell(tx, key, NoticeKind::PhoneUnlinked, "", now)?;
                Ok((sessions, Note(record)))
            })
            .await?;
        self.forget_ceremonies(key);
        Ok(sessions)
    }

    /// What goes on about a key whose phone is linked no more leads nowhere.
    pub(crate) fn forget_ceremonies(&self, key: KeyId) {
        self.ceremonies().retain(|_, ceremony| !ceremony.is_about(key));
    }
}

/// Keeps what she agreed to when her phone was linked, the terms among it; the entry that commits with
/// it names her phone's key.
pub(crate) fn keep_linking(
    tx: &Tx<'_>,
    statement: &LinkStatement,
    evidence: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    tx.exec(
        "INSERT INTO authn_decision (approval, key, what, decided, evidence, leaf)
         VALUES ($1, $2, 'phone.linked', $3, $4, $5)",
        &[
            statement.challenge().into(),
            statement.key.into(),
            now.into(),
            evidence.into(),
            tx.next_index()?.into(),
        ],
    )?;
    Ok(())
}

impl Authn {
    /// The hash of the terms that the owner of this key agreed to last, and when.
    ///
    /// # Errors
    /// A fault.
    pub async fn terms_agreed(
        &self,
        key: KeyId,
    ) -> Result<Option<(Digest32, Timestamp)>, Failed<Refusal>> {
        self.ledger
            .read(move |tx| {
                let sql = "SELECT evidence, decided FROM authn_decision
                           WHERE key = $1 AND what = 'phone.linked' ORDER BY leaf DESC LIMIT 1";
                let Some(row) = tx.query_opt(sql, &[key.into()])? else { return Ok(None) };
                let linked: LinkEvidence = serde_json::from_str(row.text(0)?)
                    .map_err(|why| Fault::Row(format!("what was agreed to: {why}")))?;
                Ok(Some((linked.statement.terms_hash, row.time(1)?)))
            })
            .await
    }
}

/// Ends the linking of a key's phone and all its sessions; gives these, and what the journal is told.
pub(crate) fn unlink_in(
    tx: &Tx<'_>,
    key: KeyId,
    desk: &TokenDesk,
    now: Timestamp,
) -> Result<(Vec<Session>, Record), Failed<Refusal>> {
    let binding = BindingRow::of_key(tx, key, desk)?;
    binding.end(tx, desk)?;
    let sessions = end_all(tx, key, now)?;
    let payload = serde_json::json!({ "key": key, "binding": binding.id });
    tx.outbox(TOPIC_PHONE_UNLINKED, Some(key), &payload.to_string())?;
    let mut record = Record::of_key(Event::PhoneUnlinked, key, now);
    record.person = Some(binding.person);
    Ok((sessions, record))
}
