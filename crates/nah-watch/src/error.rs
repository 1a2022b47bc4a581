//! What can go wrong with a registration and with a run.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use nah_core::{BoxError, GroupVersionKind};

use crate::CallbackId;

/// Why a callback is not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The kind has a callback of that name.
    #[error("a callback named {name:?} is already registered for {}", gvk.kind)]
    DuplicateName {
        /// The kind.
        gvk: GroupVersionKind,
        /// The name.
        name: String,
    },
    /// Nothing is called back any more.
    #[error("backend has stopped")]
    Stopped,
}

/// An error that counts as success for its callback, anywhere in the chain of its sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[doc(alias = "ErrIgnore")]
pub struct Ignore;

/// The source of [`Ignore`]. An error type that hides what it holds (an `anyhow::Error` turned into a box) still shows
/// the sources of it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("nothing to do")]
struct NothingToDo;

/// An error that waiting will not cure: reported, and not retried until the object changes.
///
/// It counts anywhere in the chain of an error's sources. (An `anyhow::Error` made of it and turned into a box is not
/// that: it hides what it holds. Return it as it is, or give it a context.)
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Terminal(#[source] pub BoxError);

/// The error of a callback that panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Panicked {
    /// What it panicked with.
    pub message: String,
    /// The file, line and column, where they could be learnt.
    pub place: Option<String>,
}

/// The error of a callback that took longer than its [`CallbackOptions::time_limit`](crate::CallbackOptions).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("did not end within {limit:?}")]
#[non_exhaustive]
pub struct TimedOut {
    /// The time that it had.
    pub limit: Duration,
}

/// What one callback failed with.
#[derive(Debug, thiserror::Error)]
#[error("handler {name} {}: {source}", gvk.kind)]
#[non_exhaustive]
pub struct CallbackFailure {
    /// The callback, for a run that is meant for it alone.
    pub id: CallbackId,
    /// The name that the callback is registered under.
    pub name: Arc<str>,
    /// The kind.
    pub gvk: Arc<GroupVersionKind>,
    /// The error as the callback returned it; [`Panicked`] or [`TimedOut`] if it did not return one.
    pub source: BoxError,
    /// Whether it is [`Terminal`].
    pub terminal: bool,
    /// Whether the callback panicked.
    pub panicked: bool,
    /// Whether it is to be retried for this callback alone.
    pub alone: bool,
}

impl fmt::Display for Ignore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ignored")
    }
}

impl Error for Ignore {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&NothingToDo)
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "panicked at {place}: {}", self.message),
            None => write!(f, "panicked: {}", self.message),
        }
    }
}

impl Error for Panicked {}

/// Whether `error` counts as success.
pub(crate) fn is_ignored(error: &BoxError) -> bool {
    is_caused_by::<NothingToDo>(error)
}

/// Whether `error` counts as one that waiting will not cure.
pub(crate) fn is_terminal(error: &BoxError) -> bool {
    is_caused_by::<Terminal>(error)
}

/// Whether `error` or any of its sources is an `E`.
fn is_caused_by<E: Error + 'static>(error: &BoxError) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(&**error);
    while let Some(error) = next {
        if error.is::<E>() {
            return true;
        }
        next = error.source();
    }
    false
}
