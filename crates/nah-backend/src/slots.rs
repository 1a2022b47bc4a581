//! The places of callbacks, of all kinds together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// As many callbacks run at once, of all kinds together. Whoever waits for a place gets one in his turn.
#[derive(Debug)]
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    /// How many wait for one.
    wanted: AtomicUsize,
}

/// One who waits, also one who does not wait to the end.
struct Wanting<'a>(&'a AtomicUsize);

impl Slots {
    pub(crate) fn new(callbacks_at_once: usize) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(callbacks_at_once.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { free, wanted: AtomicUsize::new(0) })
    }

    /// A place, in one's turn.
    pub(crate) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(slot) = self.free.clone().try_acquire_owned() {
            return Some(slot);
        }
        self.wanted.fetch_add(1, Relaxed);
        let _wanting = Wanting(&self.wanted);
        self.free.clone().acquire_owned().await.ok()
    }

    /// Whether somebody waits: whoever has a place gives it back then before he goes on.
    pub(crate) fn are_wanted(&self) -> bool {
        self.wanted.load(Relaxed) != 0
    }
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
