//! A whole operator: each Website becomes a ConfigMap. Owner reference, index, status, finalizer, periodic recheck.

use std::{sync::Arc, time::Duration};

use k8s_openapi::{
    api::core::v1::ConfigMap, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Client, CustomResource, CustomResourceExt as _, Resource as _, ResourceExt as _,
    runtime::wait::conditions,
};
use nah_backend::{Finalizer, KubeBackend, Step, core::ObjectMeta, prelude::*, watch::Requeue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod ground;

#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Website", namespaced, status = "WebsiteStatus")]
pub(crate) struct WebsiteSpec {
    html: String,
    class: String,
}

#[derive(Serialize, Deserialize, Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebsiteStatus {
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
const RECHECK: Requeue = Requeue(Duration::from_secs(300));

/// Makes the world as the Website says. Asks for a [`Backend`] of any kind: a fake will do.
async fn reconcile<B: Backend>(backend: Arc<B>, change: Change<Website>) -> Result<Option<Requeue>, Error> {
    let Some(site) = change.object else { return Ok(None) };
    match FINALIZER.step(&*backend, &*site).await? {
        Step::Present => {}
        Step::Cleanup => {
            println!("{} is going: taking it off the load balancer", change.key);
            FINALIZER.remove(&*backend, &*site).await?;
            return Ok(None);
        }
        _ => return Ok(None),
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
            backend.modify::<ConfigMap>(&change.key, |map| map.data.clone_from(&wanted.data)).await?;
        }
    }

    let seen = site.meta().generation;
    backend
        .modify_status::<Website>(&change.key, |site| {
            site.status.get_or_insert_default().observed_generation = seen;
        })
        .await?;
    Ok(Some(RECHECK))
}

pub(crate) async fn run(client: Client) -> anyhow::Result<()> {
    let backend = KubeBackend::with_client(client).build();
    let by_class = backend.index_path::<Website>("spec.class")?;
    backend.watcher_with("website", Arc::new(backend.clone()), reconcile)?;
    backend.owns::<Website, ConfigMap>()?;

    // The kinds above are not served yet: their informers come alive when the definition does.
    let definition = Website::crd();
    let starting = backend.start();
    let defined = async {
        // Before start cached reads are refused, writes are not.
        backend.create(&definition).await?;
        anyhow::Ok(())
    };
    let (started, defined) = tokio::join!(starting, defined);
    defined?;
    started?;
    backend
        .wait_for::<CustomResourceDefinition>(
            ObjectKey::cluster(&definition.name_any()),
            conditions::is_crd_established(),
        )
        .await?;

    let mut site = Website::new("blog", WebsiteSpec { html: "<h1>hi</h1>".into(), class: "blog".into() });
    site.metadata.namespace = Some("default".into());
    backend.create(&site).await?;
    let is_done = |site: Option<&Website>| {
        site.is_some_and(|site| {
            site.status.as_ref().is_some_and(|status| status.observed_generation == site.metadata.generation)
        })
    };
    backend.wait_for(("default", "blog"), is_done).await?;
    for site in backend.list::<Website>(ListOptions::default().by(&by_class, "blog")).await? {
        println!("{} is up", site?.name_any());
    }

    // Somebody breaks what we own: its change triggers the owner, and the owner mends it.
    backend.delete_by_key::<ConfigMap>(("default", "blog")).await?;
    let is_back = |map: Option<&ConfigMap>| map.is_some_and(|map| map.data.is_some());
    backend.wait_for(("default", "blog"), is_back).await?;
    println!("its page was deleted and is back");

    backend.delete(&site).await?;
    backend.wait_for::<Website>(("default", "blog"), |site: Option<&Website>| site.is_none()).await?;
    backend.delete_by_key::<CustomResourceDefinition>(ObjectKey::cluster(&definition.name_any())).await?;

    let left = backend.shutdown(Duration::from_secs(20)).await;
    anyhow::ensure!(left.cut_off.is_empty(), "cut off: {:?}", left.cut_off);
    Ok(())
}

#[allow(dead_code)] // A test calls `run`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    run(ground::client().await?).await
}
