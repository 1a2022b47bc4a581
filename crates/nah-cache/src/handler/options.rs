//! What a handler may ask for.

use std::{fmt, time::Duration};

use nah_core::Object;

/// The shortest period between two looks at everything.
const SHORTEST: Duration = Duration::from_secs(1);

type Passes = Box<dyn FnMut(&Object) -> bool + Send>;

/// What a handler is told of, and how often. By default of every change, once.
#[derive(Default)]
pub struct HandlerOptions {
    pub(super) name: Option<String>,
    pub(super) resync: Option<Duration>,
    pub(super) passes: Option<Passes>,
}

impl HandlerOptions {
    /// A name, by which `status()` tells this handler from others.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Has every object come again, as `Updated` whose `old` is its `new`, at most `period` apart; periods below a
    /// second are a second.
    ///
    /// It asks the server for nothing, and other handlers notice nothing. An object that changed meanwhile comes as
    /// that change only. A handler that has not got through one round by then gets no second one on top.
    #[must_use]
    #[doc(alias = "ResyncPeriod")]
    pub fn resync(mut self, period: Duration) -> Self {
        self.resync = Some(period.max(SHORTEST));
        self
    }

    /// Only the objects that pass: one that begins to is `Added`, one that ceases to is `Deleted`. Asked of the handle,
    /// before anything is decoded. An object over which it panics does not pass.
    #[must_use]
    #[doc(alias = "FilteringResourceEventHandler")]
    pub fn filter(mut self, passes: impl FnMut(&Object) -> bool + Send + 'static) -> Self {
        self.passes = Some(Box::new(passes));
        self
    }
}

impl fmt::Debug for HandlerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerOptions")
            .field("name", &self.name)
            .field("resync", &self.resync)
            .finish_non_exhaustive()
    }
}
