//! Indexes: by a path read from the encoded object, and by a closure over the decoded one; before and after start.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt as _};
use nah_backend::{KubeBackend, prelude::*};
use serde_json::json;

mod ground;

pub(crate) async fn run(client: Client) -> anyhow::Result<()> {
    let backend = KubeBackend::with_client(client).build();
    // Named by the path it reads; the handle cannot be misspelled.
    let by_node = backend.index_path::<Pod>("spec.nodeName")?;
    backend.start().await?;

    for (name, node) in [("index-a", "node-1"), ("index-b", "node-1"), ("index-c", "node-2")] {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": name, "namespace": "default" },
            "spec": { "nodeName": node, "containers": [{ "name": "web", "image": format!("web:{node}") }] },
        }))?;
        backend.create(&pod).await?;
    }

    let on_node = backend.list::<Pod>(ListOptions::default().by(&by_node, "node-1")).await?;
    println!("{} pods on node-1", on_node.len());
    anyhow::ensure!(on_node.len() == 2, "own writes are indexed at once");

    // On a cache that is filled: the objects that are there are indexed too.
    backend.index_field("image", |pod: &Pod| {
        let images = pod.spec.iter().flat_map(|spec| &spec.containers);
        images.filter_map(|container| container.image.clone()).collect::<Vec<_>>()
    })?;
    let by_image = ListOptions::default().matching_field("image", "web:node-2").in_namespace("default");
    for pod in backend.list::<Pod>(by_image).await? {
        println!("{} runs web:node-2", pod?.name_any());
    }

    let unknown = backend.list::<Pod>(ListOptions::default().matching_field("spec.none", "x")).await;
    println!(
        "a field without an index is an error: {}",
        unknown.err().ok_or_else(|| anyhow::anyhow!("no error"))?
    );

    for name in ["index-a", "index-b", "index-c"] {
        let now = kube::api::DeleteParams::default().grace_period(0);
        backend.delete_for_kind(&Pod::kind_of(), &("default", name).into(), &now).await?;
    }
    backend.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

#[allow(dead_code)] // A test calls `run`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    run(ground::client().await?).await
}
