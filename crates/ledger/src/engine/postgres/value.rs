//! Values on their way to PostgreSQL's types and back.

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::value::{Row, Value};

/// A value on its way to the type that the statement wants.
#[derive(Debug)]
pub(super) struct Bound<'a>(pub(super) &'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Broken> {
        let misfit = |what: &str| Err(Broken::from(format!("{what} for a place of type {ty}")));
        match self.0 {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(number) => match *ty {
                Type::INT8 => number.to_sql(ty, out),
                Type::INT4 => i32::try_from(*number)?.to_sql(ty, out),
                Type::INT2 => i16::try_from(*number)?.to_sql(ty, out),
                _ => misfit("a number"),
            },
            Value::Text(text) => match *ty {
                Type::TEXT | Type::VARCHAR => text.to_sql(ty, out),
                _ => misfit("text"),
            },
            Value::Blob(octets) => match *ty {
                Type::BYTEA => octets.to_sql(ty, out),
                _ => misfit("octets"),
            },
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

type Broken = Box<dyn std::error::Error + Sync + Send>;

/// A value that came back.
struct Read(Value);

impl<'a> FromSql<'a> for Read {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Broken> {
        Ok(Self(match *ty {
            Type::INT8 => Value::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Value::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Value::Int(i16::from_sql(ty, raw)?.into()),
            Type::BOOL => Value::Int(bool::from_sql(ty, raw)?.into()),
            Type::TEXT | Type::VARCHAR | Type::NAME => Value::Text(String::from_sql(ty, raw)?),
            Type::BYTEA => Value::Blob(raw.to_vec()),
            Type::NUMERIC => Value::Int(whole(raw).ok_or("a number that is not whole")?),
            _ => return Err(format!("no room stores a {ty}").into()),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Broken> {
        Ok(Self(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

pub(super) fn read(row: &tokio_postgres::Row) -> Result<Row, tokio_postgres::Error> {
    let values = (0..row.len()).map(|column| Ok(row.try_get::<_, Read>(column)?.0));
    Ok(Row(values.collect::<Result<_, tokio_postgres::Error>>()?))
}

/// A sum of whole numbers comes back as `numeric`: groups of four decimal digits, the first one
/// standing for 10000^weight.
fn whole(raw: &[u8]) -> Option<i64> {
    let mut words = raw.as_chunks::<2>().0.iter().map(|word| i16::from_be_bytes(*word));
    let (count, weight, sign, _scale) =
        (words.next()?, words.next()?, words.next()?, words.next()?);
    let mut number = 0_i64;
    for place in 0..count.max(weight.saturating_add(1)) {
        let digits = if place < count { words.next()? } else { 0 };
        if place > weight {
            return None;
        }
        number = number.checked_mul(10_000)?.checked_add(digits.into())?;
    }
    match sign {
        0 => Some(number),
        0x4000 => Some(-number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numerics_are_read_and_others_are_not() {
        let numeric = |words: &[i16]| {
            whole(&words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>())
        };
        assert_eq!(numeric(&[0, 0, 0, 0]), Some(0));
        assert_eq!(numeric(&[1, 0, 0, 0, 42]), Some(42));
        assert_eq!(numeric(&[1, 1, 0, 0, 42]), Some(420_000));
        assert_eq!(numeric(&[2, 1, 0x4000, 0, 1, 2345]), Some(-12_345));
        assert_eq!(numeric(&[2, 0, 0, 1, 1, 5000]), None);
        assert_eq!(numeric(&[0, 0, -0x4000, 0]), None);
        assert_eq!(numeric(&[1, 9, 0, 0, 42]), None);
    }
}
