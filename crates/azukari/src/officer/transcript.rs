//! 儀式の記録: who did what when, for the custodian's own books. Its hash stands in the journal.
//! No secret ever stands in it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use hpki::encoding::{Digest32, sha256};
use hpki::id::StreamId;
use hpki::time::Timestamp;
use ledger::{Event, Failed, Ledger, Note};

use crate::runtime::Stop;

/// A transcript being written.
pub(crate) struct Transcript {
    act: &'static str,
    now: Timestamp,
    text: String,
}

impl Transcript {
    /// Begins one.
    pub(crate) fn begin(act: &'static str, ja: &str, now: Timestamp) -> Self {
        let mut text = String::from("# azukari 儀式の記録 (transcript) v1\n");
        let _ = writeln!(text, "手続 (act): {ja} ({act})\n時刻 (time): {}", now.rfc3339());
        Self { act, now, text }
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, what: &str, value: impl std::fmt::Display) {
        let value = value.to_string().replace(['\n', '\r'], " ");
        let _ = writeln!(self.text, "{what}: {value}");
    }

    /// SHA-256 of the text as it is.
    pub(crate) fn hash(&self) -> Digest32 {
        sha256(self.text.as_bytes())
    }

    /// Leaves it in the platform's folder, under its time and act.
    pub(crate) fn leave(&self, platform: &Path) -> Result<PathBuf, Stop> {
        let folder = platform.join("officers");
        crate::files::private_folder(&folder)?;
        let time: String =
            self.now.rfc3339().chars().filter(|c| c.is_ascii_alphanumeric()).collect();
        let name = format!("{time}-{}-{}.txt", self.act, &hex::encode(self.hash())[..8]);
        let file = folder.join(name);
        crate::files::private(&file, &self.text)?;
        Ok(file)
    }

    /// Leaves it, and has the journal remember its hash in the officers' stream.
    pub(crate) async fn remember(
        &self,
        platform: &Path,
        ledger: &Ledger,
        event: Event,
    ) -> Result<PathBuf, Stop> {
        let file = self.leave(platform)?;
        let mut record = ledger::Record::new(event, stream(), self.now);
        record.evidence = Some(self.hash());
        let recorded = ledger
            .record(move |_| Ok::<_, Failed<std::convert::Infallible>>(((), Note(record.clone()))))
            .await;
        match recorded {
            Ok(_) => Ok(file),
            Err(Failed::Fault(fault)) => Err(fault.into()),
            Err(Failed::Refused(never)) => match never {},
        }
    }
}

/// The journal stream of the officers' acts.
pub(crate) fn stream() -> StreamId {
    let digest = hpki::encoding::Statement::new("azukari/officers/stream/v1").digest();
    let mut octets = [0; 16];
    octets.copy_from_slice(&digest[..16]);
    StreamId::from_octets(octets)
}
