//! An HPKI card (JAHIS 31): padding is made here, and the signing application wants its PIN before
//! each signature (§B.4.5).

use hpki::certificate::Certificate;
use zeroize::Zeroizing;

use super::apdu::{OK, Talk};
use super::directory::{self, Directory, KeyObject};
use super::{CardFace, CardRefusal, CardUse, LastTry, Pin};

/// The registered name of HPKI applications (RID); cards of all authorities begin with it.
const PROVIDER: [u8; 5] = [0xe8, 0x28, 0xbd, 0x08, 0x0f];
/// The rest of the name on real cards (PIX); its last octet tells signing (1) and authentication (2)
/// apart.
const REST: [u8; 10] = [0xa0, 0x00, 0x00, 0x03, 0x91, 0, 0, 0, 0, 0];
/// Applications of the provider that are looked at on one card.
const MOST: usize = 4;

/// Selects the application with this use and reads its directories; `None` where the card has none.
///
/// First by the name that real cards have, then by the provider's part of it alone, since the rest is
/// the authority's to choose (JAHIS 31 C.2). Which application it is, is asked of its key in either
/// case.
fn enter(talk: &mut Talk<'_>, usage: CardUse) -> Result<Option<Directory>, CardRefusal> {
    let last = if usage == CardUse::Signing { 1 } else { 2 };
    let mut selects = vec![select(0x00, &[&PROVIDER[..], &REST[..], &[last]].concat())];
    selects.push(select(0x00, &PROVIDER));
    // The next one that fits.
    selects.resize(1 + MOST, select(0x02, &PROVIDER));
    for (place, select) in selects.iter().enumerate() {
        match talk.ask(select)? {
            (_, OK) => {}
            // 6283: this application is blocked for good, which says nothing of the others.
            (_, 0x6283) => continue,
            (_, 0x6a81 | 0x6a82 | 0x6a86 | 0x6d00 | 0x6e00 | 0x6985) if place == 0 => continue,
            (_, 0x6a81 | 0x6a82 | 0x6a86 | 0x6d00 | 0x6e00 | 0x6985) => return Ok(None),
            (_, status) => return Err(CardRefusal::Answered(status)),
        }
        let directory = directory::read(talk)?;
        if directory.key.for_documents == (usage == CardUse::Signing) {
            return Ok(Some(directory));
        }
    }
    Ok(None)
}

/// SELECT by name; the answer tells the whole name, which is of no use here.
fn select(which: u8, name: &[u8]) -> Vec<u8> {
    let mut command = vec![0, 0xa4, 0x04, which, u8::try_from(name.len()).unwrap_or(u8::MAX)];
    command.extend_from_slice(name);
    command.push(0);
    command
}

fn certificate(talk: &mut Talk<'_>, directory: &Directory) -> Result<Certificate, CardRefusal> {
    let der = talk.value(directory.certificate)?;
    Certificate::from_der(&der)
        .map_err(|_| CardRefusal::Malformed("its certificate cannot be read"))
}

/// What everybody may read.
pub(super) fn look(talk: &mut Talk<'_>, usage: CardUse) -> Result<Option<CardFace>, CardRefusal> {
    let Some(directory) = enter(talk, usage)? else { return Ok(None) };
    let certificate = certificate(talk, &directory)?;
    let tries = talk.tries(directory.pin.reference)?;
    Ok(Some(CardFace { usage, certificate, tries, pin: directory.pin.form }))
}

/// Signs a DigestInfo with the key that this certificate belongs to.
pub(super) fn sign(
    talk: &mut Talk<'_>,
    (usage, seen): (CardUse, &Certificate),
    (pin, last): (&Pin, LastTry),
    digest_info: &[u8],
) -> Result<Vec<u8>, CardRefusal> {
    let directory = enter(talk, usage)?.ok_or(CardRefusal::Changed)?;
    if certificate(talk, &directory)? != *seen {
        return Err(CardRefusal::Changed);
    }
    let reference = directory.pin.reference;
    pin.may_be_sent(directory.pin.form, talk.tries(reference)?, last)?;
    set_key(talk, &directory.key)?;
    let block = padded(digest_info, directory.key.octets)?;
    let filled = filled(pin.octets(), directory.pin.padding);
    talk.verify(reference, &filled)?;
    match talk.ask(&extended(&block)) {
        Ok((signature, OK)) => Ok(signature),
        // Not every reader and card knows commands of more than 255 octets. The PIN is right, as we
        // know now, so giving it again costs no try.
        Ok((_, 0x6700)) => {
            talk.verify(reference, &filled)?;
            let (first, last) = block.split_at(block.len().min(255));
            talk.done(&short(0x10, first, false))?;
            talk.done(&short(0x00, last, true))
        }
        Ok((_, status)) => Err(CardRefusal::Answered(status)),
        Err(refusal) => Err(refusal),
    }
}

/// MANAGE SECURITY ENVIRONMENT, SET, digital signature template. The key by its file (tag 81,
/// JAHIS 31 C.5), or by tag 84, as cards of one authority want it.
fn set_key(talk: &mut Talk<'_>, key: &KeyObject) -> Result<(), CardRefusal> {
    let [high, low] = key.place.id().to_be_bytes();
    let mut said = 0;
    for tag in [0x81, 0x84] {
        said = talk.ask(&[0, 0x22, 0x41, 0xb6, 4, tag, 2, high, low])?.1;
        if said == OK {
            return Ok(());
        }
    }
    Err(CardRefusal::Answered(said))
}

/// EMSA-PKCS1-v1_5 (RFC 8017 §9.2): `00 01 FF … FF 00 DigestInfo`.
fn padded(digest_info: &[u8], octets: usize) -> Result<Vec<u8>, CardRefusal> {
    let filler = octets
        .checked_sub(digest_info.len() + 3)
        .filter(|filler| *filler >= 8)
        .ok_or(CardRefusal::Malformed("its key is too short"))?;
    let mut block = vec![0, 1];
    block.resize(2 + filler, 0xff);
    block.push(0);
    block.extend_from_slice(digest_info);
    Ok(block)
}

fn filled(pin: &[u8], padding: Option<(u8, usize)>) -> Zeroizing<Vec<u8>> {
    let mut filled = Zeroizing::new(Vec::with_capacity(pin.len().max(64)));
    filled.extend_from_slice(pin);
    if let Some((filler, length)) = padding {
        let length = length.max(pin.len());
        filled.resize(length, filler);
    }
    filled
}

/// PERFORM SECURITY OPERATION, COMPUTE DIGITAL SIGNATURE, of extended length.
fn extended(block: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(block.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut command = vec![0, 0x2a, 0x9e, 0x9a, 0, high, low];
    command.extend_from_slice(block);
    command.extend_from_slice(&[0, 0]);
    command
}

/// A part of it, in a chain (ISO 7816-4 §5.3.3).
fn short(class: u8, part: &[u8], last: bool) -> Vec<u8> {
    let mut command = vec![class, 0x2a, 0x9e, 0x9a, u8::try_from(part.len()).unwrap_or(u8::MAX)];
    command.extend_from_slice(part);
    if last {
        command.push(0);
    }
    command
}
