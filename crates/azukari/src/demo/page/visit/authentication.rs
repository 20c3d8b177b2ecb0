//! The authentication, in the two stages in which a visitor takes it: the terminal shows a QR code
//! that the phone reads; its owner approves or refuses; where the place is to be confirmed, three
//! digits are typed.

use hpki::time::Timestamp;
use serde_json::Value;
use wire::refusal::Problem;

use super::{Open, OutOfTurn, Visit, millis, step_of};
use crate::clock::Stopwatch;
use crate::demo::page::travel::{self, Side};
use crate::demo::page::view::asking;
use crate::demo::page::words;
use crate::demo::walk::{self, StepFailed};
use crate::pages::demo::{CeremonyStage, Role, Text};

/// How often three digits may be typed; the platform counts, the page only tells.
const TRIES: u64 = 3;

impl Visit {
    /// The terminal shows its QR code and the phone reads it.
    pub(in crate::demo::page) async fn start(&mut self, role: Role) -> Result<(), OutOfTurn> {
        if role == Role::Pharmacist && self.state.registered.is_none() {
            return Err(OutOfTurn);
        }
        let id = step_of(role);
        self.fresh(id);
        let watch = Stopwatch::start();
        let began = self.begin_and_claim(role).await;
        let told = travel::told(&self.tap.take(), side(role), None);
        let step = self.step(id);
        step.travelled = told;
        step.took_ms = Some(millis(watch));
        match began {
            Ok(open) => {
                self.state.ceremony = Some(asking(&open, self.actor(role)));
                self.open = Some(open);
            }
            Err(failed) => self.close(role, Some(&words::problem(failed))),
        }
        self.settle();
        Ok(())
    }

    async fn begin_and_claim(&mut self, role: Role) -> Result<Open, StepFailed> {
        let actor = self.actor(role);
        let begun = actor.door.begin(actor.person).await?;
        let claimed = walk::claim(&self.platform, &actor.phone, &begun.qr).await?;
        Ok(Open { role, begun, claimed })
    }

    /// The owner approves; where the place is to be confirmed, three digits appear.
    pub(in crate::demo::page) async fn approve(&mut self) -> Result<(), OutOfTurn> {
        if self.state.ceremony.as_ref().is_none_or(|it| it.stage != CeremonyStage::Asking) {
            return Err(OutOfTurn);
        }
        let open = self.open.take().ok_or(OutOfTurn)?;
        let role = open.role;
        let watch = Stopwatch::start();
        let platform = self.platform.clone();
        let approved =
            walk::approve(&platform, &mut self.actor_mut(role).phone, &open.claimed).await;
        match approved {
            Ok(Some(number)) => {
                if let Some(ceremony) = &mut self.state.ceremony {
                    ceremony.stage = CeremonyStage::Number;
                    ceremony.phone.number = Some(number);
                    ceremony.tries_left = Some(TRIES);
                }
                self.open = Some(open);
            }
            Ok(None) => {
                let actor = self.actor(role);
                let released = actor.door.released(actor.person, &open.begun.ceremony).await;
                self.released(role, released);
            }
            Err(failed) => self.close(role, Some(&words::problem(failed))),
        }
        self.append(role, watch).await;
        Ok(())
    }

    /// The owner refuses.
    pub(in crate::demo::page) async fn refuse(&mut self) -> Result<(), OutOfTurn> {
        let open = self.open.take().ok_or(OutOfTurn)?;
        let watch = Stopwatch::start();
        let phone = &self.actor(open.role).phone;
        let problem = match walk::refuse(&self.platform, phone, &open.begun.qr).await {
            Ok(()) => Problem::refused("ceremony-refused", ""),
            Err(failed) => words::problem(failed),
        };
        self.close(open.role, Some(&problem));
        self.append(open.role, watch).await;
        Ok(())
    }

    /// The digits are typed at the terminal.
    pub(in crate::demo::page) async fn number(&mut self, number: &str) -> Result<(), OutOfTurn> {
        if self.state.ceremony.as_ref().is_none_or(|it| it.stage != CeremonyStage::Number) {
            return Err(OutOfTurn);
        }
        let open = self.open.take().ok_or(OutOfTurn)?;
        let role = open.role;
        let watch = Stopwatch::start();
        let actor = self.actor(role);
        let typed = actor.door.number(actor.person, &open.begun.ceremony, number.trim()).await;
        match typed {
            // The answer to the number often brings the token already.
            Ok(state) if state["state"] == "released" => self.released(role, Ok(state)),
            Ok(_) => {
                let released = actor.door.released(actor.person, &open.begun.ceremony).await;
                self.released(role, released);
            }
            Err(failed) => {
                let problem = words::problem(failed);
                let again = ["number-wrong", "request-malformed", "number-malformed"];
                if again.contains(&problem.code.as_str()) {
                    if let Some(ceremony) = &mut self.state.ceremony
                        && problem.code == "number-wrong"
                    {
                        ceremony.tries_left =
                            ceremony.tries_left.map(|left| left.saturating_sub(1));
                    }
                    self.step(step_of(role)).refusal = Some(words::refused(&problem));
                    self.open = Some(open);
                } else {
                    self.close(role, Some(&problem));
                }
            }
        }
        self.append(role, watch).await;
        Ok(())
    }

    fn released(&mut self, role: Role, released: Result<Value, StepFailed>) {
        let state = match released {
            Ok(state) => state,
            Err(failed) => return self.close(role, Some(&words::problem(failed))),
        };
        let count = self.state.ceremony.as_ref().map_or(0, |ceremony| ceremony.phone.count);
        let actor = self.actor_mut(role);
        actor.until = state["until"].as_u64().map(Timestamp::from_seconds);
        actor.means = words::means("phone");
        actor.left = count;
        let until = actor.until.map(words::moment).unwrap_or_default();
        self.close(role, None);
        self.step(step_of(role)).summary = Text::new(
            format!("{} まで署名できます。カードもパスワードも使っていません。", until.ja),
            format!("May sign until {}. No card and no password were used.", until.en),
        );
    }

    /// Adds what travelled since to the step of this role's authentication, and settles.
    async fn append(&mut self, role: Role, watch: Stopwatch) {
        let told = travel::told(&self.tap.take(), side(role), None);
        let step = self.step(step_of(role));
        step.travelled.extend(told);
        step.took_ms = Some(step.took_ms.unwrap_or_default() + millis(watch));
        self.settle();
    }
}

fn side(role: Role) -> Side {
    match role {
        Role::Physician => Side::Hospital,
        Role::Pharmacist => Side::Pharmacy,
    }
}
