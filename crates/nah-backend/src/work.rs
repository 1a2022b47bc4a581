//! What the queue keeps for a key: why, for whom, and what was last known.

use nah_core::{Causes, Object};
use nah_trigger::Merge;
use nah_watch::Meant;

/// What the queue keeps for a key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work {
    pub(crate) causes: Causes,
    pub(crate) meant: Meant,
    /// The last state of an object that went away; kept until a run succeeds.
    pub(crate) last_known: Option<Object>,
}

impl Work {
    /// Work for every callback.
    pub(crate) fn because(causes: Causes) -> Self {
        Self { causes, ..Self::default() }
    }
}

impl Merge for Work {
    fn merge(&mut self, newer: Self) {
        self.causes |= newer.causes;
        self.meant.merge(newer.meant);
        self.last_known = newer.last_known.or(self.last_known.take());
    }

    fn retried(&mut self) {
        self.causes |= Causes::RETRY;
    }
}
