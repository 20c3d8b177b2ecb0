//! Work that is not given up halfway.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Work that runs on its caller's task, and goes on by itself if the caller stops waiting.
///
/// Gives `None` if the work panicked.
pub(crate) struct CarryOn<F: Future + Send + 'static>(Option<Pin<Box<F>>>)
where
    F::Output: Send;

impl<F: Future + Send + 'static> CarryOn<F>
where
    F::Output: Send,
{
    pub(crate) fn new(work: F) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl<F: Future + Send + 'static> Future for CarryOn<F>
where
    F::Output: Send,
{
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Out of its place while it runs: what has panicked is not run again.
        let Some(mut work) = self.0.take() else { return Poll::Ready(None) };
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(Poll::Pending) => {
                self.0 = Some(work);
                Poll::Pending
            }
            Ok(Poll::Ready(done)) => Poll::Ready(Some(done)),
            Err(_) => Poll::Ready(None),
        }
    }
}

impl<F: Future + Send + 'static> Drop for CarryOn<F>
where
    F::Output: Send,
{
    fn drop(&mut self) {
        // Where the runtime itself is ending, recovery closes what was begun.
        if let (Some(work), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::sync::{Notify, oneshot};

    #[tokio::test]
    async fn work_that_was_begun_goes_on_when_nobody_waits_for_it() {
        let (begun, go, ended) =
            (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()), oneshot::channel());
        let (tell, told) = ended;
        let (flag, gate) = (Arc::clone(&begun), Arc::clone(&go));
        let mut work = Box::pin(CarryOn::new(async move {
            flag.store(true, Ordering::SeqCst);
            gate.notified().await;
            tell.send("done").unwrap();
        }));
        let once =
            std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context).is_pending()));
        assert!(once.await && begun.load(Ordering::SeqCst));
        drop(work);
        go.notify_one();
        assert_eq!(told.await, Ok("done"));
    }

    #[tokio::test]
    async fn a_panic_is_told_and_not_run_again() {
        assert_eq!(CarryOn::new(async { 7 }).await, Some(7));
        let panics = CarryOn::new(async {
            tokio::task::yield_now().await;
            panic!("in the middle");
        });
        assert_eq!(panics.await, None::<()>);
    }
}
