//! The HPKI cards of the town: one in the hospital's reader, one in the pharmacy's. The chips are the
//! town's, handed to the gateway's reader in this process; with pcscd `azukari card insert` puts the
//! same kind of card behind the real thing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ca::{Authority, CardApplication, CardOrder};
use gateway::reader::{Cards, Chip, Commands, InProcess};
use hpki::sign::Sign as _;
use town::card::{AnyCard, Card as _, CardKey, HpkiCard, Kept, KeptKey, Layout, Pin};
use town::people::{Facility, HANAKO, HOSPITAL, JIRO, PHARMACY, Person};

use super::prepare::{Citizen, subscriber};
use crate::clock::now;
use crate::platform::Platform;
use crate::runtime::Stop;

/// The PIN of both applications of every card of the town.
pub(crate) const PIN: &str = "hpki-1234";

/// Whose card lies in which facility's reader.
const READERS: [(&Facility, &Person); 2] = [(&HOSPITAL, &HANAKO), (&PHARMACY, &JIRO)];

/// Whether this person has a card.
pub(crate) fn has_one(person: &Person) -> bool {
    READERS.iter().any(|(_, holder)| holder.slug == person.slug)
}

/// Where her card is while no reader has it.
pub(super) fn file(home: &Path, person: &Person) -> PathBuf {
    home.join("cards").join(format!("hpki-card-{}.json", person.slug))
}

/// Makes a card for this citizen: two keys inside it, each with its certificate.
pub(crate) async fn make(rooms: &Platform, home: &Path, citizen: &Citizen) -> Result<(), Stop> {
    let (signing, authentication) = (
        key(rooms, citizen, CardApplication::Signing).await?,
        key(rooms, citizen, CardApplication::Authentication).await?,
    );
    let layout = match citizen.person.authority {
        town::people::Authority::Jma => Layout::Jma,
        _ => Layout::Example,
    };
    let pin = || Pin::new(PIN, HpkiCard::TRIES);
    let (signing_pin, authentication_pin) = (pin(), pin());
    let card = Kept::Hpki { layout, signing, authentication, signing_pin, authentication_pin };
    crate::files::private_folder(&home.join("cards"))?;
    crate::files::private(&file(home, citizen.person), &serde_json::to_string(&card)?)?;
    Ok(())
}

async fn key(
    rooms: &Platform,
    citizen: &Citizen,
    application: CardApplication,
) -> Result<KeptKey, Stop> {
    let (key, person, at) = (CardKey::generate()?, citizen.person, now());
    let subscriber = subscriber(person, citizen.id, at);
    let authority = subscriber.authority;
    let order = CardOrder { subscriber, application, spki_der: key.spki_der().to_vec() };
    let own = rooms.ca.issue_card(&order, at).await?;
    let issuer = match application {
        CardApplication::Signing => Authority::Signing(authority),
        CardApplication::Authentication => Authority::Authentication(authority),
    };
    let issuer = rooms.ca.authority(issuer).await?;
    let root = rooms.ca.authority(Authority::Root).await?;
    let above = vec![issuer.der().to_vec(), root.der().to_vec()];
    Ok(KeptKey::new(&key, own.der().to_vec(), above))
}

/// The reader of this facility with its card in it, if it has one.
pub(crate) fn reader(home: &Path, facility: &Facility) -> Result<Option<Arc<dyn Cards>>, Stop> {
    let Some((_, holder)) = READERS.iter().find(|(with, _)| with.code == facility.code) else {
        return Ok(None);
    };
    let reader = InProcess::new("試験の町のリーダー (TEST reader)");
    reader.insert(chip(home, holder)?);
    Ok(Some(Arc::new(Commands::over(reader))))
}

/// This person's card, as the gateway's reader takes one.
pub(crate) fn chip(home: &Path, holder: &Person) -> Result<InTown, Stop> {
    let kept: Kept = serde_json::from_slice(&std::fs::read(file(home, holder))?)?;
    Ok(InTown(kept.card()?))
}

/// The town's chip, as the gateway's reader takes one.
pub(crate) struct InTown(pub(crate) AnyCard);

impl Chip for InTown {
    fn reset(&mut self) {
        self.0.reset();
    }

    fn transmit(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        Some(self.0.transmit(command))
    }
}
