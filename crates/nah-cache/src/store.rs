//! What is known of one kind: objects, versions, and who is told of changes.

mod commit;
mod encoding;
mod entry;
mod hot;
mod known;
mod spine;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use kube_core::Expression;
use nah_core::{DecodeError, GroupVersionKind, Object, ObjectKey, ResourceVersion, Uid};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::{
    CacheError, Extract, List, ListOptions,
    index::{Extractor, distinct, path::Path, plan::Query},
    options::Scope,
    selector::selects,
    subscription::Backlog,
};
use entry::Entry;
pub use entry::admit;
pub(crate) use hot::Hot;
pub(crate) use known::{Known, Slot};
pub(crate) use spine::{Iter as SpineIter, Spine};

/// The contract between the reflector (which takes in) and everybody else (who reads). One a kind, shared by the
/// scopes (all namespaces = `None`, or one `Some(namespace)` each) that feed it.
///
/// Writers take turns; readers take one short lock, under which nothing is dropped, decoded or called.
pub(crate) struct Store {
    gvk: Arc<GroupVersionKind>,
    options: Arc<Scope>,
    hot: Arc<Hot>,
    /// Whoever holds this may change `known`, and tells the subscribers in the order of the changes.
    writer: Mutex<Vec<Arc<Backlog>>>,
    known: RwLock<Known>,
    /// Told after each change of a version or of what is synced.
    progress: watch::Sender<()>,
    index_failures: AtomicU64,
}

/// One item of a complete list.
#[derive(Debug)]
pub(crate) enum Listed {
    /// The store holds exactly this uid and version already: nothing was copied.
    Same(ObjectKey),
    New(Object),
}

/// What a list or an event took away.
pub(crate) type Removed = Vec<(ObjectKey, Option<Uid>)>;

/// What a watch event did, as the store has it (the store decides add or update, not the verb).
#[derive(Debug)]
pub(crate) enum Seen {
    Upsert(Object),
    /// The final object.
    Delete(Object),
}

impl Store {
    /// Nothing yet, and no scope. Of `options` the store needs the namespaces and the selectors (`in_scope`).
    pub(crate) fn new(gvk: Arc<GroupVersionKind>, options: Arc<Scope>, hot: Arc<Hot>) -> Self {
        Self {
            gvk,
            options,
            hot,
            writer: Mutex::default(),
            known: RwLock::default(),
            progress: watch::Sender::new(()),
            index_failures: AtomicU64::new(0),
        }
    }

    pub(crate) fn gvk(&self) -> &Arc<GroupVersionKind> {
        &self.gvk
    }

    /// An object as the store keeps it; its decoded forms are remembered within the factory's budget.
    pub(crate) fn admit(&self, json: &[u8]) -> Result<Object, DecodeError> {
        Entry::admit(&self.gvk, json, &self.hot)
    }

    /// uid and version held for `key`: the reflector compares before it copies anything.
    pub(crate) fn holds(&self, key: &ObjectKey, uid: Option<&str>, version: Option<&str>) -> bool {
        let known = self.known.read();
        known.get(key).is_some_and(|slot| {
            slot.object.uid().map(Uid::as_str) == uid
                && slot.object.resource_version().map(ResourceVersion::as_str) == version
        })
    }

    /// Whether any state of `key` is held.
    pub(crate) fn has(&self, key: &ObjectKey) -> bool {
        self.known.read().get(key).is_some()
    }

    /// The version up to which the scope of `namespace` has been seen; over several scopes, the lowest of theirs.
    pub(crate) fn observed_in(&self, namespace: Option<&str>) -> Option<ResourceVersion> {
        let known = self.known.read();
        if let Some(progress) = known.scopes.get("").or_else(|| known.scopes.get(namespace?)) {
            return progress.observed.clone();
        }
        if namespace.is_some() {
            return None;
        }
        let mut versions = known.scopes.values().map(|progress| progress.observed.as_ref());
        let first = versions.next()??;
        let lowest = versions.try_fold(first, |lowest, version| {
            let version = version?;
            Some(if version.compare(lowest)?.is_lt() { version } else { lowest })
        });
        lowest.cloned()
    }

    /// Whether everything up to `version` is in every scope. A version that is no number cannot be waited for: once
    /// the kind is synced, it counts as seen.
    pub(crate) fn has_observed(&self, version: &ResourceVersion) -> Result<bool, CacheError> {
        let known = self.known.read();
        if known.closed {
            return Err(CacheError::Stopped);
        }
        let seen = |observed: &ResourceVersion| observed.compare(version).is_none_or(|order| order.is_ge());
        Ok(known.synced()
            && known.scopes.values().all(|progress| progress.observed.as_ref().is_some_and(seen)))
    }

    pub(crate) fn has_synced(&self) -> bool {
        self.known.read().synced()
    }

    /// Synced, and every index is whole.
    pub(crate) fn is_ready(&self) -> Result<bool, CacheError> {
        let known = self.known.read();
        if known.closed {
            return Err(CacheError::Stopped);
        }
        Ok(known.synced() && known.indexes.iter().all(|index| index.whole))
    }

