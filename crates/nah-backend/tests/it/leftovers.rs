//! What is left after a shutdown: no task, no connection, nothing held.

use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use nah_backend::{KindOptions, KubeBackend, cache::CacheError, core::BoxError, prelude::*};
use nah_testing::ApiServer;
use tokio::{
    runtime::{Builder, Handle},
    sync::mpsc::unbounded_channel,
    time::sleep,
};

use crate::ground::{Gate, LONG, ground, map, pausing, pod, record};

#[tokio::test(start_paused = true)]
async fn after_a_shutdown_no_task_is_left_and_nothing_is_held() // G9, B30, Q24
{
    let before = Handle::current().metrics().num_alive_tasks();
    let (_server, backend) = ground();
    let held = held_everywhere::<Pod>(&backend);
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    backend.trigger::<ConfigMap>(("default", "a"), Duration::from_secs(3600)).unwrap();
    sleep(Duration::from_secs(1)).await;
    assert!(Handle::current().metrics().num_alive_tasks() > before + 3);

    let weak = backend.downgrade();
    backend.shutdown(Duration::from_secs(1)).await;
    assert!(weak.upgrade().is_none());
    assert_eq!(Arc::strong_count(&held), 1, "callback, handler and extractor are dropped");
    // The client was handed over, and its own worker ends with its last handle.
    sleep(Duration::from_secs(1)).await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), before);
    drop(backend);
}

/// Of the connections of this machine to `port`, those that are open.
#[cfg(target_os = "linux")]
fn open(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let remote = format!(":{port:04X}");
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[2].ends_with(&remote) && row[3] == "01").count()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn when_a_shutdown_returns_no_connection_is_open() // G9, Q24
{
    let server = ApiServer::new();
    let listening = server.listen().await.unwrap();
    let port = listening.addr().port();
    let backend = KubeBackend::builder(listening.config()).unwrap().build();
    record(&backend, "c");
    backend.informer::<Pod>().unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    let mapper = backend.rest_mapper();
    let watch = backend.watch(&ConfigMap::kind_of(), ListOptions::default());
    assert!(open(port) > 2, "a watch each, and what the write went by");
    backend.shutdown(LONG).await;
    assert_eq!(open(port), 0);
    // What was handed out works on no more.
    assert!(matches!(mapper.mapping(&Pod::kind_of()).await, Ok(_) | Err(CacheError::Stopped)));
    assert_eq!(watch.count().await, 1, "an error: stopped");
    let refused = backend.client().apiserver_version().await.unwrap_err();
    assert!(format!("{refused:?}").contains("Stopped"), "{refused:?}");
    assert_eq!(open(port), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn of_a_backend_that_did_everything_no_task_is_left_and_no_connection_is_open() // G9, G15, Q24
{
    // The server is elsewhere, so that here are only tasks of the backend and of its client.
    let elsewhere = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (server, listening) = elsewhere.block_on(async {
        let server = ApiServer::new();
        let listening = server.listen().await.unwrap();
        (server, listening)
    });
    let port = listening.addr().port();
    let here = Builder::new_current_thread().enable_all().build().unwrap();
    here.block_on(async {
        let alive = || Handle::current().metrics().num_alive_tasks();
        assert_eq!((alive(), open(port)), (0, 0));
        let unserved = GroupVersionKind::gvk("example.com", "v1", "Gadget");
        let builder = KubeBackend::builder(listening.config()).unwrap();
        let resync = KindOptions::default().resync(Duration::from_secs(1));
        let builder = builder.kind::<ConfigMap>(resync);
        let backend = builder.kind_for(&unserved, KindOptions::default().optional()).build();
        // Watches, a handler, an index, a callback that never ends, and one that is to be retried.
        let held = held_everywhere::<Pod>(&backend);
        let gate = Gate::hold(&backend);
        backend.preload().await.unwrap();
        backend.start().await.unwrap();
        backend.create(&map("a")).await.unwrap();
        gate.entered().await;
        // Late kinds: one with a callback that fails, one that the server does not have, one that is removed again.
        backend.create(&pod("p")).await.unwrap();
        let (tell, mut failed) = unbounded_channel();
        backend
            .watcher("fails", move |_: Change<Pod>| {
                let told = tell.send(());
                async move {
                    told?;
                    Err::<(), BoxError>("by order".into())
                }
            })
            .unwrap();
        failed.recv().await.unwrap();
        backend.watcher_for_kind(&unserved, "unserved", |_| async { Ok(()) }).unwrap();
        backend.watcher("removed", |_: Change<Secret>| async { Ok(()) }).unwrap();
        backend.informer::<Secret>().unwrap().wait_for_sync().await.unwrap();
        backend.remove_kind(&Secret::kind_of());
        backend.owns::<ConfigMap, Secret>().unwrap();
        backend.trigger::<ConfigMap>(("default", "later"), LONG).unwrap();
        let watch = backend.watch(&ConfigMap::kind_of(), ListOptions::default());
        let (tell, mut watched) = unbounded_channel();
        let watching = tokio::spawn(async move {
            let events = watch.inspect(|event| _ = tell.send(event.is_ok()));
            events.count().await
        });
        assert_eq!(watched.recv().await, Some(true));
        // Reads and writes at once, a pause, and another start.
        let gets = (0..8).map(|_| backend.get_live::<ConfigMap>(("default", "a")));
        futures::future::try_join_all(gets).await.unwrap();
        let pausing = pausing(&backend);
        tokio::task::yield_now().await;
        backend.start().await.unwrap();
        pausing.await.unwrap();
        assert!(alive() > 10 && open(port) > 4, "{} tasks, {} connections", alive(), open(port));

        let left = backend.shutdown(Duration::from_millis(1)).await;
        assert_eq!(open(port), 0, "connections");
        let named = ("held".to_owned(), (*ConfigMap::kind_of()).clone(), ("default", "a").into());
        assert_eq!((left.cut_off, left.tasks_left), (vec![named], 0));
        assert_eq!(Arc::strong_count(&held), 1);
        watching.await.unwrap();
        // Those of the client are woken by its end, and have not had their turn yet.
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
        assert_eq!((alive(), open(port)), (0, 0), "tasks, connections");
    });
    drop((server, listening));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_that_was_handed_out_works_on_and_is_not_waited_for() // G9
{
    let server = ApiServer::new();
    let listening = server.listen().await.unwrap();
    let backend = KubeBackend::builder(listening.config()).unwrap().build();
    record(&backend, "c");
    let client = backend.client();
    backend.start().await.unwrap();
    let begun = tokio::time::Instant::now();
    backend.shutdown(LONG).await;
    assert!(begun.elapsed() < Duration::from_secs(4));
    client.apiserver_version().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_before_any_start_holds_nothing() // G9
{
    let (_server, backend) = ground();
    let held = held_everywhere::<ConfigMap>(&backend);
    backend.shutdown(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&held), 1);
}

/// What a callback, a handler of `K` and an extractor hold.
fn held_everywhere<K: Kind>(backend: &KubeBackend) -> Arc<()> {
    let held = Arc::new(());
    let (in_callback, in_handler, in_index) = (held.clone(), held.clone(), held.clone());
    backend
        .watcher("c", move |_: Change<ConfigMap>| {
            let held = in_callback.clone();
            async move {
                drop(held);
                Ok(())
            }
        })
        .unwrap();
    backend.informer::<K>().unwrap().add_event_handler(move |_| drop(in_handler.clone())).unwrap();
    backend
        .index_field("k", move |_: &ConfigMap| {
            let _held = &in_index;
            None::<String>
        })
        .unwrap();
    held
}
