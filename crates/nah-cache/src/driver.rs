//! The work of a factory, as tasks for somebody to run.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::{Stream, future::BoxFuture};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::CacheError;

/// Yields one future per informer and handler. Spawn each, or [`run`](Self::run) them all on one task.
///
/// Nothing is asked of the server before the driver is polled. It ends when the factory is stopped, and so does every
/// future that it yielded.
pub struct Driver {
    tasks: UnboundedReceiver<BoxFuture<'static, ()>>,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// Hands tasks to the [`Driver`].
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    tasks: UnboundedSender<BoxFuture<'static, ()>>,
    stop: CancellationToken,
}

/// Tasks and the driver that yields them.
pub(crate) fn tasks() -> (Tasks, Driver) {
    let (sender, receiver) = unbounded_channel();
    let stop = CancellationToken::new();
    let stopped = Box::pin(stop.clone().cancelled_owned());
    (Tasks { tasks: sender, stop }, Driver { tasks: receiver, stopped })
}

impl Driver {
    /// Runs every task on the caller's, until the factory is stopped.
    #[doc(alias = "RunWithContext")]
    pub fn run(mut self) -> BoxFuture<'static, ()> {
        async move {
            let mut running = FuturesUnordered::new();
            loop {
                tokio::select! {
                    // So that what a seed has made happen once happens again.
                    biased;
                    task = self.next() => match task {
                        Some(task) => running.push(AssertUnwindSafe(task).catch_unwind()),
                        None => break,
                    },
                    Some(ended) = running.next() => report(ended),
                }
            }
            while let Some(ended) = running.next().await {
                report(ended);
            }
        }
        .boxed()
    }
}

fn report(ended: std::thread::Result<()>) {
    if ended.is_err() {
        tracing::error!("a task of the cache panicked");
    }
}

impl Stream for Driver {
    type Item = BoxFuture<'static, ()>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.stopped.as_mut().poll(cx).is_ready() {
            self.tasks.close();
            // What was queued and never ran is dropped here, not with the last handle of the factory.
            while self.tasks.try_recv().is_ok() {}
            return Poll::Ready(None);
        }
        self.tasks.poll_recv(cx)
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl Tasks {
    /// Queues a task, which ends when the factory is stopped.
    ///
    /// # Errors
    /// [`CacheError::Stopped`] once the factory is stopped, or its driver is gone.
    pub(crate) fn submit(&self, task: BoxFuture<'static, ()>) -> Result<(), CacheError> {
        if self.is_stopped() {
            return Err(CacheError::Stopped);
        }
        let stop = self.stop.clone();
        let task = async move { _ = stop.run_until_cancelled_owned(task).await }.boxed();
        self.tasks.send(task).map_err(|_| CacheError::Stopped)
    }

    /// Ends the driver and every task.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Ends with the factory.
    pub(crate) fn token(&self) -> CancellationToken {
        self.stop.child_token()
    }
}
