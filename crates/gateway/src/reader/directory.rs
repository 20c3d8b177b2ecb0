//! The directory objects of an HPKI card (ISO 7816-15; JAHIS 31, table B): what is on it and where.
//!
//! Real cards keep things in other places than the standard's example, so nothing is believed but
//! these. What an object may have beyond what is needed here is passed over.

use hpki::asn1::{Reader, tag};

use super::apdu::{Place, Talk};
use super::{CardRefusal, PinForm};

/// EF.OD has this short identifier on every card (JAHIS 31, table B.1).
const OBJECTS: Place = Place::Short(0x11);

/// What one application has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directory {
    pub(super) pin: PinObject,
    pub(super) key: KeyObject,
    /// Where the certificate of that key is.
    pub(super) certificate: Place,
}

/// The PIN that lets the key be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PinObject {
    /// P2 of VERIFY.
    pub(super) reference: u8,
    pub(super) form: PinForm,
    /// The PIN is filled up with this octet to this length, where the card wants that.
    pub(super) padding: Option<(u8, usize)>,
}

/// The private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyObject {
    pub(super) place: Place,
    /// Length of its modulus in octets.
    pub(super) octets: usize,
    /// For documents (nonRepudiation) and not for challenges (sign).
    pub(super) for_documents: bool,
}

/// Reads the directories of the selected application.
pub(super) fn read(talk: &mut Talk<'_>) -> Result<Directory, CardRefusal> {
    let objects = talk.file(OBJECTS)?;
    let mut pins = None;
    let mut keys = None;
    let mut certificates = None;
    each(&objects, |kind, entry| {
        // CIOChoice (ISO 7816-15 §8.3): [0] private keys, [4] certificates, [8] PINs.
        let place = match kind {
            0xa0 => &mut keys,
            0xa4 => &mut certificates,
            0xa8 => &mut pins,
            _ => return Some(()),
        };
        place.get_or_insert(path(entry.sequence().ok()?)?);
        Some(())
    })?;
    let (Some(pins), Some(keys), Some(certificates)) = (pins, keys, certificates) else {
        return Err(CardRefusal::Malformed("its object directory does not tell all places"));
    };
    let (keys, pins, certificates) = (talk.file(keys)?, talk.file(pins)?, talk.file(certificates)?);
    let key = first(&keys, private_key)?;
    let key = key.ok_or(CardRefusal::Malformed("it tells of no RSA key that signs"))?;
    let (id, guarded_by, key) = key;
    let pin = first(&pins, |kind, entry| {
        pin(kind, entry).map(|found| found.filter(|(auth, _)| *auth == guarded_by))
    })?;
    let (_, pin) = pin.ok_or(CardRefusal::Malformed("it tells of no PIN for its key"))?;
    let certificate = first(&certificates, |kind, entry| {
        certificate(kind, entry).map(|found| found.filter(|(of, _)| *of == id))
    })?;
    let (_, certificate) =
        certificate.ok_or(CardRefusal::Malformed("it tells of no certificate for its key"))?;
    Ok(Directory { pin, key, certificate })
}

/// Every value of a directory; 00 or FF behind the last is padding.
fn each<'a>(
    octets: &'a [u8],
    mut with: impl FnMut(u8, &mut Reader<'a>) -> Option<()>,
) -> Result<(), CardRefusal> {
    const WRONG: CardRefusal = CardRefusal::Malformed("a directory is not DER");
    let mut reader = Reader::new(octets);
    while reader.peek().is_some_and(|tag| !matches!(tag, 0x00 | 0xff)) {
        let value = reader.read().map_err(|_| WRONG)?;
        with(value.tag, &mut value.inside()).ok_or(WRONG)?;
    }
    Ok(())
}

/// The first object that fits.
fn first<'a, T>(
    octets: &'a [u8],
    fits: impl Fn(u8, &mut Reader<'a>) -> Option<Option<T>>,
) -> Result<Option<T>, CardRefusal> {
    let mut found = None;
    each(octets, |kind, entry| {
        let object = fits(kind, entry)?;
        if found.is_none() {
            found = object;
        }
        Some(())
    })?;
    Ok(found)
}

/// Path: `efidOrPath OCTET STRING, …` One octet is a short identifier in its five high bits.
fn path(mut path: Reader<'_>) -> Option<Place> {
    match path.expect(tag::OCTET_STRING).ok()?.content {
        [short] if short & 7 == 0 && (1..=30).contains(&(short >> 3)) => {
            Some(Place::Short(short >> 3))
        }
        [.., high, low] => Some(Place::File(u16::from_be_bytes([*high, *low]))),
        _ => None,
    }
}

