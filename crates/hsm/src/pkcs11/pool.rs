//! The sessions of one line: one for each call under way, as many as the token has.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use cryptoki::error::{Error, RvError};

/// Sessions that are lent and come back.
pub(super) struct Pool<S> {
    state: Mutex<State<S>>,
    returned: Condvar,
}

struct State<S> {
    idle: Vec<S>,
    /// Idle and lent together; never none.
    open: usize,
    most: usize,
    /// Who waits for one to come back.
    #[cfg(test)]
    waiting: usize,
}

impl<S> Pool<S> {
    /// With its first session, and at most so many.
    pub(super) fn new(first: S, most: usize) -> Self {
        let state = State {
            idle: vec![first],
            open: 1,
            most,
            #[cfg(test)]
            waiting: 0,
        };
        Self { state: Mutex::new(state), returned: Condvar::new() }
    }

    /// An idle session, or another one, or, where there can be no other, the next that comes back.
    pub(super) fn take(&self, open: impl Fn() -> Result<S, Error>) -> Result<S, Error> {
        let mut state = self.lock();
        loop {
            if let Some(session) = state.idle.pop() {
                return Ok(session);
            }
            if state.open >= state.most {
                state = self.wait(state);
                continue;
            }
            state.open += 1;
            drop(state);
            let opened = open();
            state = self.lock();
            match opened {
                Ok(session) => return Ok(session),
                // The token has fewer sessions than it says; make do with those.
                Err(Error::Pkcs11(RvError::SessionCount, _)) if state.open > 1 => {
                    state.open -= 1;
                    state.most = state.open;
                }
                Err(error) => {
                    state.open -= 1;
                    // Whoever waits may have better luck.
                    self.returned.notify_one();
                    return Err(error);
                }
            }
        }
    }

    pub(super) fn give_back(&self, session: S) {
        self.lock().idle.push(session);
        self.returned.notify_one();
    }

    /// Those that are idle, to be closed.
    pub(super) fn drain(&self) -> Vec<S> {
        std::mem::take(&mut self.lock().idle)
    }

    #[cfg(not(test))]
    fn wait<'a>(&self, state: MutexGuard<'a, State<S>>) -> MutexGuard<'a, State<S>> {
        self.returned.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn wait<'a>(&self, mut state: MutexGuard<'a, State<S>>) -> MutexGuard<'a, State<S>> {
        state.waiting += 1;
        let mut state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki::context::Function;

    fn fails(code: RvError) -> impl Fn() -> Result<u32, Error> + Copy {
        move || Err(Error::Pkcs11(code, Function::OpenSession))
    }

    /// Another thread asks while the only session is lent; when it waits, the session comes back.
    fn waits_for_the_one(pool: &Pool<u32>, open: impl Fn() -> Result<u32, Error> + Send) {
        let lent = pool.take(|| panic!("the first one is idle")).unwrap();
        std::thread::scope(|scope| {
            let other = scope.spawn(move || pool.take(open));
            while pool.lock().waiting == 0 {
                assert!(!other.is_finished(), "it did not wait: {:?}", other.join());
                std::thread::yield_now();
            }
            pool.give_back(lent);
            let session = other.join().unwrap().unwrap();
            assert_eq!(session, lent);
            pool.give_back(session);
        });
    }

    #[test]
    fn with_one_session_the_second_caller_waits_for_the_first() {
        waits_for_the_one(&Pool::new(7, 1), || panic!("the token has no more than one"));
    }

    #[test]
    fn a_token_with_fewer_sessions_than_it_says_is_made_do_with() {
        let pool = Pool::new(7, 256);
        waits_for_the_one(&pool, fails(RvError::SessionCount));
        // Nor is it asked again.
        waits_for_the_one(&pool, || panic!("it has said how many it has"));
    }

    #[test]
    fn another_error_is_told_and_the_next_caller_may_open_one() {
        let pool = Pool::new(7, 2);
        let first = pool.take(fails(RvError::DeviceError)).unwrap();
        let told = pool.take(fails(RvError::DeviceError));
        assert!(matches!(told, Err(Error::Pkcs11(RvError::DeviceError, _))), "{told:?}");
        let second = pool.take(|| Ok(8)).unwrap();
        assert_eq!((first, second), (7, 8));
        // Two are all: the third caller would wait.
        pool.give_back(second);
        assert_eq!(pool.take(|| panic!("the token has no more than two")).unwrap(), second);
        pool.give_back(second);
        assert_eq!(pool.drain(), [second]);
    }
}
