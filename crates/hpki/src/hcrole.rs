//! hcRole: the qualification inside `subjectDirectoryAttributes` (ISO 17090; the encoding is that
//! of real HPKI certificates).
//!
//! ```text
//! SubjectDirectoryAttributes ::= SEQUENCE OF Attribute
//! Attribute: type 1.0.17090.0.1, values SET OF HCActorData
//! HCActorData ::= SET OF HCActor
//! HCActor     ::= SEQUENCE { codedData [0] CodedData, regionalHCActorData [1] … OPTIONAL }
//! CodedData   ::= SET { codingSchemeReference [0] OBJECT IDENTIFIER,
//!                       codeDataValue [1] NumericString OPTIONAL,
//!                       codeDataFreeText [2] DirectoryString }
//! ```
//! Japan uses neither `regionalHCActorData` nor `codeDataValue`. One certificate states exactly one
//! qualification; the role is the English free text.

use crate::asn1::{self, Malformed, Reader, tag};
use crate::oid;
use crate::qualification::Qualification;
use crate::refusal::Refusal;

/// The value of the `subjectDirectoryAttributes` extension for this qualification.
///
/// Refused where the English string is not known.
pub fn extension_value(qualification: Qualification) -> Result<Vec<u8>, Refusal> {
    let role = qualification
        .role()
        .ok_or(Refusal::QualificationNotCertifiable("its English role string is not known"))?;
    let scheme = asn1::tlv(tag::context_constructed(0), &asn1::oid(&oid::ROLE_CODING_SCHEME));
    let text =
        asn1::tlv(tag::context_constructed(2), &asn1::tlv(tag::UTF8_STRING, role.as_bytes()));
    let coded = asn1::constructed(tag::SET, &[&scheme, &text]);
    let actor = asn1::sequence(&[&asn1::tlv(tag::context_constructed(0), &coded)]);
    let values = asn1::tlv(tag::SET, &asn1::tlv(tag::SET, &actor));
    let attribute = asn1::sequence(&[&asn1::oid(&oid::HEALTHCARE_ACTOR), &values]);
    Ok(asn1::sequence(&[&attribute]))
}

/// The role text in a `subjectDirectoryAttributes` extension; `None` if it has no hcRole attribute.
///
/// More than one hcRole, a foreign coding scheme or any other shape is malformed.
pub fn role(extension_value: &[u8]) -> Result<Option<String>, Malformed> {
    let mut attributes = asn1::only(extension_value, tag::SEQUENCE)?.inside();
    let mut found = None;
    while !attributes.is_empty() {
        let mut attribute = attributes.sequence()?;
        let kind = attribute.expect(tag::OID)?.oid()?;
        let values = attribute.expect(tag::SET)?;
        attribute.finish()?;
        if kind != oid::HEALTHCARE_ACTOR {
            continue;
        }
        if found.is_some() {
            return Err(Malformed("more than one hcRole"));
        }
        found = Some(actor_role(values.inside())?);
    }
    Ok(found)
}

fn actor_role(mut values: Reader<'_>) -> Result<String, Malformed> {
    let mut actors = values.expect(tag::SET)?.inside();
    values.finish()?;
    let mut actor = actors.sequence()?;
    actors.finish()?;
    let mut coded = actor.expect(tag::context_constructed(0))?.inside();
    actor.finish()?;
    let mut fields = coded.expect(tag::SET)?.inside();
    coded.finish()?;
    let mut scheme = fields.expect(tag::context_constructed(0))?.inside();
    if scheme.expect(tag::OID)?.oid()? != oid::ROLE_CODING_SCHEME {
        return Err(Malformed("hcRole of another coding scheme"));
    }
    scheme.finish()?;
    let mut text = fields.expect(tag::context_constructed(2))?.inside();
    fields.finish()?;
    let role = text.read()?;
    text.finish()?;
    Ok(role.text()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCTOR: &str = "303430320606288185420001312831263024A0223120A00C060A2A830886910F01060101A2100C0E4D65646963616C20446F63746F72";
    const PHARMACIST: &str = "3030302E0606288185420001312431223020A01E311CA00C060A2A830886910F01060101A20C0C0A506861726D6163697374";

    #[test]
    fn the_encoding_is_that_of_real_certificates() {
        let vectors =
            [(Qualification::MedicalDoctor, DOCTOR), (Qualification::Pharmacist, PHARMACIST)];
        for (qualification, vector) in vectors {
            let made = extension_value(qualification).unwrap();
            assert_eq!(hex::encode_upper(&made), vector);
            assert_eq!(role(&made).unwrap().as_deref(), qualification.role());
        }
    }

    #[test]
    fn every_role_with_a_known_string_reads_back() {
        for qualification in Qualification::all() {
            match extension_value(qualification) {
                Ok(value) => {
                    let text = role(&value).unwrap().unwrap();
                    assert_eq!(Qualification::from_role(&text), Some(qualification));
                }
                Err(refusal) => {
                    assert!(qualification.role().is_none());
                    assert!(matches!(refusal, Refusal::QualificationNotCertifiable(_)));
                }
            }
        }
    }

    #[test]
    fn two_roles_in_one_certificate_are_malformed() {
        let one = extension_value(Qualification::MedicalDoctor).unwrap();
        let attribute = &one[2..];
        let two = asn1::sequence(&[attribute, attribute]);
        assert_eq!(role(&two), Err(Malformed("more than one hcRole")));
    }

    #[test]
    fn no_cut_or_changed_octet_reads_as_another_known_role() {
        let value = hex::decode(DOCTOR).unwrap();
        for position in 0..value.len() {
            assert!(role(&value[..position]).is_err());
            let mut changed = value.clone();
            changed[position] ^= 0x01;
            if let Ok(Some(text)) = role(&changed) {
                assert_eq!(Qualification::from_role(&text), None);
            }
        }
    }
}
