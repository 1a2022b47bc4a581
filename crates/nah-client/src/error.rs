//! What can go wrong with a read or a write, and what it did to the server.

use kube_core::{Status, response::StatusDetails};
use nah_cache::CacheError;
use nah_core::{BadKey, BadObject, BoxError, DecodeError, GroupVersionKind, ObjectKey};

/// What every call of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a read or a write failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server's answer, or the same words from the cache (404, reason `NotFound`).
    #[error("{} {key}: {status}", gvk.kind)]
    Api {
        /// The kind that was asked for.
        gvk: GroupVersionKind,
        /// The key that was asked for; the namespace, or nothing, where the request named no object.
        key: String,
        /// What the server said.
        status: Box<Status>,
    },
    /// The cache cannot answer.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The client is held: its owner has not started yet. Not an absence.
    #[error("backend is not started")]
    #[doc(alias = "ErrCacheNotStarted")]
    NotStarted,
    /// The key is no `namespace/name` and no `name`.
    #[error("{} {key:?}: {source}", gvk.kind)]
    Key {
        /// The kind that was asked for.
        gvk: GroupVersionKind,
        /// The key as it was given.
        key: String,
        /// What is wrong with it.
        source: BadKey,
    },
    /// The value to write has no name or no kind.
    #[error(transparent)]
    Object(#[from] BadObject),
    /// Of a read; of a write it happened after the server had done it.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The request did not come through, or its answer did not come back.
    #[error("{effect:?}: {source}")]
    Transport {
        /// What is known of what the request did.
        effect: Effect,
        /// What broke.
        source: BoxError,
    },
    /// A metadata-only object sent as a whole one would empty its spec.
    #[error("a metadata-only object cannot replace a whole one; patch it")]
    MetadataOnly,
    /// The cache drops parts of the objects of this kind, so what was read may not be all there is, and to put it in the
    /// place of the whole would delete the rest. [`modify`](crate::ReadWriteExt::modify) and patches are safe; who has
    /// the whole object (read live, or made) says so with [`Write::whole`](crate::Write::whole).
    #[error("{} {key}: the cache trims this kind, so a replacement may lose what it dropped; modify or patch it", gvk.kind)]
    Trimmed {
        /// The kind that was to be written.
        gvk: GroupVersionKind,
        /// The key that was to be written.
        key: ObjectKey,
    },
    /// Only the server knows: a write of ours may have changed the object and its result is not known, or the kind
    /// is read live. `get` asks the server by itself; `lookup` never waits, so it says so.
    #[error("{} {key}: only the server knows; read it live", gvk.kind)]
    Unsure {
        /// The kind that was asked for.
        gvk: GroupVersionKind,
        /// The key that was asked for; nothing for a list.
        key: String,
    },
    /// Nobody watches the kind, and the client was told not to start a watch for a read.
    #[error("nobody watches {}", .0.kind)]
    Unwatched(GroupVersionKind),
    /// The write was done, but its answer holds no object (a subresource such as `eviction` answers a `Status`).
    #[error("the server did it and answered without an object")]
    NoObject,
}

/// What a failed write did to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: it may be sent again as it is.
    None,
    /// It was done; what failed came after.
    Applied,
    /// Nobody here knows. A `get` of that object asks the server.
    Unknown,
}

/// `NotFound` as an absence.
pub trait OptionalExt<T> {
    /// `NotFound` as `None`.
    ///
    /// # Errors
    /// Every other error.
    #[doc(alias = "IgnoreNotFound")]
    fn optional(self) -> Result<Option<T>>;
}

// === impl Error ===

impl Error {
    /// The words of the server for an object that is not there.
    #[doc(alias = "NewNotFound")]
    pub fn not_found(gvk: &GroupVersionKind, key: &ObjectKey) -> Self {
        let details = StatusDetails {
            name: key.name().to_owned(),
            group: gvk.group.clone(),
            kind: gvk.kind.clone(),
            uid: String::new(),
            causes: Vec::new(),
            retry_after_seconds: 0,
        };
        let status = Status::failure(&format!("{:?} not found", key.name()), "NotFound")
            .with_code(404)
            .with_details(details)
            .boxed();
        Self::Api { gvk: gvk.clone(), key: key.to_string(), status }
    }

    /// What the server said, if it said anything.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Api { status, .. } => Some(status),
            _ => None,
        }
    }

    /// Whether the object is not there (or, of a write, its namespace or subresource; `status.details` tells).
    ///
    /// Only where the API server says so: a proxy's 404 is no absence.
    #[doc(alias = "IsNotFound")]
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(|status| status.reason == "NotFound")
    }

    /// Whether somebody else changed the object first, or a precondition did not hold.
    #[doc(alias = "IsConflict")]
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(Status::is_conflict)
    }

    /// Whether an object of that name was there already.
    #[doc(alias = "IsAlreadyExists")]
    #[doc(alias = "IgnoreAlreadyExists")]
    pub fn is_already_exists(&self) -> bool {
        self.status().is_some_and(Status::is_already_exists)
    }

    /// Whether the server refused the object's content.
    #[doc(alias = "IsInvalid")]
    pub fn is_invalid(&self) -> bool {
        self.status().is_some_and(|status| status.code == 422 || status.is_invalid())
    }

    /// Whether we may not do that.
    #[doc(alias = "IsForbidden")]
    pub fn is_forbidden(&self) -> bool {
        self.status().is_some_and(Status::is_forbidden)
    }

    /// Whether the server has too much to do; it has done nothing.
    #[doc(alias = "IsTooManyRequests")]
    pub fn is_too_many_requests(&self) -> bool {
        self.status().is_some_and(|status| status.code == 429)
    }

    /// What the write that failed with this error did to the server.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Decode(_) | Self::NoObject => Effect::Applied,
            Self::Transport { effect, .. } => *effect,
            // A server that fails, or a proxy that gives up, may have written before it did.
            Self::Api { status, .. } if status.code >= 500 || status.code == 408 => Effect::Unknown,
            _ => Effect::None,
        }
    }

    pub(crate) fn bad_request(gvk: &GroupVersionKind, key: impl Into<String>, message: &str) -> Self {
        let status = Status::failure(message, "BadRequest").with_code(400).boxed();
        Self::Api { gvk: gvk.clone(), key: key.into(), status }
    }

    /// A request that could not even be built.
    pub(crate) fn unsent(source: impl Into<BoxError>) -> Self {
        Self::Transport { effect: Effect::None, source: source.into() }
    }
}

// === impl OptionalExt ===

impl<T> OptionalExt<T> for Result<T> {
    fn optional(self) -> Result<Option<T>> {
        self.map(Some).or_else(|error| if error.is_not_found() { Ok(None) } else { Err(error) })
    }
}
