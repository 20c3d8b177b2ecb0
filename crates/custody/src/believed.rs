//! Whether an approval is believed, whichever means gave it: judged with this room's own eyes, not
//! with those of whoever hands it on.
//!
//! A phone is judged by this room's own sealed copy of its key, a My Number Card by that of its
//! certificate. An HPKI card is nobody's copy: its whole chain is judged under pinned roots and the
//! lists that were handed in, and it must be of the same holder as the certificate of the kept key
//! itself, whatever the certification authority's books or authentication say.

use std::sync::{Arc, PoisonError};

use approval::{Approval, CardMeans, CardTrust, Means, Proof, check_hpki, check_jpki};
use hpki::Certificate;
use hpki::id::{BindingId, KeyId, PersonId};
use hpki::time::Timestamp;
use ledger::{Failed, Fault, Tx};

use crate::prepared::PreparedRow;
use crate::refusal::Refusal;
use crate::room::{Custody, Inner};
use crate::{Failed as Bad, refused};

/// What was believed, to be held against the books once more in the commit that acts on it.
#[derive(Clone)]
pub(crate) struct Believed {
    pub(crate) binding: BindingId,
    by: By,
}

#[derive(Clone)]
enum By {
    Phone { seal: Vec<u8>, counter: u32 },
    HpkiCard,
    MyNumberCard { seal: Vec<u8> },
}

impl Believed {
    /// In the commit that acts on it. A phone's counter is raised under the seal that was checked: a
    /// phone or card that was unlinked meanwhile allows nothing, and neither does an HPKI card whose
    /// revocation was delivered.
    pub(crate) fn hold(&self, tx: &Tx<'_>) -> Result<(), Failed<Refusal>> {
        if !self.stands(tx)? {
            return Err(Failed::Refused(self.by.ended()));
        }
        if let By::Phone { counter, .. } = &self.by {
            tx.exec(
                "UPDATE custody_binding
                 SET counter = CASE WHEN counter < $2 THEN $2 ELSE counter END WHERE id = $1",
                &[self.binding.into(), (*counter).into()],
            )?;
        }
        Ok(())
    }

    /// Whether these books still bear the seal that was checked; if not, look again.
    ///
    /// Refused: `binding-ended`, `card-ended`, `card-revoked` where the means has ended.
    pub(crate) fn stands(&self, tx: &Tx<'_>) -> Result<bool, Failed<Refusal>> {
        let (sql, seal) = match &self.by {
            By::Phone { seal, .. } => {
                ("SELECT ended, seal FROM custody_binding WHERE id = $1", seal)
            }
            By::MyNumberCard { seal } => {
                ("SELECT ended, seal FROM custody_card WHERE id = $1", seal)
            }
            By::HpkiCard if ended(tx, self.binding)? => {
                return Err(Failed::Refused(self.by.ended()));
            }
            By::HpkiCard => return Ok(true),
        };
        match tx.query_opt(sql, &[self.binding.into()])? {
            Some(row) if row.opt_time(0)?.is_none() => Ok(row.blob(1)? == seal),
            _ => Err(Failed::Refused(self.by.ended())),
        }
    }
}

impl By {
    /// What is said of it once it has ended.
    const fn ended(&self) -> Refusal {
        match self {
            Self::Phone { .. } => Refusal::BindingEnded,
            Self::MyNumberCard { .. } => Refusal::CardEnded,
            Self::HpkiCard => Refusal::Approval(approval::Refusal::CardRevoked),
        }
    }
}

fn ended(tx: &Tx<'_>, card: BindingId) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM custody_ended_card WHERE id = $1";
    Ok(tx.query_opt(sql, &[card.into()])?.is_some())
}

impl Custody {
    /// Whom HPKI cards are believed by from now on: pinned roots, authorities and lists, as they were
    /// handed in. Until this was called no HPKI card is believed.
    pub fn trust_cards(&self, trust: Arc<CardTrust>) {
        *self.0.cards.write().unwrap_or_else(PoisonError::into_inner) = trust;
    }

    /// An HPKI card was revoked: from this commit it allows nothing here, whatever lists say, and
    /// what it allowed ends: the sessions that it opened, and documents that it approved and that are not
    /// signed yet. `card` is [`approval::CardEvidence::own_binding`]. Again changes nothing.
    pub async fn end_hpki_card(
        &self,
        card: BindingId,
        key: Option<KeyId>,
        now: Timestamp,
    ) -> Result<(), Bad> {
        let inner = &*self.0;
        inner
            .ledger
            .write(move |tx| {
                tx.exec(
                    "INSERT INTO custody_ended_card (id, at) VALUES ($1, $2)
                     ON CONFLICT DO NOTHING",
                    &[card.into(), now.into()],
                )?;
                Ok::<_, Failed<Refusal>>(())
            })
            .await?;
        match key {
            Some(key) => inner.end_budgets_of(key, Some(card), now).await,
            None => Ok(()),
        }
    }
}

