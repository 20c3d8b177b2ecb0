//! `demo.json`.
