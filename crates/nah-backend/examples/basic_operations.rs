//! Get, list, create, update and delete: reads from the cache, writes to the API server, own writes visible at once.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt as _};
use nah_backend::{KubeBackend, prelude::*};
use serde_json::json;

mod ground;

pub(crate) async fn run(client: Client) -> anyhow::Result<()> {
    let backend = KubeBackend::with_client(client).build();
    backend.start().await?;

    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "basic-operations", "namespace": "default" },
        "spec": { "containers": [{ "name": "nginx", "image": "nginx:latest" }] },
    }))?;
    let created = backend.create(&pod).await?;
    println!("created {} with uid {}", created.name_any(), created.uid().unwrap_or_default());

    // From the cache, which starts to watch Pods with this first read.
    let pod = backend.get::<Pod>(("default", "basic-operations")).await?;
    for pod in backend.list::<Pod>(ListOptions::default().in_namespace("default")).await? {
        println!("listed {}", pod?.name_any());
    }

    // What is cached is shared and never changes: clone, edit, send.
    let mut changed = Pod::clone(&pod);
    changed.labels_mut().insert("updated".into(), "true".into());
    backend.update(&changed).await?;

    // The cache may not have heard of it yet; the read shows it all the same.
    let read = backend.get::<Pod>(("default", "basic-operations")).await?;
    anyhow::ensure!(read.labels().contains_key("updated"), "a write must be visible to the read after it");

    backend.delete(&*read).await?;
    let gone = backend.get::<Pod>(("default", "basic-operations")).await.optional()?;
    anyhow::ensure!(gone.is_none(), "a deletion must be visible to the read after it");
    println!("deleted");

    backend.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

#[allow(dead_code)] // A test calls `run`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    run(ground::client().await?).await
}
