//! What goes into an overlay, and what comes out of it. Pure.

use std::collections::HashMap;

use nah_core::{Object, ObjectKey, ResourceVersion, Uid};

/// A request on its way: what was known when it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(super) ticket: u64,
    /// The uids known under its key.
    pub(super) before: Vec<Uid>,
}

/// What the cache holds under a key.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) uid: Option<Uid>,
    pub(crate) version: u64,
}

/// What an answer says about one key.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    /// The server has removed the object of this uid (or whichever it was), which was there at `known`.
    Gone { uid: Option<Uid>, known: u64 },
    /// The whole object as it is now, and whether the cache will hold it.
    Whole { object: Object, in_scope: bool },
    /// The object is at this version, and the answer does not show the whole of it.
    Part { uid: Option<Uid>, version: u64 },
    /// Something may have changed, and the answer does not show what.
    Unknown,
}

/// What a reader must see under a key instead of what the cache holds.
#[derive(Clone, Debug)]
pub(crate) enum Look {
    /// What the cache holds, unless that uid is hidden.
    Cache,
    /// This object, unless the cache holds its version or a newer one.
    Present(Object, u64),
    /// Nothing, unless the cache holds a newer version than this.
    Absent(u64),
    /// What the server says.
    Unsure,
}

/// Everything that a list must show otherwise than the cache does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    pub(crate) present: Vec<(Object, u64)>,
    pub(crate) absent: HashMap<ObjectKey, u64>,
    pub(crate) hidden: Vec<(ObjectKey, Uid)>,
    /// Of these only the server knows.
    pub(crate) unsure: Vec<ObjectKey>,
}

/// A moment in the history of an overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position(pub(super) [u64; 2]);

/// What a list shows at a key.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) object: Option<Object>,
    /// It is not the cache's: it may be none that was asked for.
    pub(crate) written: bool,
    /// Only the server knows.
    pub(crate) unsure: bool,
}

// === impl Look ===

impl Look {
    /// What a reader gets where the cache holds `held`, which was read after the look; none where only the server
    /// knows. `hidden` is whether the server has removed that uid.
    pub(crate) fn over(self, held: Option<Object>, hidden: bool) -> Option<Option<Object>> {
        // A version that is no number cannot be older: the cache wins.
        let version = held.as_ref().map_or(0, |held| version_of(held).unwrap_or(u64::MAX));
        let cached = held.filter(|_| !hidden);
        match self {
            Self::Unsure => None,
            Self::Present(written, at) if at > version || cached.is_none() => Some(Some(written)),
            Self::Absent(at) if at >= version => Some(None),
            Self::Cache | Self::Present(..) | Self::Absent(_) => Some(cached),
        }
    }
}

// === impl Changes ===

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0 && self.unsure.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.present.len() + self.absent.len() + self.hidden.len()
    }
}

// === impl Held ===

impl From<&Object> for Held {
    fn from(object: &Object) -> Self {
        Self { uid: object.uid().cloned(), version: version_of(object).unwrap_or(0) }
    }
}

// === impl Said ===

impl Said {
    /// What an answer in one version of a kind says in another: there is no object to show there.
    pub(crate) fn elsewhere(self) -> Self {
        let Self::Whole { object, .. } = self else { return self };
        match version_of(&object) {
            Some(version) => Self::Part { uid: object.uid().cloned(), version },
            None => Self::Unknown,
        }
    }
}

/// The version of an object as a number, if it is one.
pub(crate) fn version_of(object: &Object) -> Option<u64> {
    object.resource_version().and_then(ResourceVersion::number)
}
