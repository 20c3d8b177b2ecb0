//! The turn of the keys that sign tokens (protocols §4): a new one each month, published 48 hours
//! before it signs, and an old one published for 18 hours and a little after it signed last.
//!
//! When each did what stands in rows, so that a restart neither hurries nor forgets. The rows also
//! carry the keys, wrapped by the device's: another process over the same database takes a new one
//! from there, two days before anybody signs with it. Where two make the next at one moment, the
//! first row counts and the other takes it.

use std::collections::HashMap;

use hpki::sign::DeviceFault;
use hpki::time::Timestamp;
use hsm::TokenBlob;
use ledger::{Failed, Fault};

use crate::refusal::Refusal;
use crate::room::Authn;

/// A key signs for so long.
const SIGNS_S: u64 = 30 * 86_400;
/// It is published so long before.
const AHEAD_S: u64 = 48 * 3_600;
/// And after: the longest life of a token, and an hour for clocks and caches.
const AFTER_S: u64 = 19 * 3_600;

#[derive(Debug, Clone)]
struct Turn {
    name: String,
    published: Timestamp,
    signs: Option<Timestamp>,
    rested: Option<Timestamp>,
    wrapped: Option<Vec<u8>>,
}

impl Turn {
    /// Whether the last token under it has run out.
    fn is_over(&self, now: Timestamp) -> bool {
        self.rested.is_some_and(|rested| now.since(rested) >= AFTER_S)
    }
}

fn device(failed: hsm::Failed) -> Failed<Refusal> {
    Fault::Device(DeviceFault(failed.to_string())).into()
}

impl Authn {
    /// Does what is due: prepares the next key, lets it sign, takes old ones off. Gives whether the
    /// published keys changed, so that whoever pins them can pin them anew. To be called every few
    /// minutes, and at the start.
    ///
    /// # Errors
    /// A fault, also of the device; it is tried again the next time.
    pub async fn turn_keys(&self, now: Timestamp) -> Result<bool, Failed<Refusal>> {
        let known: Vec<String> = self.desk.published().into_iter().map(|key| key.kid).collect();
        let (turns, odd) = self.share(now).await?;
        let before: Vec<String> = self.desk.published().into_iter().map(|key| key.kid).collect();
        let current = self.desk.kid();
        let signing = turns.get(&current).and_then(|turn| turn.signs).unwrap_or(now);
        let age = now.since(signing);
        let next = before.iter().skip_while(|kid| **kid != current).nth(1).cloned();
        match next {
            None if age >= SIGNS_S - AHEAD_S => self.desk.prepare_next().map_err(device)?,
            Some(next) => {
                let published = turns.get(&next).map_or(now, |turn| turn.published);
                if age >= SIGNS_S && now.since(published) >= AHEAD_S {
                    self.desk.rotate().map_err(device)?;
                }
            }
            None => {}
        }
        for (kid, turn) in &turns {
            if turn.is_over(now) && before.contains(kid) && *kid != self.desk.kid() {
                self.desk.retire(kid).map_err(device)?;
            }
        }
        let (_, still_odd) = self.share(now).await?;
        let after: Vec<String> = self.desk.published().into_iter().map(|key| key.kid).collect();
        match odd.or(still_odd) {
            Some(failed) if known == after => Err(device(failed)),
            _ => Ok(known != after),
        }
    }

    /// Writes down what is new here, and takes what is new elsewhere; with what could not be taken,
    /// if anything. It is tried again the next time, and nothing waits for it.
    async fn share(
        &self,
        now: Timestamp,
    ) -> Result<(HashMap<String, Turn>, Option<hsm::Failed>), Failed<Refusal>> {
        let turns = self.turns(now).await?;
        let known: Vec<String> = self.desk.published().into_iter().map(|key| key.kid).collect();
        let mut foreign: Vec<_> =
            turns.iter().filter(|(kid, turn)| !known.contains(kid) && !turn.is_over(now)).collect();
        // Oldest first: whether the newest signs yet is asked last.
        foreign.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
        let mut odd = None;
        for (kid, turn) in foreign {
            let Some(octets) = turn.wrapped.clone() else { continue };
            let blob = TokenBlob { name: turn.name.clone(), kid: kid.clone(), octets };
            if let Err(failed) = self.desk.adopt(&blob, turn.signs.is_some()) {
                odd = odd.or(Some(failed));
            }
        }
        Ok((turns, odd))
    }

    /// After a start: the newest key signs at once only if it did before. Otherwise it waits until its
    /// time; also where we died before it was written down that there is one.
    ///
    /// # Errors
    /// A fault.
    pub async fn resume_keys(&self) -> Result<(), Failed<Refusal>> {
        let newest = self.desk.published().pop().map(|key| key.kid).unwrap_or_default();
        let kid = newest.clone();
        let signs = self
            .ledger
            .read(move |tx| {
                let sql = "SELECT 1 FROM authn_token_key WHERE kid = $1 AND signs IS NOT NULL";
                Ok::<_, Failed<Refusal>>(tx.query_opt(sql, &[(&kid).into()])?.is_some())
            })
            .await?;
        if !signs {
            self.desk.hold_back(&newest);
        }
        Ok(())
    }

    /// What is written of the published keys, after writing down what is new.
    async fn turns(&self, now: Timestamp) -> Result<HashMap<String, Turn>, Failed<Refusal>> {
        let published = self.desk.blobs().map_err(device)?;
        let current = self.desk.kid();
        self.ledger
            .write(move |tx| {
                for blob in &published {
                    tx.exec(
                        "INSERT INTO authn_token_key (kid, name, published, wrapped)
                         VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                        &[
                            (&blob.kid).into(),
                            (&blob.name).into(),
                            now.into(),
                            (&blob.octets).into(),
                        ],
                    )?;
                }
                tx.exec(
                    "UPDATE authn_token_key SET wrapped = NULL
                     WHERE rested <= $1 AND wrapped IS NOT NULL",
                    &[now.minus(AFTER_S).into()],
                )?;
                // Another process may have gone on to the next key: while this one signs by the former,
                // it has not rested, and nobody takes it off.
                tx.exec(
                    "UPDATE authn_token_key SET signs = coalesce(signs, $2), rested = NULL
                     WHERE kid = $1 AND (signs IS NULL OR rested IS NOT NULL)",
                    &[(&current).into(), now.into()],
                )?;
                tx.exec(
                    "UPDATE authn_token_key SET rested = $2
                     WHERE kid <> $1 AND signs IS NOT NULL AND rested IS NULL",
                    &[(&current).into(), now.into()],
                )?;
                let rows = tx.query(
                    "SELECT kid, published, signs, rested, name, wrapped FROM authn_token_key",
                    &[],
                )?;
                let read = rows.iter().map(|row| {
                    let turn = Turn {
                        published: row.time(1)?,
                        signs: row.opt_time(2)?,
                        rested: row.opt_time(3)?,
                        name: row.text(4)?.to_owned(),
                        wrapped: row.opt_blob(5)?.map(<[u8]>::to_vec),
                    };
                    Ok((row.text(0)?.to_owned(), turn))
                });
                Ok::<_, Failed<Refusal>>(read.collect::<Result<_, Fault>>()?)
            })
            .await
    }
}
