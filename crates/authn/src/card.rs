//! The card in her phone, shown to somebody: a code that is hers for a minute, by which another phone
//! asks the platform whether the card is real. The code itself says whose and until when, under a
//! keyed hash of the device: nothing of it is stored, and every process of the platform knows it.

use hpki::encoding::Statement;
use hpki::id::KeyId;
use hpki::sign::Mac as _;
use hpki::time::Timestamp;
use ledger::Failed;
use wire::token::{base64url_decode, base64url_encode};

use crate::config::CARD_CODE_S;
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::visit::Visit;

/// `M("azukari/card/v1"; key, until)`.
fn shown(key: KeyId, until: Timestamp) -> Statement {
    Statement::new("azukari/card/v1").octets_field(key.octets()).time(until)
}

impl Authn {
    /// A fresh code for the QR of her card: the address that it holds, and until when.
    ///
    /// # Errors
    /// A fault.
    pub fn card_code(
        &self,
        visit: &Visit,
        now: Timestamp,
    ) -> Result<(String, Timestamp), Failed<Refusal>> {
        let (key, until) = (visit.key(), now.plus(CARD_CODE_S));
        let tag = self.desk.mac(&shown(key, until))?;
        let code = [&key.octets()[..], &until.seconds().to_be_bytes(), &tag].concat();
        Ok((format!("{}/v#1.{}", self.config.url, base64url_encode(&code)), until))
    }

    /// Whose card shows this code at this moment.
    ///
    /// # Errors
    /// `card-code-unknown`, also for one whose minute is over.
    pub fn card_of(&self, code: &str, now: Timestamp) -> Result<KeyId, Failed<Refusal>> {
        let (key, until, tag) = parts(code).ok_or(Failed::Refused(Refusal::CardCodeUnknown))?;
        // Its time first: an old photograph costs the device nothing.
        if now > until
            || until > now.plus(CARD_CODE_S)
            || !self.desk.check(&shown(key, until), &tag)?
        {
            return Err(Failed::Refused(Refusal::CardCodeUnknown));
        }
        Ok(key)
    }
}

fn parts(code: &str) -> Option<(KeyId, Timestamp, Vec<u8>)> {
    let octets = base64url_decode(code)?;
    let (key, rest) = octets.split_first_chunk()?;
    let (until, tag) = rest.split_first_chunk()?;
    let until = Timestamp::from_seconds(u64::from_be_bytes(*until));
    Some((KeyId::from_octets(*key), until, tag.to_vec()))
}
