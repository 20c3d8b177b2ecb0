//! A card in a virtual reader: the protocol of vpcd, pcscd's driver for readers that do not exist.
//!
//! The driver listens; the card connects. Each message has its length before it (two octets, big
//! endian). One octet is a control (0 power off, 1 power on, 2 reset, 4 "your ATR?"), anything longer
//! a command APDU; only the ATR and answers are sent back.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::Card;

/// Where Debian's vpcd listens for the card of its first reader.
pub const PORT: u16 = 35_963;

/// A card that is in the reader until this is dropped: then it is pulled out, whatever is going on.
#[derive(Debug)]
pub struct Inserted<C> {
    card: Arc<Mutex<C>>,
    stream: TcpStream,
    serving: Option<JoinHandle<()>>,
}

/// Puts a card into the reader behind this address.
///
/// # Errors
/// If nobody listens there.
pub fn insert<C: Card + 'static>(card: C, reader: SocketAddr) -> std::io::Result<Inserted<C>> {
    let stream = TcpStream::connect(reader)?;
    stream.set_nodelay(true)?;
    let card = Arc::new(Mutex::new(card));
    let (mut reader, inside) = (stream.try_clone()?, Arc::clone(&card));
    // The reader hangs up, or the card is pulled out: either ends the thread.
    let serving = std::thread::spawn(move || while serve_one(&mut reader, &inside).is_ok() {});
    Ok(Inserted { card, stream, serving: Some(serving) })
}

fn serve_one<C: Card>(reader: &mut TcpStream, card: &Mutex<C>) -> std::io::Result<()> {
    let mut length = [0; 2];
    reader.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    reader.read_exact(&mut message)?;
    let mut card = card.lock().unwrap_or_else(PoisonError::into_inner);
    let reply = match message.as_slice() {
        [0..=2] => {
            card.reset();
            return Ok(());
        }
        [4] => card.atr().to_vec(),
        command => card.transmit(command),
    };
    let length = u16::try_from(reply.len()).map_err(std::io::Error::other)?;
    reader.write_all(&[&length.to_be_bytes(), reply.as_slice()].concat())
}

impl<C> Inserted<C> {
    /// Looks at the card in the reader.
    pub fn look<T>(&self, at: impl FnOnce(&C) -> T) -> T {
        at(&self.card.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the reader still holds it: pcscd may have ended.
    pub fn is_in(&self) -> bool {
        self.serving.as_ref().is_some_and(|serving| !serving.is_finished())
    }
}

impl<C> Drop for Inserted<C> {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}
