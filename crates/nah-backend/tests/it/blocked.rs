//! Shutdowns of a backend whose callbacks and handlers block their threads.

use std::{pin::pin, sync::Mutex, time::Duration};

use futures::FutureExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use nah_backend::{StartError, core::BoxError, prelude::*};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

use crate::ground::{LONG, ground, map};

/// Where the backend is, with threads to block, and where the shutdown is: its clock is paused, so that its waits are
/// none.
fn two() -> (Runtime, Runtime) {
    let threads = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let here = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    (threads, here)
}

#[test]
fn a_shutdown_leaves_a_callback_that_blocks_its_thread_behind_and_names_it() // G9
{
    let (threads, here) = two();
    let (_server, backend) = threads.block_on(async { ground() });
    let (entered, inside) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (entered, wait) = (Mutex::new(entered), Mutex::new(wait));
    backend
        .watcher("blocks", move |_: Change<ConfigMap>| {
            entered.lock().unwrap().send(()).unwrap();
            let _ = wait.lock().unwrap().recv();
            async { Ok(()) }
        })
        .unwrap();
    threads.block_on(async {
        backend.start().await.unwrap();
        backend.create(&map("a")).await.unwrap();
    });
    inside.recv().unwrap();
    backend.trigger::<ConfigMap>(("default", "a"), Duration::ZERO).unwrap();
    let left = here.block_on(backend.shutdown(Duration::from_secs(20)));
    assert_eq!(left.keys_left, 1, "the run after the one that is blocked");
    let named = [("blocks".into(), (*ConfigMap::kind_of()).clone(), ("default", "a").into())];
    assert_eq!((&left.cut_off[..], &left.blocked[..]), (&named[..], &named[..]));
    assert!(backend.downgrade().upgrade().is_none());
    assert!(matches!(here.block_on(backend.start()), Err(StartError::Stopped)));
    drop(go);
}

#[test]
fn what_was_cut_off_is_told_also_where_some_of_it_has_ended_and_some_blocks_its_thread() // G9
{
    let (threads, here) = two();
    let (_server, backend) = threads.block_on(async { ground() });
    let (entered, inside) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    backend
        .watcher("c", move |change: Change<ConfigMap>| {
            entered.send(()).unwrap();
            if change.key.name() == "blocks" {
                let _ = wait.lock().unwrap().recv();
            }
            std::future::pending::<Result<(), BoxError>>()
        })
        .unwrap();
    threads.block_on(async {
        backend.start().await.unwrap();
        for name in ["waits", "blocks"] {
            backend.create(&map(name)).await.unwrap();
            inside.recv().unwrap();
        }
    });
    let running = || backend.queue_stats(&ConfigMap::kind_of()).unwrap().running;
    let hasty = async {
        let mut hasty = pin!(backend.shutdown(Duration::from_secs(1)));
        assert!(timeout(Duration::from_secs(2), &mut hasty).await.is_err(), "one blocks its thread");
        // This clock gives other threads no time.
        let others_end = (0..10_000_000).any(|_| {
            std::thread::yield_now();
            running() == 1
        });
        assert!(others_end, "what waits for nothing but its end was not dropped");
        // Another, for which the one that waited is no longer there.
        let third = backend.shutdown(LONG);
        futures::join!(hasty, third)
    };
    let begun = here.block_on(async { tokio::time::Instant::now() });
    let (first, (second, third)) = here.block_on(async { tokio::join!(backend.shutdown(LONG), hasty) });
    assert!(
        here.block_on(async { begun.elapsed() }) < Duration::from_secs(60),
        "it ends the patience of others"
    );
    for left in [first, second, third] {
        let names = |runs: Vec<(String, GroupVersionKind, ObjectKey)>| {
            let mut names: Vec<_> = runs.into_iter().map(|(.., key)| key.name().to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(names(left.cut_off), ["blocks", "waits"]);
        assert_eq!(names(left.blocked), ["blocks"]);
    }
    drop(go);
}

#[test]
fn a_shutdown_waits_for_the_one_that_was_called_for_from_inside() // G9
{
    let (threads, here) = two();
    let (_server, backend) = threads.block_on(async { ground() });
    let (signalled, inside) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (weak, wait) = (backend.downgrade(), Mutex::new(wait));
    let callback = move |_: Change<ConfigMap>| {
        let theirs = weak.upgrade().unwrap();
        drop(theirs.shutdown(LONG).now_or_never());
        signalled.send(()).unwrap();
        let _ = wait.lock().unwrap().recv();
        async { Ok(()) }
    };
    backend.watcher("signals and blocks", callback).unwrap();
    threads.block_on(async {
        backend.start().await.unwrap();
        backend.create(&map("a")).await.unwrap();
    });
    inside.recv().unwrap();
    here.block_on(async {
        let mut ending = pin!(backend.shutdown(Duration::from_secs(1)));
        // Its own time is over at once on this clock; that of the other is real.
        assert!(timeout(LONG, &mut ending).await.is_err(), "a task was left");
        drop(go);
        ending.await;
    });
}

#[test]
fn a_shutdown_leaves_a_handler_that_blocks_its_thread_behind_and_counts_it() // G9
{
    let (threads, here) = two();
    let (_server, backend) = threads.block_on(async { ground() });
    let (entered, inside) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let informer = backend.informer::<ConfigMap>().unwrap();
    informer
        .add_event_handler(move |_| {
            entered.send(()).unwrap();
            let _ = wait.recv();
        })
        .unwrap();
    threads.block_on(async {
        backend.start().await.unwrap();
        backend.create(&map("a")).await.unwrap();
    });
    inside.recv().unwrap();
    let left = here.block_on(async { timeout(LONG, backend.shutdown(Duration::from_secs(20))).await });
    // Others may be counted with it: this clock gives them no time.
    assert!(left.expect("it ends").tasks_left >= 1);
    assert!(backend.downgrade().upgrade().is_none());
    drop(go);
}
