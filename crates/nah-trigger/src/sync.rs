//! What threads meet at in a queue. In the crate's own tests loom interleaves it in every way there is.

#[cfg(not(test))]
pub(crate) use self::real::{Mutex, Notify};

#[cfg(test)]
pub(crate) use self::modelled::{Mutex, Notify};

#[cfg(not(test))]
mod real {
    pub(crate) use parking_lot::Mutex;
    pub(crate) use tokio::sync::Notify;
}

#[cfg(test)]
mod modelled {
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::futures::Notified;

    /// `loom::sync::Mutex` with the interface of `parking_lot::Mutex`.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    /// `tokio::sync::Notify`, of which loom sees every use.
    #[derive(Debug)]
    pub(crate) struct Notify {
        notify: tokio::sync::Notify,
        uses: AtomicUsize,
    }

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("nobody panics with the lock held")
        }
    }

    impl Notify {
        pub(crate) fn new() -> Self {
            Self { notify: tokio::sync::Notify::new(), uses: AtomicUsize::new(0) }
        }

        pub(crate) fn notified(&self) -> Notified<'_> {
            self.uses.fetch_add(1, Ordering::SeqCst);
            self.notify.notified()
        }

        pub(crate) fn notify_waiters(&self) {
            self.uses.fetch_add(1, Ordering::SeqCst);
            self.notify.notify_waiters();
        }
    }
}
