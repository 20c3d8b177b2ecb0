//! A photograph as it stands on a card: PNG (ISO/IEC 15948) or JPEG (ITU-T T.81), small enough for a
//! page on a phone, and without what a camera writes beside it (place, time, device).
//!
//! Only its frame is read here: pieces, their lengths and order, width and height. The pixels are
//! decoded where they are shown.

use crate::refusal::Refusal;

/// The largest photograph, in octets.
pub const PHOTO_MOST: usize = 40 * 1024;
/// Width and height, in pixels.
const SIDES: std::ops::RangeInclusive<u32> = 96..=1_200;

/// What a picture is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhotoFormat {
    /// ISO/IEC 15948
    Png,
    /// ITU-T T.81
    Jpeg,
}

impl PhotoFormat {
    const ALL: [Self; 2] = [Self::Png, Self::Jpeg];

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
        }
    }

    pub(crate) fn named(media_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.media_type() == media_type)
    }
}

/// A photograph that may stand on a card.
#[derive(Clone, PartialEq, Eq)]
pub struct Photo {
    /// What it is written in.
    pub format: PhotoFormat,
    /// The file, without what a camera wrote beside the picture.
    pub octets: Vec<u8>,
}

impl std::fmt::Debug for Photo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Photo({}, {} octets)", self.format.media_type(), self.octets.len())
    }
}

impl Photo {
    /// Reads a file.
    ///
    /// # Errors
    /// `photo-malformed`; `photo-too-large` if it is, also without what a camera wrote.
    pub fn read(file: &[u8]) -> Result<Self, Refusal> {
        // Camera data is cut away before the size is judged, but nobody sends megabytes.
        if file.len() > 16 * PHOTO_MOST {
            return Err(Refusal::PhotoTooLarge(file.len()));
        }
        let (format, octets) = match file {
            [0x89, b'P', b'N', b'G', ..] => (PhotoFormat::Png, png(file)?),
            [0xff, 0xd8, 0xff, ..] => (PhotoFormat::Jpeg, jpeg(file)?),
            _ => return Err(Refusal::PhotoMalformed("neither PNG nor JPEG")),
        };
        match octets.len() {
            0..=PHOTO_MOST => Ok(Self { format, octets }),
            octets => Err(Refusal::PhotoTooLarge(octets)),
        }
    }
}

const SHORT: Refusal = Refusal::PhotoMalformed("it ends too early");

fn take<'a>(rest: &mut &'a [u8], octets: usize) -> Result<&'a [u8], Refusal> {
    let (taken, after) = rest.split_at_checked(octets).ok_or(SHORT)?;
    *rest = after;
    Ok(taken)
}

fn number(octets: &[u8]) -> u32 {
    octets.iter().fold(0, |number, octet| number << 8 | u32::from(*octet))
}

fn sides(width: u32, height: u32) -> Result<(), Refusal> {
    match SIDES.contains(&width) && SIDES.contains(&height) {
        true => Ok(()),
        false => Err(Refusal::PhotoMalformed("its sides are not 96 to 1,200 pixels")),
    }
}

/// The chunks that a picture needs (critical ones, and a palette's transparency).
fn png(file: &[u8]) -> Result<Vec<u8>, Refusal> {
    const MARK: &[u8] = b"\x89PNG\r\n\x1a\n";
    let mut rest = file.strip_prefix(MARK).ok_or(Refusal::PhotoMalformed("not a PNG"))?;
    let mut kept = MARK.to_vec();
    let mut first = true;
    loop {
        let whole = rest;
        let length = number(take(&mut rest, 4)?) as usize;
        let name = take(&mut rest, 4)?;
        let content = take(&mut rest, length)?;
        take(&mut rest, 4)?;
        if first != (name == b"IHDR") || (first && length != 13) {
            return Err(Refusal::PhotoMalformed("a PNG begins with its one header"));
        }
        if first {
            sides(number(&content[..4]), number(&content[4..8]))?;
        }
        first = false;
        match name {
            b"IHDR" | b"PLTE" | b"IDAT" | b"IEND" | b"tRNS" => {
                kept.extend_from_slice(&whole[..12 + length]);
            }
            // An ancillary chunk (lower-case first letter) may be left out.
            [letter, ..] if letter.is_ascii_lowercase() => {}
            _ => return Err(Refusal::PhotoMalformed("a PNG chunk that nobody knows")),
        }
        if name == b"IEND" {
            return if rest.is_empty() { Ok(kept) } else { Err(TRAILING) };
        }
    }
}

const TRAILING: Refusal = Refusal::PhotoMalformed("something stands behind the picture");

