//! What stands for the chip while no reader has the card: a file with keys, certificates, PINs and
//! counters.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Card, CardKey, HpkiApplication, HpkiCard, JpkiCard, Layout, Pin};
use crate::Refusal;

/// A card out of the reader.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "card", rename_all = "lowercase", deny_unknown_fields)]
pub enum Kept {
    /// A My Number Card.
    Jpki {
        /// 利用者証明用
        auth: KeptKey,
        /// 署名用
        sign: KeptKey,
        /// Four digits.
        auth_pin: Pin,
        /// 6 to 16 characters.
        sign_pin: Pin,
    },
    /// An HPKI card.
    Hpki {
        /// Where its files are.
        layout: Layout,
        /// The signing application's.
        signing: KeptKey,
        /// The authentication application's.
        authentication: KeptKey,
        /// The signing application's.
        signing_pin: Pin,
        /// The authentication application's.
        authentication_pin: Pin,
    },
}

/// A key with its certificate and those above it, in base64.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptKey {
    /// PKCS#8
    key: String,
    /// The holder's.
    certificate: String,
    /// Its authority's first.
    above: Vec<String>,
}

impl std::fmt::Debug for KeptKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a card's key and certificates")
    }
}

fn octets(text: &str) -> Result<Vec<u8>, Refusal> {
    STANDARD.decode(text).map_err(|error| Refusal::CardFailed(error.to_string()))
}

impl KeptKey {
    /// With DER certificates.
    pub fn new(key: &CardKey, certificate: Vec<u8>, above: Vec<Vec<u8>>) -> Self {
        Self {
            key: STANDARD.encode(key.pkcs8()),
            certificate: STANDARD.encode(certificate),
            above: above.iter().map(|der| STANDARD.encode(der)).collect(),
        }
    }

    /// The holder's certificate, DER.
    ///
    /// # Errors
    /// `card-failed` for a damaged file.
    pub fn certificate(&self) -> Result<Vec<u8>, Refusal> {
        octets(&self.certificate)
    }

    /// The same key and certificate with one more certificate above.
    #[must_use]
    pub fn above_with(mut self, certificate: Vec<u8>) -> Self {
        self.above.push(STANDARD.encode(certificate));
        self
    }

    /// The key itself, for a program that needs no reader.
    ///
    /// # Errors
    /// `card-failed` for a damaged file.
    pub fn key(&self) -> Result<CardKey, Refusal> {
        CardKey::from_pkcs8(&octets(&self.key)?).map_err(|no| Refusal::CardFailed(no.to_string()))
    }

    fn above(&self, place: usize) -> Result<Vec<u8>, Refusal> {
        let missing = || Refusal::CardFailed("a certificate is missing".into());
        octets(self.above.get(place).ok_or_else(missing)?)
    }

    fn chain(&self) -> Result<[Vec<u8>; 3], Refusal> {
        Ok([self.certificate()?, self.above(0)?, self.above(1)?])
    }
}

/// A card that can go into a reader and come back with its counters.
#[derive(Debug)]
pub enum AnyCard {
    /// A My Number Card.
    Jpki(Box<JpkiCard>),
    /// An HPKI card.
    Hpki(Box<HpkiCard>),
}

impl Kept {
    /// The card itself.
    ///
    /// # Errors
    /// `card-failed` for a damaged file.
    pub fn card(&self) -> Result<AnyCard, Refusal> {
        Ok(match self {
            Self::Jpki { auth, sign, auth_pin, sign_pin } => {
                AnyCard::Jpki(Box::new(JpkiCard::new(
                    (auth.key()?, auth.certificate()?, auth.above(0)?),
                    (sign.key()?, sign.certificate()?, sign.above(0)?),
                    auth_pin.clone(),
                    sign_pin.clone(),
                )))
            }
            Self::Hpki { layout, signing, authentication, signing_pin, authentication_pin } => {
                AnyCard::Hpki(Box::new(HpkiCard::new(
                    HpkiApplication::signing(
                        *layout,
                        signing.key()?,
                        signing.chain()?,
                        signing_pin.clone(),
                    ),
                    HpkiApplication::authentication(
                        *layout,
                        authentication.key()?,
                        authentication.chain()?,
                        authentication_pin.clone(),
                    ),
                )))
            }
        })
    }

    /// Takes over the counters of the card that was in the reader.
    pub fn remember(&mut self, card: &AnyCard) {
        match (self, card) {
            (Self::Jpki { auth_pin, sign_pin, .. }, AnyCard::Jpki(card)) => {
                (auth_pin.left, sign_pin.left) = (card.auth_pin.left, card.sign_pin.left);
            }
            (Self::Hpki { signing_pin, authentication_pin, .. }, AnyCard::Hpki(card)) => {
                let [signing, authentication] = &card.applications;
                (signing_pin.left, authentication_pin.left) =
                    (signing.pin.left, authentication.pin.left);
            }
            _ => {}
        }
    }
}

impl Card for AnyCard {
    fn atr(&self) -> &[u8] {
        match self {
            Self::Jpki(card) => card.atr(),
            Self::Hpki(card) => card.atr(),
        }
    }

    fn reset(&mut self) {
        match self {
            Self::Jpki(card) => card.reset(),
            Self::Hpki(card) => card.reset(),
        }
    }

    fn transmit(&mut self, command: &[u8]) -> Vec<u8> {
        match self {
            Self::Jpki(card) => card.transmit(command),
            Self::Hpki(card) => card.transmit(command),
        }
    }
}
