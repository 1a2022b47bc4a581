//! What is said of memory, against an allocator that counts.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::{alloc::System, future::Future, io, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use kube::client::Body;
use nah_cache::{CacheFactory, CacheOptions, Extract, FieldIndexer, Informer, InformerFactory, informers};
use nah_core::GroupVersionKind;
use parking_lot::Mutex;
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::runtime::Builder;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One test at a time: the allocator counts for all of them.
static ALONE: Mutex<()> = Mutex::new(());

type Chunks = BoxStream<'static, Result<Frame<Bytes>, io::Error>>;

fn allocated() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// A kilobyte and more, most of it like the others.
fn object(kind: usize, number: usize) -> Value {
    let line = |n: usize| format!("setting-{n}=value-{}", number * n % 17);
    json!({
        "metadata": {"namespace": format!("ns-{}", number % 10), "name": format!("object-{kind}-{number:06}"),
            "uid": format!("{kind:08x}-0000-4000-8000-{number:012x}"), "resourceVersion": "7"},
        "spec": {"nodeName": format!("node-{}", number % 50), "lines": (0..50).map(line).collect::<Vec<_>>()},
    })
}

/// A server of many kinds, each with as many objects, that says nothing after its lists.
fn client(kinds: usize, objects: usize) -> kube::Client {
    let service = tower::service_fn(move |request: Request<Body>| async move {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        let answer = match path {
            "/api" => json!({"kind": "APIVersions", "versions": ["v1"]}),
            "/apis" => json!({"kind": "APIGroupList", "groups": []}),
            "/api/v1" => {
                let resource = |kind: usize| {
                    json!({"name": format!("kinds{kind}"), "singularName": "", "kind": format!("Kind{kind}"),
                        "namespaced": true, "verbs": ["get", "list", "watch"]})
                };
                let resources: Vec<_> = (0..kinds).map(resource).collect();
                json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": resources})
            }
            _ if query.contains("sendInitialEvents") => {
                json!({"kind": "Status", "status": "Failure", "code": 422, "reason": "Invalid"})
            }
            _ if query.contains("watch") => return respond(200, stream::pending().boxed()),
            path => {
                let kind = path.trim_start_matches("/api/v1/kinds").parse().unwrap();
                let items: Vec<_> = (0..objects).map(|number| object(kind, number)).collect();
                json!({"kind": "List", "metadata": {"resourceVersion": "7"}, "items": items})
            }
        };
        let code = answer["code"].as_u64().unwrap_or(200);
        let whole = Bytes::from(answer.to_string());
        respond(code as u16, stream::once(async move { Ok(Frame::data(whole)) }).boxed())
    });
    kube::Client::new(service, "default")
}

fn respond(code: u16, chunks: Chunks) -> Result<Response<StreamBody<Chunks>>, io::Error> {
    Ok(Response::builder().status(code).body(StreamBody::new(chunks)).unwrap())
}

/// A factory whose kinds are synced and at rest, and their informers.
async fn synced(kinds: usize, objects: usize, indexed: bool) -> (InformerFactory, Vec<Informer>) {
    let (factory, driver) = informers(client(kinds, objects), CacheOptions::default());
    tokio::spawn(driver.run());
    let mut all = Vec::with_capacity(kinds);
    for kind in 0..kinds {
        let gvk = GroupVersionKind::gvk("", "v1", &format!("Kind{kind}"));
        if indexed {
            factory.add_index(&gvk, "spec.nodeName", Extract::Path("spec.nodeName".into())).unwrap();
        }
        all.push(factory.informer_for_kind(&gvk).unwrap());
    }
    for informer in &all {
        informer.wait_for_sync().await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    (factory, all)
}

/// Runs `test` alone, on a paused clock, and ends everything before the next one begins.
fn alone<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    let _alone = ALONE.lock();
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(test());
}

/// What is the process's is there before it is counted: contexts, buffers, the client's parts.
async fn warm_up(objects: usize) {
    let (factory, _) = synced(1, objects, true).await;
    factory.stop();
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[test]
fn memory_says_what_the_allocator_counts() {
    alone(async || {
        warm_up(8000).await;
        let before = allocated();
        let (_factory, informers) = synced(1, 20_000, true).await;
        let counted = allocated() - before;
        let memory = informers[0].memory();
        println!("20,000 objects: {memory:?}; the allocator counts {counted}");
        assert!(memory.dictionaries > 0 && memory.indexes > 0 && memory.hot == 0, "{memory:?}");
        let said = memory.encoded + memory.entries + memory.indexes + memory.dictionaries;
        let apart = counted.abs_diff(said) as f64 / counted as f64;
        assert!(apart < 0.05, "{memory:?} is {said}, the allocator counts {counted}");
        let beside = (memory.entries + memory.indexes) / 20_000;
        assert!(beside <= 350, "{beside} bytes an object beside what is encoded");
    });
}

#[test]
fn many_small_kinds_cost_little_over_their_objects() {
    alone(async || {
        warm_up(20).await;
        let before = allocated();
        let (_factory, informers) = synced(500, 20, false).await;
        let counted = allocated() - before;
        let memory = informers.iter().map(|informer| informer.memory());
        let objects: usize = memory.map(|memory| memory.encoded + memory.entries).sum();
        let ours = counted.saturating_sub(objects);
        println!("500 kinds of 20 objects: {ours} bytes over the {objects} of the objects");
        // Stores, informers, and the futures that list and watch. Not counted are an entry's own bytes and the texts of
        // its head, nor what a connection would take: here a watch is a stream in memory.
        assert!(ours <= 3 << 20, "{ours} bytes over the {objects} of the objects");
    });
}
