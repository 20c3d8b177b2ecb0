//! マイナンバーカード: which card speaks for whom.
//!
//! The user authentication certificate of a My Number Card names nobody. So a card is linked once, by
//! a means by which its holder is known already, and looked up by its certificate from then on: one
//! card for each key, one key for each card. A renewed card has another certificate and serial number,
//! and nobody can tell from it whose it is: it is linked again, in the place of the former.
//!
//! Whether a certificate was revoked, its authority alone knows. Its lists are handed in, or what it
//! said when it was asked about this card (`card_status`); without either, young enough, no My Number
//! Card proves anything.

use std::sync::{Arc, PoisonError};

use approval::card::{CardLinkEvidence, read};
use approval::{CardMeans, CardTrust, Proof, card_commitment};
use hpki::Certificate;
use hpki::encoding::{Digest32, Statement as Encoded};
use hpki::id::{BindingId, KeyId, PersonId};
use hpki::sign::Mac;
use hpki::time::Timestamp;
use hsm::TokenDesk;
use ledger::{Event, Failed, Fault, Note, Record, Row, Tx};

use crate::answered::Answered;
use crate::binding::BindingRow;
use crate::by_card::Card;
use crate::notice::{NoticeKind, tell};
use crate::provider::consent;
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::session::end_of_means;

/// Outbox topic: a card was linked. The payload is [`CardLinkEvidence`]; custody verifies it again and
/// keeps its own copy.
pub const TOPIC_CARD_LINKED: &str = "card-linked";
/// Outbox topic: a card is linked no more. The payload is `{"key","card"}`.
pub const TOPIC_CARD_UNLINKED: &str = "card-unlinked";

/// So long before a linked card's certificate runs out its holder is told.
const FORESEEN_S: u64 = 90 * 86_400;

/// A linked card, as far as its holder and the desk are shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedCard {
    /// Its linking.
    pub id: BindingId,
    /// Since when.
    pub linked: Timestamp,
    /// Until when its certificate is valid.
    pub expires: Timestamp,
}

/// A linking as it is stored. All but `told`, `looked` and `leaf` is sealed.
#[derive(Debug, Clone)]
pub(crate) struct CardRow {
    pub(crate) id: BindingId,
    pub(crate) person: PersonId,
    pub(crate) key: KeyId,
    pub(crate) certificate: Vec<u8>,
    pub(crate) expires: Timestamp,
    pub(crate) linked: Timestamp,
    ended: Option<Timestamp>,
    seal: Vec<u8>,
}

const COLUMNS: &str = "id, person, key, certificate, expires, linked, ended, seal";

impl CardRow {
    fn sealed(&self) -> Encoded {
        let ended = self.ended.map(|ended| ended.seconds().to_be_bytes());
        Encoded::new("azukari/seal/v1")
            .text("authn_card")
            .octets_field(self.id.octets())
            .octets_field(self.person.octets())
            .octets_field(self.key.octets())
            .octets_field(&self.certificate)
            .time(self.expires)
            .time(self.linked)
            .optional(ended.as_ref().map(<[u8; 8]>::as_slice))
    }

    fn read(row: &Row, desk: &TokenDesk) -> Result<Self, Failed<Refusal>> {
        let found = Self {
            id: BindingId::from_octets(row.array(0)?),
            person: PersonId::from_octets(row.array(1)?),
            key: KeyId::from_octets(row.array(2)?),
            certificate: row.blob(3)?.to_vec(),
            expires: row.time(4)?,
            linked: row.time(5)?,
            ended: row.opt_time(6)?,
            seal: row.blob(7)?.to_vec(),
        };
        if desk.check(&found.sealed(), &found.seal)? {
            Ok(found)
        } else {
            Err(Failed::Refused(Refusal::SealBroken("a linked card")))
        }
    }

    fn live(
        tx: &Tx<'_>,
        which: (&str, &[u8]),
        desk: &TokenDesk,
    ) -> Result<Option<Self>, Failed<Refusal>> {
        let (column, value) = which;
        let sql = format!("SELECT {COLUMNS} FROM authn_card WHERE {column} = $1 AND ended IS NULL");
        let row = tx.query_opt(&sql, &[value.into()])?;
        row.as_ref().map(|row| Self::read(row, desk)).transpose()
    }

