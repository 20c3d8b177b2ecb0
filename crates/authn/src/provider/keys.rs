//! The turn of the keys that sign tokens (protocols §4): a new one each month, published 48 hours
//! before it signs, and an old one published for 18 hours and a little after it signed last.
//!
//! When each did what stands in rows, so that a restart neither hurries nor forgets.

use std::collections::HashMap;

use hpki::sign::DeviceFault;
use hpki::time::Timestamp;
use ledger::{Failed, Fault};

use crate::refusal::Refusal;
use crate::room::Authn;

/// A key signs for so long.
const SIGNS_S: u64 = 30 * 86_400;
/// It is published so long before.
const AHEAD_S: u64 = 48 * 3_600;
/// And after: the longest life of a token, and an hour for clocks and caches.
const AFTER_S: u64 = 19 * 3_600;

#[derive(Debug, Clone, Copy)]
struct Turn {
    published: Timestamp,
    signs: Option<Timestamp>,
    rested: Option<Timestamp>,
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
        let before: Vec<String> = self.desk.published().into_iter().map(|key| key.kid).collect();
        let turns = self.turns(now).await?;
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
            let over = turn.rested.is_some_and(|rested| now.since(rested) >= AFTER_S);
            if over && before.contains(kid) && *kid != self.desk.kid() {
                self.desk.retire(kid).map_err(device)?;
            }
        }
        self.turns(now).await?;
        let after: Vec<String> = self.desk.published().into_iter().map(|key| key.kid).collect();
        Ok(before != after)
    }

    /// After a start: a key that was published and does not sign yet waits on until its time.
    ///
    /// # Errors
    /// A fault.
    pub async fn resume_keys(&self) -> Result<(), Failed<Refusal>> {
        let waiting = self
            .ledger
            .read(|tx| {
                let sql = "SELECT kid FROM authn_token_key WHERE signs IS NULL";
                let rows = tx.query(sql, &[])?;
                let kids = rows.iter().map(|row| Ok(row.text(0)?.to_owned()));
                Ok::<_, Failed<Refusal>>(kids.collect::<Result<Vec<_>, Fault>>()?)
            })
            .await?;
        for kid in waiting {
            self.desk.hold_back(&kid);
        }
        Ok(())
    }

    /// What is written of the published keys, after writing down what is new.
    async fn turns(&self, now: Timestamp) -> Result<HashMap<String, Turn>, Failed<Refusal>> {
        let published: Vec<String> = self.desk.published().into_iter().map(|key| key.kid).collect();
        let current = self.desk.kid();
        self.ledger
            .write(move |tx| {
                for kid in &published {
                    tx.exec(
                        "INSERT INTO authn_token_key (kid, published) VALUES ($1, $2)
                         ON CONFLICT DO NOTHING",
                        &[kid.into(), now.into()],
                    )?;
                }
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
                let rows =
                    tx.query("SELECT kid, published, signs, rested FROM authn_token_key", &[])?;
                let read = rows.iter().map(|row| {
                    let turn = Turn {
                        published: row.time(1)?,
                        signs: row.opt_time(2)?,
                        rested: row.opt_time(3)?,
                    };
                    Ok((row.text(0)?.to_owned(), turn))
                });
                Ok::<_, Failed<Refusal>>(read.collect::<Result<_, Fault>>()?)
            })
            .await
    }
}
