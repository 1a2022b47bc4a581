//! The cache under kube-rs's own `Controller`: the children are listed and watched once, by us, and the controller
//! both learns of their changes and reads them there.
//!
//! Runs against an API server in the process: `cargo run -p nah-cache --example cache_only`.
#![allow(clippy::print_stdout, reason = "an example speaks")]

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
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
use serde_json::json;

struct Context {
    pods: Informer<Pod>,
    by_node: Index<Pod>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let server = ApiServer::new();
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
        server.create(&json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": web["metadata"]["uid"],
                "controller": true,
            }]},
            "spec": {"nodeName": node, "containers": [{"name": "web", "image": "web:1"}]},
        }))?;
    }
    let deadline = tokio::time::timeout(Duration::from_secs(2), run(server.client()));
    deadline.await.unwrap_or(Ok(()))
}

async fn run(client: Client) -> anyhow::Result<()> {
    let (factory, driver) = informers(client.clone(), CacheOptions::default());
    tokio::spawn(driver.run());
    let by_node = factory.index_path::<Pod>("spec.nodeName")?;
    let pods = factory.informer::<Pod>()?;
    pods.wait_for_sync().await?;

    // Handles are enough to name the owner: nothing is decoded for it.
    let changes = pods.clone().typed::<Object>().subscribe()?;
    let owners = changes.filter_map(|event| async move { event.ok().as_ref().and_then(owner) });
    Controller::new(Api::<Deployment>::all(client), watcher::Config::default())
        .reconcile_on(owners)
        .run(
            reconcile,
            |_, _, _| Action::requeue(Duration::from_secs(5)),
            Arc::new(Context { pods, by_node }),
        )
        .for_each(|_| async {})
        .await;
    Ok(())
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
    println!("{}: {} pods, {} of them on node-1", deployment.name_any(), pods.len(), here.len());
    Ok(Action::await_change())
}
