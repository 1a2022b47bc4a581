//! What the status tells of each scope, and what becomes of a reflector that panics.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::ConfigMap;
use nah_cache::{
    Applied, CacheFactoryExt, CacheOptions, Informer, ListCause, ListOptions, Observer, ScopeState,
};

use super::{Watching, names};
use crate::script::{Reply, Script, config_map, object, settle};

#[tokio::test(start_paused = true)]
async fn each_namespace_has_a_row_of_its_own() // C6, C13, C28
{
    let script = Script::new();
    script.list_at("/api/v1/namespaces/a/configmaps", Reply::list("10", &[object("a", "x", "x", 1)]));
    let (lines, reply) = Reply::stream();
    script.watch_at("/api/v1/namespaces/a/configmaps", reply);
    script.list_at("/api/v1/namespaces/b/configmaps", Reply::status(403, "Forbidden"));
    let factory = script.factory(CacheOptions::default().namespaces(["a", "b"]));
    let informer = factory.informer::<ConfigMap>().unwrap();
    assert_eq!((informer.status().state, informer.status().scopes.len()), (ScopeState::Begun, 0));
    settle().await;
    let status = informer.status();
    assert_eq!((status.state, status.synced), (ScopeState::Waiting, false));
    let [a, b] = &status.scopes[..] else { panic!("{status:?}") };
    assert_eq!((a.namespace.as_deref(), a.state), (Some("a"), ScopeState::Watching));
    assert_eq!((a.observed.clone(), a.last_error.clone(), a.relists()), (Some(10.into()), None, 0));
    assert_eq!(a.lists.iter().collect::<Vec<_>>(), [(&ListCause::First, &1)]);
    assert_eq!((b.namespace.as_deref(), b.state, b.observed.clone()), (Some("b"), ScopeState::Waiting, None));
    assert_eq!(b.last_error.as_deref(), Some("server answered 403: Forbidden"));
    assert!(b.lists.is_empty());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(informer.status().scopes[0].last_heard, Some(Duration::from_secs(5)));
    lines.event("ADDED", object("a", "y", "y", 11));
    settle().await;
    assert_eq!(informer.status().scopes[0].last_heard, Some(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn tells_why_it_listed() // C4, C11, C12
{
    let Watching { script, informer, lines, .. } = Watching::new().await;
    script.list(Reply::list("20", &[]));
    let second = script.watching();
    lines.error(410, "Expired");
    tokio::time::sleep(Duration::from_secs(2)).await;
    script.list(Reply::status(500, "InternalError"));
    script.list(Reply::list("30", &[]));
    let third = script.watching();
    second.error(500, "InternalError");
    tokio::time::sleep(Duration::from_secs(10)).await;
    script.list(Reply::list("40", &[]));
    let _fourth = script.watching();
    informer.refresh();
    settle().await;
    assert!(third.is_closed());
    let scope = &informer.status().scopes[0];
    let causes: Vec<_> = scope.lists.iter().map(|(cause, lists)| (*cause, *lists)).collect();
    let expected = [ListCause::First, ListCause::Expired, ListCause::Failed, ListCause::Refresh];
    assert_eq!(causes, expected.map(|cause| (cause, 1)));
    assert_eq!(scope.relists(), 3);
}

/// Panics as often as it is told to.
struct Trap(AtomicU32);

impl Observer for Trap {
    fn applied(&self, _: &Informer, _: Option<&str>, applied: &Applied<'_>) {
        let armed = matches!(applied, Applied::Event { .. })
            && self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        assert!(!armed, "the trap snaps");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_shown_and_the_scope_begins_afresh() // C6, C13
{
    let script = Script::new();
    script.list(Reply::list("10", &[config_map("a", 1), config_map("b", 2)]));
    let lines = script.watching();
    let factory = script.factory(CacheOptions::default());
    factory.observe(Arc::new(Trap(AtomicU32::new(1))));
    let informer = factory.informer::<ConfigMap>().unwrap();
    let mut subscription = informer.subscribe().unwrap();
    informer.wait_for_sync().await.unwrap();
    settle().await;
    super::told(&mut subscription);
    lines.event("ADDED", config_map("c", 11));
    settle().await;
    let scope = &informer.status().scopes[0];
    assert_eq!(scope.state, ScopeState::Panicked);
    assert_eq!(scope.last_error.as_deref(), Some("panicked: the trap snaps"));
    assert!(lines.is_closed());
    // What is known can still be read.
    assert_eq!(names(&informer), ["a@1", "b@2", "c@11"]);

    script.list(Reply::list("20", &[config_map("a", 1), config_map("c", 11)]));
    let next = script.watching();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(script.list_versions()[1], Some("11".into()));
    assert_eq!(names(&informer), ["a@1", "c@11"]);
    next.event("DELETED", config_map("a", 21));
    settle().await;
    assert_eq!(super::told(&mut subscription), ["+c", "-b (tombstone)", "-a"]);
    let status = informer.status();
    assert_eq!((status.state, status.last_error), (ScopeState::Watching, None));
    assert_eq!(status.scopes[0].lists[&ListCause::Panicked], 1);
}

#[tokio::test(start_paused = true)]
async fn a_reflector_that_always_panics_waits_longer_and_longer_and_stops_when_told_to() // C23, C24
{
    let script = Script::new();
    for version in 0..40 {
        script.list(Reply::list(&format!("1{version:02}"), &[]));
    }
    let watches: Vec<_> = (0..40).map(|_| script.watching()).collect();
    for (version, lines) in (0..).zip(&watches) {
        lines.event("ADDED", config_map("a", 500 + version));
    }
    let factory = script.factory(CacheOptions::default());
    factory.observe(Arc::new(Trap(AtomicU32::new(u32::MAX))));
    let informer = factory.informer::<ConfigMap>().unwrap();
    tokio::time::sleep(Duration::from_secs(300)).await;
    let watches = script.watches();
    assert!((8..20).contains(&watches.len()), "{}", watches.len());
    let waits: Vec<_> = watches.windows(2).map(|pair| (pair[1].at - pair[0].at).as_millis()).collect();
    assert!((800..1700).contains(&waits[0]) && waits.iter().any(|wait| *wait > 30_000), "{waits:?}");
    assert!(informer.list(&ListOptions::default()).is_ok());
    factory.stop();
    let asked = script.seen().len();
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(script.seen().len(), asked);
}
