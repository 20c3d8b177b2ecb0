//! The key that signs journal checkpoints, and the keyed hash that labels journal streams.

use std::fmt;
use std::sync::Arc;

use hpki::encoding::{Digest32, Statement};
use hpki::sign::{DeviceFault, Mac, Sign, SignatureAlgorithm};

use super::Opened;
use crate::device::{Held, Role};
use crate::refusal::{Failed, Refusal};

const NAME: &str = "log";

/// The desk of the journal, given to `ledger`: an Ed25519 key and a keyed hash.
pub struct LogDesk {
    opened: Arc<Opened>,
    held: Arc<dyn Held>,
}

impl fmt::Debug for LogDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogDesk")
    }
}

impl LogDesk {
    pub(super) fn new(opened: Arc<Opened>) -> Result<Self, Failed> {
        let algorithm = SignatureAlgorithm::Ed25519;
        let held = match opened.load_named(NAME, algorithm) {
            Err(Failed::Refused(Refusal::KeyUnknown(_))) => {
                opened.make_named(NAME, algorithm)?;
                opened.load_named(NAME, algorithm)?
            }
            other => other?,
        };
        Ok(Self { opened, held })
    }

    /// The desk as the two powers that `ledger` borrows.
    pub fn split(self) -> (Arc<dyn Sign>, Arc<dyn Mac>) {
        let both = Arc::new(self);
        (Arc::clone(&both) as Arc<dyn Sign>, both)
    }
}

impl Sign for LogDesk {
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::Ed25519
    }
    fn spki_der(&self) -> &[u8] {
        self.held.spki()
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, DeviceFault> {
        self.held.sign(message)
    }
}

impl Mac for LogDesk {
    fn mac(&self, statement: &Statement) -> Result<Digest32, DeviceFault> {
        self.opened.device.mac(Role::Log, statement)
    }
}
