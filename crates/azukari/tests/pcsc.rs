//! Cards in the operating system's readers, as people use them: the running town puts its cards behind
//! pcscd, and `azukari card`, OpenSC, the gateways and Chromium find them there. There are two virtual
//! readers on a machine, so one town at a time.

#![cfg(feature = "pcsc")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "pcsc/desk.rs"]
mod desk;
#[path = "pcsc/home.rs"]
mod home;
#[path = "pcsc/readers.rs"]
mod readers;
#[path = "support/mod.rs"]
mod support;
#[path = "outside/town.rs"]
#[allow(dead_code, reason = "shared with those who send requests themselves")]
mod town;
#[path = "support/walked.rs"]
mod walked;