impl Inner {
    /// Judges an approval about this person's kept key.
    ///
    /// Refused: what `approval::check`, `check_hpki` and `check_jpki` refuse; `binding-unknown`,
    /// `binding-ended`, `card-unknown`, `card-ended`, `card-other-person`, `key-unknown`.
    pub(crate) async fn believed(
        &self,
        approval: &Approval,
        now: Timestamp,
    ) -> Result<Believed, Bad> {
        let (person, key) = (approval.statement.person(), approval.statement.key());
        match &approval.proof {
            Proof::Phone(_) => self.by_phone(approval, person, key).await,
            Proof::Card(card) => match card.means {
                CardMeans::Hpki => self.by_hpki_card(approval, person, key, now).await,
                CardMeans::Jpki => self.by_my_number_card(approval, person, key, now).await,
            },
        }
    }

    /// By what these documents were approved, to be held against the books in the commit that lets
    /// them be signed: a phone that was unlinked since, or a card that was, has nothing signed any
    /// more, whichever means opened the session.
    pub(crate) async fn approver(&self, row: &PreparedRow) -> Result<Believed, Bad> {
        let Some(approved) = &row.approved else { return refused(Refusal::HashNotAuthorised) };
        let approval: Approval = serde_json::from_str(&approved.evidence)
            .map_err(|_| Fault::Row("custody_prepared: evidence".into()))?;
        let binding = approved.binding;
        let by = match approval.means() {
            Means::Hpki => By::HpkiCard,
            Means::Phone => match self.stored_binding(binding).await? {
                Some(phone) => By::Phone { seal: phone.seal, counter: 0 },
                None => return refused(Refusal::BindingUnknown),
            },
            Means::Jpki => match self.stored_card(binding).await? {
                Some(card) => By::MyNumberCard { seal: card.seal },
                None => return refused(Refusal::CardUnknown),
            },
        };
        Ok(Believed { binding, by })
    }

    async fn by_phone(
        &self,
        approval: &Approval,
        person: PersonId,
        key: KeyId,
    ) -> Result<Believed, Bad> {
        let binding = self.binding(approval.binding).await?;
        if binding.person != person || binding.key != key {
            return refused(Refusal::BindingUnknown);
        }
        let outcome = approval::check(approval, &binding.credential(), &self.config.rp)
            .map_err(|refusal| Failed::Refused(refusal.into()))?;
        let by = By::Phone { seal: binding.seal, counter: outcome.sign_count };
        Ok(Believed { binding: binding.id, by })
    }

    async fn by_hpki_card(
        &self,
        approval: &Approval,
        person: PersonId,
        key: KeyId,
        now: Timestamp,
    ) -> Result<Believed, Bad> {
        let trust = Arc::clone(&self.cards.read().unwrap_or_else(PoisonError::into_inner));
        let card =
            check_hpki(approval, &trust, now).map_err(|refusal| Failed::Refused(refusal.into()))?;
        let kept = self.kept(key).await?;
        if kept.row.owner != person {
            return refused(Refusal::KeyUnknown);
        }
        match &kept.certified {
            Some(certified) if same_holder(&card, &certified.certificate) => {}
            _ => return refused(Refusal::CardOtherPerson),
        }
        let binding = approval.binding;
        if self.ledger.read(move |tx| Ok::<_, Bad>(ended(tx, binding)?)).await? {
            return refused(approval::Refusal::CardRevoked);
        }
        Ok(Believed { binding, by: By::HpkiCard })
    }

    async fn by_my_number_card(
        &self,
        approval: &Approval,
        person: PersonId,
        key: KeyId,
        now: Timestamp,
    ) -> Result<Believed, Bad> {
        let linked = self.linked_card(approval.binding).await?;
        if linked.person != person || linked.key != key {
            return refused(Refusal::CardUnknown);
        }
        let certificate = Certificate::from_der(&linked.certificate)
            .map_err(|refusal| Failed::Refused(refusal.into()))?;
        check_jpki(approval, &certificate, now)
            .map_err(|refusal| Failed::Refused(refusal.into()))?;
        Ok(Believed { binding: linked.id, by: By::MyNumberCard { seal: linked.seal } })
    }
}

/// Whether a card's authentication certificate is of the same holder as the certificate of a kept
/// key: the same number at the same organisation, with the same qualification. The number
/// (serialNumber of the subject) is the person's at her authority; that both certificates carry the
/// same one is our reading of the profile. Names are not compared: they change by marriage.
fn same_holder(card: &Certificate, kept: &Certificate) -> bool {
    let number = card.subject_serial_number();
    number.is_some_and(|number| !number.is_empty())
        && number == kept.subject_serial_number()
        && card.issuer().organization().is_some()
        && card.issuer().organization() == kept.issuer().organization()
        && card.qualification().is_some()
        && card.qualification() == kept.qualification()
}
