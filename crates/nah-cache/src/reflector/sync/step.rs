//! What goes into the state machine, and what comes out.

use std::{collections::BTreeMap, time::Duration};

use nah_core::{ObjectKey, ResourceVersion};

use super::Failure;

/// What a list is made of.
pub(crate) trait Item {
    fn key(&self) -> &ObjectKey;
}

/// What the server said, or what happened instead.
#[derive(Debug)]
pub(crate) enum Input<T> {
    Start,
    /// `compared` where items were compared with what is held before the version of their list was known.
    Page {
        items: Vec<T>,
        version: ResourceVersion,
        next: Option<String>,
        compared: bool,
    },
    ListFailed(Failure),
    /// What the server's newest version is.
    Probed(ResourceVersion),
    Opened,
    OpenFailed(Failure),
    Event {
        change: Change<T>,
        added: bool,
        version: Option<ResourceVersion>,
    },
    Bookmark {
        version: ResourceVersion,
        initial_end: bool,
    },
    /// An ERROR event.
    ErrorEvent(Failure),
    /// An event of an object that cannot be taken in.
    Skipped {
        deleted: bool,
        version: Option<ResourceVersion>,
    },
    /// A line that is no event at all: what it said is lost.
    Garbled(Failure),
    /// The stream ended, or has been silent for too long. `spoiled` where there are objects that could not be read.
    Ended {
        spoiled: bool,
    },
    /// The connection broke.
    Cut,
    Waited,
    /// Somebody wants everything anew.
    Refresh,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Change<T> {
    Upsert(T),
    Delete(T),
}

/// What to do: take something in, say something, go on.
#[derive(Debug)]
pub(crate) struct Step<T> {
    pub(crate) effect: Option<Effect<T>>,
    pub(crate) mood: Option<Mood>,
    pub(crate) next: Next,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Effect<T> {
    /// A complete list.
    Commit {
        items: Items<T>,
        version: ResourceVersion,
        backwards: bool,
    },
    Apply {
        change: Change<T>,
        version: Option<ResourceVersion>,
    },
    Bookmark(ResourceVersion),
}

/// The items of a complete list, as they were gathered: there may be a million, and to move each takes its time.
#[derive(Debug)]
pub(crate) enum Items<T> {
    Listed(Vec<T>),
    Streamed(BTreeMap<ObjectKey, T>),
}

#[derive(Debug)]
pub(crate) enum Mood {
    Well,
    Failed(Failure),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next {
    /// `version` is a lower bound; none asks for the newest.
    List {
        version: Option<ResourceVersion>,
        limit: Option<u32>,
        token: Option<String>,
    },
    /// Asks for the newest version and no more than one object.
    Probe,
    /// With `initial` the stream begins with what is there (a WatchList) and `version` is a lower bound.
    Open {
        version: Option<ResourceVersion>,
        initial: bool,
        timeout: Duration,
    },
    Read,
    Wait(Duration),
}

impl<T> From<Next> for Step<T> {
    fn from(next: Next) -> Self {
        Self { effect: None, mood: None, next }
    }
}

impl<T> Items<T> {
    pub(crate) fn iter(&self) -> Box<dyn Iterator<Item = &T> + '_> {
        match self {
            Self::Listed(items) => Box::new(items.iter()),
            Self::Streamed(items) => Box::new(items.values()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Listed(items) => items.len(),
            Self::Streamed(items) => items.len(),
        }
    }
}

impl<T: 'static> IntoIterator for Items<T> {
    type Item = T;
    type IntoIter = Box<dyn Iterator<Item = T>>;

    fn into_iter(self) -> Self::IntoIter {
        match self {
            Self::Listed(items) => Box::new(items.into_iter()),
            Self::Streamed(items) => Box::new(items.into_values()),
        }
    }
}

impl<T: PartialEq> PartialEq for Items<T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}
