//! The way to a card at the level of commands (ISO 7816-4).

use super::CardRefusal;

/// Readers that pass commands on.
pub trait CardReader: Send + Sync {
    /// The names of all readers, with or without a card.
    ///
    /// # Errors
    /// `card-reader-unavailable`
    fn readers(&self) -> Result<Vec<String>, CardRefusal>;

    /// Talks with the card in this reader while no other program can. Afterwards the card is reset,
    /// however the talk ended: nothing stays selected or verified.
    ///
    /// # Errors
    /// `card-missing`, `card-in-use`, `card-removed` …, and those of the talk.
    fn talk(
        &self,
        reader: &str,
        talk: &mut dyn FnMut(&mut dyn CardLine) -> Result<(), CardRefusal>,
    ) -> Result<(), CardRefusal>;

    /// Notices, from now on, whether the card in this reader was taken out.
    ///
    /// # Errors
    /// `card-missing` …
    fn stay(&self, reader: &str) -> Result<Box<dyn Stay>, CardRefusal>;
}

/// One card that listens.
pub trait CardLine {
    /// Sends a command; gives data and status of the answer.
    ///
    /// # Errors
    /// `card-removed` …
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardRefusal>;
}

/// A card that was in a reader.
pub trait Stay: Send {
    /// Whether it has been there all the time.
    fn is_there(&mut self) -> bool;
}
