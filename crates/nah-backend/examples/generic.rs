//! Program 2: generic over the backend, over the kind, and over neither.
use k8s_openapi::api::core::v1::{Node, Pod};
use nah_backend::{core::BoxError, prelude::*, trigger::Trigger};
use std::{sync::Arc, time::Duration};

async fn pods_of<B: Backend + ?Sized>(backend: &B, node: &str) -> Result<usize, BoxError> {
    Ok(backend.list::<Pod>(ListOptions::default().matching_field("spec.nodeName", node)).await?.len())
}
async fn touch<K: Kind>(backend: &dyn Backend, key: &ObjectKey) -> Result<Arc<K>, BoxError> {
    let object = backend.get::<K>(key).await?;
    Ok(backend.update(&*object).await?)
}
fn spawn<B: Backend>(backend: B) -> tokio::task::JoinHandle<Result<(), BoxError>> {
    tokio::spawn(async move {
        let pod = backend.get::<Pod>(("default", "p")).await?;
        backend.delete(&*pod).await?;
        backend.delete_by_key::<Pod>(("default", "p")).await?;
        Ok(())
    })
}
async fn temporaries(backend: &dyn Backend, ns: String, name: String) -> Result<(), BoxError> {
    let pending = backend.get::<Pod>((format!("ns-{}", 1), "p"));
    pending.await?;
    let pending = backend.list::<Pod>(ListOptions::default());
    pending.await?;
    backend.get::<Pod>((&ns, &name)).await?;
    backend.get::<Pod>((ns, name)).await?;
    backend.get::<Node>(ObjectKey::cluster("node-1")).await?;
    Ok(())
}
fn kick(trigger: impl Trigger) -> Result<(), BoxError> {
    Ok(trigger.trigger::<Pod>(("a", "b"), Duration::ZERO)?)
}
fn kick_any(trigger: Arc<dyn Trigger>) -> Result<(), BoxError> {
    kick(trigger)
}
fn upcast(backend: Arc<dyn Backend>) -> Result<(), BoxError> {
    kick_any(backend)
}
async fn all(backend: Arc<dyn Backend>) -> Result<(), BoxError> {
    pods_of(&*backend, "n").await?;
    pods_of(&backend, "n").await?;
    touch::<Pod>(&*backend, &("a", "b").into()).await?;
    spawn(backend.clone()).await??;
    temporaries(&*backend, "a".into(), "b".into()).await?;
    upcast(backend)
}
fn main() {
    let _ = all;
}
