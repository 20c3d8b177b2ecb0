//! What goes into a statement and what comes out of it.

use hpki::id::{
    ActivationId, BindingId, BudgetId, CeremonyId, FacilityCode, KeyId, OrderNumber, PersonId,
    PreparedId, RequestId, SessionId, SheetId, StreamId, TokenId,
};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;

use crate::fault::Fault;

/// One value of a row: the few types that every engine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A whole number; also times (seconds) and yes/no (1/0).
    Int(i64),
    /// Text.
    Text(String),
    /// Octets.
    Blob(Vec<u8>),
}

/// Numbers beyond `i64::MAX` cannot be stored and are clamped; our times and counters never get
/// near it.
fn clamp(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

macro_rules! value_from {
    ($($type:ty => |$value:ident| $made:expr;)*) => {
        $(impl From<$type> for Value {
            fn from($value: $type) -> Self { $made }
        })*
    };
}

value_from! {
    i64 => |v| Self::Int(v);
    i32 => |v| Self::Int(v.into());
    u32 => |v| Self::Int(v.into());
    u64 => |v| clamp(v);
    usize => |v| clamp(u64::try_from(v).unwrap_or(u64::MAX));
    bool => |v| Self::Int(v.into());
    Timestamp => |v| clamp(v.seconds());
    &str => |v| Self::Text(v.to_owned());
    String => |v| Self::Text(v);
    &String => |v| Self::Text(v.clone());
    Vec<u8> => |v| Self::Blob(v);
    &Vec<u8> => |v| Self::Blob(v.clone());
    &[u8] => |v| Self::Blob(v.to_vec());
    FacilityCode => |v| Self::Text(v.into());
    &FacilityCode => |v| Self::Text(v.as_str().to_owned());
    DocumentKind => |v| Self::Text(v.name().to_owned());
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(octets: [u8; N]) -> Self {
        Self::Blob(octets.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(octets: &[u8; N]) -> Self {
        Self::Blob(octets.to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

macro_rules! ids_are_blobs {
    ($($id:ident)*) => {
        $(impl From<$id> for Value {
            fn from(id: $id) -> Self { Self::Blob(id.octets().to_vec()) }
        }
        impl From<&$id> for Value {
            fn from(id: &$id) -> Self { Self::Blob(id.octets().to_vec()) }
        })*
    };
}

ids_are_blobs!(ActivationId BindingId BudgetId CeremonyId KeyId OrderNumber PersonId PreparedId RequestId
    SessionId SheetId StreamId TokenId);

/// One row of an answer; columns are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(pub(crate) Vec<Value>);

impl Row {
    /// The value in this column.
    pub fn value(&self, column: usize) -> Result<&Value, Fault> {
        self.0.get(column).ok_or_else(|| Fault::Row(format!("there is no column {column}")))
    }

    /// A whole number.
    pub fn int(&self, column: usize) -> Result<i64, Fault> {
        self.opt_int(column)?.ok_or_else(|| null(column))
    }

    /// A whole number, or nothing.
    pub fn opt_int(&self, column: usize) -> Result<Option<i64>, Fault> {
        match self.value(column)? {
            Value::Null => Ok(None),
            Value::Int(number) => Ok(Some(*number)),
            _ => Err(wrong(column, "a number")),
        }
    }

    /// A number that cannot be negative.
    pub fn number(&self, column: usize) -> Result<u64, Fault> {
        u64::try_from(self.int(column)?).map_err(|_| wrong(column, "a number from 0"))
    }

    /// A number that cannot be negative, or nothing.
    pub fn opt_number(&self, column: usize) -> Result<Option<u64>, Fault> {
        self.opt_int(column)?
            .map(|number| u64::try_from(number).map_err(|_| wrong(column, "a number from 0")))
            .transpose()
    }

    /// Yes (anything but 0) or no (0).
    pub fn flag(&self, column: usize) -> Result<bool, Fault> {
        Ok(self.int(column)? != 0)
    }

    /// A time.
    pub fn time(&self, column: usize) -> Result<Timestamp, Fault> {
        Ok(Timestamp::from_seconds(self.number(column)?))
    }

    /// A time, or nothing.
    pub fn opt_time(&self, column: usize) -> Result<Option<Timestamp>, Fault> {
        Ok(self.opt_number(column)?.map(Timestamp::from_seconds))
    }

    /// Text.
    pub fn text(&self, column: usize) -> Result<&str, Fault> {
        self.opt_text(column)?.ok_or_else(|| null(column))
    }

    /// Text, or nothing.
    pub fn opt_text(&self, column: usize) -> Result<Option<&str>, Fault> {
        match self.value(column)? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            _ => Err(wrong(column, "text")),
        }
    }

    /// Text read as a type of the house (facility, document kind, …).
    pub fn parsed<T: std::str::FromStr>(&self, column: usize) -> Result<T, Fault> {
        self.text(column)?.parse().map_err(|_| wrong(column, std::any::type_name::<T>()))
    }

    /// Octets.
    pub fn blob(&self, column: usize) -> Result<&[u8], Fault> {
        self.opt_blob(column)?.ok_or_else(|| null(column))
    }

    /// Octets, or nothing.
    pub fn opt_blob(&self, column: usize) -> Result<Option<&[u8]>, Fault> {
        match self.value(column)? {
            Value::Null => Ok(None),
            Value::Blob(octets) => Ok(Some(octets)),
            _ => Err(wrong(column, "octets")),
        }
    }

    /// Exactly `N` octets: a digest, or the octets of an id.
    pub fn array<const N: usize>(&self, column: usize) -> Result<[u8; N], Fault> {
        self.blob(column)?.try_into().map_err(|_| wrong(column, "octets of the right number"))
    }

    /// Exactly `N` octets, or nothing.
    pub fn opt_array<const N: usize>(&self, column: usize) -> Result<Option<[u8; N]>, Fault> {
        self.opt_blob(column)?
            .map(|octets| {
                octets.try_into().map_err(|_| wrong(column, "octets of the right number"))
            })
            .transpose()
    }
}

fn null(column: usize) -> Fault {
    Fault::Row(format!("column {column} is empty"))
}

fn wrong(column: usize, wanted: &str) -> Fault {
    Fault::Row(format!("column {column} is not {wanted}"))
}
