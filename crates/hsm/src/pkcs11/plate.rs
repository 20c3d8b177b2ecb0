//! Which token the wrapped keys of a folder belong to: one small file.

use std::path::Path;

use hpki::encoding::sha256;

use super::unusable;
use crate::files;
use crate::refusal::Refusal;

/// The token that is in charge.
pub(super) const FILE: &str = "device.azkd";
/// The token that custody is about to move to.
pub(super) const NEXT: &str = "device-next.azkd";
/// The token that custody came from, until its keys are destroyed.
pub(super) const BEFORE: &str = "device-before.azkd";
const MAGIC: &[u8; 5] = b"AZKD\x01";

/// A token's label and serial number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plate {
    pub(super) label: String,
    pub(super) serial: String,
}

impl Plate {
    pub(super) fn new(label: &str, serial: &str) -> Self {
        Self { label: label.into(), serial: serial.into() }
    }

    /// Reads the file of this name; `None` where there is none.
    pub(super) fn read(folder: &Path, name: &str) -> Result<Option<Self>, Refusal> {
        match std::fs::read(folder.join(name)) {
            Ok(file) => {
                Self::parse(&file).map(Some).ok_or_else(|| Refusal::VaultBroken(name.into()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable(folder, &error)),
        }
    }

    /// Writes it, in the place of whatever was there.
    pub(super) fn write(&self, folder: &Path, name: &str) -> Result<(), Refusal> {
        let mut file = MAGIC.to_vec();
        for text in [&self.label, &self.serial] {
            file.extend_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_be_bytes());
            file.extend_from_slice(text.as_bytes());
        }
        let check = sha256(&file);
        file.extend_from_slice(&check);
        files::write_atomically(&folder.join(name), &file).map_err(|error| unusable(folder, &error))
    }

    fn parse(file: &[u8]) -> Option<Self> {
        let (body, check) = file.split_at_checked(file.len().checked_sub(32)?)?;
        let mut rest = body.strip_prefix(MAGIC)?;
        if check != sha256(body) {
            return None;
        }
        let mut text = || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (text, after) = after.split_at_checked(length)?;
            rest = after;
            String::from_utf8(text.to_vec()).ok()
        };
        let plate = Self { label: text()?, serial: text()? };
        rest.is_empty().then_some(plate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plate_is_read_as_it_was_written_and_a_damaged_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Plate::read(folder.path(), FILE), Ok(None));
        let plate = Plate::new("azukari", "0123456789abcdef");
        plate.write(folder.path(), FILE).unwrap();
        assert_eq!(Plate::read(folder.path(), FILE), Ok(Some(plate)));
        let path = folder.path().join(FILE);
        let mut octets = std::fs::read(&path).unwrap();
        octets[10] ^= 1;
        std::fs::write(&path, octets).unwrap();
        assert_eq!(Plate::read(folder.path(), FILE), Err(Refusal::VaultBroken(FILE.into())));
    }
}
