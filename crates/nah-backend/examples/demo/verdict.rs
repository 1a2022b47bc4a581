//! Whether the operator has done what was asked: the server's objects against each other, and the cache against the
//! server.

use std::collections::BTreeMap;

use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{Api, ResourceExt as _, api::ListParams};
use nah_backend::{KubeBackend, prelude::*};

use super::{ground::Ground, operator::Website};

/// What does not fit; empty where everything does.
pub(crate) async fn differences(ground: &Ground, backend: &KubeBackend) -> anyhow::Result<Vec<String>> {
    let sites = by_name(Api::<Website>::namespaced(ground.client.clone(), &ground.namespace)).await?;
    let maps = by_name(Api::<ConfigMap>::namespaced(ground.client.clone(), &ground.namespace)).await?;
    let deployments =
        by_name(Api::<Deployment>::namespaced(ground.client.clone(), &ground.namespace)).await?;
    let mut differences = Vec::new();
    let mut differs = |what: String| differences.push(what);

    for (name, site) in &sites {
        if site.metadata.deletion_timestamp.is_some() {
            differs(format!("Website {name} is still going"));
            continue;
        }
        let page = maps.get(name).and_then(|map| map.data.as_ref()?.get("index.html"));
        if page != Some(&site.spec.html) {
            differs(format!("ConfigMap {name} does not hold its page"));
        }
        let replicas = deployments.get(name).and_then(|deployment| deployment.spec.replicas);
        if replicas != Some(site.spec.replicas) {
            differs(format!("Deployment {name} has {replicas:?} replicas for {}", site.spec.replicas));
        }
        let seen = site.status.as_ref().and_then(|status| status.observed_generation);
        if seen != site.metadata.generation {
            differs(format!("Website {name} was last seen at generation {seen:?}"));
        }
    }
    for name in deployments.keys().chain(maps.keys()) {
        // Made by the control plane of a real cluster in every namespace.
        if !sites.contains_key(name) && name != "kube-root-ca.crt" {
            differs(format!("{name} outlives its Website"));
        }
    }
    compare::<Website>(backend, &sites, &mut differs).await?;
    compare::<Deployment>(backend, &deployments, &mut differs).await?;
    Ok(differences)
}

/// Holds the cache of a kind against the server's objects, version by version.
async fn compare<K: Kind>(
    backend: &KubeBackend,
    server: &BTreeMap<String, K>,
    differs: &mut impl FnMut(String),
) -> anyhow::Result<()> {
    let cached = backend.list::<K>(ListOptions::default()).await?;
    let cached: BTreeMap<_, _> =
        cached.handles().map(|object| (object.key().name().to_owned(), object.resource_version())).collect();
    for name in cached.keys().filter(|name| !server.contains_key(*name)) {
        differs(format!("the cache holds {} {name}, the server does not", K::kind(&())));
    }
    for (name, object) in server {
        let known = cached.get(name).copied().flatten().map(|version| version.as_str());
        if known != object.resource_version().as_deref() {
            differs(format!("the cache holds {} {name} at {known:?}", K::kind(&())));
        }
    }
    Ok(())
}

async fn by_name<K>(api: Api<K>) -> anyhow::Result<BTreeMap<String, K>>
where
    K: Kind,
{
    let list = api.list(&ListParams::default()).await?;
    Ok(list.items.into_iter().map(|object| (object.name_any(), object)).collect())
}
