//! How long a group of writes waits for more of them to share its commit.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

/// At most. Somebody may keep a receipt for long.
const MOST: Duration = Duration::from_millis(4);

/// Callers who have a receipt in hand are at work and will come again soon. As long as not twice as
/// many wait for the writer as are at work, the processor has better to do than to commit, and
/// whoever waits a little longer shares one commit, one sync of the disk and one checkpoint with
/// more of them. With nobody at work nobody waits, so the processor is never idle for this.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    at_work: AtomicUsize,
    waiting: AtomicUsize,
    asleep: AtomicBool,
    writer: OnceLock<Thread>,
}

impl Gathering {
    fn enough(&self) -> bool {
        self.waiting.load(SeqCst) >= 2 * self.at_work.load(SeqCst)
    }

    /// Whoever changed one of the numbers wakes the writer if that was what it waited for.
    fn knock(&self) {
        // The writer falls asleep before it looks at the numbers; we change them before we look
        // whether it sleeps. So one of us sees the other.
        if self.asleep.load(SeqCst)
            && self.enough()
            && self.asleep.swap(false, SeqCst)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    /// Somebody's unit of work is on its way to the queue.
    pub(crate) fn comes(&self) {
        self.waiting.fetch_add(1, SeqCst);
        self.knock();
    }

    /// So many of them left the queue.
    pub(crate) fn taken(&self, count: usize) {
        self.waiting.fetch_sub(count, SeqCst);
    }

    /// The writer waits here.
    pub(crate) fn wait(&self) {
        self.writer.get_or_init(thread::current);
        // A wake-up that came too late for the last wait ends the first round at once.
        for _ in 0..2 {
            self.asleep.store(true, SeqCst);
            if !self.enough() {
                thread::park_timeout(MOST);
            }
            self.asleep.store(false, SeqCst);
            if self.enough() {
                return;
            }
        }
    }
}

/// A receipt that somebody has in hand: he is at work as long as it lives.
pub(crate) struct InHand(Arc<Gathering>);

impl InHand {
    pub(crate) fn new(gathering: &Arc<Gathering>) -> Self {
        gathering.at_work.fetch_add(1, SeqCst);
        Self(Arc::clone(gathering))
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(1, SeqCst);
        self.0.knock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_large_enough_when_twice_as_many_wait_as_are_at_work() {
        let gathering = Arc::new(Gathering::default());
        gathering.comes();
        assert!(gathering.enough(), "nobody is at work");
        let receipt = InHand::new(&gathering);
        assert!(!gathering.enough(), "he will come again");
        gathering.comes();
        assert!(gathering.enough());
        gathering.taken(1);
        assert!(!gathering.enough());
        drop(receipt);
        assert!(gathering.enough(), "he has gone");
    }

    #[test]
    fn whoever_makes_a_group_large_enough_wakes_the_writer() {
        let gathering = Arc::new(Gathering::default());
        let receipts: Vec<_> = (0..8).map(|_| InHand::new(&gathering)).collect();
        let writer = Arc::clone(&gathering);
        let writer = thread::spawn(move || writer.wait());
        while !gathering.asleep.load(SeqCst) && !writer.is_finished() {
            thread::yield_now();
        }
        drop(receipts);
        writer.join().unwrap();
        assert!(!gathering.asleep.load(SeqCst));
    }
}
