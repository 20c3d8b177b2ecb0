//! Cards for stories, whose keys sign without a reader.

use ca::{CardApplication, CardOrder};
use hpki::sign::Sign as _;
use town::card::{CardKey, Kept};
use town::jpki::{Jpki, Resident};
use town::people::Person;

use crate::clock::now;
use crate::demo::prepare::{Citizen, authority_of, organization_of};
use crate::platform::Platform;

/// A card's authentication key, and its certificate as DER.
pub(super) struct MadeCard {
    pub(super) authentication: CardKey,
    pub(super) certificate: Vec<u8>,
}

/// The authentication application of a certified person's HPKI card.
pub(super) async fn hpki(rooms: &Platform, citizen: &Citizen) -> MadeCard {
    let (authentication, person) = (CardKey::generate().unwrap(), citizen.person);
    let order = CardOrder {
        authority: authority_of(person),
        application: CardApplication::Authentication,
        person: citizen.id,
        spki_der: authentication.spki_der().to_vec(),
        name_romaji: person.romaji.to_owned(),
        name_ja: person.name_ja.to_owned(),
        organization: Some(organization_of(person)),
        subject_serial: person.display_id.to_owned(),
        qualification: person.qualification,
        valid_from: now(),
    };
    let certificate = rooms.ca.issue_card(&order, now()).await.unwrap().der().to_vec();
    MadeCard { authentication, certificate }
}

/// A My Number Card of a made-up resident.
pub(super) fn my_number(jpki: &Jpki, person: &Person) -> MadeCard {
    let resident = Resident {
        name: person.name_ja,
        gender: 3,
        birth_date: person.birth_date,
        address: "架空県架空市架空町一丁目",
    };
    let kept = jpki.card(&resident, "1234", "TEST123", now(), &hsm::SystemRandom).unwrap();
    let Kept::Jpki { auth, .. } = &kept else { panic!("a My Number Card") };
    MadeCard { authentication: auth.key().unwrap(), certificate: auth.certificate().unwrap() }
}
