//! What threads meet at in a queue. In the crate's own tests loom interleaves it in every way there is.

#[cfg(not(test))]
pub(crate) use self::real::{Mutex, Notify};

#[cfg(test)]
pub(crate) use self::modelled::{Mutex, Notify};

#[cfg(not(test))]
mod real {
    pub(crate) use tokio::sync::Notify;

    #[cfg(not(debug_assertions))]
    pub(crate) use parking_lot::Mutex;

    #[cfg(debug_assertions)]
    pub(crate) use super::checked::Mutex;
}

#[cfg(all(debug_assertions, not(test)))]
mod checked {
    use std::{
        ops::{Deref, DerefMut},
        ptr,
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
    };

    use parking_lot::MutexGuard;

    /// A lock that panics where its own holder asks for it: a `Merge` that calls its queue would wait for itself, in
    /// silence.
    #[derive(Debug)]
    pub(crate) struct Mutex<T> {
        value: parking_lot::Mutex<T>,
        /// The thread that has it; zero is none.
        holder: AtomicUsize,
    }

    pub(crate) struct Held<'a, T> {
        value: MutexGuard<'a, T>,
        holder: &'a AtomicUsize,
    }

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self { value: parking_lot::Mutex::new(value), holder: AtomicUsize::new(0) }
        }

        pub(crate) fn lock(&self) -> Held<'_, T> {
            // Nobody but this thread writes what it compares with, and takes it away before it lets go of the lock.
            let here = here();
            let again = self.holder.load(Relaxed) == here;
            assert!(
                !again,
                "a queue was called from inside the Merge, Hash, Eq or Clone of its own causes or keys"
            );
            let value = self.value.lock();
            self.holder.store(here, Relaxed);
            Held { value, holder: &self.holder }
        }
    }

    /// A number that no other living thread has.
    fn here() -> usize {
        thread_local! { static HERE: u8 = const { 0 }; }
        HERE.with(|here| ptr::from_ref(here).addr())
    }

    impl<T> Deref for Held<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.value
        }
    }

    impl<T> DerefMut for Held<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.value
        }
    }

    impl<T> Drop for Held<'_, T> {
        fn drop(&mut self) {
            self.holder.store(0, Relaxed);
        }
    }
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
