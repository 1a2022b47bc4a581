//! Callbacks: several of one kind in order, each handing an object on; and one kind that triggers another.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{Client, ResourceExt as _};
use nah_backend::{KubeBackend, prelude::*};
use serde_json::json;
use tokio::sync::mpsc;

mod ground;

pub(crate) async fn run(client: Client) -> anyhow::Result<()> {
    let backend = KubeBackend::with_client(client).build();
    let (told, mut all_told) = mpsc::unbounded_channel();

    // First callback: what it returns is what the next one sees. Nothing is written to the server.
    backend.watcher("stamp", |change: Change<ConfigMap>| async move {
        let Some(map) = change.object else { return Ok(None) };
        let mut map = ConfigMap::clone(&map);
        map.annotations_mut().insert("example.com/seen".into(), "yes".into());
        Ok(Some(std::sync::Arc::new(map)))
    })?;

    // Second callback: reacts, and triggers the Pod of the same name.
    let trigger = backend.trigger_handle();
    backend.watcher("config-watcher", move |change: Change<ConfigMap>| {
        let trigger = trigger.clone();
        async move {
            match &change.object {
                Some(map) if map.name_any() == "watching" => {
                    println!(
                        "{} stamped: {}",
                        change.key,
                        map.annotations().contains_key("example.com/seen")
                    );
                }
                Some(_) => return Ok(()),
                None => println!("{} is gone, last known: {:?}", change.key, change.last_known),
            }
            trigger.trigger::<Pod>(&change.key, Duration::ZERO)?;
            Ok(())
        }
    })?;
    backend.watcher("pod-watcher", move |change: Change<Pod>| {
        let sent = told.send(change.key);
        async move { Ok(sent?) }
    })?;
    backend.start().await?;

    let map: ConfigMap = serde_json::from_value(json!({
        "metadata": { "name": "watching", "namespace": "default" }, "data": { "color": "blue" },
    }))?;
    backend.create(&map).await?;
    let triggered = next(&mut all_told, "watching").await?;
    println!("Pod {triggered} was triggered by the ConfigMap");

    backend.delete(&map).await?;
    let triggered = next(&mut all_told, "watching").await?;
    println!("Pod {triggered} was triggered by its deletion");

    backend.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

/// The next key called `name`: a cluster has Pods of its own.
async fn next(keys: &mut mpsc::UnboundedReceiver<ObjectKey>, name: &str) -> anyhow::Result<ObjectKey> {
    loop {
        let key = keys.recv().await.ok_or_else(|| anyhow::anyhow!("the backend has stopped"))?;
        if key.name() == name {
            return Ok(key);
        }
    }
}

#[allow(dead_code)] // A test calls `run`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    run(ground::client().await?).await
}
