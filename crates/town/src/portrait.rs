//! The photographs of the town's people: drawn shapes with 見本 TEST across them, like nobody alive.

use crate::people::Person;

macro_rules! portraits {
    ($($slug:literal),* $(,)?) => {
        &[$(($slug, include_bytes!(concat!("../portraits/", $slug, ".png")) as &[u8])),*]
    };
}

const PORTRAITS: &[(&str, &[u8])] =
    portraits!("hanako", "jiro", "misaki", "haruko", "natsuo", "akiko", "fuyuo");

/// A person's photograph, as she would have handed it in with her application: PNG.
pub fn portrait(person: &Person) -> Option<&'static [u8]> {
    let found = PORTRAITS.iter().find(|(slug, _)| *slug == person.slug);
    found.map(|(_, octets)| *octets)
}
