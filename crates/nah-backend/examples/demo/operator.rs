//! The operator: each Website becomes a ConfigMap and a Deployment.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{CustomResource, Resource as _};
use nah_backend::{
    Finalizer, KubeBackend, Reader, Step, Writer, cache::Index, client, core::BoxError, prelude::*,
    watch::Requeue,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{counted::Counted, report::Clock};

#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[kube(group = "demo.nah.dev", version = "v1", kind = "Website", namespaced, status = "WebsiteStatus")]
pub(crate) struct WebsiteSpec {
    pub(crate) html: String,
    /// What the pages of a class share: a change of it concerns all of them.
    pub(crate) class: String,
    pub(crate) replicas: i32,
}

#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebsiteStatus {
    pub(crate) observed_generation: Option<i64>,
    /// Websites of the same class, as the index counts them.
    pub(crate) siblings: Option<usize>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Client(#[from] client::Error),
    #[error(transparent)]
    Object(#[from] serde_json::Error),
    #[error("no server takes {0} replicas")]
    Replicas(i32),
}

pub(crate) const FINALIZER: Finalizer = Finalizer::new("demo.nah.dev/website");
const RECHECK: Requeue = Requeue(Duration::from_secs(30));

/// What a run of the callback needs.
pub(crate) struct Operator {
    pub(crate) api: Counted,
    pub(crate) clock: Arc<Clock>,
    by_class: Index<Website>,
}

/// Registers the operator's callback, index and ownership.
pub(crate) fn install(backend: &KubeBackend) -> Result<Arc<Operator>, BoxError> {
    let operator = Arc::new(Operator {
        api: Counted::new(backend.downgrade()),
        clock: Arc::default(),
        by_class: backend.index_path::<Website>("spec.class")?,
    });
    backend.watcher_with("website", operator.clone(), reconcile)?;
    backend.owns::<Website, ConfigMap>()?;
    backend.owns::<Website, Deployment>()?;
    Ok(operator)
}

async fn reconcile(operator: Arc<Operator>, change: Change<Website>) -> Result<Option<Requeue>, Error> {
    operator.clock.called(&change);
    let (api, key) = (&operator.api, &change.key);
    let Some(site) = change.object else { return Ok(None) };
    match FINALIZER.step(api, &*site).await? {
        Step::Present => {}
        Step::Cleanup => {
            api.delete_by_key::<Deployment>(key).await.optional()?;
            api.delete_by_key::<ConfigMap>(key).await.optional()?;
            FINALIZER.remove(api, &*site).await?;
            return Ok(None);
        }
        _ => return Ok(None),
    }
    if site.spec.replicas < 0 {
        return Err(Error::Replicas(site.spec.replicas)); // retried with backoff until somebody mends it
    }

    let map: ConfigMap = serde_json::from_value(json!({
        "metadata": metadata(&site), "data": { "index.html": site.spec.html },
    }))?;
    ensure(api, key, &map, |found| found.data.clone_from(&map.data)).await?;
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": metadata(&site),
        "spec": {
            "replicas": site.spec.replicas,
            "selector": { "matchLabels": { "site": key.name() } },
            "template": {
                "metadata": { "labels": { "site": key.name() } },
                "spec": { "containers": [{ "name": "web", "image": "nginx" }] },
            },
        },
    }))?;
    ensure(api, key, &deployment, |found| {
        found.spec.replicas = Some(site.spec.replicas);
    })
    .await?;

    let (seen, siblings) = (site.meta().generation, operator.siblings(&site).await?);
    api.modify_status::<Website>(key, |site| {
        site.status = Some(WebsiteStatus { observed_generation: seen, siblings: Some(siblings) });
    })
    .await?;
    Ok(Some(RECHECK))
}

impl Operator {
    async fn siblings(&self, site: &Website) -> Result<usize, Error> {
        let of_class = ListOptions::default().by(&self.by_class, &site.spec.class);
        Ok(self.api.list::<Website>(of_class).await?.len())
    }
}

/// Creates `wanted` where there is none, and sends the difference that `edit` makes where there is.
async fn ensure<K: Kind>(
    api: &(impl Reader + Writer + ?Sized),
    key: &ObjectKey,
    wanted: &K,
    edit: impl FnMut(&mut K) + Send,
) -> Result<(), client::Error> {
    match api.get::<K>(key).await.optional()? {
        None => api.create(wanted).await.map(drop),
        Some(_) => api.modify::<K>(key, edit).await.map(drop),
    }
}

fn metadata(site: &Website) -> serde_json::Value {
    json!({
        "name": site.meta().name, "namespace": site.meta().namespace,
        "ownerReferences": [site.controller_owner_ref(&())],
    })
}
