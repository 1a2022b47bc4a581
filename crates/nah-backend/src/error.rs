//! How a start can fail, and what a shutdown leaves.

use nah_cache::InformerStatus;
use nah_core::{BoxError, GroupVersionKind, ObjectKey};

/// Why a backend did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// These kinds were not synced within the time given; each says what it last heard. What was synced stays so,
    /// and another `start` goes on from there.
    #[error("not synced: {}", Reasons(.0))]
    NotSynced(Vec<InformerStatus>),
    /// A pause came before the end of the start, and it stands.
    #[error("backend was paused while it started")]
    Paused,
    /// What was to open the way did not, and said why.
    #[error("not let through: {0}")]
    Gate(#[source] BoxError),
    /// The backend was shut down.
    #[error("backend has stopped")]
    Stopped,
}

struct Reasons<'a>(&'a [InformerStatus]);

impl std::fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, status) in self.0.iter().enumerate() {
            let reason = status.last_error.as_deref().unwrap_or("no answer yet");
            write!(f, "{}{} ({reason})", if at == 0 { "" } else { ", " }, status.gvk.kind)?;
        }
        Ok(())
    }
}

/// What a shutdown could not finish. Whoever called for it is told all of it, whosever `grace` it was.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Shutdown {
    /// Runs that had to be cut off: callback, kind, key.
    pub cut_off: Vec<(String, GroupVersionKind, ObjectKey)>,
    /// Those of them that could not be: their callbacks block the thread they run on, and no task can be taken from its
    /// thread. They go on until they next await; nothing they still do through the backend has an effect.
    pub blocked: Vec<(String, GroupVersionKind, ObjectKey)>,
    /// Tasks that are held up: by those, or by a handler that blocks its thread.
    pub tasks_left: usize,
    /// Runs that were still asked for: keys that were due, and deadlines of triggers and retries.
    pub keys_left: usize,
}
