//! Cards for stories, whose keys sign without a reader.

use ca::{CardApplication, CardOrder};
use hpki::sign::Sign as _;
use town::card::{CardKey, Kept};
use town::jpki::{Jpki, Resident};
use town::people::Person;

use crate::clock::now;
use crate::demo::prepare::{Citizen, subscriber};
use crate::platform::Platform;

/// A card's authentication key, and its certificate as DER.
pub(super) struct MadeCard {
    pub(super) authentication: CardKey,
    pub(super) certificate: Vec<u8>,
}

/// The authentication application of a certified person's HPKI card.
pub(super) async fn hpki(rooms: &Platform, citizen: &Citizen) -> MadeCard {
    let authentication = CardKey::generate().unwrap();
    let order = CardOrder {
        subscriber: subscriber(citizen.person, citizen.id, now()),
        application: CardApplication::Authentication,
        spki_der: authentication.spki_der().to_vec(),
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
