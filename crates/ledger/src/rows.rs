//! Many rows in few statements: what a group adds, and on a server each statement is a round trip.

use crate::fault::Fault;
use crate::tx::Tx;
use crate::value::Value;

/// Rows in one statement. Powers of two, so that few texts serve every number of rows.
const SIZES: [usize; 5] = [16, 8, 4, 2, 1];

/// A statement that adds rows of one table.
pub(crate) struct Rows {
    columns: usize,
    texts: [String; SIZES.len()],
}

impl Rows {
    /// `before` ends where the rows begin; `after` follows them.
    pub(crate) fn new(before: &str, columns: usize, after: &str) -> Self {
        let texts = SIZES.map(|size| {
            let row = |row: usize| {
                let places: Vec<_> =
                    (1..=columns).map(|place| format!("${}", row * columns + place)).collect();
                format!("({})", places.join(", "))
            };
            let rows: Vec<_> = (0..size).map(row).collect();
            format!("{before} {} {after}", rows.join(", "))
        });
        Self { columns, texts }
    }

    /// Adds rows, whose values stand one after the other.
    pub(crate) fn add(&self, tx: &Tx<'_>, mut values: &[Value]) -> Result<(), Fault> {
        for (size, text) in SIZES.iter().zip(&self.texts) {
            while let Some((rows, rest)) = values.split_at_checked(size * self.columns) {
                tx.exec_inner(text, rows)?;
                values = rest;
            }
        }
        if values.is_empty() { Ok(()) } else { Err(Fault::Misuse("a row is not whole".into())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_names_each_value_once_and_in_order() {
        let rows = Rows::new("INSERT INTO a (x, y) VALUES", 2, "");
        assert_eq!(rows.texts[4].trim(), "INSERT INTO a (x, y) VALUES ($1, $2)");
        assert_eq!(rows.texts[3].trim(), "INSERT INTO a (x, y) VALUES ($1, $2), ($3, $4)");
        assert!(rows.texts[0].contains("($31, $32)"));
    }
}
