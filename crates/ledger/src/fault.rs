//! What can break, and the two ways a unit of work can end badly.

use hpki::sign::DeviceFault;

/// We or a device broke. Nobody outside can act on it: outside it is only a reference number.
///
/// It can be cloned because one failed commit is the failure of everybody in its group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The database engine failed or refused a statement (text of the engine).
    #[error("the store failed: {0}")]
    Store(String),
    /// A row did not have the shape that the statement promised.
    #[error("a row is not what was expected: {0}")]
    Row(String),
    /// The code of a room asked for something that it must not or cannot ask.
    #[error("misuse of the store: {0}")]
    Misuse(String),
    /// The device that signs checkpoints or keys the streams failed.
    #[error(transparent)]
    Device(#[from] DeviceFault),
    /// The entry is durable, but no checkpoint over it could be signed. Ask again: the next
    /// checkpoint covers it.
    #[error("recorded, but no checkpoint could be signed: {0}")]
    Unproven(String),
    /// The file that keeps the head of the journal outside the database could not be written.
    #[error("the journal head could not be kept: {0}")]
    Head(String),
    /// A unit of work panicked; it was rolled back.
    #[error("a unit of work panicked")]
    Panicked,
    /// The writer has stopped; whether the last group was committed is known only after a restart.
    #[error("the store has stopped")]
    Stopped,
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.to_string())
    }
}

/// How a unit of work can end badly: the rules said no, or something broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed<E> {
    /// The rules say no, and someone can act.
    #[error(transparent)]
    Refused(E),
    /// We or a device broke.
    #[error("{0}")]
    Fault(Fault),
}

impl<E> From<Fault> for Failed<E> {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl<E> From<DeviceFault> for Failed<E> {
    fn from(fault: DeviceFault) -> Self {
        Self::Fault(Fault::Device(fault))
    }
}

impl<E> Failed<E> {
    /// The same failure with its refusal translated.
    pub fn map<O>(self, translate: impl FnOnce(E) -> O) -> Failed<O> {
        match self {
            Self::Refused(refusal) => Failed::Refused(translate(refusal)),
            Self::Fault(fault) => Failed::Fault(fault),
        }
    }
}
