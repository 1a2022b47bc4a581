//! What comes between two steps of a call: code of users runs there, so that a test hits the moment.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use k8s_openapi::api::core::v1::ConfigMap;
use nah_backend::{
    KindOptions, KubeBackend, Unwatched, WeakBackend,
    prelude::*,
    trigger::{Classes, QueueOptions, TriggerError},
    watch::{Callback, CallbackOptions, CallbackResult, Outcome},
};
use nah_testing::ApiServer;
use tokio::{
    task::yield_now,
    time::{sleep, timeout},
};

use crate::ground::{Gate, LONG, ground, map, record};

const A: (&str, &str) = ("default", "a");

/// A backend whose queue of ConfigMaps asks `between` for the class of a key: after a trigger was let through, and before
/// it is queued. Asked once, and not before the flag is up.
fn interrupted(between: fn(&KubeBackend)) -> (KubeBackend, Arc<AtomicBool>) {
    let (weak, armed) = (Arc::new(OnceLock::<WeakBackend>::new()), Arc::new(AtomicBool::new(false)));
    let (theirs, flag) = (weak.clone(), armed.clone());
    let classes = Classes::by(move |_: &ObjectKey| {
        if flag.swap(false, Ordering::SeqCst) {
            between(&theirs.get().unwrap().upgrade().unwrap());
        }
    });
    let options = KindOptions::default().queue(QueueOptions::default().with_classes(classes));
    let backend = KubeBackend::with_client(ApiServer::new().client()).kind::<ConfigMap>(options).build();
    weak.set(backend.downgrade()).unwrap();
    (backend, armed)
}

#[tokio::test(start_paused = true)]
async fn a_trigger_during_which_its_kind_is_removed_has_no_callback() // D19, G18
{
    let (backend, armed) = interrupted(|backend| backend.remove_kind(&ConfigMap::kind_of()));
    record(&backend, "c");
    backend.start().await.unwrap();
    armed.store(true, Ordering::SeqCst);
    let error = backend.trigger::<ConfigMap>(A, Duration::ZERO).unwrap_err();
    assert!(matches!(&error, TriggerError::NoCallback { gvk } if gvk.kind == "ConfigMap"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_trigger_during_which_the_backend_ends_is_told_so() // D19, G10
{
    // Before any start there is nothing that its end would wait for.
    let (backend, armed) = interrupted(|backend| {
        assert!(backend.shutdown(Duration::ZERO).now_or_never().is_some());
    });
    record(&backend, "c");
    armed.store(true, Ordering::SeqCst);
    let error = backend.trigger::<ConfigMap>(A, Duration::ZERO).unwrap_err();
    assert!(matches!(error, TriggerError::Stopped), "{error}");
}

/// A callback that does something while it is asked for its options, which is in the middle of its registration.
struct Interrupts(Box<dyn Fn() + Send + Sync>);

impl Callback for Interrupts {
    fn call(&self, _: Change) -> BoxFuture<'_, CallbackResult<Outcome>> {
        Box::pin(async { Ok(Outcome::default()) })
    }

    fn options(&self) -> CallbackOptions {
        (self.0)();
        CallbackOptions::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_callback_during_whose_registration_a_shutdown_begins_gets_no_replay() // G9, G10
{
    let (_server, backend) = ground();
    let gate = Gate::taken(&backend).await;
    let weak = backend.downgrade();
    let begins = move || {
        let backend = weak.upgrade().unwrap();
        assert!(backend.shutdown(LONG).now_or_never().is_none());
    };
    let late = backend.add_callback(&ConfigMap::kind_of(), "late", Arc::new(Interrupts(Box::new(begins))));
    assert!(late.is_ok());
    sleep(Duration::from_secs(1)).await;
    gate.open();
    let left = timeout(LONG, backend.shutdown(LONG)).await.unwrap();
    assert_eq!((left.keys_left, left.cut_off.len()), (0, 0), "a replay was begun that nobody will run");
}

#[tokio::test(start_paused = true)]
async fn a_callback_during_whose_registration_its_kind_is_removed_begins_it_afresh() // E18, E24, G18
{
    let (_server, backend) = ground();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    crate::ground::next(&mut told).await;
    let weak = backend.downgrade();
    let once = AtomicBool::new(true);
    let removes = move || {
        if once.swap(false, Ordering::SeqCst) {
            weak.upgrade().unwrap().remove_kind(&ConfigMap::kind_of());
        }
    };
    backend.add_callback(&ConfigMap::kind_of(), "late", Arc::new(Interrupts(Box::new(removes)))).unwrap();
    sleep(Duration::from_secs(1)).await;
    let stats = backend.queue_stats(&ConfigMap::kind_of()).unwrap();
    assert_eq!((stats.successes, stats.ready), (1, 0), "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_for_the_keys_that_a_removed_kind_leaves() // G18
{
    let server = ApiServer::new();
    let backend = KubeBackend::with_client(server.client()).unwatched(Unwatched::Live).workers(1).build();
    let gate = Gate::taken(&backend).await;
    for name in ["b", "c"] {
        backend.trigger::<ConfigMap>(("default", name), Duration::ZERO).unwrap();
    }
    backend.remove_kind(&ConfigMap::kind_of());
    server.journal().clear();
    gate.open();
    sleep(Duration::from_secs(60)).await;
    yield_now().await;
    assert!(server.journal().requests().is_empty(), "{:?}", server.journal().requests());
}
