//! Revocation lists: one full list for each authority, and for the root the two lists that cover
//! authorities only (RARL for the root itself, SARL for those under it).

use super::{Extensions, Issuer, Profile, ToBeSigned, point_name};
use crate::asn1::{self, tag};
use crate::crl::{Reason, Revoked};
use crate::name::{DistinguishedName, GeneralName};
use crate::oid;
use crate::policy;
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// Every known HPKI list promises its successor within 96 hours.
pub const NEXT_UPDATE_S: u64 = 96 * 3600;

/// What a list covers.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// All that the authority issued; no issuing distribution point.
    All,
    /// Certificates of authorities whose distribution point has this directory name.
    Authorities(&'a DistinguishedName),
}

/// A list to be.
#[derive(Debug, Clone)]
pub struct RevocationList<'a> {
    /// The authority.
    pub issuer: &'a Issuer,
    /// What it covers.
    pub scope: Scope<'a>,
    /// cRLNumber: rises with every list of the authority (shared by RARL and SARL).
    pub number: u64,
    /// When it is issued; its successor follows within [`NEXT_UPDATE_S`].
    pub this_update: Timestamp,
    /// Serial numbers (big endian, no sign octet) and what is said about them.
    pub entries: &'a [(Vec<u8>, Revoked)],
}

impl RevocationList<'_> {
    /// The octets to sign.
    pub fn prepare(&self) -> Result<ToBeSigned, Refusal> {
        let mut list = Vec::new();
        for (serial, revoked) in self.entries {
            let mut entry = asn1::integer(serial);
            entry.extend(asn1::moment(revoked.at));
            // RFC 5280 §5.3.1: an unspecified reason is left out.
            if revoked.reason != Reason::Unspecified {
                let mut reason = Extensions::default();
                let value = asn1::tlv(tag::ENUMERATED, &[revoked.reason.number()]);
                reason.plain(oid::CRL_REASON, &value);
                entry.extend(asn1::tlv(tag::SEQUENCE, &reason.0));
            }
            list.extend(asn1::tlv(tag::SEQUENCE, &entry));
        }
        if !list.is_empty() {
            list = asn1::tlv(tag::SEQUENCE, &list);
        }
        let mut extensions = Extensions::default();
        extensions
            .plain(oid::AUTHORITY_KEY_IDENTIFIER, &self.issuer.authority_key_identifier())
            .plain(oid::CRL_NUMBER, &asn1::number(self.number));
        let profile = match self.scope {
            Scope::All => Profile::Crl,
            Scope::Authorities(name) => {
                let point = point_name(&[GeneralName::Directory(name.clone())])?;
                let only_authorities = asn1::tlv(tag::context(2), &[0xff]);
                let value = asn1::sequence(&[&point, &only_authorities]);
                extensions.critical(oid::ISSUING_DISTRIBUTION_POINT, &value);
                Profile::AuthorityCrl
            }
        };
        let der = asn1::sequence(&[
            &asn1::number(1),
            &policy::algorithm_identifier(self.issuer.algorithm),
            self.issuer.name.der(),
            &asn1::moment(self.this_update),
            &asn1::moment(self.this_update.plus(NEXT_UPDATE_S)),
            &list,
            &extensions.der(tag::context_constructed(0)),
        ]);
        Ok(ToBeSigned { profile, algorithm: self.issuer.algorithm, der })
    }
}
