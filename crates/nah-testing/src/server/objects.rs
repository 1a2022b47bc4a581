//! What the server stores: objects, the one version they share, and the history of their changes.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use super::signal::{Listener, Signal};

/// All objects of all kinds, in memory.
pub(crate) struct Objects {
    version: u64,
    collections: HashMap<String, Collection>,
    history: usize,
    floor: u64,
}

/// The objects of one group and resource, sorted by `namespace/name` as the real storage sorts its keys.
pub(crate) struct Collection {
    items: Items,
    changes: VecDeque<Change>,
    /// Nobody may start from a version before this one.
    floor: u64,
    /// The newest change that really left the history.
    dropped: u64,
    changed: Signal<u64>,
}

/// Objects by key.
pub(crate) type Items = BTreeMap<String, Arc<Stored>>;

/// An object as it is stored: without `apiVersion` and `kind`, which depend on how it is asked for.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) value: Value,
    json: OnceLock<Bytes>,
}

/// One write.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) key: String,
    pub(crate) before: Option<Arc<Stored>>,
    /// None of a deletion.
    pub(crate) after: Option<Arc<Stored>>,
    pub(crate) at: Instant,
}

// === impl Objects ===

impl Objects {
    pub(crate) fn new(version: u64, history: usize) -> Self {
        Self { version, collections: HashMap::new(), history, floor: 0 }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn get(&self, storage: &str, key: &str) -> Option<Arc<Stored>> {
        self.collections.get(storage)?.items.get(key).cloned()
    }

    pub(crate) fn collection(&mut self, storage: &str) -> &mut Collection {
        let floor = self.floor;
        self.collections.entry(storage.to_owned()).or_insert_with(|| Collection::new(floor))
    }

    /// The names of all storages that hold something.
    pub(crate) fn storages(&self) -> Vec<String> {
        let mut names: Vec<_> = self.collections.keys().cloned().collect();
        names.sort();
        names
    }

    /// Stores `value` under the next version, which it writes into its metadata.
    pub(crate) fn put(&mut self, storage: &str, key: &str, mut value: Value, at: Instant) -> Arc<Stored> {
        self.version += 1;
        let version = self.version;
        set_version(&mut value, version);
        let after = Arc::new(Stored::new(value));
        let history = self.history;
        let collection = self.collection(storage);
        let before = collection.items.insert(key.to_owned(), after.clone());
        let change = Change { version, key: key.to_owned(), before, after: Some(after.clone()), at };
        collection.record(change, history);
        after
    }

    /// Removes an object; answers it as it was, under the version of its deletion.
    pub(crate) fn remove(&mut self, storage: &str, key: &str, at: Instant) -> Option<Arc<Stored>> {
        let history = self.history;
        let before = self.collection(storage).items.remove(key)?;
        self.version += 1;
        let version = self.version;
        let gone = before.at_version(version);
        let change = Change { version, key: key.to_owned(), before: Some(before), after: None, at };
        self.collection(storage).record(change, history);
        Some(Arc::new(Stored::new(gone)))
    }

    /// Forgets all history, so that nothing older than now can be replayed.
    ///
    /// Streams that are open keep what they have not read yet, as they would from a real server's buffers.
    pub(crate) fn compact(&mut self) {
        self.floor = self.version;
        for collection in self.collections.values_mut() {
            collection.floor = self.version;
        }
    }

    /// Undoes the last `count` writes, as a backup that is restored does. Versions go back with them.
    pub(crate) fn forget(&mut self, count: usize) {
        for _ in 0..count {
            let newest = self.collections.values_mut().find(|collection| {
                // A change of this version that is no longer remembered cannot be undone, nor any before it.
                collection.changes.back().is_some_and(|change| change.version == self.version)
            });
            let Some(change) = newest.and_then(Collection::undo) else { break };
            self.version = change.version - 1;
        }
        self.floor = self.floor.min(self.version);
        for collection in self.collections.values_mut() {
            collection.floor = collection.floor.min(self.version);
        }
    }
}

// === impl Collection ===

impl Collection {
    fn new(floor: u64) -> Self {
        let changed = Signal::new(0);
        Self { items: BTreeMap::new(), changes: VecDeque::new(), floor, dropped: 0, changed }
    }

