//! What a run left behind.

use std::{fmt, time::Duration};

use crate::{CallbackFailure, Meant};

/// What one run over the callbacks of a key left behind. Prints its failures, joined by commas.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// The earliest that any callback asked for.
    pub requeue_after: Option<Duration>,
    /// What failed, in the order of the callbacks.
    pub failures: Vec<CallbackFailure>,
}

impl Report {
    /// Whether no callback failed.
    pub fn is_ok(&self) -> bool {
        self.failures.is_empty()
    }

    /// Whether any failure is worth a retry, which one that is [`Terminal`](crate::Terminal) is not.
    pub fn wants_retry(&self) -> bool {
        self.failures.iter().any(|failure| !failure.terminal)
    }

    /// Whom a retry is for, after a run that was meant for `meant`; none where nothing is to be retried.
    ///
    /// One failure of a callback that is not [retried alone](crate::CallbackOptions::retried_alone) makes it a retry for
    /// everyone the run was for.
    pub fn retry(&self, meant: &Meant) -> Option<Meant> {
        let mut retry = None::<Meant>;
        for failure in self.failures.iter().filter(|failure| !failure.terminal) {
            if !failure.alone {
                return Some(meant.clone());
            }
            let alone = Meant::only(failure.id);
            match &mut retry {
                Some(retry) => retry.merge(alone),
                None => retry = Some(alone),
            }
        }
        retry
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, failure) in self.failures.iter().enumerate() {
            write!(f, "{}{failure}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
