//! One run: the callbacks of a kind over one key.

use nah_core::{BoxError, Object};
use tracing::Instrument;

use crate::{
    CallbackFailure, Callbacks, Change, Meant, Outcome, Report,
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
            match call(entry, change.clone()).await {
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
async fn call(entry: &Entry, change: Change) -> Result<Outcome, Option<CallbackFailure>> {
    let span = tracing::info_span!(
        "callback",
        kind = %change.gvk.kind,
        group = %change.gvk.group,
        version = %change.gvk.version,
        key = %change.key,
        callback = %entry.name,
        causes = ?change.causes,
        attempt = change.failures.saturating_add(1),
    );
    let gvk = change.gvk.clone();
    let failure = |source: BoxError, terminal, panicked| {
        Some(CallbackFailure { name: entry.name.clone(), gvk, source, terminal, panicked })
    };
    // The call itself is inside, so that a panic before the first await is caught as well.
    let run = async { entry.callback.call(change).await };
    match guard::catch(entry.id, run).instrument(span).await {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(error)) if is_ignored(&error) => Err(None),
        Ok(Err(error)) => {
            let terminal = is_terminal(&error);
            Err(failure(error, terminal, false))
        }
        Err(panicked) => Err(failure(panicked.into(), false, true)),
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
