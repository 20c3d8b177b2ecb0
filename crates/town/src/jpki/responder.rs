//! The responder of the authority of user authentication: what it says when it is asked about one
//! certificate (OCSP, RFC 6960). Whether the real one names a responder of its own, and whether it
//! sends the nonce back, was not at hand.

use hpki::asn1::{sequence, tag, tlv};
use hpki::certificate::{Certificate, KeyUsage};
use hpki::name::DistinguishedName;
use hpki::ocsp::{Reply, Request, Single, Status, could_not_answer};
use hpki::oid;
use hpki::profile::{Validity, key_identifier};
use hpki::sign::{Random, Sign as _};
use hpki::time::Timestamp;

use super::{Authority, Jpki, certificate, extension, failed, own_identifier};
use crate::Refusal;
use crate::card::CardKey;

/// There is newer word within so many seconds.
const NEXT_S: u64 = 600;

impl Authority {
    /// A key that may answer for this authority and nothing else, for three months.
    pub(super) fn responder(
        &self,
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<(CardKey, Certificate), Refusal> {
        let key = CardKey::generate().map_err(failed)?;
        let name = DistinguishedName::builder()
            .country("JP")
            .organization("TEST JPKI")
            .unit(&format!("TEST JPKI for {}", self.arm))
            .common_name("TEST OCSP responder")
            .build()
            .map_err(failed)?;
        let issuer = key_identifier(self.key.spki_der()).map_err(failed)?;
        let purpose = sequence(&[&hpki::asn1::oid(&oid::OCSP_SIGNING)]);
        let extensions = [
            extension(
                &oid::AUTHORITY_KEY_IDENTIFIER,
                false,
                &sequence(&[&tlv(tag::context(0), &issuer)]),
            ),
            extension(&oid::SUBJECT_KEY_IDENTIFIER, false, &own_identifier(key.spki_der())?),
            extension(&oid::KEY_USAGE, true, &KeyUsage::DIGITAL_SIGNATURE.der()),
            extension(&oid::EXTENDED_KEY_USAGE, false, &purpose),
            extension(&oid::OCSP_NO_CHECK, false, &tlv(tag::NULL, &[])),
        ];
        let validity = Validity { not_before: now.minus(86_400), not_after: now.plus(90 * 86_400) };
        let der = certificate(
            &self.key,
            &self.name,
            &name,
            key.spki_der(),
            validity,
            &extensions,
            random,
        )?;
        Ok((key, Certificate::from_der(&der).map_err(failed)?))
    }
}

impl Jpki {
    /// Answers a question (`application/ocsp-request`). The authority keeps no books: `standing` tells
    /// what it says of a serial number of its own. What cannot be read, and what is asked about
    /// another authority's certificate, is answered as RFC 6960 says.
    ///
    /// # Errors
    /// `card-failed` where the answer cannot be signed.
    pub fn answer(
        &self,
        question: &[u8],
        standing: impl Fn(&[u8]) -> Status,
        now: Timestamp,
    ) -> Result<Vec<u8>, Refusal> {
        const MALFORMED: u8 = 1;
        let Ok(request) = Request::read(question) else { return Ok(could_not_answer(MALFORMED)) };
        let own = Certificate::from_der(&self.auth.certificate).map_err(failed)?;
        let said = |id: &hpki::ocsp::CertId| match id.is_of(&own) {
            true => standing(id.serial()),
            false => Status::Unknown,
        };
        let singles: Vec<Single> = request
            .certificates()
            .iter()
            .map(|id| Single { id: id.clone(), status: said(id) })
            .collect();
        let (key, certificate) = &self.responder;
        let reply = Reply::new(&request, &singles, certificate, (now, now.plus(NEXT_S)), true);
        let signature = key.sign(reply.der()).map_err(failed)?;
        Ok(reply.assemble(key.algorithm(), &signature, certificate))
    }
}