    /// The linking of this certificate, if it is live.
    pub(crate) fn of_commitment(
        tx: &Tx<'_>,
        commitment: &Digest32,
        desk: &TokenDesk,
    ) -> Result<Self, Failed<Refusal>> {
        let row = Self::live(tx, ("commitment", commitment), desk)?;
        row.ok_or(Failed::Refused(Refusal::CardNotLinked))
    }

    /// The card that is linked to this key now.
    pub(crate) fn of_key(
        tx: &Tx<'_>,
        key: KeyId,
        desk: &TokenDesk,
    ) -> Result<Option<Self>, Failed<Refusal>> {
        Self::live(tx, ("key", key.octets()), desk)
    }

    /// This linking, if it is still live.
    pub(crate) fn still(
        tx: &Tx<'_>,
        id: BindingId,
        desk: &TokenDesk,
    ) -> Result<Self, Failed<Refusal>> {
        let row = Self::live(tx, ("id", id.octets()), desk)?;
        row.ok_or(Failed::Refused(Refusal::CardNotLinked))
    }

    /// `before`: how many entries the same commit puts before the one about this linking.
    fn insert(&self, tx: &Tx<'_>, before: u64) -> Result<bool, Fault> {
        let changed = tx.exec(
            "INSERT INTO authn_card (id, person, key, certificate, commitment, expires, linked,
                ended, seal, told, looked, leaf)
             VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, $8, 0, 0, $9) ON CONFLICT DO NOTHING",
            &[
                self.id.into(),
                self.person.into(),
                self.key.into(),
                (&self.certificate).into(),
                card_commitment(&self.certificate).into(),
                self.expires.into(),
                self.linked.into(),
                (&self.seal).into(),
                (tx.next_index()? + before).into(),
            ],
        )?;
        Ok(changed == 1)
    }

    fn end(&self, tx: &Tx<'_>, desk: &TokenDesk, now: Timestamp) -> Result<(), Failed<Refusal>> {
        let ended = Self { ended: Some(now), ..self.clone() };
        let seal = desk.mac(&ended.sealed())?;
        let changed = tx.exec(
            "UPDATE authn_card SET ended = $2, seal = $3 WHERE id = $1 AND seal = $4",
            &[self.id.into(), now.into(), seal.into(), (&self.seal).into()],
        )?;
        if changed == 1 { Ok(()) } else { Err(Failed::Refused(Refusal::CardNotLinked)) }
    }

    fn facts(&self) -> LinkedCard {
        LinkedCard { id: self.id, linked: self.linked, expires: self.expires }
    }
}

/// Ends the linking of a card within a unit of work: its sessions end with it, and custody is told.
/// Gives what the journal is told.
pub(crate) fn unlink_card_in(
    tx: &Tx<'_>,
    row: &CardRow,
    desk: &TokenDesk,
    now: Timestamp,
) -> Result<Record, Failed<Refusal>> {
    end_card_in(tx, row, desk, NoticeKind::CardUnlinked, now)
}

/// The same, and what its holder is told of it.
pub(crate) fn end_card_in(
    tx: &Tx<'_>,
    row: &CardRow,
    desk: &TokenDesk,
    told: NoticeKind,
    now: Timestamp,
) -> Result<Record, Failed<Refusal>> {
    row.end(tx, desk, now)?;
    end_of_means(tx, row.key, row.id, now)?;
    // What services may still ask about her, as where a phone is unlinked.
    consent::end_all(tx, row.key, None, now)?;
    let payload = serde_json::json!({ "key": row.key, "card": row.id });
    tx.outbox(TOPIC_CARD_UNLINKED, Some(row.key), &payload.to_string())?;
    tell(tx, row.key, told, "", now)?;
    let mut record = Record::of_key(Event::CardUnlinked, row.key, now);
    record.person = Some(row.person);
    record.evidence = Some(card_commitment(&row.certificate));
    Ok(record)
}

impl Authn {
    /// Whom My Number Cards are believed by from now on: the authority of user authentication and its
    /// list, as it was handed in. Until this was called no My Number Card is believed.
    pub fn trust_my_number_cards(&self, trust: Arc<CardTrust>) {
        *self.trusted_jpki.write().unwrap_or_else(PoisonError::into_inner) = trust;
    }

