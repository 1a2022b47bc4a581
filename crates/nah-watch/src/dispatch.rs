//! One run: the callbacks of a kind over one key.

use std::fmt;

use nah_core::{BoxError, GroupVersionKind, Object};
use tokio::time::timeout;
use tracing::Instrument;

use crate::{
    CallbackFailure, Callbacks, Change, Meant, Outcome, Report, TimedOut,
    callbacks::Entry,
    error::{is_ignored, is_terminal},
    guard,
};

impl Callbacks {
    /// Runs the callbacks meant, one after the other in the order of their registration, over the list as it is now.
    ///
    /// All of them run, also after one failed. An object that one returns is what the next is called with, if it has a
    /// uid and stands at the key of the change; where nothing stood there, all are told so. Errors and panics are
    /// collected; [`Ignore`](crate::Ignore) is none. The run writes nothing anywhere, and ends when its future is dropped.
    pub async fn run(&self, mut change: Change, meant: &Meant) -> Report {
        let mut report = Report::default();
        for entry in self.snapshot().iter().filter(|entry| meant.includes(entry.id)) {
            let Some(_running) = self.0.begin(entry, &change.key) else { continue };
            match call(entry, &change).await {
                Ok(outcome) => {
                    report.requeue_after =
                        report.requeue_after.into_iter().chain(outcome.requeue_after).min();
                    if let Some(object) = outcome.object.filter(|object| feeds(&change, object, entry)) {
                        change.object = Some(object);
                    }
                }
                Err(failure) => report.failures.extend(failure),
            }
        }
        report
    }
}

/// Calls one callback. The error is none where the callback's is to be ignored.
async fn call(entry: &Entry, change: &Change) -> Result<Outcome, Option<CallbackFailure>> {
    let span = tracing::info_span!(
        "callback",
        gvk = %Gvk(&change.gvk),
        key = %change.key,
        callback = %entry.name,
        causes = ?change.causes,
        attempt = change.failures.saturating_add(1),
    );
    change.links.link(&span);
    let failure = |source: BoxError, terminal, panicked| {
        let (id, name, alone) = (entry.id, entry.name.clone(), entry.options.retried_alone);
        Some(CallbackFailure { id, name, gvk: change.gvk.clone(), source, terminal, panicked, alone })
    };
    let run = span.in_scope(|| guard::Run::begin(entry.id, || entry.callback.call(change.clone())));
    let ended = match (run, entry.options.time_limit) {
        (Ok(run), None) => run.instrument(span).await,
        // Apart, because a timer is large, and few have one.
        (Ok(run), Some(limit)) => {
            let timed = Box::pin(timeout(limit, run)).instrument(span).await;
            timed.unwrap_or_else(|_| Ok(Err(TimedOut { limit }.into())))
        }
        (Err(panicked), _) => Err(panicked),
    };
    match ended {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(error)) => {
            // The sources of an error are told by code of others.
            let judged = guard::quietly("looked at", || (is_ignored(&error), is_terminal(&error)));
            let (ignored, terminal) = judged.unwrap_or_default();
            if ignored {
                guard::quietly("dropped", || drop(error));
                return Err(None);
            }
            Err(failure(error, terminal, false))
        }
        Err(panicked) => Err(failure(panicked.into(), false, true)),
    }
}

/// A kind as it stands in a manifest: `apps/v1 Deployment`.
struct Gvk<'a>(&'a GroupVersionKind);

impl fmt::Display for Gvk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GroupVersionKind { group, version, kind } = self.0;
        let slash = if group.is_empty() { "" } else { "/" };
        write!(f, "{group}{slash}{version} {kind}")
    }
}

/// Whether `object`, returned for `change`, is what the next callback is called with.
fn feeds(change: &Change, object: &Object, entry: &Entry) -> bool {
    // Gone is gone for all: an object would look like one that is there.
    if change.object.is_none() || object.uid().is_none_or(|uid| uid.as_str().is_empty()) {
        return false;
    }
    let same = *object.gvk() == *change.gvk && *object.key() == change.key;
    if !same {
        tracing::warn!(callback = %entry.name, ?change, returned = ?object, "returned another object, left aside");
    }
    same
}
