//! Guard of what an update costs, from the line of a watch to a handler that takes it typed.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use benches::server::{Canned, Kind};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube_client::Api;
use kube_runtime::{WatchStreamExt, reflector, watcher};
use nah_cache::{CacheFactoryExt, Event};

use crate::{
    canned,
    counted::{Counted, alone, counted_async},
    factory, runtime,
};

const PODS: usize = 200;

#[test]
fn an_update_to_a_typed_handler_allocates_less_than_kubes() {
    let _alone = alone();
    let canned = canned(Kind::Pods, PODS);
    let ours = runtime().block_on(async {
        let seen = Arc::new(AtomicUsize::new(0));
        let counter = seen.clone();
        let pods = factory(&canned).informer::<Pod>().expect("not stopped");
        let registration = pods.add_event_handler(move |event: Event<Pod>| {
            if let Event::Updated { new, .. } = event {
                black_box(&new.status);
                counter.fetch_add(1, Relaxed);
            }
        });
        registration.expect("not stopped").wait_for_sync().await;
        updated(&canned, &seen, 0).await
    });
    let theirs = runtime().block_on(async {
        let (store, writer) = reflector::store_shared::<Pod>(1024);
        let mut updates = writer.subscribe().expect("it is shared");
        let seen = Arc::new(AtomicUsize::new(0));
        let counter = seen.clone();
        tokio::spawn(async move {
            while let Some(pod) = updates.next().await {
                black_box(&pod.status);
                counter.fetch_add(1, Relaxed);
            }
        });
        let pods = Api::<Pod>::all(canned.clone().client());
        let events = watcher(pods, watcher::Config::default()).reflect_shared(writer);
        tokio::spawn(events.try_for_each(|_| std::future::ready(Ok(()))));
        store.wait_until_ready().await.expect("it is driven");
        while seen.load(Relaxed) < PODS {
            tokio::task::yield_now().await;
        }
        updated(&canned, &seen, PODS).await
    });
    println!("ours {ours:?}, kube's {theirs:?}");
    assert!(ours.allocations <= 0.25 * theirs.allocations);
    assert!(ours.requested <= 0.35 * theirs.requested);
}

/// Has every Pod updated, and tells what that took an event, beyond what it takes to make the lines.
async fn updated(canned: &Canned, seen: &AtomicUsize, before: usize) -> Counted {
    let lines: Vec<_> = canned.updates(PODS, 10 * PODS).collect();
    let (_, counted) = counted_async(async {
        for line in lines {
            canned.tell(line).await;
        }
        while seen.load(Relaxed) < before + PODS {
            tokio::task::yield_now().await;
        }
    })
    .await;
    counted.each(PODS)
}
