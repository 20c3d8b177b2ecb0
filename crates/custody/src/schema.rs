//! The tables of this room.

use ledger::Migration;

/// What `ledger` runs when it opens the store.
pub const MIGRATIONS: &[Migration] =
    &[Migration { room: "custody", number: 1, sql: include_str!("schema.sql") }];
