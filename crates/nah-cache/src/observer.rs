//! Who keeps step with the store.

use std::sync::Arc;

use nah_core::{GroupVersionKind, ObjectKey, ResourceVersion, Uid};

/// What the reflector tells those who must keep step with the store (the client's overlay): after the store has
/// applied it, on the reflector's task. Must not block.
pub trait Observer: Send + Sync {
    fn applied(&self, gvk: &Arc<GroupVersionKind>, namespace: Option<&str>, applied: &Applied<'_>);
}
#[derive(Debug)]
#[non_exhaustive]
pub enum Applied<'a> {
    /// A watch event; `removed` if it took the object away (a changed uid under the key takes the old one away).
    Event {
        removed: &'a [(ObjectKey, Option<Uid>)],
        version: Option<&'a ResourceVersion>,
    },
    Bookmark {
        version: &'a ResourceVersion,
    },
    /// A complete list; `backwards` if its version is below what was observed before (a restored backup).
    List {
        removed: &'a [(ObjectKey, Option<Uid>)],
        version: &'a ResourceVersion,
        backwards: bool,
    },
}
