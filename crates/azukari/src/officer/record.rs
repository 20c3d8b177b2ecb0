//! Who the officers of a device are: one public record for each set, beside the wrapped keys.
//!
//! It names the set before the device is open, so that a foreign share is refused at once, and
//! holds the check value by which a gathered secret is known before the device sees it. The
//! device's keyed hash seals it: a changed record is refused as soon as the device is open.

use std::path::{Path, PathBuf};

use hpki::encoding::Statement;
use hpki::sign::Mac;
use hpki::time::Timestamp;
use hsm::UnsealSecret;
use hsm::shares::{Duty, Set};
use serde::{Deserialize, Serialize};

use super::say;
use crate::runtime::Stop;

/// A set of officers, as its file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    v: u8,
    duty: String,
    set: String,
    need: u8,
    of: u8,
    /// Their names, in the order of their shares' numbers.
    pub(crate) officers: Vec<String>,
    appointed: u64,
    check: String,
    seal: String,
}

/// Where the record of this duty lies.
pub(crate) fn file(device: &Path, duty: Duty) -> PathBuf {
    device.join(format!("officers-{duty}.json"))
}

/// Where the record of those lies who are about to take over.
fn next(device: &Path, duty: Duty) -> PathBuf {
    device.join(format!("officers-{duty}-next.json"))
}

/// The records of this duty: of the officers in charge, and of those who were about to take over
/// when somebody died. Which of them open the device, the device says.
pub(crate) fn all(device: &Path, duty: Duty) -> Result<Vec<Record>, Stop> {
    let read = [file(device, duty), next(device, duty)].map(|file| Record::read_file(&file, duty));
    let mut records = Vec::new();
    for record in read {
        records.extend(record?);
    }
    Ok(records)
}

/// The device was opened by the officers of this set: they are in charge, whoever else was about to
/// be or has been.
pub(crate) fn settle(device: &Path, set: Set) -> Result<(), Stop> {
    let next = next(device, set.duty());
    let Some(coming) = Record::read_file(&next, set.duty())? else { return Ok(()) };
    if coming.set() == Some(set) {
        std::fs::rename(&next, file(device, set.duty()))?;
    } else {
        std::fs::remove_file(&next)?;
    }
    crate::files::sync_folder(&next)?;
    Ok(())
}

impl Record {
    /// A new record, sealed.
    pub(crate) fn new(
        set: Set,
        secret: &UnsealSecret,
        officers: Vec<String>,
        now: Timestamp,
        seals: &dyn Mac,
    ) -> Result<Self, Stop> {
        let mut record = Self {
            v: 1,
            duty: set.duty().name().to_owned(),
            set: set.to_string(),
            need: set.need(),
            of: set.of(),
            officers,
            appointed: now.seconds(),
            check: hex::encode(set.check_value(secret)?),
            seal: String::new(),
        };
        record.seal = hex::encode(seals.mac(&record.statement())?);
        Ok(record)
    }

    fn read_file(file: &Path, duty: Duty) -> Result<Option<Self>, Stop> {
        let broken = |what: String| {
            say::refused("officers-record-broken", format!("{}: {what}", file.display()))
        };
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(broken(error.to_string())),
        };
        let record: Self =
            serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
        let set = record.set().ok_or_else(|| broken("set".into()))?;
        if set.duty() != duty || record.officers.len() != usize::from(set.of()) {
            return Err(broken("duty or number of officers".into()));
        }
        Ok(Some(record))
    }

    /// Puts it in the place of whatever was there.
    pub(crate) fn write(&self, device: &Path, duty: Duty) -> Result<(), Stop> {
        let text = serde_json::to_string_pretty(self)?;
        crate::files::replace(&file(device, duty), &format!("{text}\n"))?;
        Ok(())
    }

    /// Puts it beside the record of those in charge, until they have handed over.
    pub(crate) fn write_next(&self, device: &Path, duty: Duty) -> Result<(), Stop> {
        let text = serde_json::to_string_pretty(self)?;
        crate::files::replace(&next(device, duty), &format!("{text}\n"))?;
        Ok(())
    }

    /// The set.
    pub(crate) fn set(&self) -> Option<Set> {
        let id = hex::decode(&self.set).ok()?.try_into().ok()?;
        Set::from_parts(Duty::from_name(&self.duty)?, id, self.need, self.of).ok()
    }

    /// The officer of this share.
    pub(crate) fn officer(&self, index: u8) -> &str {
        let place = usize::from(index).checked_sub(1);
        place.and_then(|place| self.officers.get(place)).map_or("?", String::as_str)
    }

    /// Whether this is the set's secret.
    pub(crate) fn is_secret(&self, secret: &UnsealSecret) -> Result<bool, Stop> {
        let Some(set) = self.set() else { return Ok(false) };
        let told = hex::decode(&self.check).unwrap_or_default();
        let own = set.check_value(secret)?;
        Ok(aws_lc_rs::constant_time::verify_slices_are_equal(&own, &told).is_ok())
    }

    /// Refused: `officers-record-broken`, where it is not the one that this device sealed.
    pub(crate) fn is_sealed(&self, seals: &dyn Mac) -> Result<(), Stop> {
        let seal = hex::decode(&self.seal).unwrap_or_default();
        if seals.check(&self.statement(), &seal)? {
            Ok(())
        } else {
            Err(say::refused("officers-record-broken", format!("officers-{}.json", self.duty)))
        }
    }

    fn statement(&self) -> Statement {
        Statement::new("azukari/seal/v1")
            .text("officers")
            .text(&self.duty)
            .text(&self.set)
            .number(self.need.into())
            .number(self.of.into())
            .list(&self.officers)
            .number(self.appointed)
            .text(&self.check)
    }
}
