//! An HPKI card (JAHIS 31): one application for signing, one for authentication, each with its PIN,
//! its directory objects and its certificates. Padding is made outside the card.

use serde::{Deserialize, Serialize};

use super::Card;
use super::apdu::{Chain, Command, Outcome, Status, answer};
use super::file::{File, control_information, read_binary};
use super::key::CardKey;
use super::pin::Pin;
use super::pkcs15;

/// RID and PIX of real cards; the last octet tells the applications apart.
const NAME: [u8; 15] = [0xe8, 0x28, 0xbd, 0x08, 0x0f, 0xa0, 0x00, 0x00, 0x03, 0x91, 0, 0, 0, 0, 0];
const ATR: [u8; 13] =
    [0x3b, 0x88, 0x80, 0x01, 0x00, 0x4e, 0x00, 0x00, 0xf7, 0x81, 0xd1, 0x00, 0xe0];

/// Where things are. Readers must look into the directory objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// The example of JAHIS 31.
    Example,
    /// Other numbers, as a real card of one authority has.
    Jma,
}

struct Places {
    pin: u16,
    pin_reference: u8,
    key: u16,
    certificate: u16,
    root: u16,
    authority: u16,
}

impl Layout {
    fn places(self) -> Places {
        match self {
            Self::Example => Places {
                pin: 0x16,
                pin_reference: 0x96,
                key: 0x17,
                certificate: 0x18,
                root: 0x19,
                authority: 0x1a,
            },
            Self::Jma => Places {
                pin: 0x02,
                pin_reference: 0x88,
                key: 0x0c,
                certificate: 0x16,
                root: 0x17,
                authority: 0x18,
            },
        }
    }
}

/// One of the two applications.
#[derive(Debug)]
pub struct HpkiApplication {
    name: [u8; 16],
    layout: Layout,
    files: Vec<File>,
    key: CardKey,
    /// 4 to 16 characters; fifteen wrong ones in a row block it.
    pub pin: Pin,
    /// Whether the PIN is asked for before each signature: the signing application's rule.
    each_time: bool,
    selected: Option<u16>,
    key_set: bool,
}

impl HpkiApplication {
    /// The signing application.
    pub fn signing(layout: Layout, key: CardKey, chain: [Vec<u8>; 3], pin: Pin) -> Self {
        Self::new(1, layout, key, chain, pin)
    }

    /// The authentication application.
    pub fn authentication(layout: Layout, key: CardKey, chain: [Vec<u8>; 3], pin: Pin) -> Self {
        Self::new(2, layout, key, chain, pin)
    }

    /// `chain`: the holder's certificate, her authority's, the root's, as DER.
    fn new(last: u8, layout: Layout, key: CardKey, chain: [Vec<u8>; 3], pin: Pin) -> Self {
        let mut name = [0; 16];
        name[..15].copy_from_slice(&NAME);
        name[15] = last;
        let each_time = last == 1;
        let places = layout.places();
        let [own, authority, root] = chain;
        // A path of one octet is a short identifier in its five high bits.
        let short = |id: u16| [u8::try_from(id << 3).unwrap_or_default()];
        let file = |id: u16, short: u8, content| File { id, short: Some(short), content };
        let at = |id: u16, content| file(id, u8::try_from(id).unwrap_or_default(), content);
        let certificates = [
            pkcs15::certificate(
                "HPKI END ENTITY CERTIFICATE",
                0x17,
                false,
                &short(places.certificate),
            ),
            pkcs15::certificate("MHLW CA CERTIFICATE", 0x19, true, &short(places.root)),
            pkcs15::certificate("HPKI ROOT CA CERTIFICATE", 0x1a, true, &short(places.authority)),
        ];
        let (aod, prkd, cd) = (0x13, 0x14, 0x15);
        let files = vec![
            file(0x5032, 0x12, pkcs15::info()),
            file(0x5031, 0x11, pkcs15::directory(&short(aod), &short(prkd), &short(cd))),
            at(aod, pkcs15::pin(places.pin_reference, &short(places.pin))),
            at(prkd, pkcs15::key(each_time, &short(places.key))),
            at(cd, certificates.concat()),
            at(places.certificate, own),
            at(places.root, root),
            at(places.authority, authority),
        ];
        let (selected, key_set) = (None, false);
        Self { name, layout, files, key, pin, each_time, selected, key_set }
    }

    fn run(&mut self, command: &Command) -> Outcome {
        match command.instruction {
            0xa4 => self.select_file(command),
            0xb0 => {
                let (id, data) = read_binary(&self.files, self.selected, command)?;
                self.selected = Some(id);
                Ok(data)
            }
            0x20 => self.verify(command),
            0x22 => self.set_key(command),
            0x2a => self.sign(command),
            _ => Err(Status::NO_INSTRUCTION),
        }
    }

