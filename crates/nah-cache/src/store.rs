//! What is known of one kind: objects, versions, and who is told of changes.

mod commit;
mod difference;
mod encoding;
mod entry;
mod fresh;
mod front;
mod hot;
mod known;
mod read;
mod shelf;
mod spine;
mod table;
mod trim;
mod upkeep;
mod words;

use std::{
    collections::HashSet,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use nah_core::{
    Body, DecodeError, GroupVersionKind, Object, ObjectKey, Outline, ResourceVersion, Stamp, Uid,
};
use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use tokio::sync::{Mutex as AsyncMutex, watch};

use crate::{
    CacheError, KindCacheOptions, KindMemory,
    index::{Extractor, IndexStatus},
    options::Scope,
    subscription::{Backlog, SubscriberStatus},
};
use encoding::Generation;
use entry::Entry;
pub use entry::admit;
pub(crate) use known::{Built, Known};
use known::{Extractors, Values};
pub(crate) use read::{NAME, NAMESPACE};
pub(crate) use shelf::Common;
use shelf::Shelf;
pub(crate) use spine::{Iter as SpineIter, Spine};
use trim::outline;

/// How many stores there have been.
static STORES: AtomicU64 = AtomicU64::new(0);
/// The bits of a moment that count the changes of one store: enough for a year of 30,000 a second.
const MOVES: u32 = 40;

/// The contract between the reflector (which takes in) and everybody else (who reads). One a kind, shared by the
/// scopes (all namespaces = `None`, or one `Some(namespace)` each) that feed it.
///
/// Writers take turns; readers take one short lock at most, under which nothing is dropped, decoded or called. A decoded
/// object that has been read before is found under none.
pub(crate) struct Store {
    gvk: Arc<GroupVersionKind>,
    options: Arc<Scope>,
    shelf: Arc<Shelf>,
    /// Whoever holds this may change `known`.
    writer: Mutex<Writer>,
    /// Whoever has it may change the objects; it may take long, so it is awaited.
    turn: Arc<AsyncMutex<()>>,
    known: RwLock<Known>,
    /// Another number after each change of `known`, and never that of another store.
    moves: AtomicU64,
    /// The same subscribers, for those who ask how they are.
    told: Mutex<Vec<Arc<Backlog>>>,
    /// Index values of arrivals that are not committed yet: one text each.
    arriving: Mutex<HashSet<Arc<str>>>,
    /// Arrivals that are not committed yet, while there is no dictionary: it is made from them.
    nursery: Mutex<Vec<Weak<Entry>>>,
    /// How many subscribers there are.
    listeners: AtomicUsize,
    is_waiting: AtomicBool,
    /// Told after each change of a version or of what is synced.
    progress: watch::Sender<()>,
}

/// What nobody looks at while `known` changes.
#[derive(Default)]
struct Writer {
    subscribers: Vec<Arc<Backlog>>,
    /// A list is in its place, and not everybody has been told of it.
    telling: bool,
    /// Those who want to look at everything again once they have.
    looks: Vec<Arc<Backlog>>,
}

/// One item of a complete list.
#[derive(Debug)]
pub(crate) enum Listed {
    /// The store holds exactly this uid and version already: nothing was copied.
    Same(ObjectKey),
    New(Arrival),
}

/// An object that is not in the store yet, with everything that a commit needs to know of it.
#[derive(Clone)]
pub(crate) struct Arrival {
    pub(crate) object: Object,
    values: Option<Values>,
    /// Whose values these are.
    extractors: Extractors,
}

/// What a list or an event took away.
pub(crate) type Removed = Vec<(ObjectKey, Option<Uid>)>;

/// What a watch event did, as the store has it (the store decides add or update, not the verb).
#[derive(Debug)]
pub(crate) enum Seen {
    Upsert(Arrival),
    /// The final object.
    Delete(Arrival),
}

impl Store {
    /// Nothing yet, and no scope. Of `options` the store needs the namespaces and the selectors (`in_scope`).
    pub(crate) fn new(
        gvk: Arc<GroupVersionKind>,
        options: Arc<Scope>,
        kind: &KindCacheOptions,
        common: Arc<Common>,
    ) -> Self {
        Self {
            gvk,
            options,
            shelf: Shelf::new(common, kind),
            writer: Mutex::default(),
            turn: Arc::default(),
            known: RwLock::default(),
            moves: AtomicU64::new(STORES.fetch_add(1, Relaxed) << MOVES),
            told: Mutex::default(),
            arriving: Mutex::default(),
            nursery: Mutex::default(),
            listeners: AtomicUsize::new(0),
            is_waiting: AtomicBool::new(false),
            progress: watch::Sender::new(()),
        }
    }

    /// A number that is another one after each change of what a read may show, and that no other store has.
    pub(crate) fn moment(&self) -> u64 {
        self.moves.load(Relaxed)
    }

    /// What is known, to be changed. Whoever has seen the change sees that the moment is another one, too.
    fn known_mut(&self) -> RwLockWriteGuard<'_, Known> {
        let known = self.known.write();
        self.moves.fetch_add(1, Relaxed);
        known
    }

    pub(crate) fn gvk(&self) -> &Arc<GroupVersionKind> {
        &self.gvk
    }

    /// An object as the store keeps it, with its values in the indexes; its decoded forms are remembered within the
    /// factory's budget.
    ///
    /// All that is to be read of an object is read here, one at a time, so that a commit is short.
    pub(crate) fn admit(&self, outline: &Outline<'_>) -> Result<Arrival, DecodeError> {
        let extractors = self.known.read().extractors.clone();
        let whole = (!self.trims()).then_some(outline);
        let reads = |extractor: &Arc<Extractor>| extractor.reads_head() || extractor.reads_text();
        // Where nobody is about to look at what is encoded.
        let straight = whole.is_some() && self.listeners.load(Relaxed) == 0 && extractors.iter().all(reads);
        let generation = straight.then(|| self.shelf.codec.generation()).flatten();
        let entry = self.entry(outline, generation.as_deref())?;
        let arrival = self.arrival(Object::from_body(entry.clone()), whole, &extractors);
        self.shelve(&entry);
        Ok(arrival)
    }

    /// The final state of an object, which no index asks for its values.
    pub(crate) fn admit_last(&self, outline: &Outline<'_>) -> Result<Arrival, DecodeError> {
        let object = Object::from_body(self.entry(outline, None)?);
        Ok(Arrival { object, values: None, extractors: Extractors::default() })
    }

    fn entry(
        &self,
        outline: &Outline<'_>,
        generation: Option<&Generation>,
    ) -> Result<Arc<Entry>, DecodeError> {
        Entry::admit(&self.gvk, outline, &self.shelf.trim, &self.shelf, generation)
    }

    /// uid and version held for `key`: the reflector compares before it copies anything.
    pub(crate) fn holds(&self, key: &ObjectKey, uid: Option<&str>, version: Option<&str>) -> bool {
        let known = self.known.read();
        known.get(key).is_some_and(|entry| {
            let head = entry.head();
            head.uid.as_ref().map(Uid::as_str) == uid
                && head.resource_version.as_ref().map(ResourceVersion::as_str) == version
        })
    }

    /// The key, as it is held, of an object that is held in the very state of `stamp`.
    pub(crate) fn held(&self, stamp: &Stamp<'_>) -> Option<ObjectKey> {
        let key = stamp.key();
        let known = self.known.read();
        let head = known.get(&key)?.head();
        let same = head.uid.as_ref().map(Uid::as_str) == Some(stamp.uid)
            && head.resource_version.as_ref().map(ResourceVersion::as_str) == Some(stamp.resource_version);
        same.then(|| head.key.clone())
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.read().objects.is_empty()
    }

    /// Whether any state of `key` is held.
    pub(crate) fn has(&self, key: &ObjectKey) -> bool {
        self.known.read().get(key).is_some()
    }

    /// The version up to which the scope of `namespace` has been seen; over several scopes, the lowest of theirs.
    pub(crate) fn observed_in(&self, namespace: Option<&str>) -> Option<ResourceVersion> {
        let known = self.known.read();
        if let Some(progress) = known.scope(namespace) {
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

    /// The highest version that any scope has been seen up to.
    pub(crate) fn newest(&self) -> Option<ResourceVersion> {
        let known = self.known.read();
        let versions = known.scopes.values().filter_map(|progress| progress.observed.as_ref());
        versions.max_by_key(|version| version.number()).cloned()
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

    /// The same of the scope of `namespace` alone.
    pub(crate) fn has_observed_in(
        &self,
        namespace: Option<&str>,
        version: &ResourceVersion,
    ) -> Result<bool, CacheError> {
        if !self.covers(namespace) {
            let namespace = namespace.unwrap_or_default().to_owned();
            return Err(CacheError::OutsideScope { gvk: (**self.gvk()).clone(), namespace });
        }
        if self.known.read().closed {
            return Err(CacheError::Stopped);
        }
        let observed = self.observed_in(namespace);
        Ok(observed.is_some_and(|observed| observed.compare(version).is_none_or(|order| order.is_ge())))
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
        (known.objects.len(), self.shelf.codec.bytes())
    }

    /// Whether objects are kept without what a transform of the user's drops.
    pub(crate) fn trims(&self) -> bool {
        self.shelf.trim.trims()
    }

    /// How often the transform failed or panicked.
    pub(crate) fn transform_failures(&self) -> u64 {
        self.shelf.trim.failures()
    }

    /// What the store would keep of an object that came another way.
    pub(crate) fn trimmed(&self, object: &Object) -> Result<Object, DecodeError> {
        if !self.trims() || object.is_trimmed() {
            return Ok(object.clone());
        }
        let trim = |json: &[u8]| {
            let outline = outline(&self.gvk, json)?;
            Entry::admit(&self.gvk, &outline, &self.shelf.trim, Shelf::loose(), None)
        };
        object.read(trim)?.map(Object::from_body)
    }

    /// What the kind costs in memory.
    pub(crate) fn memory(&self) -> KindMemory {
        let codec = &self.shelf.codec;
        let known = self.known.read().clone();
        KindMemory {
            entries: self.shelf.entry_bytes() + known.bytes(),
            indexes: known.index_bytes(),
            encoded: codec.bytes(),
            plain: codec.plain(),
            dictionaries: codec.dictionary_bytes(),
            hot: self.shelf.hot_bytes(),
        }
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
        (namespaces.next().is_none() && !first.is_empty()).then(|| first.to_string())
    }

    pub(crate) fn hot_bytes(&self) -> usize {
        self.shelf.common.as_ref().map_or(0, |common| common.hot.bytes())
    }

    /// The owners' rows, the indexes' and the values that are remembered, in bytes.
    pub(crate) fn index_bytes(&self) -> usize {
        // Bytes are counted on a snapshot: it walks over all chunks.
        let known = self.known.read().clone();
        known.index_bytes()
    }

    /// How each index is.
    pub(crate) fn indexes(&self) -> Vec<IndexStatus> {
        let indexes = self.known.read().indexes.clone();
        let status = |Built { extractor, rows, whole }: &Built| IndexStatus {
            field: extractor.field.as_ref().to_owned(),
            whole: *whole,
            values: rows.values(),
            rows: rows.len(),
            bytes: rows.bytes(),
            failures: extractor.failures(),
            last_failure: extractor.last_failure(),
        };
        indexes.iter().map(status).collect()
    }

    /// A subscriber who is told of everything there is, and then of everything that changes.
    pub(crate) fn subscribe(&self) -> Result<Arc<Backlog>, CacheError> {
        let mut writer = self.writer.lock();
        let known = self.known.read();
        if known.closed {
            return Err(CacheError::Stopped);
        }
        let backlog = Arc::new(Backlog::new(known.objects.clone(), known.synced()));
        writer.subscribers.push(backlog.clone());
        self.listeners.store(writer.subscribers.len(), Relaxed);
        self.told.lock().push(backlog.clone());
        Ok(backlog)
    }

    /// Shows a subscriber everything there is a second time.
    pub(crate) fn look_again(&self, backlog: &Arc<Backlog>) {
        // Between two changes: what has changed before is in the backlog.
        let mut writer = self.writer.lock();
        if writer.telling {
            writer.looks.push(backlog.clone());
            return;
        }
        backlog.look_again(self.known.read().objects.clone());
        drop(writer);
        if let Some(waker) = backlog.news() {
            waker.wake();
        }
    }

    /// How each subscriber keeps up. Does not wait for a writer.
    pub(crate) fn subscribers(&self) -> Vec<SubscriberStatus> {
        let subscribers = self.told.lock().clone();
        subscribers.iter().map(|backlog| backlog.status()).collect()
    }

    pub(crate) fn unsubscribe(&self, backlog: &Arc<Backlog>) {
        self.told.lock().retain(|other| !Arc::ptr_eq(other, backlog));
        {
            let mut writer = self.writer.lock();
            writer.subscribers.retain(|other| !Arc::ptr_eq(other, backlog));
            self.listeners.store(writer.subscribers.len(), Relaxed);
        }
        backlog.close();
    }

    /// The values of `object`; none where the extractor fails, which is counted and logged.
    fn values(&self, extractor: &Extractor, object: &Object) -> Vec<String> {
        extractor.values(object).unwrap_or_else(|error| {
            let (kind, key, index) = (&self.gvk.kind, object.key(), &extractor.field);
            tracing::warn!(%kind, %key, %index, error, "object has no index values");
            Vec::new()
        })
    }
}

impl std::fmt::Debug for Arrival {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.object.fmt(f)
    }
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
