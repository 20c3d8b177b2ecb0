//! The check of everything.
