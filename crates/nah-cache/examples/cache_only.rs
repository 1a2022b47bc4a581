//! The cache under kube-rs's own `Controller`: the children are listed and watched once, by us, and the controller
//! both learns of their changes and reads them there, by our indexes.
//!
//! Runs against an API server in the process: `cargo run -p nah-cache --example cache_only`; with `--stable` it uses
//! nothing of kube that is behind an `unstable` feature.
#![allow(clippy::print_stdout, reason = "an example speaks")]

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Client, ResourceExt,
    runtime::{Controller, controller::Action, reflector::ObjectRef, watcher},
};
use nah_cache::{
    CacheError, CacheFactoryExt, CacheOptions, Event, FieldIndexerExt, Index, Informer, ListOptions,
    informers,
};
use nah_core::Object;
use nah_testing::ApiServer;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How the controller learns that a child has changed.
#[derive(Clone, Copy)]
pub(crate) enum Feed {
    /// `reconcile_on`: the owner of what changed. Needs kube's feature `unstable-runtime-reconcile-on`.
    Owner,
    /// `reconcile_all_on`: every Deployment looks again. For few owners, or where only stable features may be used.
    Everyone,
}

struct Context {
    pods: Informer<Pod>,
    by_node: Index<Pod>,
    reports: UnboundedSender<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let feed =
        if std::env::args().any(|argument| argument == "--stable") { Feed::Everyone } else { Feed::Owner };
    let server = ApiServer::new();
    let web = seed(&server)?;
    let (reports, mut reported) = unbounded_channel();
    let controller = tokio::spawn(run(server.client(), feed, reports));
    print_until("3 pods", &mut reported).await;
    server.create(&pod("web-4", "node-1", &web))?;
    print_until("4 pods", &mut reported).await;
    controller.abort();
    Ok(())
}

async fn print_until(part: &str, reported: &mut UnboundedReceiver<String>) {
    while let Some(report) = reported.recv().await {
        println!("{report}");
        if report.contains(part) {
            return;
        }
    }
}

/// A Deployment with three Pods.
pub(crate) fn seed(server: &ApiServer) -> anyhow::Result<Value> {
    let web = server.create(&json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            },
        },
    }))?;
    for (name, node) in [("web-1", "node-1"), ("web-2", "node-1"), ("web-3", "node-2")] {
        server.create(&pod(name, node, &web))?;
    }
    Ok(web)
}

/// A Pod of a Deployment.
pub(crate) fn pod(name: &str, node: &str, owner: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}, "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": owner["metadata"]["uid"],
            "controller": true,
        }]},
        "spec": {"nodeName": node, "containers": [{"name": "web", "image": "web:1"}]},
    })
}

/// Runs the controller until it is dropped.
pub(crate) async fn run(client: Client, feed: Feed, reports: UnboundedSender<String>) -> anyhow::Result<()> {
    let (factory, driver) = informers(client.clone(), CacheOptions::default());
    // The driver does the work of every informer; what is not spawned here ends with this function.
    let cache = driver.run();
    let by_node = factory.index_path::<Pod>("spec.nodeName")?;
    let pods = factory.informer::<Pod>()?;
    let changes = pods.clone().typed::<Object>().subscribe()?;
    let deployments = Controller::new(Api::<Deployment>::all(client), watcher::Config::default());
    let deployments = match feed {
        Feed::Owner => {
            // Handles are enough to name the owner: nothing is decoded for it.
            let owners = changes.filter_map(|event| async move { event.ok().as_ref().and_then(owner) });
            deployments.reconcile_on(owners)
        }
        // One look again for all that changed at once: a reconcile costs more than a change.
        Feed::Everyone => {
            let looks = changes.ready_chunks(1000).flat_map(|_| stream::iter([()]));
            deployments.reconcile_all_on(looks)
        }
    };
    let context = Arc::new(Context { pods: pods.clone(), by_node, reports });
    let controller = async {
        // A reconcile before the first list would see an error, not an absence, and be tried again.
        pods.wait_for_sync().await?;
        let failed =
            |_: Arc<Deployment>, _: &CacheError, _: Arc<Context>| Action::requeue(Duration::from_secs(5));
        deployments.run(reconcile, failed, context).for_each(|_| async {}).await;
        anyhow::Ok(())
    };
    tokio::select! {
        () = cache => Ok(()),
        ended = controller => ended,
    }
}

/// The Deployment that a Pod's change concerns.
fn owner(event: &Event) -> Option<ObjectRef<Deployment>> {
    let key = event.object().controller_of::<Deployment>()?;
    Some(ObjectRef::new(key.name()).within(key.namespace()?))
}

async fn reconcile(deployment: Arc<Deployment>, context: Arc<Context>) -> Result<Action, CacheError> {
    let owned = ListOptions::default().owned_by(&deployment.uid().unwrap_or_default());
    let pods = context.pods.list(&owned)?;
    let here = context.pods.list(&owned.by(&context.by_node, "node-1"))?;
    let report = format!("{}: {} pods, {} of them on node-1", deployment.name_any(), pods.len(), here.len());
    // Whoever listened may have gone.
    let _ = context.reports.send(report);
    Ok(Action::await_change())
}