    /// Reads the user authentication certificate of a My Number Card and judges it: issuer, policy,
    /// validity and status.
    ///
    /// # Errors
    /// What [`read`] and [`CardTrust::judge_chain`] refuse; `card-issuer-unknown` where no authority was
    /// handed in, `card-status-unknown` where its list or answer is too old or missing,
    /// `card-unknown-to-issuer`.
    pub fn judge_my_number_card(
        &self,
        certificate: &[u8],
        now: Timestamp,
    ) -> Result<Certificate, Failed<Refusal>> {
        let refused = |refusal| Failed::Refused(Refusal::Approval(refusal));
        let trust = Arc::clone(&self.trusted_jpki.read().unwrap_or_else(PoisonError::into_inner));
        let certificate = read(certificate).map_err(refused)?;
        match self.heard_lately(certificate.der(), now) {
            Some(said) => trust.judge_answer(&certificate, &said, now),
            None => trust.judge_chain(&certificate, now),
        }
        .map_err(refused)?;
        Ok(certificate)
    }

    /// Whether this is a certificate of the trusted authority, in its time: nobody is asked about any
    /// other, and the status of any other says nothing.
    pub fn is_my_number_card(&self, certificate: &[u8], now: Timestamp) -> bool {
        let trust = Arc::clone(&self.trusted_jpki.read().unwrap_or_else(PoisonError::into_inner));
        read(certificate).is_ok_and(|read| trust.judge_issued(&read, now).is_ok())
    }

    /// Whose My Number Card this is, judged now.
    ///
    /// # Errors
    /// What [`Authn::judge_my_number_card`] refuses; `card-not-linked`, `seal-broken`.
    pub async fn my_number_card(
        &self,
        certificate: Vec<u8>,
        now: Timestamp,
    ) -> Result<Card, Failed<Refusal>> {
        self.judge_my_number_card(&certificate, now)?;
        let (commitment, desk) = (card_commitment(&certificate), Arc::clone(&self.desk));
        let row =
            self.ledger.read(move |tx| CardRow::of_commitment(tx, &commitment, &desk)).await?;
        Ok(Card {
            means: CardMeans::Jpki,
            certificate,
            binding: row.id,
            person: row.person,
            key: row.key,
        })
    }

    /// The My Number Card that is linked to this key now.
    ///
    /// # Errors
    /// `seal-broken`, or a fault.
    pub async fn linked_card(&self, key: KeyId) -> Result<Option<LinkedCard>, Failed<Refusal>> {
        let desk = Arc::clone(&self.desk);
        let found = self.ledger.read(move |tx| CardRow::of_key(tx, key, &desk)).await?;
        Ok(found.map(|row| row.facts()))
    }

    /// Links a card, in the place of the one that was linked before: both signatures were verified by
    /// whoever calls this. Custody is told in the same commit, in which a phone's answer is counted.
    ///
    /// # Errors
    /// `card-already-linked` for a card that speaks for somebody, or this key, already.
    pub(crate) async fn keep_card_link(
        &self,
        evidence: CardLinkEvidence,
        expires: Timestamp,
        phone: Option<Answered>,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let said = &evidence.approval.statement;
        let mut row = CardRow {
            id: evidence.binding,
            person: said.person(),
            key: said.key(),
            certificate: evidence.card.certificate.clone(),
            expires,
            linked: evidence.linked,
            ended: None,
            seal: Vec::new(),
        };
        row.seal = self.desk.mac(&row.sealed())?.to_vec();
        let payload = serde_json::to_string(&evidence)
            .map_err(|why| Fault::Misuse(format!("a linking as JSON: {why}")))?;
        let by_card = matches!(evidence.approval.proof, Proof::Card(_));
        let work = Arc::new((row, payload, phone));
        let desk = Arc::clone(&self.desk);
        self.ledger
            .record_many(move |tx| {
                let (row, payload, phone) = &*work;
                if let Some(phone) = phone {
                    phone.count(tx)?;
                }
                // Another means for good is her phone's to approve, where she has one: whoever had her
                // card and PIN in a reader of his own would else link a card of his.
                if by_card && BindingRow::is_linked(tx, row.key)? {
                    return Err(Failed::Refused(Refusal::PhoneNeeded));
                }
                let commitment = card_commitment(&row.certificate);
                let mut notes = Vec::new();
                match CardRow::of_commitment(tx, &commitment, &desk) {
                    Ok(_) => return Err(Failed::Refused(Refusal::CardAlreadyLinked)),
                    Err(Failed::Refused(Refusal::CardNotLinked)) => {}
                    Err(failed) => return Err(failed),
                }
                if let Some(former) = CardRow::of_key(tx, row.key, &desk)? {
                    notes.push(Note(unlink_card_in(tx, &former, &desk, now)?));
                }
                if !row.insert(tx, notes.len() as u64)? {
                    return Err(Failed::Refused(Refusal::CardAlreadyLinked));
                }
                tx.outbox(TOPIC_CARD_LINKED, Some(row.key), payload)?;
                tell(tx, row.key, NoticeKind::CardLinked, "", now)?;
                let mut record = Record::of_key(Event::CardLinked, row.key, now);
                record.person = Some(row.person);
                record.evidence = Some(commitment);
                notes.push(Note(record));
                Ok(((), notes))
            })
            .await?;
        Ok(())
    }