    pub(crate) fn items(&self) -> &Items {
        &self.items
    }

    /// Wakes at every change of this collection.
    pub(crate) fn subscribe(&self) -> Listener<u64> {
        self.changed.subscribe()
    }

    /// Wakes those who wait though nothing changed; used when the kind itself comes or goes.
    pub(crate) fn wake(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Whether a watch can start after `version` without missing anything.
    pub(crate) fn remembers(&self, version: u64) -> bool {
        version >= self.floor
    }

    /// The changes after `version`, oldest first; none where some of them are no longer in the history.
    pub(crate) fn since(&self, version: u64) -> Option<impl Iterator<Item = &Change>> {
        let start = self.changes.partition_point(|change| change.version <= version);
        (version >= self.dropped).then(|| self.changes.iter().skip(start))
    }

    /// The objects as they were at `version`; none where the history does not reach back.
    pub(crate) fn at(&self, version: u64) -> Option<Cow<'_, Items>> {
        if !self.remembers(version) {
            return None;
        }
        let mut items = Cow::Borrowed(&self.items);
        for change in self.changes.iter().rev().take_while(|change| change.version > version) {
            match &change.before {
                Some(before) => items.to_mut().insert(change.key.clone(), before.clone()),
                None => items.to_mut().remove(&change.key),
            };
        }
        Some(items)
    }

    fn record(&mut self, change: Change, history: usize) {
        self.changes.push_back(change);
        while self.changes.len() > history {
            if let Some(dropped) = self.changes.pop_front() {
                self.dropped = dropped.version;
                self.floor = self.floor.max(dropped.version);
            }
        }
        self.wake();
    }

    fn undo(&mut self) -> Option<Change> {
        let change = self.changes.pop_back()?;
        match &change.before {
            Some(before) => self.items.insert(change.key.clone(), before.clone()),
            None => self.items.remove(&change.key),
        };
        self.wake();
        Some(change)
    }
}

// === impl Stored ===

impl Stored {
    pub(crate) fn new(value: Value) -> Self {
        Self { value, json: OnceLock::new() }
    }

    /// The object's JSON, without `apiVersion` and `kind`.
    pub(crate) fn json(&self) -> &Bytes {
        self.json.get_or_init(|| self.value.to_string().into())
    }

    pub(crate) fn metadata(&self, field: &str) -> &Value {
        self.value.get("metadata").and_then(|metadata| metadata.get(field)).unwrap_or(&Value::Null)
    }

    pub(crate) fn name(&self) -> &str {
        self.metadata("name").as_str().unwrap_or_default()
    }

    pub(crate) fn uid(&self) -> &str {
        self.metadata("uid").as_str().unwrap_or_default()
    }

    pub(crate) fn namespace(&self) -> Option<&str> {
        self.metadata("namespace").as_str()
    }

    pub(crate) fn version(&self) -> u64 {
        self.metadata("resourceVersion").as_str().and_then(|version| version.parse().ok()).unwrap_or_default()
    }

    pub(crate) fn is_terminating(&self) -> bool {
        self.metadata("deletionTimestamp").is_string()
    }

    pub(crate) fn finalizers(&self) -> Vec<String> {
        strings(self.metadata("finalizers"))
    }

    /// A copy under another version: what a watch shows of an object that is gone from it.
    pub(crate) fn at_version(&self, version: u64) -> Value {
        let mut value = self.value.clone();
        set_version(&mut value, version);
        value
    }
}

/// The strings of a JSON array.
pub(crate) fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

fn set_version(value: &mut Value, version: u64) {
    value["metadata"]["resourceVersion"] = Value::String(version.to_string());
}
