//! Indexes: values of objects, and the objects of a value.

mod bunch;
mod explain;
mod extractor;
pub(crate) mod path;
pub(crate) mod plan;
mod rows;

use std::{fmt, marker::PhantomData, sync::Arc};

use nah_core::{DecodeError, Object};

pub use explain::{Explanation, IndexStatus};
pub(crate) use extractor::Extractor;
pub(crate) use rows::{Rows, namespace_bounds};

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
    /// The value of one label, read from the object's head: no decode, and nothing remembered beside it.
    ///
    /// Label selectors use it where they ask for this label to have a value.
    Label(String),
    /// Every label with its value, as `app=web`, read from the object's head. Label selectors use it, whatever
    /// label they ask for.
    Labels,
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

impl Extract {
    /// The name of the index over every label.
    pub const LABELS: &'static str = "metadata.labels";

    /// The name of the index over one label, which is its path: `metadata.labels['app']`.
    pub fn label_field(label: &str) -> String {
        format!("{}['{label}']", Self::LABELS)
    }
}

impl fmt::Debug for Extract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Object(_) => f.write_str("Object(..)"),
            Self::Label(label) => f.debug_tuple("Label").field(label).finish(),
            Self::Labels => f.write_str("Labels"),
        }
    }
}
