//! The town (模擬の町): everything outside the platform that a prescription meets on its way, made
//! up, for the demonstration and for tests.
//!
//! - [`people`]: who lives here – a physician, pharmacists – and where they work.
//! - [`phone`]: their phones, software authenticators that make real WebAuthn attestation and
//!   assertions, and that can be told to misbehave.
//! - [`card`]: their IC cards, which a real PC/SC stack reads, and [`jpki`], who certifies residents.
//! - [`ehr`]: the electronic health record, which writes prescription and dispensing records.
//! - [`service`]: a sandbox of the prescription management service (電子処方箋管理サービス): it
//!   verifies, numbers, hands out and takes dispensing results.
//! - [`network`]: a regional health network, which lets people in by their qualification.
//!
//! The room is a library without HTTP and without a clock; `azukari` puts it on the network. It
//! must never run where a real trust anchor is configured: the service takes its anchors from the
//! caller, and [`service::Service::open`] refuses any whose name does not say TEST.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod card;
pub mod ehr;
pub mod jpki;
pub mod network;
pub mod people;
pub mod phone;
pub mod portrait;
pub mod refusal;
pub mod service;

pub use refusal::Refusal;
