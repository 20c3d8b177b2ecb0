//! CBOR (RFC 8949) as authenticators write it: bounded, one item, no duplicate keys, no trailing
//! octets unless the caller goes on reading.

use ciborium::Value;

use crate::refusal::Refusal;

/// Deeper than any attestation statement.
const DEPTH: usize = 16;
/// Larger than any attestation object of a phone (certificate chains included).
pub(crate) const LARGEST: usize = 32 * 1024;

const MALFORMED: Refusal = Refusal::WebauthnMalformed("cbor");

/// Reads one item from the front; gives it and what follows.
pub(crate) fn first(octets: &[u8]) -> Result<(Value, &[u8]), Refusal> {
    if octets.len() > LARGEST {
        return Err(MALFORMED);
    }
    let mut rest = octets;
    let value: Value =
        ciborium::de::from_reader_with_recursion_limit(&mut rest, DEPTH).map_err(|_| MALFORMED)?;
    refuse_duplicates(&value)?;
    Ok((value, rest))
}

/// Reads exactly one item.
pub(crate) fn only(octets: &[u8]) -> Result<Value, Refusal> {
    match first(octets)? {
        (value, []) => Ok(value),
        _ => Err(MALFORMED),
    }
}

fn refuse_duplicates(value: &Value) -> Result<(), Refusal> {
    match value {
        Value::Map(members) => {
            for (position, (key, member)) in members.iter().enumerate() {
                if members[..position].iter().any(|(earlier, _)| earlier == key) {
                    return Err(MALFORMED);
                }
                refuse_duplicates(key)?;
                refuse_duplicates(member)?;
            }
            Ok(())
        }
        Value::Array(items) => items.iter().try_for_each(refuse_duplicates),
        Value::Tag(_, inner) => refuse_duplicates(inner),
        _ => Ok(()),
    }
}

/// The member of a map under a text key.
pub(crate) fn member<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    value.as_map()?.iter().find(|(name, _)| name.as_text() == Some(key)).map(|(_, member)| member)
}

/// The member of a map under an integer key.
pub(crate) fn numbered(value: &Value, key: i64) -> Option<&Value> {
    value.as_map()?.iter().find(|(name, _)| integer(name) == Some(key)).map(|(_, member)| member)
}

/// A whole number that fits 64 bits.
pub(crate) fn integer(value: &Value) -> Option<i64> {
    value.as_integer().and_then(|number| i64::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_octets_duplicate_keys_depth_and_size_are_refused() {
        assert!(only(&[0xa1, 0x01, 0x02]).is_ok());
        assert_eq!(only(&[0xa1, 0x01, 0x02, 0x00]), Err(MALFORMED));
        assert_eq!(only(&[0xa2, 0x01, 0x02, 0x01, 0x03]), Err(MALFORMED));
        assert_eq!(only(&[0x81, 0xa2, 0x01, 0x02, 0x01, 0x03]), Err(MALFORMED));
        assert_eq!(only(&[0x81; 64]), Err(MALFORMED));
        assert_eq!(only(&vec![0; LARGEST + 1]), Err(MALFORMED));
        assert_eq!(only(&[]), Err(MALFORMED));
        // A length that promises more than there is.
        assert_eq!(only(&[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Err(MALFORMED));
        assert_eq!(only(&[0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Err(MALFORMED));
    }
}
