//! The town's IC cards, command by command and behind a real PC/SC stack.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commands;
mod ocsp;
mod people;
mod reader;
