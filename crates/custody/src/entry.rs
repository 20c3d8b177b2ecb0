//! Where an order's signature stands in the journal, for whoever may read all of it.

use hpki::id::{FacilityCode, OrderNumber};
use ledger::{Fault, Tx};

/// The index of the outcome of this order; `None` where nothing was signed for it.
pub fn entry_of_order(
    tx: &Tx<'_>,
    facility: &FacilityCode,
    number: &OrderNumber,
) -> Result<Option<u64>, Fault> {
    let row = tx.query_opt(
        "SELECT outcome FROM custody_activation WHERE facility = $1 AND number = $2",
        &[facility.into(), number.into()],
    )?;
    row.map_or(Ok(None), |row| row.opt_number(0))
}
