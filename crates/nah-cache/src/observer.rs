//! Who keeps step with the store.

use nah_core::{ObjectKey, ResourceVersion, Uid};

use crate::Informer;

/// What the reflector tells those who must keep step with the store (the client's overlay): after the store has
/// applied it, on the reflector's task. Must not block.
pub trait Observer: Send + Sync {
    /// `applied` has been applied to what `informer` holds of `namespace` (none: everywhere).
    fn applied(&self, informer: &Informer, namespace: Option<&str>, applied: &Applied<'_>);
}

/// What has been applied to a store.
#[derive(Debug)]
#[non_exhaustive]
pub enum Applied<'a> {
    /// A watch event.
    Event {
        /// What it took away (a changed uid under the key takes the old one away).
        removed: &'a [(ObjectKey, Option<Uid>)],
        /// The version of the object.
        version: Option<&'a ResourceVersion>,
    },
    /// Everything up to a version has been seen.
    Bookmark {
        /// The version.
        version: &'a ResourceVersion,
    },
    /// A complete list.
    List {
        /// What was held and is not in it.
        removed: &'a [(ObjectKey, Option<Uid>)],
        /// The version of the list.
        version: &'a ResourceVersion,
        /// Its version is below what was observed before (a restored backup).
        backwards: bool,
    },
    /// The namespace is not cached any more.
    Left,
}
