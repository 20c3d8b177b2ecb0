//! What a statement of a unit of work may say.

use crate::fault::Fault;

/// Placeholders are `$1`, `$2` …, and nobody but the writer ends a transaction.
pub(super) fn well_formed(sql: &str) -> Result<(), Fault> {
    let mut quoted = false;
    let mut rest = sql.chars().peekable();
    while let Some(letter) = rest.next() {
        match letter {
            '\'' => quoted = !quoted,
            '?' if !quoted => return Err(placeholder(sql)),
            '$' if !quoted && !rest.peek().is_some_and(|next| ('1'..='9').contains(next)) => {
                return Err(placeholder(sql));
            }
            _ => {}
        }
    }
    let first = sql.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    match first.as_str() {
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE"
        | "PREPARE" | "SET" => Err(Fault::Store(format!("not inside a unit of work: {first}"))),
        _ => Ok(()),
    }
}

fn placeholder(sql: &str) -> Fault {
    Fault::Misuse(format!("a placeholder is not $1, $2 …: {sql}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_of_other_engines_and_ends_of_transactions_are_refused() {
        for good in ["SELECT $1, $20", "SELECT '?'", "UPDATE a SET x = 'it''s $' WHERE y = $1"] {
            well_formed(good).unwrap();
        }
        for bad in ["SELECT ?", "SELECT $0", "SELECT $", "SELECT $x"] {
            assert!(matches!(well_formed(bad), Err(Fault::Misuse(_))), "{bad}");
        }
        for bad in ["COMMIT", " rollback", "release work", "SET x = 1"] {
            assert!(matches!(well_formed(bad), Err(Fault::Store(_))), "{bad}");
        }
    }
}
