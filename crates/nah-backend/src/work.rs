//! What the queue keeps for a key: why, for whom, and what was last known.

use nah_core::{Causes, Object};
use nah_trigger::Merge;
use nah_watch::{CallbackId, Links, Meant};

use crate::since::Since;

/// What the queue keeps for a key.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) since: Since,
    pub(crate) meant: Meant,
    /// The spans of those who asked.
    pub(crate) links: Links,
    /// The last state of an object that went away; kept until a run succeeds.
    pub(crate) last_known: Option<Object>,
}

impl Work {
    /// Work for every callback, asked for now.
    pub(crate) fn because(causes: Causes) -> Self {
        Self { since: Since::now(causes), meant: Meant::All, links: Links::default(), last_known: None }
    }

    /// What is there, for a callback that was registered late.
    pub(crate) fn replay(to: CallbackId) -> Self {
        Self { meant: Meant::only(to), ..Self::because(Causes::REPLAY) }
    }

    /// The same work, asked for from inside a span.
    pub(crate) fn linked(self, links: Links) -> Self {
        Self { links, ..self }
    }
}

impl Merge for Work {
    fn merge(&mut self, newer: Self) {
        self.since.merge(&newer.since);
        self.meant.merge(newer.meant);
        self.links.merge(newer.links);
        self.last_known = newer.last_known.or(self.last_known.take());
    }

    fn retried(&mut self) {
        self.since.merge(&Since::now(Causes::RETRY));
    }
}
