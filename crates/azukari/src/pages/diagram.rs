//! What travelled, from where to where: the messages of one step, laid out in lanes.

use serde::{Deserialize, Serialize};

use super::Lang;
use super::demo::Text;

/// A place that a message leaves or reaches, in the order in which lanes stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    /// The terminal with the electronic health record, in the hospital.
    Ehr,
    /// The hospital's gateway.
    Gateway,
    /// The pharmacy's terminal with its receipt computer.
    PharmacyEhr,
    /// The pharmacy's gateway.
    PharmacyGateway,
    /// The platform: authentication and custody.
    Platform,
    /// The key device inside the platform.
    KeyDevice,
    /// The owner's phone, which never joins the facility's network.
    Phone,
    /// The prescription management service.
    Service,
    /// Anyone who verifies.
    Verifier,
}

impl Place {
    fn name(self, lang: Lang) -> &'static str {
        // A zero-width space where a narrow lane may break the name.
        let (ja, en) = match self {
            Self::Phone => ("スマホ", "Phone"),
            Self::Ehr => ("電子\u{200b}カルテ", "EHR"),
            Self::Gateway => ("病院\u{200b}ゲート\u{200b}ウェイ", "Hospital gateway"),
            Self::PharmacyEhr => ("薬局\u{200b}レセコン", "Pharmacy system"),
            Self::PharmacyGateway => ("薬局\u{200b}ゲート\u{200b}ウェイ", "Pharmacy gateway"),
            Self::Platform => ("鍵預かり\u{200b}基盤", "Azukari platform"),
            Self::KeyDevice => ("鍵装置", "Key device"),
            Self::Service => ("処方箋\u{200b}管理\u{200b}サービス", "Prescrip\u{ad}tion service"),
            Self::Verifier => ("検証者", "Verifier"),
        };
        lang.of(ja, en)
    }

    /// Who is responsible there; lanes are coloured by it.
    fn side(self) -> &'static str {
        match self {
            Self::Phone => "person",
            Self::Ehr | Self::Gateway | Self::PharmacyEhr | Self::PharmacyGateway => "facility",
            Self::Platform | Self::KeyDevice => "platform",
            Self::Service | Self::Verifier => "outside",
        }
    }
}

/// One message that travelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Travel {
    /// Where it came from.
    pub(crate) from: Place,
    /// Where it went.
    pub(crate) to: Place,
    /// What it was, in a few words.
    pub(crate) label: Text,
    /// Its content type, or the protocol where there is none.
    pub(crate) content_type: String,
    /// The content as text, secrets already left out by whoever records it.
    pub(crate) content: String,
    /// Its whole size in octets.
    pub(crate) size: u64,
}

/// The most of a message that a page carries; the rest is in the files that the demo writes.
const SHOWN: usize = 24 * 1024;

/// One lane of the diagram.
pub(super) struct Lane {
    pub(super) name: &'static str,
    pub(super) side: &'static str,
    /// Whether the wall of the facility stands between the lane before and this one.
    pub(super) wall: bool,
}

/// One arrow of the diagram, with its message.
pub(super) struct Arrow {
    /// 1-based lane where it begins on the left side, and how many lanes it covers.
    pub(super) start: usize,
    pub(super) span: usize,
    /// `right`, `left`, or `here` where a place talks to itself.
    pub(super) direction: &'static str,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) label: String,
    pub(super) content_type: String,
    pub(super) content: String,
    pub(super) shortened: bool,
    pub(super) size: String,
}

/// The diagram of one step.
pub(super) struct Diagram {
    pub(super) lanes: Vec<Lane>,
    pub(super) arrows: Vec<Arrow>,
}

impl Diagram {
    /// Whether something of a facility and something outside it appear.
    pub(super) fn has_wall(&self) -> bool {
        self.lanes.iter().any(|lane| lane.wall)
    }

    pub(super) fn of(travelled: &[Travel], lang: Lang) -> Self {
        let mut places: Vec<Place> =
            travelled.iter().flat_map(|travel| [travel.from, travel.to]).collect();
        places.sort_unstable();
        places.dedup();
        let lane = |place| places.iter().position(|it| *it == place).unwrap_or(0) + 1;
        let arrows = travelled
            .iter()
            .map(|travel| {
                let (from, to) = (lane(travel.from), lane(travel.to));
                let (content, shortened) = shorten(&travel.content);
                Arrow {
                    start: from.min(to),
                    span: from.abs_diff(to) + 1,
                    direction: match from.cmp(&to) {
                        std::cmp::Ordering::Less => "right",
                        std::cmp::Ordering::Greater => "left",
                        std::cmp::Ordering::Equal => "here",
                    },
                    from: travel.from.name(lang),
                    to: travel.to.name(lang),
                    label: travel.label.pick(lang).to_owned(),
                    content_type: travel.content_type.clone(),
                    content,
                    shortened,
                    size: size(travel.size),
                }
            })
            .collect();
        let mut before = "";
        let lanes = places
            .iter()
            .map(|place| {
                let side = place.side();
                let wall = before == "facility" && side != "facility";
                before = side;
                Lane { name: place.name(lang), side, wall }
            })
            .collect();
        Self { lanes, arrows }
    }
}

fn shorten(content: &str) -> (String, bool) {
    if content.len() <= SHOWN {
        return (content.to_owned(), false);
    }
    let mut end = SHOWN;
    while !content.is_char_boundary(end) {
        end -= 1;
    }
    (content.get(..end).unwrap_or_default().to_owned(), true)
}

/// `32 B`, `1.4 kB`: small sizes exactly, since they are the point.
pub(super) fn size(octets: u64) -> String {
    if octets < 1000 {
        format!("{octets} B")
    } else {
        format!("{}.{} kB", octets / 1000, octets % 1000 / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn travel(from: Place, to: Place) -> Travel {
        Travel {
            from,
            to,
            label: Text::new("はい", "yes"),
            content_type: String::new(),
            content: String::new(),
            size: 32,
        }
    }

    #[test]
    fn arrows_run_between_the_lanes_that_appear_and_no_others() {
        let diagram = Diagram::of(
            &[
                travel(Place::Gateway, Place::Platform),
                travel(Place::Platform, Place::Platform),
                travel(Place::Service, Place::Gateway),
            ],
            Lang::Ja,
        );
        assert_eq!(diagram.lanes.len(), 3);
        let shape: Vec<_> =
            diagram.arrows.iter().map(|it| (it.start, it.span, it.direction)).collect();
        assert_eq!(shape, [(1, 2, "right"), (2, 1, "here"), (1, 3, "left")]);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let (text, shortened) = shorten(&"鍵".repeat(SHOWN));
        assert!(shortened && text.len() <= SHOWN && text.chars().all(|c| c == '鍵'));
    }

    #[test]
    fn sizes_are_exact_while_they_are_small() {
        assert_eq!(size(32), "32 B");
        assert_eq!(size(1468), "1.4 kB");
    }
}
