//! Tests of nah-watch by its public interface.
#![allow(clippy::unwrap_used)]

mod asked;
mod change;
mod failure;
mod meant;
mod options;
mod order;
mod outcome;
mod races;
mod registration;
mod span;
mod watcher;

use std::{future::Future, sync::Arc};

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use nah_core::{BoxError, Kind, ObjectMeta};
use nah_watch::{CallbackResult, Callbacks, Change, IntoOutcome, Meant, Registration, Report, typed};
use parking_lot::Mutex;

/// What callbacks saw, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, line: impl Into<String>) {
        self.0.lock().push(line.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

fn pods() -> Callbacks {
    Callbacks::new(Pod::kind_of())
}

/// A pod as the server would give it: with a uid.
fn pod(name: &str) -> Pod {
    let metadata = ObjectMeta {
        name: Some(name.into()),
        namespace: Some("default".into()),
        uid: Some(format!("uid-of-{name}")),
        ..ObjectMeta::default()
    };
    Pod { metadata, ..Pod::default() }
}

fn labelled(mut pod: Pod, label: &str) -> Arc<Pod> {
    pod.metadata.labels.get_or_insert_default().insert("by".into(), label.into());
    Arc::new(pod)
}

fn change(name: &str) -> Change {
    Change::<Pod>::of(pod(name)).unwrap().erase().unwrap()
}

/// Always fails, as an assertion that does not hold.
fn explode(message: &str) {
    assert!(message.is_empty(), "{message}");
}

fn gone(name: &str) -> Change {
    Change::<Pod>::gone(("default", name)).erase().unwrap()
}

async fn run(callbacks: &Callbacks, change: Change) -> Report {
    callbacks.run(change, &Meant::All).await
}

/// Registers a closure for pods.
fn on<F, Fut, R>(callbacks: &Callbacks, name: &str, callback: F) -> Registration
where
    F: Fn(Change<Pod>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = CallbackResult<R>> + Send + 'static,
    R: IntoOutcome + 'static,
{
    callbacks.add(name, typed(callback)).unwrap()
}

/// Registers a callback that notes its name.
fn noting(callbacks: &Callbacks, log: &Log, name: &'static str) -> Registration {
    let log = log.clone();
    on(callbacks, name, move |_| {
        log.note(name);
        async { Ok(()) }
    })
}

/// Registers a callback that notes its name and what it sees: a label, `plain` or `none`.
fn seeing(callbacks: &Callbacks, log: &Log, name: &'static str) -> Registration {
    let log = log.clone();
    on(callbacks, name, move |change| {
        let seen = match &change.object {
            None => "none",
            Some(pod) => pod.metadata.labels.as_ref().map_or("plain", |labels| labels["by"].as_str()),
        };
        log.note(format!("{name} sees {seen}"));
        async { Ok(()) }
    })
}

fn failing(callbacks: &Callbacks, name: &str, error: &'static str) -> Registration {
    on(callbacks, name, move |_| async move { Err::<(), BoxError>(error.into()) })
}
