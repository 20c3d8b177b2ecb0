//! The morning by card: each prepared person gets an HPKI card, or a My Number Card that is linked by
//! it, and answers as a card in the terminal's reader does.
//!
//! All cards hold one key. What verifying costs does not depend on whose key it is, and making two
//! thousand RSA keys would take longer than the measurement.

use std::path::Path;
use std::sync::Arc;

use approval::CardMeans;
use ca::{CardApplication, CardOrder, Organization, SigningAuthority, Subscriber};
use clap::ValueEnum;
use hpki::Certificate;
use hpki::sign::Sign as _;
use hsm::SystemRandom;
use town::card::{CardKey, Kept};
use town::jpki::{Jpki, Resident};
use wire::{Base64, CardActName, CardBeginRequest, CardFinishRequest};

use super::estate::{FACILITY, Signatory};
use crate::clock::now;
use crate::config::PlatformConfig;
use crate::flows::{self, by_card, deliver};
use crate::platform::{Platform, open};
use crate::runtime::Stop;

/// By which means everybody authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Means {
    /// スマートフォン
    Phone,
    /// HPKI カード
    Hpki,
    /// マイナンバーカード
    Jpki,
}

impl Means {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Hpki => "hpki",
            Self::Jpki => "jpki",
        }
    }
}

/// A card out of the reader.
pub(super) struct Card {
    pub(super) means: CardMeans,
    pub(super) certificate: Vec<u8>,
    pub(super) key: Arc<CardKey>,
}

/// Cards for these persons, in their order.
pub(super) async fn issue(
    config: &Path,
    persons: &[Signatory],
    means: CardMeans,
) -> Result<Vec<Card>, Stop> {
    let home = config.parent().unwrap_or(Path::new("."));
    let jpki = Jpki::found(now(), &SystemRandom)?;
    if means == CardMeans::Jpki {
        believe(config, home, &jpki)?;
    }
    let platform = open::open(PlatformConfig::load(config)?).await?;
    // A folder that was kept has lists of the day when it was made.
    platform.ca.issue_crls(now()).await?;
    by_card::refresh_trust(&platform).await.map_err(|trouble| trouble.to_string())?;
    let key = Arc::new(CardKey::generate().map_err(|fault| fault.to_string())?);
    let mut cards = Vec::with_capacity(persons.len());
    for person in persons {
        let hpki = hpki(&platform, person, &key).await?;
        cards.push(match means {
            CardMeans::Hpki => hpki,
            CardMeans::Jpki => link(&platform, &hpki, &jpki).await?,
        });
    }
    deliver::all(&platform, now()).await.map_err(|trouble| trouble.to_string())?;
    Ok(cards)
}

/// The platform believes this authority of My Number Cards from its next start.
fn believe(config: &Path, home: &Path, jpki: &Jpki) -> Result<(), Stop> {
    let [auth, _] = jpki.certificates();
    std::fs::write(home.join("jpki-auth-ca.pem"), Certificate::from_der(auth)?.pem())?;
    std::fs::write(home.join("jpki.crl"), jpki.auth_list(1, &[], now())?)?;
    let text = std::fs::read_to_string(config)?;
    if !text.contains("[platform.jpki]") {
        let more = "\n[platform.jpki]\nauthority = \"jpki-auth-ca.pem\"\nlist = \"jpki.crl\"\n";
        std::fs::write(config, text + more)?;
    }
    Ok(())
}

/// Her HPKI card: holder, number and qualification as in the certificate of her kept key.
async fn hpki(platform: &Platform, person: &Signatory, key: &Arc<CardKey>) -> Result<Card, Stop> {
    let kept = Certificate::from_der(&person.certificate)?;
    let order = CardOrder {
        subscriber: Subscriber {
            authority: SigningAuthority::Medis,
            person: person.person,
            name_romaji: kept.common_name().unwrap_or_default().to_owned(),
            name_ja: kept.name_ja().unwrap_or_default().to_owned(),
            organization: Some(Organization {
                romaji: FACILITY.name_en.to_owned(),
                ja: FACILITY.name_ja.to_owned(),
            }),
            subject_serial: kept.subject_serial_number().unwrap_or_default().to_owned(),
            qualification: kept.qualification().ok_or("資格がありません (no qualification)")?,
            valid_from: now(),
        },
        application: CardApplication::Authentication,
        spki_der: key.spki_der().to_vec(),
    };
    let certificate = platform.ca.issue_card(&order, now()).await?.der().to_vec();
    Ok(Card { means: CardMeans::Hpki, certificate, key: Arc::clone(key) })
}

/// A My Number Card, linked by the HPKI card as its holder does at home. Beside a phone it could not
/// be, so the phone is reported lost.
async fn link(platform: &Platform, hpki: &Card, jpki: &Jpki) -> Result<Card, Stop> {
    let resident = Resident {
        name: "計測\u{3000}試験",
        gender: 3,
        birth_date: "19800102",
        address: "架空県架空市",
    };
    let kept = jpki.card(&resident, "1234", "TEST123", now(), &SystemRandom)?;
    let Kept::Jpki { auth, .. } = &kept else { return Err("not a My Number Card".into()) };
    let card = Card {
        means: CardMeans::Jpki,
        certificate: auth.certificate()?,
        key: Arc::new(auth.key()?),
    };
    at_home(platform, hpki, CardActName::Loss, None).await?;
    at_home(platform, hpki, CardActName::LinkJpki, Some(&card)).await?;
    Ok(card)
}

/// What the holder of an HPKI card does at home.
async fn at_home(
    platform: &Platform,
    hpki: &Card,
    act: CardActName,
    second: Option<&Card>,
) -> Result<(), Stop> {
    let request = CardBeginRequest {
        means: "hpki".into(),
        certificate: Base64(hpki.certificate.clone()),
        act,
        card: second.map(|card| Base64(card.certificate.clone())),
    };
    let refused = |trouble: crate::http::problem::Trouble| Stop::from(trouble.to_string());
    let asked = flows::at_home::begin(platform, request, now()).await.map_err(refused)?;
    let sign = |card: &Card| card.key.sign(&asked.challenge.0).map_err(|fault| fault.to_string());
    let finish = CardFinishRequest {
        visit: asked.visit.clone(),
        signature: Base64(sign(hpki)?),
        card_signature: second.map(sign).transpose()?.map(Base64),
    };
    flows::at_home::finish(platform, finish, now()).await.map_err(refused)?;
    Ok(())
}