/// The attributes of an object's own kind, `[1]` behind the common and the class attributes.
fn own<'a>(entry: &mut Reader<'a>) -> Option<Reader<'a>> {
    while !entry.is_empty() {
        let value = entry.read().ok()?;
        if value.tag == tag::context_constructed(1) {
            return value.inside().sequence().ok();
        }
    }
    None
}

fn bit((octets, unused): (&[u8], u8), bit: usize) -> bool {
    let defined = octets.len() * 8 - usize::from(unused);
    bit < defined && octets[bit / 8] & (0x80 >> (bit % 8)) != 0
}

type Id<'a> = &'a [u8];

/// `privateRSAKey`: its id, the PIN that guards it, and the key; `None` for one that does not sign.
fn private_key<'a>(
    kind: u8,
    entry: &mut Reader<'a>,
) -> Option<Option<(Id<'a>, Id<'a>, KeyObject)>> {
    if kind != tag::SEQUENCE {
        return Some(None);
    }
    let mut common = entry.sequence().ok()?;
    let mut guarded_by = None;
    while !common.is_empty() {
        let value = common.read().ok()?;
        if value.tag == tag::OCTET_STRING {
            guarded_by.get_or_insert(value.content);
        }
    }
    let mut class = entry.sequence().ok()?;
    let id = class.expect(tag::OCTET_STRING).ok()?.content;
    let usage = class.expect(tag::BIT_STRING).ok()?.bits().ok()?;
    // KeyUsageFlags: sign (2), nonRepudiation (9).
    let (signs, for_documents) = (bit(usage, 2), bit(usage, 9));
    let mut attributes = own(entry)?;
    let place = path(attributes.sequence().ok()?)?;
    let bits = attributes.expect(tag::INTEGER).ok()?.number().ok()?;
    // What cards of today have, and verifiers of today accept.
    let fits = (signs || for_documents) && matches!(bits, 2048 | 3072 | 4096);
    let Some(guarded_by) = guarded_by.filter(|_| fits) else { return Some(None) };
    let octets = usize::try_from(bits / 8).ok()?;
    Some(Some((id, guarded_by, KeyObject { place, octets, for_documents })))
}

/// `pwd`: its id and the PIN; `None` for another authentication object.
fn pin<'a>(kind: u8, entry: &mut Reader<'a>) -> Option<Option<(Id<'a>, PinObject)>> {
    if kind != tag::SEQUENCE {
        return Some(None);
    }
    entry.sequence().ok()?;
    let id = entry.sequence().ok()?.expect(tag::OCTET_STRING).ok()?.content;
    let mut attributes = own(entry)?;
    let flags = attributes.expect(tag::BIT_STRING).ok()?.bits().ok()?;
    attributes.expect(tag::ENUMERATED).ok()?;
    let least = attributes.expect(tag::INTEGER).ok()?.number().ok()?;
    let stored = attributes.expect(tag::INTEGER).ok()?.number().ok()?;
    let most = match attributes.optional(tag::INTEGER).ok()? {
        Some(most) => most.number().ok()?,
        None => stored,
    };
    // pwdReference [0] DEFAULT 0, an INTEGER of one octet perhaps behind a zero for its sign.
    let reference = match attributes.optional(tag::context(0)).ok()? {
        None => 0,
        Some(value) => match value.content {
            [reference] | [0, reference] => *reference,
            _ => return None,
        },
    };
    let filler = attributes.optional(tag::OCTET_STRING).ok()?.map(|value| value.content);
    let least = u8::try_from(least).ok()?;
    let form = PinForm::Characters(least.max(4), u8::try_from(most).ok()?.min(64));
    // pwdFlags: needs-padding (5).
    let padding = match (bit(flags, 5), filler) {
        (true, Some([filler])) => Some((*filler, usize::try_from(stored).ok()?.min(64))),
        (true, _) => return None,
        (false, _) => None,
    };
    Some(Some((id, PinObject { reference, form, padding })))
}

/// `x509Certificate`: its id and where it is; `None` for an authority's.
fn certificate<'a>(kind: u8, entry: &mut Reader<'a>) -> Option<Option<(Id<'a>, Place)>> {
    if kind != tag::SEQUENCE {
        return Some(None);
    }
    entry.sequence().ok()?;
    let mut class = entry.sequence().ok()?;
    let id = class.expect(tag::OCTET_STRING).ok()?.content;
    let authority = match class.optional(tag::BOOLEAN).ok()? {
        Some(flag) => flag.boolean().ok()?,
        None => false,
    };
    let place = path(own(entry)?.sequence().ok()?)?;
    Some((!authority).then_some((id, place)))
}
