//! What is known of one kind: objects, versions, and who is told of changes.

use std::sync::Arc;

use nah_core::{GroupVersionKind, Object, ObjectKey, ResourceVersion, Uid};

/// The contract between the reflector (which takes in) and everybody else (who reads). One a kind, shared by the
/// scopes (all namespaces = `None`, or one `Some(namespace)` each) that feed it.
pub(crate) struct Store;

/// One item of a complete list.
pub(crate) enum Listed {
    /// The store holds exactly this uid and version already: nothing was copied.
    Same(ObjectKey),
    New(Object),
}

/// What a list or an event took away.
pub(crate) type Removed = Vec<(ObjectKey, Option<Uid>)>;

/// What a watch event did, as the store has it (the store decides add or update, not the verb).
pub(crate) enum Seen {
    Upsert(Object),
    /// The final object.
    Delete(Object),
}

impl Store {
    /// Nothing yet, and no scope. Of `options` the store needs the namespaces and the selectors (`in_scope`).
    pub(crate) fn new(gvk: Arc<GroupVersionKind>, options: Arc<crate::options::Scope>) -> Self {
        todo!()
    }
    /// Expects `scope` to be listed: until then the kind is not synced. A kind without a scope is not synced either
    /// (its mapping is not known yet).
    pub(crate) fn add_scope(&self, scope: Option<&str>) {
        todo!()
    }
    /// Forgets a scope; its objects leave as tombstones.
    pub(crate) fn remove_scope(&self, scope: Option<&str>) -> Removed {
        todo!()
    }
    /// Ends subscriptions and handlers, drops objects and extractors; waiters get `Stopped`.
    pub(crate) fn close(&self) {
        todo!()
    }
    /// As `FieldIndexer::add_index`.
    pub(crate) fn add_index(&self, field: &str, extract: crate::Extract) -> Result<(), crate::CacheError> {
        todo!()
    }
    /// Whether any state of `key` is held.
    pub(crate) fn has(&self, key: &ObjectKey) -> bool {
        todo!()
    }
    /// uid and version held for `key`: the reflector compares before it copies anything.
    pub(crate) fn holds(&self, key: &ObjectKey, uid: Option<&str>, version: Option<&str>) -> bool {
        todo!()
    }
    /// Takes in a complete list of `scope` at `version`, as a difference, atomically for readers; tells subscribers
    /// deletions (tombstones) first, then adds and updates. Also marks the scope as synced.
    pub(crate) fn replace(
        &self,
        scope: Option<&str>,
        items: Vec<Listed>,
        version: ResourceVersion,
    ) -> Removed {
        todo!()
    }
    /// Takes in one watch event of `scope`.
    pub(crate) fn apply(&self, scope: Option<&str>, seen: Seen) -> Removed {
        todo!()
    }
    pub(crate) fn bookmark(&self, scope: Option<&str>, version: ResourceVersion) {
        todo!()
    }
    /// `observed` of a scope.
    pub(crate) fn observed(&self, scope: Option<&str>) -> Option<ResourceVersion> {
        todo!()
    }
    pub(crate) fn gvk(&self) -> &Arc<GroupVersionKind> {
        todo!()
    }
}
