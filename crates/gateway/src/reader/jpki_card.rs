//! The JPKI application of a My Number Card, its authentication half only: fixed file numbers, four
//! digits, padding inside the card.
//!
//! Names and numbers are those that public code for real cards agrees on. The other half – the
//! signature certificate with its holder's address – is not touched here.

use hpki::certificate::Certificate;

use super::apdu::{OK, Place, Talk};
use super::{CardFace, CardRefusal, CardUse, LastTry, Pin, PinForm};

const APPLICATION: [u8; 10] = [0xd3, 0x92, 0xf0, 0x00, 0x26, 0x01, 0x00, 0x00, 0x00, 0x01];
const CERTIFICATE: Place = Place::File(0x000a);
const KEY: u16 = 0x0017;
const PIN: u16 = 0x0018;
/// VERIFY names the selected file.
const SELECTED: u8 = 0x80;
/// 利用者証明用の暗証番号
const FORM: PinForm = PinForm::Digits(4);

/// Selects the application; `false` where the card has none.
fn enter(talk: &mut Talk<'_>) -> Result<bool, CardRefusal> {
    let mut select = vec![0, 0xa4, 0x04, 0x0c, 10];
    select.extend_from_slice(&APPLICATION);
    match talk.ask(&select)?.1 {
        OK => Ok(true),
        0x6a81 | 0x6a82 | 0x6a86 | 0x6d00 | 0x6e00 => Ok(false),
        status => Err(CardRefusal::Answered(status)),
    }
}

fn certificate(talk: &mut Talk<'_>) -> Result<Certificate, CardRefusal> {
    let der = talk.value(CERTIFICATE)?;
    Certificate::from_der(&der)
        .map_err(|_| CardRefusal::Malformed("its certificate cannot be read"))
}

/// What everybody may read.
pub(super) fn look(talk: &mut Talk<'_>) -> Result<Option<CardFace>, CardRefusal> {
    if !enter(talk)? {
        return Ok(None);
    }
    let certificate = certificate(talk)?;
    talk.select(PIN)?;
    let tries = talk.tries(SELECTED)?;
    Ok(Some(CardFace { usage: CardUse::Jpki, certificate, tries, pin: FORM }))
}

/// Signs a DigestInfo with the key that this certificate belongs to; the card pads.
pub(super) fn sign(
    talk: &mut Talk<'_>,
    seen: &Certificate,
    (pin, last): (&Pin, LastTry),
    digest_info: &[u8],
) -> Result<Vec<u8>, CardRefusal> {
    if !enter(talk)? || certificate(talk)? != *seen {
        return Err(CardRefusal::Changed);
    }
    talk.select(PIN)?;
    pin.may_be_sent(FORM, talk.tries(SELECTED)?, last)?;
    talk.verify(SELECTED, pin.octets())?;
    talk.select(KEY)?;
    let mut command = vec![0x80, 0x2a, 0x00, 0x80];
    command.push(u8::try_from(digest_info.len()).unwrap_or(u8::MAX));
    command.extend_from_slice(digest_info);
    command.push(0);
    talk.done(&command)
}
