//! What the desk sees of a holder's means: whose number it is, which phone, which sheet.

use std::sync::Arc;

use hpki::id::{KeyId, OfficerId, PersonId};
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Note, Record, Tx};

use crate::binding::BindingRow;
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::sheet::{SheetRow, SheetStanding};

/// A holder and one of her keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// 本人ID
    pub display_id: String,
    /// Who.
    pub person: PersonId,
    /// The key.
    pub key: KeyId,
}

/// A linked phone, as far as the desk may know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneFacts {
    /// What its owner calls it.
    pub label: String,
    /// Since when.
    pub linked: Timestamp,
    /// Whether its passkey may be on her other devices too.
    pub synced: bool,
}

/// The means of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Means {
    /// Whose.
    pub holder: Holder,
    /// The phone that is linked now.
    pub phone: Option<PhoneFacts>,
    /// The newest sheet.
    pub sheet: SheetStanding,
}

impl Authn {
    /// An officer of the desk looks at the means of one key. That she did is journalled.
    ///
    /// # Errors
    /// `holder-unknown`, `seal-broken`, or a fault.
    pub async fn look_at(
        &self,
        officer: OfficerId,
        key: KeyId,
        now: Timestamp,
    ) -> Result<Means, Failed<Refusal>> {
        let desk = Arc::clone(&self.desk);
        let (means, _) = self
            .ledger
            .record(move |tx| {
                let sheet = SheetRow::latest(tx, key, &desk)?;
                let phone = match BindingRow::of_key(tx, key, &desk) {
                    Ok(binding) => Some(PhoneFacts {
                        label: binding.label,
                        linked: binding.linked,
                        synced: binding.credential.backup_eligible,
                    }),
                    Err(Failed::Refused(Refusal::PhoneNotLinked)) => None,
                    Err(failed) => return Err(failed),
                };
                let mut record = Record::new(Event::DeskLooked, officer.stream(), now);
                (record.key, record.person) = (Some(key), Some(sheet.person));
                let means = Means {
                    holder: Holder {
                        display_id: sheet.display_id.clone(),
                        person: sheet.person,
                        key,
                    },
                    phone,
                    sheet: sheet.facts(),
                };
                Ok((means, Note(record)))
            })
            .await?;
        Ok(means)
    }

    /// The phone that is linked to this key now.
    ///
    /// # Errors
    /// `seal-broken`, or a fault.
    pub async fn phone_of_key(&self, key: KeyId) -> Result<Option<PhoneFacts>, Failed<Refusal>> {
        let desk = Arc::clone(&self.desk);
        self.ledger
            .read(move |tx| match BindingRow::of_key(tx, key, &desk) {
                Ok(binding) => Ok(Some(PhoneFacts {
                    label: binding.label,
                    linked: binding.linked,
                    synced: binding.credential.backup_eligible,
                })),
                Err(Failed::Refused(Refusal::PhoneNotLinked)) => Ok(None),
                Err(failed) => Err(failed),
            })
            .await
    }

    /// The keys of whoever has this 本人ID, exactly as the letter shows it; or of whoever has this
    /// number of a person or key.
    ///
    /// # Errors
    /// `holder-unknown`, or a fault.
    pub async fn holders(&self, text: &str) -> Result<Vec<Holder>, Failed<Refusal>> {
        let text = text.trim().to_owned();
        let number: Option<PersonId> = text.to_ascii_lowercase().parse().ok();
        let found = self.ledger.read(move |tx| Ok(found(tx, &text, number)?)).await?;
        if found.is_empty() { Err(Failed::Refused(Refusal::HolderUnknown)) } else { Ok(found) }
    }
}

fn found(tx: &Tx<'_>, text: &str, number: Option<PersonId>) -> Result<Vec<Holder>, Fault> {
    const SELECT: &str = "SELECT DISTINCT display_id, person, key FROM authn_sheet WHERE";
    let rows = match number {
        // A person's and a key's number have one form.
        Some(number) => tx.query(
            &format!("{SELECT} person = $1 OR key = $1 ORDER BY display_id, key LIMIT 20"),
            &[number.into()],
        )?,
        None => {
            tx.query(&format!("{SELECT} display_id = $1 ORDER BY key LIMIT 20"), &[text.into()])?
        }
    };
    rows.iter()
        .map(|row| {
            Ok(Holder {
                display_id: row.text(0)?.to_owned(),
                person: PersonId::from_octets(row.array(1)?),
                key: KeyId::from_octets(row.array(2)?),
            })
        })
        .collect()
}
