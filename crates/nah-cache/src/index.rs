//! Indexes: values of objects, and the objects of a value.

use std::{
    cmp::Ordering,
    fmt,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use nah_core::{DecodeError, Object, ObjectKey};

use crate::{CacheError, store::Spine};
use path::Path;

pub(crate) mod path;
pub(crate) mod plan;

/// A function from an object to its values.
type ValuesOf = Arc<dyn Fn(&Object) -> Result<Vec<String>, DecodeError> + Send + Sync>;

/// An index of `K`: a query by it can neither misspell its name nor ask another kind.
pub struct Index<K>(pub(crate) Arc<str>, pub(crate) PhantomData<fn() -> K>);

/// What an index takes the values of an object from.
#[derive(Clone)]
#[non_exhaustive]
#[doc(alias = "IndexFunc")]
#[doc(alias = "IndexerFunc")]
pub enum Extract {
    /// A field by its path, read from the encoded object: no decode at all.
    ///
    /// `spec.nodeName`, `spec.containers.image` (a list stands for each of its items),
    /// `metadata.labels['app.kubernetes.io/name']`. Numbers and booleans are indexed as text.
    Path(String),
    /// The values of an object; the object is in the bucket of each, and in none if there are none.
    ///
    /// Called once for each version of an object, on the task that takes it in, and never under a lock. One that
    /// fails or panics means no values for that object, counted in `status()`.
    Object(ValuesOf),
}

/// A named way to the values of an object.
pub(crate) struct Extractor {
    pub(crate) field: Arc<str>,
    extract: Compiled,
}

enum Compiled {
    Path(Path),
    Object(ValuesOf),
}

/// The objects of each value: one sorted sequence of pairs, so that a value's objects are a range of it, sorted by
/// key and shared by everyone who lists them, and an emptied bucket leaves nothing behind.
pub(crate) type Rows = Spine<Row>;

/// An object under one of its values.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) value: Arc<str>,
    pub(crate) object: Object,
}

// === impl Index ===

impl<K> Index<K> {
    /// The name of the index.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl<K> Clone for Index<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<K> fmt::Debug for Index<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Index").field(&self.0).finish()
    }
}

// === impl Extract ===

impl fmt::Debug for Extract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Object(_) => f.write_str("Object(..)"),
        }
    }
}

// === impl Extractor ===

impl Extractor {
    pub(crate) fn new(field: &str, extract: Extract) -> Result<Self, CacheError> {
        let extract = match extract {
            Extract::Path(path) => Compiled::Path(Path::parse(&path)?),
            Extract::Object(extract) => Compiled::Object(extract),
        };
        Ok(Self { field: field.into(), extract })
    }

    /// The values of `object`, sorted and without doubles; or what went wrong, a panic of the extractor included.
    pub(crate) fn values(&self, object: &Object) -> Result<Vec<String>, String> {
        let extract = match &self.extract {
            Compiled::Path(path) => {
                let json = object.json().map_err(|error| error.to_string())?;
                return path.values(&json).map_err(|error| error.to_string());
            }
            Compiled::Object(extract) => extract,
        };
        // What an extractor leaves broken by a panic is its own: nothing of ours is borrowed mutably here.
        let values = catch_unwind(AssertUnwindSafe(|| extract(object)));
        let mut values =
            values.map_err(|_| "extractor panicked".to_owned())?.map_err(|error| error.to_string())?;
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }
}

// === impl Row ===

impl Row {
    /// How this row stands to the one of `value` and `key`.
    pub(crate) fn order(&self, value: &str, key: &str) -> Ordering {
        (*self.value).cmp(value).then_with(|| self.object.key().as_str().cmp(key))
    }
}

/// The one text of a value that all its rows share, if it has any.
pub(crate) fn shared_value(rows: &Rows, value: &str) -> Option<Arc<str>> {
    rows.at(rows.rank(|row| row.order(value, "")))
        .filter(|row| *row.value == *value)
        .map(|row| row.value.clone())
}

/// Every value that has an object, sorted. Leaps from one to the next.
pub(crate) fn distinct(rows: &Rows) -> Vec<String> {
    let (mut values, mut at) = (Vec::new(), 0);
    while let Some(row) = rows.at(at) {
        at = rows.rank(|other| if *other.value <= *row.value { Ordering::Less } else { Ordering::Greater });
        values.push(row.value.as_ref().to_owned());
    }
    values
}

/// The ranks of the objects of `value`, of those in `namespace` where one is given.
pub(crate) fn range(rows: &Rows, value: &str, namespace: Option<&str>) -> std::ops::Range<usize> {
    let start = |key: &str| rows.rank(|row| row.order(value, key));
    match namespace {
        Some(namespace) => {
            let (from, to) = namespace_bounds(namespace);
            start(&from)..start(&to)
        }
        None => {
            let behind = |row: &Row| if *row.value <= *value { Ordering::Less } else { Ordering::Greater };
            start("")..rows.rank(behind)
        }
    }
}

/// The keys between which the objects of a namespace stand: `0` is what follows `/`.
pub(crate) fn namespace_bounds(namespace: &str) -> (String, String) {
    (format!("{namespace}/"), format!("{namespace}0"))
}

/// Whether `key` has `object`'s row under `value`.
pub(crate) fn has(rows: &Rows, value: &str, key: &ObjectKey) -> bool {
    rows.get(|row| row.order(value, key.as_str())).is_some()
}
