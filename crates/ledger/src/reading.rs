//! Reading beside the writer: several connections, each read over one consistent state.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::engine::Connection;
use crate::fault::{Failed, Fault};
use crate::tx::Tx;

/// Reading connections.
pub(crate) const READERS: usize = 3;

pub(crate) enum Readers {
    /// Lent to whoever reads, on the reader's own thread: the engine is in this process, and a
    /// point read takes microseconds.
    Lent { pool: Mutex<Vec<Connection>>, permits: Semaphore },
    /// Each on its own thread, where it may wait for its server.
    Threads { queue: Option<mpsc::UnboundedSender<Errand>>, threads: Vec<JoinHandle<()>> },
}

type Errand = Box<dyn FnOnce(&Connection) + Send>;

impl Readers {
    pub(crate) fn new(connections: Vec<Connection>) -> Result<Self, Fault> {
        if !connections.iter().any(Connection::is_shared) {
            let permits = Semaphore::new(connections.len());
            return Ok(Self::Lent { pool: Mutex::new(connections), permits });
        }
        let (queue, waiting) = mpsc::unbounded_channel::<Errand>();
        let waiting = Arc::new(Mutex::new(waiting));
        let start = |connection: Connection| {
            let waiting = Arc::clone(&waiting);
            let work = move || {
                // The lock is held while waiting: whoever has it takes the next errand.
                let next =
                    || waiting.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
                while let Some(errand) = next() {
                    errand(&connection);
                }
            };
            std::thread::Builder::new()
                .name("ledger-reader".into())
                .spawn(work)
                .map_err(|error| Fault::Store(format!("no thread for a reader: {error}")))
        };
        let threads = connections.into_iter().map(start).collect::<Result<_, Fault>>()?;
        Ok(Self::Threads { queue: Some(queue), threads })
    }

    pub(crate) async fn read<T, E>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> Result<T, Failed<E>> + Send + 'static,
    ) -> Result<T, Failed<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let over = move |connection: &Connection| {
            let read = |connection: &Connection| work(&mut Tx::bare(connection));
            connection.snapshot(read).unwrap_or_else(|fault| Err(Failed::Fault(fault)))
        };
        match self {
            Self::Lent { pool, permits } => {
                let _permit = permits.acquire().await.map_err(|_| Fault::Stopped)?;
                let connection = pool.lock().unwrap_or_else(PoisonError::into_inner).pop();
                // Back into the pool even if the work panics.
                let lent = Lent { connection, pool };
                over(lent.connection.as_ref().ok_or(Fault::Stopped)?)
            }
            Self::Threads { queue, .. } => {
                let (reply, answer) = oneshot::channel();
                let errand: Errand = Box::new(move |connection| {
                    let done = catch_unwind(AssertUnwindSafe(|| over(connection)));
                    let answer = done.unwrap_or_else(|_| {
                        let _ = connection.roll_back();
                        Err(Failed::Fault(Fault::Panicked))
                    });
                    // Whoever asked may have gone.
                    let _ = reply.send(answer);
                });
                queue.as_ref().and_then(|queue| queue.send(errand).ok()).ok_or(Fault::Stopped)?;
                answer.await.unwrap_or(Err(Failed::Fault(Fault::Stopped)))
            }
        }
    }

    /// Lets go of every connection.
    pub(crate) fn close(&mut self) {
        match self {
            Self::Lent { pool, .. } => {
                pool.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
            }
            Self::Threads { queue, threads } => {
                *queue = None;
                for thread in threads.drain(..) {
                    // The last handle may have travelled into an errand and die on its thread.
                    if thread.thread().id() != std::thread::current().id() {
                        let _ = thread.join();
                    }
                }
            }
        }
    }
}

struct Lent<'a> {
    connection: Option<Connection>,
    pool: &'a Mutex<Vec<Connection>>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.extend(self.connection.take());
    }
}
