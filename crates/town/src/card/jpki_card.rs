//! The JPKI application of a My Number Card: two certificates, two PINs, padding inside the card.
//!
//! Names and numbers of files, PINs and tries are those that public code for real cards agrees on.
//! Two things are our reading: that a verified PIN stays so until another application is selected
//! or power goes, and that its files end where the certificate ends.

use super::Card;
use super::apdu::{Chain, Command, Outcome, Status, answer};
use super::file::{File, control_information, read_binary};
use super::key::CardKey;
use super::pin::Pin;

const APPLICATION: [u8; 10] = [0xd3, 0x92, 0xf0, 0x00, 0x26, 0x01, 0x00, 0x00, 0x00, 0x01];
const TOKEN: u16 = 0x0006;
const AUTH_CERTIFICATE: u16 = 0x000a;
const AUTH_CA: u16 = 0x000b;
const AUTH_KEY: u16 = 0x0017;
const AUTH_PIN: u16 = 0x0018;
const SIGN_CERTIFICATE: u16 = 0x0001;
const SIGN_CA: u16 = 0x0002;
const SIGN_KEY: u16 = 0x001a;
const SIGN_PIN: u16 = 0x001b;

/// Contactless, as OpenSC knows it.
const ATR: [u8; 13] =
    [0x3b, 0x88, 0x80, 0x01, 0x00, 0x00, 0x41, 0xe0, 0xb3, 0x81, 0xa1, 0x00, 0x3b];

/// A My Number Card with its JPKI application.
#[derive(Debug)]
pub struct JpkiCard {
    files: Vec<File>,
    auth_key: CardKey,
    sign_key: CardKey,
    /// 利用者証明用: four digits, three tries.
    pub auth_pin: Pin,
    /// 署名用: 6 to 16 capital letters and digits, five tries.
    pub sign_pin: Pin,
    selected: Option<u16>,
    inside: bool,
    chain: Chain,
}

impl JpkiCard {
    /// Wrong PINs in a row until authentication is blocked.
    pub const AUTH_TRIES: u8 = 3;
    /// Wrong passwords in a row until signing is blocked.
    pub const SIGN_TRIES: u8 = 5;

    /// A card with these certificates (DER; each with its authority's) and keys.
    pub fn new(
        (auth_key, auth_certificate, auth_ca): (CardKey, Vec<u8>, Vec<u8>),
        (sign_key, sign_certificate, sign_ca): (CardKey, Vec<u8>, Vec<u8>),
        auth_pin: Pin,
        sign_pin: Pin,
    ) -> Self {
        let file = |id, content: Vec<u8>| File { id, short: u8::try_from(id).ok(), content };
        let mut token = b"JPKIAPICCTOKEN".to_vec();
        token.resize(32, b' ');
        let files = vec![
            file(TOKEN, token),
            file(AUTH_CERTIFICATE, auth_certificate),
            file(AUTH_CA, auth_ca),
            file(SIGN_CERTIFICATE, sign_certificate),
            file(SIGN_CA, sign_ca),
        ];
        let (selected, inside, chain) = (None, false, Chain::default());
        Self { files, auth_key, sign_key, auth_pin, sign_pin, selected, inside, chain }
    }

    fn run(&mut self, command: &[u8]) -> Outcome {
        let Some(command) = self.chain.take(Command::parse(command)?)? else {
            return Ok(Vec::new());
        };
        match (command.class, command.instruction) {
            (0x00, 0xa4) => self.select(&command),
            (0x00, 0x20) if self.inside => self.verify(&command),
            (0x00, 0xb0) if self.inside => self.read(&command),
            (0x80, 0x2a) if self.inside => self.sign(&command),
            (0x00, 0x20 | 0xb0) | (0x80, 0x2a) => Err(Status::NOT_ALLOWED),
            (0x00 | 0x80, _) => Err(Status::NO_INSTRUCTION),
            _ => Err(Status::NO_CLASS),
        }
    }

    fn select(&mut self, command: &Command) -> Outcome {
        match command.p1 {
            0x04 if !command.data.is_empty() && APPLICATION.starts_with(&command.data) => {
                self.leave();
                self.inside = true;
                control_information(&APPLICATION, command.p2)
            }
            0x04 => {
                // Another application of the real card, or none: this one is left.
                self.leave();
                Err(Status::NO_FILE)
            }
            0x02 | 0x00 if self.inside => {
                let id = command.data.as_slice().try_into().map_err(|_| Status::WRONG_LENGTH)?;
                let id = u16::from_be_bytes(id);
                let known = [AUTH_KEY, AUTH_PIN, SIGN_KEY, SIGN_PIN].contains(&id)
                    || self.files.iter().any(|file| file.id == id);
                if !known {
                    return Err(Status::NO_FILE);
                }
                self.selected = Some(id);
                Ok(Vec::new())
            }
            0x02 | 0x00 => Err(Status::NO_FILE),
            _ => Err(Status::WRONG_P1P2),
        }
    }

    fn verify(&mut self, command: &Command) -> Outcome {
        if command.p2 != 0x80 {
            return Err(Status::WRONG_P1P2);
        }
        match self.selected {
            Some(AUTH_PIN) => self.auth_pin.verify(command),
            Some(SIGN_PIN) => self.sign_pin.verify(command),
            _ => Err(Status::NO_REFERENCE),
        }
    }

    fn read(&mut self, command: &Command) -> Outcome {
        let (id, data) = read_binary(&self.files, self.selected, command)?;
        // The signature certificate tells its holder's address.
        if id == SIGN_CERTIFICATE && !self.sign_pin.verified {
            return Err(Status::NOT_VERIFIED);
        }
        self.selected = Some(id);
        Ok(data)
    }

    fn sign(&mut self, command: &Command) -> Outcome {
        if (command.p1, command.p2) != (0x00, 0x80) {
            return Err(Status::WRONG_P1P2);
        }
        let (key, pin) = match self.selected {
            Some(AUTH_KEY) => (&self.auth_key, &self.auth_pin),
            Some(SIGN_KEY) => (&self.sign_key, &self.sign_pin),
            _ => return Err(Status::NOT_ALLOWED),
        };
        if !pin.verified {
            return Err(Status::NOT_VERIFIED);
        }
        key.sign_digest_info(&command.data)
    }

    fn leave(&mut self) {
        (self.selected, self.inside) = (None, false);
        (self.auth_pin.verified, self.sign_pin.verified) = (false, false);
    }
}

impl Card for JpkiCard {
    fn atr(&self) -> &[u8] {
        &ATR
    }

    fn reset(&mut self) {
        self.leave();
        self.chain = Chain::default();
    }

    fn transmit(&mut self, command: &[u8]) -> Vec<u8> {
        answer(self.run(command))
    }
}
