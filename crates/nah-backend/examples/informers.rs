//! Informers: event handlers with the old and the new state, and a stream of changes.

use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Client, ResourceExt as _};
use nah_backend::{KubeBackend, cache::Event, prelude::*};
use serde_json::json;
use tokio::sync::mpsc;

mod ground;

pub(crate) async fn run(client: Client) -> anyhow::Result<()> {
    let backend = KubeBackend::with_client(client).build();
    let informer = backend.informer::<Deployment>()?;
    let (told, mut all_told) = mpsc::unbounded_channel();
    let handler = informer.add_event_handler(move |event| {
        let line = match event {
            Event::Added { object, initial, .. } => {
                format!("added {} (initial: {initial})", object.name_any())
            }
            Event::Updated { old, new, .. } => {
                format!(
                    "updated {} from generation {:?} to {:?}",
                    new.name_any(),
                    old.generation(),
                    new.metadata.generation
                )
            }
            Event::Deleted { key, .. } => format!("deleted {}", key.name()),
            _ => return,
        };
        let _ = told.send(line);
    })?;
    backend.start().await?;

    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": { "name": "informers", "namespace": "default" },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": { "app": "informers" } },
            "template": {
                "metadata": { "labels": { "app": "informers" } },
                "spec": { "containers": [{ "name": "web", "image": "nginx" }] },
            },
        },
    }))?;
    backend.create(&deployment).await?;
    backend
        .modify::<Deployment>(("default", "informers"), |deployment| {
            deployment.spec.replicas = Some(2);
        })
        .await?;

    // A subscription is the same as a stream, here of handles: what is there, then what changes. It may begin any time.
    let mut changes = informer.typed::<Object>().subscribe()?;
    backend.delete(&deployment).await?;
    while let Some(event) = changes.next().await {
        if event?.key().name() == "informers" {
            break;
        }
    }

    loop {
        let line = all_told.recv().await.ok_or_else(|| anyhow::anyhow!("the handler has ended"))?;
        println!("{line}");
        if line == "deleted informers" {
            break;
        }
    }
    handler.remove();
    backend.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

#[allow(dead_code)] // A test calls `run`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    run(ground::client().await?).await
}
