//! A callback's place in its kind.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use crate::{
    CallbackId,
    callbacks::{Entry, Shared},
    guard,
};

/// A callback's place in its kind. Dropping it changes nothing; it keeps nothing alive.
pub struct Registration {
    id: CallbackId,
    name: Arc<str>,
    kind: Weak<Shared>,
    entry: Weak<Entry>,
}

/// Unregisters when dropped.
#[derive(Debug)]
#[must_use = "the callback is unregistered when the guard is dropped"]
pub struct RegistrationGuard(Option<Registration>);

impl Registration {
    pub(crate) fn new(kind: Weak<Shared>, entry: &Arc<Entry>) -> Self {
        Self { id: entry.id, name: entry.name.clone(), kind, entry: Arc::downgrade(entry) }
    }

    /// Names the callback, for a run that is meant for it alone.
    pub fn id(&self) -> CallbackId {
        self.id
    }

    /// The name that the callback is registered under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes the callback away: no call of it begins after this. One in progress goes on.
    pub fn unregister(self) {
        self.remove();
    }

    /// Takes the callback away and waits for the calls in progress, unless called from inside one of them.
    ///
    /// Inside is what a call of the callback polls itself; a task that it spawned and waits for is not, and would wait
    /// for ever.
    pub async fn unregister_and_wait(self) {
        if let Some(entry) = self.remove()
            && !guard::is_inside(self.id)
        {
            entry.finished().await;
        }
    }

    /// A guard that takes the callback away when it is dropped.
    pub fn drop_guard(self) -> RegistrationGuard {
        RegistrationGuard(Some(self))
    }

    /// Takes the callback out of its list; gives it back if somebody still has it.
    fn remove(&self) -> Option<Arc<Entry>> {
        let entry = self.entry.upgrade()?;
        if let Some(kind) = self.kind.upgrade() {
            kind.remove(&entry);
        }
        Some(entry)
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("name", &self.name).field("id", &self.id).finish_non_exhaustive()
    }
}

impl RegistrationGuard {
    /// Gives the registration back: the callback stays.
    pub fn into_inner(mut self) -> Option<Registration> {
        self.0.take()
    }
}

impl Drop for RegistrationGuard {
    fn drop(&mut self) {
        if let Some(registration) = self.0.take() {
            registration.unregister();
        }
    }
}