    pub(crate) fn progress(&self) -> watch::Receiver<()> {
        self.progress.subscribe()
    }

    /// Objects, encoded bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        let known = self.known.read();
        (known.objects.len(), known.bytes)
    }

    /// How many scopes are listed and watched.
    pub(crate) fn scopes(&self) -> usize {
        self.known.read().scopes.len()
    }

    /// The namespace that is cached, where it is one.
    pub(crate) fn only_namespace(&self) -> Option<String> {
        let known = self.known.read();
        let mut namespaces = known.scopes.keys();
        let first = namespaces.next()?;
        (namespaces.next().is_none() && !first.is_empty()).then(|| first.clone())
    }

    pub(crate) fn hot_bytes(&self) -> usize {
        self.hot.bytes()
    }

    pub(crate) fn index_failures(&self) -> u64 {
        self.index_failures.load(Relaxed)
    }

    /// The object at `key`. The namespace of a cluster-scoped key is ignored.
    pub(crate) fn get(&self, key: &ObjectKey) -> Result<Option<Object>, CacheError> {
        let known = self.known.read();
        let namespace = key.namespace();
        self.check_scope(&known, namespace.or(Some("")))?;
        let mut slot = known.get(key);
        if slot.is_none() && namespace.is_some() && known.cluster_scoped() {
            slot = known.get(&ObjectKey::cluster(key.name()));
        }
        Ok(slot.map(|slot| slot.object.clone()))
    }

    pub(crate) fn list(&self, options: &ListOptions) -> Result<List, CacheError> {
        let mut query = Query {
            namespace: options.namespace(),
            owner: options.owner(),
            labels: options.expressions(),
            limit: options.limit_of(),
            ..Query::default()
        };
        let known = self.known.read();
        if known.cluster_scoped() {
            query.namespace = None;
        }
        let mut nothing = false;
        for (field, value) in options.fields() {
            let (field, value) = (field.as_str(), value.as_str());
            match field {
                NAME => nothing |= query.name.replace(value).is_some_and(|other| other != value),
                NAMESPACE if known.cluster_scoped() => nothing |= !value.is_empty(),
                NAMESPACE if value.is_empty() => nothing = true,
                NAMESPACE => nothing |= query.namespace.replace(value).is_some_and(|other| other != value),
                _ => query.fields.push((self.index(&known, field)?, value)),
            }
        }
        let version = self.check_scope(&known, query.namespace)?;
        if nothing {
            return Ok(List::new(crate::list::Items::none(), version));
        }
        let plan = query.plan(&known);
        drop(known);
        Ok(List::new(plan.run(), version))
    }

    /// The values of an index that have an object.
    pub(crate) fn index_values(&self, field: &str) -> Result<Vec<String>, CacheError> {
        let known = self.known.read();
        let rows = known.indexes.get(self.index(&known, field)?).map(|index| index.rows.clone());
        drop(known);
        Ok(rows.as_ref().map(distinct).unwrap_or_default())
    }

    /// Whether `object` would be in the answer of `list(options)`, were it in the store.
    pub(crate) fn matches(&self, object: &Object, options: &ListOptions) -> Result<bool, CacheError> {
        let extractors = {
            let known = self.known.read();
            if known.closed {
                return Err(CacheError::Stopped);
            }
            known.extractors.clone()
        };
        let namespace = object.key().namespace();
        let mut matches = options.namespace().is_none_or(|wanted| namespace.is_none_or(|own| own == wanted))
            && options.owner().is_none_or(|uid| object.owners().iter().any(|owner| owner.uid == uid))
            && selects(&options.expressions(), object.labels());
        // Every field is looked at, so that a field without an index is an error whatever the others say.
        for (field, value) in options.fields() {
            matches &= match field.as_str() {
                NAME => object.key().name() == value,
                NAMESPACE => namespace.unwrap_or_default() == value,
                field => {
                    let extractor = extractors.iter().find(|extractor| *extractor.field == *field);
                    let extractor = extractor.ok_or_else(|| self.no_index(field))?;
                    matches && self.values(extractor, object).iter().any(|other| other == value)
                }
            };
        }
        Ok(matches)
    }

    /// Whether the cache holds objects of this namespace and these labels and fields.
    pub(crate) fn in_scope(&self, object: &Object) -> bool {
        let labels: Vec<Expression> = self.options.labels.clone().into_iter().collect();
        let mut fields = self.options.fields.split(',').filter(|term| !term.trim().is_empty());
        let known = self.known.read();
        self.within(&known, object.key().namespace())
            && selects(&labels, object.labels())
            && fields.all(|term| field_selects(term, object))
    }

    /// Whether the cache holds objects of this namespace; none is the cluster scope, and no kind has objects in both.
    pub(crate) fn covers(&self, namespace: Option<&str>) -> bool {
        let known = self.known.read();
        let never = known.cluster_scoped() && namespace.is_some();
        !never && self.within(&known, namespace)
    }

    /// Whether no selector keeps objects out.
    pub(crate) fn is_whole(&self) -> bool {
        self.options.labels.selects_all() && self.options.fields.trim().is_empty()
    }

    fn within(&self, known: &Known, namespace: Option<&str>) -> bool {
        if !known.scopes.is_empty() {
            return known.scopes.contains_key("") || known.scopes.contains_key(namespace.unwrap_or_default());
        }
        // Not listed yet, so it may still turn out that the kind has no namespaces.
        let namespaces = &self.options.namespaces;
        namespace
            .is_none_or(|namespace| namespaces.is_empty() || namespaces.iter().any(|own| own == namespace))
    }

    /// A subscriber who is told of everything there is, and then of everything that changes.
    pub(crate) fn subscribe(&self) -> Result<Arc<Backlog>, CacheError> {
        let mut subscribers = self.writer.lock();
        let known = self.known.read();
        if known.closed {
            return Err(CacheError::Stopped);
        }
        let backlog = Arc::new(Backlog::new(known.objects.clone(), known.synced()));
        subscribers.push(backlog.clone());
        Ok(backlog)
    }

    pub(crate) fn unsubscribe(&self, backlog: &Arc<Backlog>) {
        self.writer.lock().retain(|other| !Arc::ptr_eq(other, backlog));
        backlog.close();
    }

    /// The values of `object`; none where the extractor fails, which is counted and logged.
    fn values(&self, extractor: &Extractor, object: &Object) -> Vec<String> {
        extractor.values(object).unwrap_or_else(|error| {
            self.index_failures.fetch_add(1, Relaxed);
            let (kind, key, index) = (&self.gvk.kind, object.key(), &extractor.field);
            tracing::warn!(%kind, %key, %index, error, "object has no index values");
            Vec::new()
        })
    }

    fn index(&self, known: &Known, field: &str) -> Result<usize, CacheError> {
        if known.closed {
            return Err(CacheError::Stopped);
        }
        let at = known.indexes.iter().position(|index| *index.field == *field);
        let at = at.ok_or_else(|| self.no_index(field))?;
        if known.indexes.get(at).is_some_and(|index| index.whole) { Ok(at) } else { Err(self.not_synced()) }
    }

    fn no_index(&self, field: &str) -> CacheError {
        CacheError::NoIndex { gvk: (*self.gvk).clone(), index: field.to_owned() }
    }

    fn not_synced(&self) -> CacheError {
        CacheError::NotSynced { gvk: (*self.gvk).clone(), last_error: None }
    }

    /// That what is asked for is known: its version, or why it is not. None asks for all scopes, an empty namespace
    /// for the cluster scope.
    fn check_scope(
        &self,
        known: &Known,
        namespace: Option<&str>,
    ) -> Result<Option<ResourceVersion>, CacheError> {
        if known.closed {
            return Err(CacheError::Stopped);
        }
        let one = known.scopes.get("").or_else(|| known.scopes.get(namespace?));
        let synced = match (one, namespace) {
            (Some(progress), _) => progress.synced,
            (None, Some(namespace)) if !known.scopes.is_empty() => {
                let (gvk, namespace) = ((*self.gvk).clone(), namespace.to_owned());
                return Err(CacheError::OutsideScope { gvk, namespace });
            }
            (None, _) => known.synced(),
        };
        if !synced {
            return Err(self.not_synced());
        }
        let only = known.scopes.values().next().filter(|_| known.scopes.len() == 1);
        Ok(one.or(only).and_then(|progress| progress.observed.clone()))
    }
}

