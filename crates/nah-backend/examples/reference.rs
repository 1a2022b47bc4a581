//! Program 9: the usage examples of interface.md, against the improved sketch.
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod},
};
use kube::Resource as _; // `pod.meta()` is kube's, unambiguous
use nah_backend::{cache::Event, core::BoxError, prelude::*};
use std::time::Duration;

async fn basic(backend: &impl Backend) -> Result<(), BoxError> {
    let pod = backend.get::<Pod>(("default", "my-pod")).await?;
    let _ = pod.meta().uid.as_deref();
    for pod in backend.list::<Pod>(ListOptions::default().in_namespace("default")).await? {
        let _ = pod?.metadata.name.as_deref();
    }
    let mut changed = Pod::clone(&pod);
    changed.metadata.labels.get_or_insert_default().insert("updated".into(), "true".into());
    let stored = backend.update(&changed).await?;
    backend.delete(&*stored).await?;
    Ok(())
}
fn triggering(backend: &impl Backend) -> Result<(), BoxError> {
    for delay in [0, 1, 2, 4, 8].map(Duration::from_secs) {
        backend.trigger::<Pod>(("default", "my-pod"), delay)?;
    }
    Ok(())
}
fn watching<B: Backend + Clone>(backend: &B) -> Result<(), BoxError> {
    let pods = backend.clone();
    backend.watcher("config-watcher", move |change: Change<ConfigMap>| {
        let pods = pods.clone();
        async move {
            match &change.object {
                Some(map) => println!("{} has {} keys", change.key, map.data.iter().flatten().count()),
                None => println!("{} is gone", change.key),
            }
            pods.trigger::<Pod>(&change.key, Duration::ZERO)?;
            Ok(())
        }
    })?;
    Ok(())
}
async fn informing(backend: &impl Backend) -> Result<(), BoxError> {
    let informer = backend.informer::<Deployment>()?;
    let mut seen = 0;
    informer.add_event_handler(move |event| {
        seen += 1;
        match event {
            Event::Added { object, .. } => println!("{seen}: added {:?}", object.metadata.name),
            Event::Updated { old, new, .. } => {
                println!("{:?} -> {:?}", old.generation(), new.metadata.generation)
            }
            Event::Deleted { key, .. } => println!("deleted {key}"),
            _ => {}
        }
    })?;
    informer.wait_for_sync().await?;
    Ok(())
}
async fn indexing(backend: &impl Backend) -> Result<(), BoxError> {
    backend.index_field("spec.nodeName", |pod: &Pod| {
        pod.spec.iter().filter_map(|spec| spec.node_name.clone()).collect::<Vec<_>>()
    })?;
    let on_node =
        backend.list::<Pod>(ListOptions::default().matching_field("spec.nodeName", "node-1")).await?;
    println!("{} pods", on_node.len());
    Ok(())
}
async fn all(backend: nah_backend::KubeBackend) -> Result<(), BoxError> {
    basic(&backend).await?;
    triggering(&backend)?;
    watching(&backend)?;
    informing(&backend).await?;
    indexing(&backend).await
}
fn main() {
    let _ = all;
}
