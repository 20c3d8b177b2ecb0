//! The gateway against a platform that speaks the agreed shapes and misbehaves on request.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod answers;
mod authentication;
mod batch;
mod card_authentication;
mod card_modules;
mod card_reading;
mod card_signing;
mod cards;
mod estate;
mod journal;
mod platform;
mod resuming;
mod signing;
mod witnesses;
mod world;
