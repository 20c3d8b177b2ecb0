//! The room's tables.

use ledger::Migration;

/// The tables of this room, for the ledger to make.
pub const MIGRATIONS: &[Migration] = &[
    Migration { room: "authn", number: 1, sql: include_str!("tables.sql") },
    Migration { room: "authn", number: 2, sql: include_str!("provider/tables.sql") },
];