    fn select_file(&mut self, command: &Command) -> Outcome {
        let id = command.data.as_slice().try_into().map_err(|_| Status::WRONG_LENGTH)?;
        let id = u16::from_be_bytes(id);
        let places = self.layout.places();
        let known = [places.pin, places.key].contains(&id);
        if !known && !self.files.iter().any(|file| file.id == id) {
            return Err(Status::NO_FILE);
        }
        self.selected = Some(id);
        Ok(Vec::new())
    }

    fn verify(&mut self, command: &Command) -> Outcome {
        let places = self.layout.places();
        let by_file = command.p2 == 0x80 && self.selected == Some(places.pin);
        if command.p1 != 0 || !(by_file || command.p2 == places.pin_reference) {
            return Err(Status::NO_REFERENCE);
        }
        self.pin.verify(command)
    }

    /// MANAGE SECURITY ENVIRONMENT, SET, digital signature template: the key by its file (tag 81)
    /// or by its number (tag 84).
    fn set_key(&mut self, command: &Command) -> Outcome {
        if (command.p1, command.p2) != (0x41, 0xb6) {
            return Err(Status::WRONG_P1P2);
        }
        let id = match command.data.as_slice() {
            [0x81, 2, a, b] | [0x84, 2, a, b] => u16::from_be_bytes([*a, *b]),
            [0x84, 1, number] => u16::from(*number),
            _ => return Err(Status::WRONG_DATA),
        };
        self.key_set = id == self.layout.places().key;
        if self.key_set { Ok(Vec::new()) } else { Err(Status::NO_REFERENCE) }
    }

    /// PERFORM SECURITY OPERATION, COMPUTE DIGITAL SIGNATURE.
    fn sign(&mut self, command: &Command) -> Outcome {
        if (command.p1, command.p2) != (0x9e, 0x9a) {
            return Err(Status::WRONG_P1P2);
        }
        if !self.key_set {
            return Err(Status::NOT_ALLOWED);
        }
        if !self.pin.verified {
            return Err(Status::NOT_VERIFIED);
        }
        if self.each_time {
            self.pin.verified = false;
        }
        self.key.sign_padded(&command.data)
    }

    fn leave(&mut self) {
        (self.selected, self.key_set, self.pin.verified) = (None, false, false);
    }
}

/// The card.
#[derive(Debug)]
pub struct HpkiCard {
    /// Signing, then authentication.
    pub applications: [HpkiApplication; 2],
    current: Option<usize>,
    chain: Chain,
}

impl HpkiCard {
    /// Wrong PINs in a row until an application is blocked.
    pub const TRIES: u8 = 15;

    /// A card with these applications.
    pub fn new(signing: HpkiApplication, authentication: HpkiApplication) -> Self {
        let applications = [signing, authentication];
        Self { applications, current: None, chain: Chain::default() }
    }

    fn run(&mut self, octets: &[u8]) -> Outcome {
        let Some(command) = self.chain.take(Command::parse(octets)?)? else {
            return Ok(Vec::new());
        };
        if command.class != 0 {
            return Err(Status::NO_CLASS);
        }
        if command.instruction == 0xa4 && command.p1 == 0x04 {
            return self.select(&command);
        }
        let current = self.current.and_then(|place| self.applications.get_mut(place));
        current.ok_or(Status::NOT_ALLOWED)?.run(&command)
    }

    /// By full or partial name; with P2 = 02 the next one that fits (JAHIS 31 C.2).
    fn select(&mut self, command: &Command) -> Outcome {
        let begin = match (command.p2 & 0x03, self.current) {
            (0x02, Some(current)) => current + 1,
            _ => 0,
        };
        for application in &mut self.applications {
            application.leave();
        }
        self.current = None;
        let fits = |application: &HpkiApplication| {
            !command.data.is_empty() && application.name.starts_with(&command.data)
        };
        let found = self.applications.iter().skip(begin).position(fits).map(|place| begin + place);
        let place = found.ok_or(Status::NO_FILE)?;
        self.current = Some(place);
        let name = self.applications.get(place).map(|application| application.name);
        control_information(&name.unwrap_or_default(), command.p2)
    }
}

impl Card for HpkiCard {
    fn atr(&self) -> &[u8] {
        &ATR
    }

    fn reset(&mut self) {
        for application in &mut self.applications {
            application.leave();
        }
        (self.current, self.chain) = (None, Chain::default());
    }

    fn transmit(&mut self, command: &[u8]) -> Vec<u8> {
        answer(self.run(command))
    }
}
