//! Trying whether the key-encryption key holds what it unwraps to its template.
//!
//! A device tells of a template at most how long it is (`cryptoki` cannot ask for what its members
//! say), so what it says is not asked but tried, at each opening: a pair of the moment is wrapped,
//! and unwrapped as the house's keys are, which must work, and then with one member after the other
//! spoiled, which must not.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectHandle};
use cryptoki::session::Session;
use hpki::sign::SignatureAlgorithm;

use super::Pair;
use super::keys::loaded_attributes;
use super::quirks::Quirks;
use super::trouble::Trouble;
use crate::refusal::Refusal;

/// Each member of the template as it must not be.
const SPOILED: [(Attribute, &str); 5] = [
    (Attribute::Sensitive(false), "SENSITIVE"),
    (Attribute::Extractable(true), "EXTRACTABLE"),
    (Attribute::Sign(false), "SIGN"),
    (Attribute::Decrypt(true), "DECRYPT"),
    (Attribute::Unwrap(true), "UNWRAP"),
];

/// Refuses a KEK that unwraps a key to be anything else than its template says.
pub(super) fn unwrap_template(
    session: &Session,
    quirks: &Quirks,
    kek: ObjectHandle,
    token: &str,
) -> Result<(), Trouble> {
    let weak = |what: &str| Refusal::KekWeak(format!("{token}: UNWRAP_TEMPLATE {what}"));
    let pair = Pair::make(session, SignatureAlgorithm::EcdsaP256Sha256)?;
    let wrapped = session.wrap_key(&Mechanism::AesKeyWrapPad, kek, pair.private)?;
    let opens = |attributes: &[Attribute]| {
        match session.unwrap_key(&Mechanism::AesKeyWrapPad, kek, &wrapped, attributes) {
            Ok(key) => session.destroy_object(key).map(|()| true).map_err(Trouble::from),
            // A device that is gone has refused nothing.
            Err(error) => {
                Some(Trouble::from(error)).filter(Trouble::is_loss).map_or(Ok(false), Err)
            }
        }
    };
    let good = loaded_attributes(KeyType::EC, quirks);
    if !opens(&good)? {
        return Err(weak("of other members").into());
    }
    for (spoiled, name) in SPOILED {
        let instead = |one: &Attribute| match one.attribute_type() == spoiled.attribute_type() {
            true => spoiled.clone(),
            false => one.clone(),
        };
        if opens(&good.iter().map(instead).collect::<Vec<_>>())? {
            return Err(weak(name).into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::super::tests::House;
    use super::*;
    use crate::refusal::Failed;

    /// What opening says where the KEK was replaced by one with these attributes instead.
    fn opened_with(instead: &[Attribute]) -> Option<Result<(), String>> {
        let house = House::new()?;
        let (_module, session) = house.session();
        house.log_in(&session);
        for (_, kek) in keys::keks(&session).unwrap() {
            session.destroy_object(kek).unwrap();
        }
        let mut attributes = vec![Attribute::ValueLen(32.into())];
        attributes.extend(keys::kek_attributes(1));
        attributes.retain(|one| {
            let kind = one.attribute_type();
            instead.iter().all(|other| other.attribute_type() != kind)
        });
        // Whoever may not be MODIFIABLE is so from the end on.
        let last = attributes.len() - 1;
        attributes.splice(last..last, instead.iter().filter(|one| !is_empty(one)).cloned());
        session.generate_key(&Mechanism::AesKeyGen, &attributes).unwrap();
        session.logout().unwrap();
        session.close().unwrap();
        Some(match crate::open(&house.device(), &house.secret, 1) {
            Ok(_) => Ok(()),
            Err(Failed::Refused(Refusal::KekWeak(words))) => {
                Err(words.split_once(": ").unwrap().1.to_owned())
            }
            Err(other) => panic!("{other}"),
        })
    }

    /// In place of the template: none.
    fn is_empty(attribute: &Attribute) -> bool {
        matches!(attribute, Attribute::VendorDefined((_, octets)) if octets.is_empty())
    }

    fn with_template(members: &[(u64, bool)]) -> Option<Result<(), String>> {
        opened_with(&[keys::unwrap_template(members)])
    }

    #[test]
    fn a_kek_that_is_not_as_it_was_made_is_weak() {
        if opened_with(&[]).is_none() {
            return;
        }
        assert_eq!(opened_with(&[]), Some(Ok(())), "made as the house makes it");
        for (spoiled, name) in [
            (Attribute::Decrypt(true), "DECRYPT"),
            (Attribute::Encrypt(true), "ENCRYPT"),
            (Attribute::Copyable(true), "COPYABLE"),
            (Attribute::Modifiable(true), "MODIFIABLE"),
            (Attribute::WrapWithTrusted(false), "WRAP_WITH_TRUSTED"),
            (Attribute::Sensitive(false), "SENSITIVE"),
        ] {
            assert_eq!(opened_with(&[spoiled]), Some(Err(name.to_owned())), "{name}");
        }
    }

    #[test]
    fn a_kek_that_holds_what_it_unwraps_to_less_than_the_house_wants_is_weak() {
        let weak = |what: &str| Some(Err(format!("UNWRAP_TEMPLATE {what}")));
        if with_template(&keys::MEMBERS).is_none() {
            return;
        }
        assert_eq!(with_template(&keys::MEMBERS), Some(Ok(())), "as the house makes it");
        assert_eq!(with_template(&[]), weak("SENSITIVE"), "none at all");
        for (at, (_, name)) in SPOILED.iter().enumerate() {
            let mut members = keys::MEMBERS.to_vec();
            members.remove(at);
            assert_eq!(with_template(&members), weak(name), "nothing about {name}");
        }
        // As long as ours, and of other members: EXTRACTABLE on, and DERIVE in the place of UNWRAP.
        let mut members = keys::MEMBERS;
        members[1].1 = true;
        assert_eq!(with_template(&members), weak("of other members"));
        let mut members = keys::MEMBERS;
        members[4].0 = 0x10c;
        assert_eq!(with_template(&members), weak("of other members"));
    }
}
