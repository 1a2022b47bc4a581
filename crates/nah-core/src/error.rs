//! What can be wrong with a key, a kind or an object.

use std::sync::Arc;

use crate::{GroupVersionKind, Misfit, ObjectKey};

/// Any error, as callbacks and extractors return it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a text or an object gives no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadKey {
    /// The object has no name yet (`generateName`), or an empty one.
    #[error("object has no name")]
    NoName,
    /// The text is not one name, or a namespace and a name.
    #[error("{0:?} is not namespace/name")]
    Malformed(String),
}

/// The object carries no `apiVersion` and `kind`, and its type does not say them either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("object names no apiVersion and kind")]
pub struct UnknownKind;

/// An object that cannot be read as what was asked for. Not an absence: the object is there.
#[derive(Debug, thiserror::Error)]
#[error("cannot decode {} {key}{}: {source}", gvk.kind, At(path.as_deref()))]
#[non_exhaustive]
pub struct DecodeError {
    /// The kind of the object.
    pub gvk: Arc<GroupVersionKind>,
    /// The key of the object; `?` where not even that could be read.
    pub key: ObjectKey,
    /// The JSON path of what does not fit, where it is known.
    pub path: Option<String>,
    /// What does not fit.
    pub source: BoxError,
}

struct At<'a>(Option<&'a str>);

impl std::fmt::Display for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |path| write!(f, " at {path}"))
    }
}

impl DecodeError {
    /// An error about the object of kind `gvk` at `key`. One of `serde_json` becomes a [`Misfit`], which does not
    /// quote the object.
    pub fn new(gvk: Arc<GroupVersionKind>, key: ObjectKey, source: impl Into<BoxError>) -> Self {
        let source = match source.into().downcast::<serde_json::Error>() {
            Ok(error) => Misfit::from(*error).into(),
            Err(source) => source,
        };
        Self { gvk, key, path: None, source }
    }

    /// The same error with the JSON path of what does not fit.
    #[must_use]
    pub fn at(self, path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..self }
    }
}

/// Why a value cannot be an [`Object`](crate::Object).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadObject {
    /// It has no usable key.
    #[error(transparent)]
    Key(#[from] BadKey),
    /// It does not say its kind.
    #[error(transparent)]
    Kind(#[from] UnknownKind),
}
