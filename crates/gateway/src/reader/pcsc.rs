//! PC/SC: the readers of the operating system (pcsc-lite on Linux, and what Windows and macOS have).

use std::ffi::CString;

use pcsc::{
    Card, Context, Disposition, Error, Protocols, ReaderState, Scope, ShareMode, State, Transaction,
};

use super::{CardLine, CardReader, CardRefusal, Stay};

/// No answer of a card is longer: extended length with its status.
const ANSWER_MAX: usize = 65_536 + 2;

/// The readers of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct PcSc;

/// What an error of PC/SC means to whoever holds the card.
fn refusal(error: Error) -> CardRefusal {
    match error {
        Error::NoSmartcard | Error::UnknownReader | Error::ReaderUnavailable => {
            CardRefusal::Missing
        }
        // Reset by another program: it could have been another card, so it counts as one.
        Error::RemovedCard | Error::ResetCard => CardRefusal::Removed,
        Error::SharingViolation => CardRefusal::InUse,
        Error::Timeout => CardRefusal::Slow,
        Error::UnresponsiveCard | Error::UnpoweredCard | Error::UnsupportedCard => {
            CardRefusal::Unknown
        }
        other => CardRefusal::ReaderUnavailable(other.to_string()),
    }
}

fn connect(reader: &str) -> Result<Card, CardRefusal> {
    // A context for each turn: one that outlives the service is of no use any more.
    let context = Context::establish(Scope::User).map_err(refusal)?;
    let name = CString::new(reader).map_err(|_| CardRefusal::Missing)?;
    context.connect(&name, ShareMode::Shared, Protocols::ANY).map_err(refusal)
}

impl CardReader for PcSc {
    fn readers(&self) -> Result<Vec<String>, CardRefusal> {
        let context = Context::establish(Scope::User).map_err(refusal)?;
        match context.list_readers_owned() {
            Ok(names) => Ok(names.iter().map(|name| name.to_string_lossy().into_owned()).collect()),
            Err(Error::NoReadersAvailable) => Ok(Vec::new()),
            Err(error) => Err(refusal(error)),
        }
    }

    fn talk(
        &self,
        reader: &str,
        talk: &mut dyn FnMut(&mut dyn CardLine) -> Result<(), CardRefusal>,
    ) -> Result<(), CardRefusal> {
        let mut card = connect(reader)?;
        let transaction = card.transaction().map_err(refusal)?;
        let mut line = Line { transaction, answer: vec![0; ANSWER_MAX] };
        let outcome = talk(&mut line);
        // Before anybody else can talk with it, nothing is verified any more.
        let Line { transaction, .. } = line;
        let ended = transaction.end(Disposition::ResetCard).map_err(|(_, error)| refusal(error));
        // Of two troubles the first is told: a card that was taken out cannot be reset either, and
        // has lost its power.
        outcome.and(ended)
    }

    fn stay(&self, reader: &str) -> Result<Box<dyn Stay>, CardRefusal> {
        let times = times(reader)?;
        let card = connect(reader)?;
        Ok(Box::new(Stays { card, reader: reader.to_owned(), times }))
    }
}

/// How often a card was put in or taken out, as far as the system counts (macOS does not).
fn times(reader: &str) -> Result<u32, CardRefusal> {
    let context = Context::establish(Scope::User).map_err(refusal)?;
    let name = CString::new(reader).map_err(|_| CardRefusal::Missing)?;
    let mut states = [ReaderState::new(name, State::UNAWARE)];
    context.get_status_change(std::time::Duration::ZERO, &mut states).map_err(refusal)?;
    Ok(states[0].event_count())
}

struct Line<'c> {
    transaction: Transaction<'c>,
    answer: Vec<u8>,
}

impl CardLine for Line<'_> {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardRefusal> {
        let answer = self.transaction.transmit(command, &mut self.answer).map_err(refusal)?;
        Ok(answer.to_vec())
    }
}

/// A connection that breaks when its card is taken out, and stays broken when one is put in again;
/// and the system's own count, since a reset by another program hides the breaking.
struct Stays {
    card: Card,
    reader: String,
    times: u32,
}

impl Stays {
    fn is_connected(&mut self) -> bool {
        match self.card.status2_owned() {
            Ok(_) => true,
            // Each of our own turns ends with a reset; connecting again only takes note of it.
            Err(Error::ResetCard) => {
                let leave = Disposition::LeaveCard;
                self.card.reconnect(ShareMode::Shared, Protocols::ANY, leave).is_ok()
            }
            Err(_) => false,
        }
    }
}

impl Stay for Stays {
    fn is_there(&mut self) -> bool {
        self.is_connected() && times(&self.reader) == Ok(self.times)
    }
}
