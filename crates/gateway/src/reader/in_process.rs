//! A reader in this process, for chips that are software: the town's, in its demo and in tests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{CardLine, CardReader, CardRefusal, Stay};

/// What stands for the chip of a card.
pub trait Chip: Send {
    /// Power was taken: nothing is selected, no PIN is verified.
    fn reset(&mut self);
    /// Answers one command; `None` if the card was pulled out while it worked.
    fn transmit(&mut self, command: &[u8]) -> Option<Vec<u8>>;
}

/// The reader. Clones are handles to the same one.
#[derive(Clone)]
pub struct InProcess {
    name: Arc<str>,
    slot: Arc<Mutex<Inserted>>,
}

#[derive(Default)]
struct Inserted {
    chip: Option<Box<dyn Chip>>,
    /// How often a card was put in.
    times: u64,
}

impl InProcess {
    /// An empty reader of this name.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), slot: Arc::default() }
    }

    fn slot(&self) -> MutexGuard<'_, Inserted> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a card in, in place of one that is there.
    pub fn insert(&self, chip: impl Chip + 'static) {
        let mut slot = self.slot();
        slot.chip = Some(Box::new(chip));
        slot.times += 1;
    }

    /// Takes the card out.
    pub fn remove(&self) {
        self.slot().chip = None;
    }

    fn times(&self) -> Option<u64> {
        let slot = self.slot();
        slot.chip.is_some().then_some(slot.times)
    }
}

impl CardReader for InProcess {
    fn readers(&self) -> Result<Vec<String>, CardRefusal> {
        Ok(vec![self.name.to_string()])
    }

    fn talk(
        &self,
        reader: &str,
        talk: &mut dyn FnMut(&mut dyn CardLine) -> Result<(), CardRefusal>,
    ) -> Result<(), CardRefusal> {
        let mut slot = self.slot();
        if reader != &*self.name || slot.chip.is_none() {
            return Err(CardRefusal::Missing);
        }
        let outcome = talk(&mut *slot);
        if let Some(chip) = &mut slot.chip {
            chip.reset();
        }
        outcome
    }

    fn stay(&self, reader: &str) -> Result<Box<dyn Stay>, CardRefusal> {
        if reader != &*self.name {
            return Err(CardRefusal::Missing);
        }
        let times = self.times().ok_or(CardRefusal::Missing)?;
        Ok(Box::new(Stays { reader: self.clone(), times }))
    }
}

impl CardLine for Inserted {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardRefusal> {
        let chip = self.chip.as_mut().ok_or(CardRefusal::Removed)?;
        let answer = chip.transmit(command);
        if answer.is_none() {
            self.chip = None;
        }
        answer.ok_or(CardRefusal::Removed)
    }
}

struct Stays {
    reader: InProcess,
    times: u64,
}

impl Stay for Stays {
    fn is_there(&mut self) -> bool {
        self.reader.times() == Some(self.times)
    }
}
