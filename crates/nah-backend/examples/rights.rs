//! The rights an operator needs, printed as YAML: `cargo run --example rights | kubectl apply -f -`.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Node},
    rbac::v1::Subject,
};
use kube::Client;
use nah_backend::{KubeBackend, Rights, client::Verb, prelude::*};
use serde::Serialize;

mod ground;

/// Registers what the operator watches. It need not be started.
fn operator(client: Client) -> anyhow::Result<KubeBackend> {
    let backend = KubeBackend::with_client(client).namespaces(["shop"]).build();
    backend.watcher("deployments", |_: Change<Deployment>| async { Ok(()) })?;
    backend.triggers::<ConfigMap, Deployment, _>(|event| [event.key().clone()])?;
    backend.informer::<Node>()?;
    Ok(backend)
}

pub(crate) async fn run(client: Client) -> anyhow::Result<String> {
    let backend = operator(client)?;
    let rights = Rights::default()
        .writes::<Deployment>([Verb::JsonPatch])
        .writes_part::<Deployment>("status", [Verb::JsonPatch])
        .writes::<ConfigMap>([Verb::Create, Verb::JsonPatch, Verb::Delete])
        .events();
    let rules = backend.required_rules(&rights).await?;
    let account = Subject {
        kind: "ServiceAccount".into(),
        name: "operator".into(),
        namespace: Some("shop".into()),
        ..Subject::default()
    };
    let manifests = rules.manifests("operator", &[account]);
    let mut yaml = Vec::new();
    yaml.extend(document(manifests.cluster_role)?);
    yaml.extend(document(manifests.cluster_role_binding)?);
    yaml.extend(document(manifests.roles)?);
    yaml.extend(document(manifests.role_bindings)?);
    Ok(yaml.join("---\n"))
}

fn document<K: Serialize>(objects: impl IntoIterator<Item = K>) -> anyhow::Result<Vec<String>> {
    objects.into_iter().map(|object| Ok(serde_saphyr::to_string(&object)?)).collect()
}

#[allow(dead_code)] // A test calls `run`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    print!("{}", run(ground::client().await?).await?);
    Ok(())
}
