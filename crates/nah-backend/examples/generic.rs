//! Code that does not care which backend it gets: generic over it, over a part of it, over the kind, or a trait object.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{Client, ResourceExt as _};
use nah_backend::{KubeBackend, Trigger, core::BoxError, prelude::*};

mod ground;

/// Any backend, sized or not.
async fn count<B: Backend + ?Sized>(backend: &B, namespace: &str) -> Result<usize, BoxError> {
    Ok(backend.list::<ConfigMap>(ListOptions::default().in_namespace(namespace)).await?.len())
}

/// Any kind, through a trait object.
async fn touch<K: Kind>(backend: &dyn Backend, key: &ObjectKey) -> Result<Arc<K>, BoxError> {
    let object = backend.get::<K>(key).await?;
    Ok(backend.update(&*object).await?)
}

/// A backend that moves into a task.
fn remove_later<B: Backend>(backend: B, key: ObjectKey) -> tokio::task::JoinHandle<Result<(), BoxError>> {
    tokio::spawn(async move {
        let map = backend.get::<ConfigMap>(&key).await?;
        Ok(backend.delete(&*map).await?)
    })
}

/// Keys from whatever is at hand; a pending read borrows nothing of what its key was made of.
async fn read_by_many_keys(backend: &dyn Backend, namespace: String, name: String) -> Result<(), BoxError> {
    let pending = backend.get::<ConfigMap>((namespace.to_lowercase(), "generic"));
    pending.await?;
    backend.get::<ConfigMap>((&namespace, &name)).await?;
    backend.get::<ConfigMap>((namespace, name)).await?;
    backend.get::<Namespace>(ObjectKey::cluster("default")).await?;
    Ok(())
}

/// Only the part that is needed.
fn kick(trigger: impl Trigger) -> Result<(), BoxError> {
    Ok(trigger.trigger::<ConfigMap>(("default", "generic"), Duration::ZERO)?)
}

fn kick_any(trigger: Arc<dyn Trigger>) -> Result<(), BoxError> {
    kick(trigger)
}

async fn use_all(backend: Arc<dyn Backend>) -> Result<(), BoxError> {
    let map: ConfigMap = serde_json::from_value(
        serde_json::json!({ "metadata": { "name": "generic", "namespace": "default" } }),
    )?;
    backend.create(&map).await?;
    println!(
        "{} by reference, {} by handle",
        count(&*backend, "default").await?,
        count(&backend, "default").await?
    );
    println!("touched {}", touch::<ConfigMap>(&*backend, &("default", "generic").into()).await?.name_any());
    read_by_many_keys(&*backend, "default".into(), "generic".into()).await?;
    kick_any(backend.clone())?;
    remove_later(backend.clone(), ("default", "generic").into()).await??;
    let gone = backend.get::<ConfigMap>(("default", "generic")).await.optional()?;
    println!("gone: {}", gone.is_none());
    Ok(())
}

pub(crate) async fn run(client: Client) -> anyhow::Result<()> {
    let backend = KubeBackend::with_client(client).build();
    backend.watcher("noop", |_: Change<ConfigMap>| async { Ok(()) })?;
    backend.start().await?;
    use_all(Arc::new(backend.clone())).await.map_err(anyhow::Error::from_boxed)?;
    backend.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

#[allow(dead_code)] // A test calls `run`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    run(ground::client().await?).await
}
