//! The device's own fixed threads, fed from one bounded queue. No async runtime is involved: the
//! caller learns of the end through the closure it handed in.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use hpki::sign::DeviceFault;

/// Work to be done, or to be told that it will not be.
type Job = Box<dyn FnOnce(Result<(), DeviceFault>) + Send>;

/// More waiting than this means that the device stands still.
const LONGEST: usize = 65_536;

struct State {
    jobs: VecDeque<Job>,
    open: bool,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

/// Threads and their queue. Dropping it answers what still waits with a fault and lets the threads
/// end by themselves: a device that hangs must not hang whoever closes it.
pub(crate) struct Queue {
    shared: Arc<Shared>,
}

impl Queue {
    pub(crate) fn start(threads: usize) -> Result<Self, DeviceFault> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State { jobs: VecDeque::new(), open: true }),
            wake: Condvar::new(),
        });
        let queue = Self { shared };
        for number in 0..threads.max(1) {
            let shared = Arc::clone(&queue.shared);
            thread::Builder::new()
                .name(format!("hsm-{number}"))
                .spawn(move || work(&shared))
                .map_err(|error| DeviceFault(format!("no thread for the device: {error}")))?;
        }
        Ok(queue)
    }

    /// Queues the work; it is called with a fault, on this thread, if the queue is full.
    pub(crate) fn push(&self, job: Job) {
        let mut state = lock(&self.shared.state);
        if state.jobs.len() >= LONGEST {
            drop(state);
            job(Err(DeviceFault("the device queue is full".into())));
            return;
        }
        state.jobs.push_back(job);
        drop(state);
        self.shared.wake.notify_one();
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.open = false;
        let left = std::mem::take(&mut state.jobs);
        drop(state);
        self.shared.wake.notify_all();
        for job in left {
            job(Err(DeviceFault("the device was closed".into())));
        }
    }
}

fn work(shared: &Shared) {
    loop {
        let mut state = lock(&shared.state);
        let job = loop {
            if let Some(job) = state.jobs.pop_front() {
                break job;
            }
            if !state.open {
                return;
            }
            state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        drop(state);
        // A panic belongs to the one caller whose closure it was; its own channel tells it by
        // being dropped. The thread stays for the others.
        let _ = catch_unwind(AssertUnwindSafe(|| job(Ok(()))));
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn work_is_done_once_each_and_a_panic_does_not_stop_the_rest() {
        let queue = Queue::start(2).unwrap();
        let (tell, told) = mpsc::channel();
        for number in 0..100 {
            let tell = tell.clone();
            queue.push(Box::new(move |ready| {
                ready.unwrap();
                assert_ne!(number, 50, "one caller panics");
                tell.send(number).unwrap();
            }));
        }
        drop(tell);
        let mut done: Vec<i32> = told.iter().collect();
        done.sort_unstable();
        assert_eq!(done, (0..100).filter(|&number| number != 50).collect::<Vec<_>>());
    }

    #[test]
    fn what_still_waits_when_the_device_closes_is_answered() {
        let queue = Queue::start(1).unwrap();
        let (tell, told) = mpsc::channel();
        let (hold, held) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        queue.push(Box::new(move |_| {
            begin.send(()).unwrap();
            let _ = held.recv();
        }));
        begun.recv().unwrap();
        queue.push(Box::new(move |ready| tell.send(ready.is_err()).unwrap()));
        drop(queue);
        assert!(told.recv().unwrap());
        drop(hold);
    }
}