/// The segments that a picture needs; application data and comments are left out.
fn jpeg(file: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut rest = file.get(2..).ok_or(SHORT)?;
    let mut kept = vec![0xff, 0xd8];
    let mut framed = false;
    loop {
        let whole = rest;
        let [0xff, marker] = take(&mut rest, 2)? else {
            return Err(Refusal::PhotoMalformed("a JPEG segment without its marker"));
        };
        let length = number(take(&mut rest, 2)?) as usize;
        let content = take(&mut rest, length.checked_sub(2).ok_or(SHORT)?)?;
        match marker {
            // SOF0–SOF2: baseline, extended, progressive, with Huffman codes.
            0xc0..=0xc2 => {
                let [_, size @ ..] = content else { return Err(SHORT) };
                let size = size.get(..4).ok_or(SHORT)?;
                sides(number(&size[2..]), number(&size[..2]))?;
                framed = true;
            }
            // DHT, DQT, DRI
            0xc4 | 0xdb | 0xdd => {}
            // SOS: from here to the end stand the pixels.
            0xda if framed => break scanned(whole, kept),
            // APP0–APP15 and comments.
            0xe0..=0xef | 0xfe => continue,
            _ => return Err(Refusal::PhotoMalformed("a JPEG of a kind that browsers do not show")),
        }
        kept.extend_from_slice(&whole[..2 + length]);
    }
}

fn scanned(scan: &[u8], mut kept: Vec<u8>) -> Result<Vec<u8>, Refusal> {
    let end = scan.windows(2).position(|pair| pair == [0xff, 0xd9]).ok_or(SHORT)? + 2;
    if end != scan.len() {
        return Err(TRAILING);
    }
    kept.extend_from_slice(scan);
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&length[..], name, content, &[0; 4]].concat()
    }

    fn head(width: u32, height: u32) -> Vec<u8> {
        [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat()
    }

    fn a_png(width: u32, more: &[Vec<u8>]) -> Vec<u8> {
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        file.extend(chunk(b"IHDR", &head(width, 320)));
        file.extend(more.concat());
        file.extend(chunk(b"IDAT", b"pixels"));
        file.extend(chunk(b"IEND", b""));
        file
    }

    fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
        [&[0xff, marker][..], &length, content].concat()
    }

    fn a_jpeg(more: &[Vec<u8>]) -> Vec<u8> {
        let mut file = vec![0xff, 0xd8];
        file.extend(more.concat());
        file.extend(segment(0xc0, &[8, 1, 64, 0, 240, 3, 0, 0, 0]));
        file.extend(segment(0xda, &[1, 2, 3]));
        file.extend(b"pixels\xff\x00\xff\xd9");
        file
    }

    #[test]
    fn what_a_camera_writes_beside_the_picture_is_cut_away() {
        let place = chunk(b"eXIf", b"35.6N 139.7E");
        let read = Photo::read(&a_png(240, &[place])).unwrap();
        assert_eq!((read.format, read.octets), (PhotoFormat::Png, a_png(240, &[])));
        let (place, comment) = (segment(0xe1, b"Exif\0\0 35.6N"), segment(0xfe, b"my phone"));
        let read = Photo::read(&a_jpeg(&[place, comment])).unwrap();
        assert_eq!((read.format, read.octets), (PhotoFormat::Jpeg, a_jpeg(&[])));
    }

    #[test]
    fn each_wrong_picture_is_refused_and_none_makes_us_stumble() {
        let behind = |mut file: Vec<u8>| {
            file.push(0);
            file
        };
        let wrong = [
            b"GIF89a".to_vec(),
            Vec::new(),
            a_png(95, &[]),
            a_png(1_201, &[]),
            a_png(240, &[chunk(b"IHDR", &head(240, 320))]),
            a_png(240, &[chunk(b"NEWS", b"")]),
            behind(a_png(240, &[])),
            behind(a_jpeg(&[])),
            a_jpeg(&[segment(0xc9, b"arithmetic")]),
            vec![0xff, 0xd8, 0xff],
        ];
        for file in wrong {
            assert!(matches!(Photo::read(&file), Err(Refusal::PhotoMalformed(_))), "{file:?}");
        }
        for whole in [a_png(240, &[]), a_jpeg(&[])] {
            assert!(Photo::read(&whole).is_ok());
            for end in 0..whole.len() {
                assert!(matches!(Photo::read(&whole[..end]), Err(Refusal::PhotoMalformed(_))));
            }
        }
        let large = a_png(240, &[chunk(b"PLTE", &vec![0; PHOTO_MOST])]);
        assert!(matches!(Photo::read(&large), Err(Refusal::PhotoTooLarge(_))));
        assert!(matches!(Photo::read(&vec![0; 1 << 20]), Err(Refusal::PhotoTooLarge(1_048_576))));
    }
}