    /// Where the journal says that this card was linked: its entry commits to the card's certificate
    /// (`approval::card_commitment`). `None` for a linking that never was.
    ///
    /// # Errors
    /// A fault.
    pub async fn card_linked_at(&self, card: BindingId) -> Result<Option<u64>, Failed<Refusal>> {
        self.ledger
            .read(move |tx| {
                let sql = "SELECT leaf FROM authn_card WHERE id = $1";
                let row = tx.query_opt(sql, &[card.into()])?;
                Ok(row.as_ref().map(|row| row.number(0)).transpose()?)
            })
            .await
    }

    /// Ends the linking of a key's My Number Card: its sessions end in the same commit, and custody
    /// signs nothing by the key until it has heard. Without a linked card nothing happens.
    ///
    /// # Errors
    /// `seal-broken`, or a fault.
    pub async fn unlink_card(&self, key: KeyId, now: Timestamp) -> Result<bool, Failed<Refusal>> {
        self.unlink_card_if(key, |_| true, now).await
    }

    /// The same for this one linking: a card that was linked in its place since stays.
    ///
    /// # Errors
    /// As [`Authn::unlink_card`].
    pub async fn unlink_this_card(
        &self,
        key: KeyId,
        card: BindingId,
        now: Timestamp,
    ) -> Result<bool, Failed<Refusal>> {
        self.unlink_card_if(key, move |live| live == card, now).await
    }

    async fn unlink_card_if(
        &self,
        key: KeyId,
        meant: impl Fn(BindingId) -> bool + Send + Sync + 'static,
        now: Timestamp,
    ) -> Result<bool, Failed<Refusal>> {
        if self.linked_card(key).await?.is_none_or(|card| !meant(card.id)) {
            return Ok(false);
        }
        let desk = Arc::clone(&self.desk);
        let ended = self
            .ledger
            .record(move |tx| {
                let row = CardRow::of_key(tx, key, &desk)?.filter(|row| meant(row.id));
                let row = row.ok_or(Failed::Refused(Refusal::CardNotLinked))?;
                Ok(((), Note(unlink_card_in(tx, &row, &desk, now)?)))
            })
            .await;
        match ended {
            Ok(_) => {
                self.forget_ceremonies(key);
                Ok(true)
            }
            // Somebody else was first.
            Err(Failed::Refused(Refusal::CardNotLinked)) => Ok(false),
            Err(failed) => Err(failed),
        }
    }

    /// Tells the holders of cards whose certificate runs out within ninety days, once each; gives how
    /// many were told. A renewed card has to be linked again.
    ///
    /// # Errors
    /// A fault.
    pub async fn foresee_card_expiry(&self, now: Timestamp) -> Result<u64, Failed<Refusal>> {
        self.ledger
            .write(move |tx| {
                let rows = tx.query(
                    "SELECT id, key FROM authn_card
                     WHERE ended IS NULL AND told = 0 AND expires < $1 ORDER BY id LIMIT 1000",
                    &[now.plus(FORESEEN_S).into()],
                )?;
                for row in &rows {
                    let key = KeyId::from_octets(row.array(1)?);
                    tx.exec(
                        "UPDATE authn_card SET told = 1 WHERE id = $1",
                        &[row.blob(0)?.into()],
                    )?;
                    tell(tx, key, NoticeKind::CardExpires, "", now)?;
                }
                Ok::<_, Failed<Refusal>>(rows.len() as u64)
            })
            .await
    }
}
