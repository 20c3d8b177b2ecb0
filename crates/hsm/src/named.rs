//! The keys that live with the device under a name: a folder of wrapped keys, each with its public
//! key, which the wrapped form names by hash.

use std::path::{Path, PathBuf};

use crate::blob::{self, Blob};
use crate::files;
use crate::refusal::Refusal;

const ENDING: &str = "azkb";

/// A key under a name: its blob, and its public key as DER SubjectPublicKeyInfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) wrapped: Vec<u8>,
    pub(crate) spki: Vec<u8>,
}

impl Named {
    /// As it is kept: the blob, and the public key behind it.
    pub(crate) fn octets(&self) -> Vec<u8> {
        [&*self.wrapped, &*self.spki].concat()
    }

    pub(crate) fn parse(mut octets: Vec<u8>) -> Result<Self, Refusal> {
        let length = blob::length(&octets).ok_or(Refusal::BlobBroken)?;
        let spki = octets.split_off(length);
        Blob::parse(&octets).ok_or(Refusal::BlobBroken)?;
        Ok(Self { wrapped: octets, spki })
    }
}

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct NamedKeys {
    folder: PathBuf,
}

impl NamedKeys {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    fn path(&self, name: &str) -> Result<PathBuf, Refusal> {
        let fits = (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits {
            Ok(self.folder.join(format!("{name}.{ENDING}")))
        } else {
            Err(Refusal::KeyNameMalformed(name.into()))
        }
    }

    /// Reads a key.
    pub(crate) fn read(&self, name: &str) -> Result<Named, Refusal> {
        match std::fs::read(self.path(name)?) {
            Ok(octets) => Named::parse(octets),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Refusal::KeyUnknown(name.into()))
            }
            Err(error) => Err(self.unusable(&error)),
        }
    }

    /// Keeps a key under a new name, durably.
    pub(crate) fn write(&self, name: &str, named: &Named) -> Result<(), Refusal> {
        if self.path(name)?.exists() {
            return Err(Refusal::KeyExists(name.into()));
        }
        self.replace(name, named)
    }

    /// Keeps the key anew; after a power cut the former or the new one is there.
    pub(crate) fn replace(&self, name: &str, named: &Named) -> Result<(), Refusal> {
        files::write_atomically(&self.path(name)?, &named.octets())
            .map_err(|error| self.unusable(&error))
    }

    /// The names that begin so, sorted.
    pub(crate) fn names(&self, beginning: &str) -> Result<Vec<String>, Refusal> {
        let broke = |error: std::io::Error| self.unusable(&error);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(broke)? {
            let file = entry.map_err(broke)?.file_name();
            let name = file.to_str().and_then(|file| file.strip_suffix(".azkb"));
            if let Some(name) = name.filter(|name| name.starts_with(beginning)) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Removes a key for good.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Refusal> {
        files::remove(&self.path(name)?).map_err(|error| self.unusable(&error))
    }

    fn unusable(&self, error: &std::io::Error) -> Refusal {
        Refusal::VaultUnusable(format!("{}: {error}", self.folder.display()))
    }
}
