//! Program 1: an operator. Websites become ConfigMaps: owner references, an index, status, finalizer, backoff.
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{CustomResource, Resource, ResourceExt};
use nah_backend::{Finalizer, KubeBackend, Step, core::ObjectMeta, prelude::*, watch::Requeue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Website", namespaced, status = "WebsiteStatus")]
pub struct WebsiteSpec {
    html: String,
    class: String,
}
#[derive(Serialize, Deserialize, Clone, Debug, Default, JsonSchema)]
pub struct WebsiteStatus {
    observed_generation: Option<i64>,
}
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Client(#[from] nah_backend::client::Error),
    #[error("website has no uid yet")]
    NoUid,
}
const FINALIZER: Finalizer = Finalizer::new("example.com/website");

async fn reconcile<B: Backend>(backend: Arc<B>, change: Change<Website>) -> Result<Option<Requeue>, Error> {
    const LATER: Option<Requeue> = Some(Requeue(Duration::from_secs(300)));
    let Some(site) = change.object else { return Ok(None) }; // gone: nothing to come back to
    match FINALIZER.step(&*backend, &*site).await? {
        Step::Added | Step::Released => return Ok(None),
        Step::Cleanup => {
            FINALIZER.remove(&*backend, &*site).await?;
            return Ok(None);
        }
        Step::Present => {}
    }
    let wanted = ConfigMap {
        metadata: ObjectMeta {
            name: site.metadata.name.clone(),
            namespace: site.namespace(),
            owner_references: Some(vec![site.controller_owner_ref(&()).ok_or(Error::NoUid)?]),
            ..Default::default()
        },
        data: Some([("index.html".to_string(), site.spec.html.clone())].into()),
        ..Default::default()
    };
    match backend.get::<ConfigMap>(&change.key).await.optional()? {
        None => drop(backend.create(&wanted).await?),
        Some(found) if found.data == wanted.data => {}
        Some(_) => {
            drop(backend.modify::<ConfigMap>(&change.key, |map| map.data.clone_from(&wanted.data)).await?)
        }
    }
    let seen = site.meta().generation;
    backend
        .modify_status::<Website>(&change.key, |site| {
            site.status.get_or_insert_default().observed_generation = seen;
        })
        .await?;
    Ok(LATER)
}

async fn operator(client: kube::Client) -> anyhow::Result<()> {
    let backend = KubeBackend::with_client(client).build();
    let by_class = backend.index_path::<Website>("spec.class")?;
    backend.watcher_with("website", Arc::new(backend.clone()), reconcile)?;
    backend.owns::<Website, ConfigMap>()?;
    backend.start().await?;
    for site in backend.list::<Website>(ListOptions::default().by(&by_class, "blog")).await? {
        println!("{}", site?.name_any());
    }
    tokio::signal::ctrl_c().await?;
    let left = backend.shutdown(Duration::from_secs(20)).await;
    anyhow::ensure!(left.cut_off.is_empty(), "cut off: {:?}", left.cut_off);
    Ok(())
}
fn main() {
    let _ = operator;
}