/// Fields that every kind answers without an index.
const NAME: &str = "metadata.name";
const NAMESPACE: &str = "metadata.namespace";

/// Whether an index asks for what is built in: then there is nothing to add.
fn built_in(field: &str, extract: &Extract) -> bool {
    matches!(extract, Extract::Path(path) if path == field) && is_reserved(field)
}

fn is_reserved(field: &str) -> bool {
    field == NAME || field == NAMESPACE
}

/// Whether a term of a field selector holds: equality or its opposite; a field that is not there is the empty text.
fn field_selects(term: &str, object: &Object) -> bool {
    let Some((path, value)) = term.split_once('=') else { return true };
    let (path, wanted) = path.strip_suffix('!').map_or((path, true), |path| (path, false));
    let (path, value) = (path.trim(), value.trim_start_matches('=').trim());
    let values =
        Path::parse(path).ok().zip(object.json().ok()).and_then(|(path, json)| path.values(&json).ok());
    let equal = match values.as_deref().unwrap_or_default() {
        [] => value.is_empty(),
        values => values.iter().any(|other| other == value),
    };
    equal == wanted
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (objects, bytes) = self.size();
        let mut store = f.debug_struct("Store");
        store.field("kind", &self.gvk.kind).field("objects", &objects).field("bytes", &bytes);
        store.finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;
