//! Strangers judge what one told story leaves: programs that share no line with this house say
//! whether its certificates, lists, signatures and journal are what they claim to be, and each is
//! shown a forgery too, which it must refuse.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod cards;
mod certificates;
mod form;
mod hostile;
mod journal;
mod revoking;
mod signatures;
#[path = "../support/mod.rs"]
mod support;
mod verifying;
