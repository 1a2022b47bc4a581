//! The rights that a backend says it needs. Whether they are enough, and none too many, is asked of a real server.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Node, Secret},
    rbac::v1::{PolicyRule, Subject},
};
use nah_backend::{
    KubeBackend, Rights,
    cache::{CacheError, CacheOptions, KindCacheOptions},
    client::{self, Verb},
    prelude::*,
};
use nah_testing::ApiServer;

use crate::ground::ground;

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(owned(&[group])),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}

const READS: &[&str] = &["get", "list", "watch"];

#[tokio::test(start_paused = true)]
async fn a_reader_needs_to_read_what_it_watches_and_nothing_else() {
    let (server, backend) = ground();
    backend.watcher("maps", |_: Change<ConfigMap>| async { Ok(()) }).unwrap();
    backend.index_path::<Secret>("type").unwrap();
    backend.informer::<Deployment>().unwrap();
    let rules = backend.required_rules(&Rights::default()).await.unwrap();
    assert_eq!(
        rules.cluster,
        [rule("", &["configmaps", "secrets"], READS), rule("apps", &["deployments"], READS)]
    );
    assert!(rules.namespaces.is_empty());
    assert_eq!(server.journal().count("list", "configmaps"), 0, "nothing has to be started");
}

#[tokio::test(start_paused = true)]
async fn what_lives_in_the_cached_namespaces_needs_roles_there() {
    let server = ApiServer::new();
    let secret = GroupVersionKind::gvk("", "v1", "Secret");
    let deployment = GroupVersionKind::gvk("apps", "v1", "Deployment");
    let cache = CacheOptions::default()
        .namespaces(["a"])
        .kind(secret, KindCacheOptions::default().namespaces(Vec::<String>::new()))
        .kind(deployment, KindCacheOptions::default().fields("metadata.namespace=c"));
    let backend = KubeBackend::with_client(server.client()).cache(cache).build();
    backend.informer::<ConfigMap>().unwrap();
    backend.informer::<Node>().unwrap();
    backend.informer::<Secret>().unwrap();
    backend.informer::<Deployment>().unwrap();
    backend.add_namespace("b").unwrap();
    let rules = backend.required_rules(&Rights::default().events()).await.unwrap();
    assert_eq!(rules.cluster, [rule("", &["nodes", "secrets"], READS)]);
    let events = rule("events.k8s.io", &["events"], &["create", "patch"]);
    for namespace in ["a", "b"] {
        assert_eq!(rules.namespaces[namespace], [rule("", &["configmaps"], READS), events.clone()]);
    }
    assert_eq!(rules.namespaces["c"], [rule("apps", &["deployments"], READS)]);
    assert_eq!(rules.namespaces.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn writes_need_the_verbs_that_are_declared() {
    let (_server, backend) = ground();
    backend.informer::<Deployment>().unwrap();
    let rights = Rights::default()
        .reads::<Secret>()
        .writes::<Deployment>([
            Verb::Update,
            Verb::JsonPatch,
            Verb::MergePatch,
            Verb::Delete,
            Verb::DeleteAll,
        ])
        .writes_part::<Deployment>("status", [Verb::StrategicPatch])
        .writes_part::<Deployment>("scale", [Verb::Update])
        .writes::<ConfigMap>([Verb::Apply { force: true }])
        .owner::<Deployment>();
    let rules = backend.required_rules(&rights).await.unwrap();
    let all = ["delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    assert_eq!(
        rules.cluster,
        [
            rule("", &["configmaps"], &["create", "patch"]),
            rule("", &["secrets"], READS),
            rule("apps", &["deployments"], &all),
            rule("apps", &["deployments/status"], &["patch"]),
            rule("apps", &["deployments/finalizers", "deployments/scale"], &["update"]),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_served_is_named() {
    let (_server, backend) = ground();
    let widget = GroupVersionKind::gvk("example.com", "v1", "Widget");
    let rights = Rights::default().writes_for(&widget, None, [Verb::Create]);
    let error = backend.required_rules(&rights).await.unwrap_err();
    assert!(matches!(error, client::Error::Cache(CacheError::UnknownKind { gvk }) if gvk == widget));
}

#[tokio::test(start_paused = true)]
async fn manifests_bind_every_role_to_every_subject() {
    let server = ApiServer::new();
    let backend = KubeBackend::with_client(server.client()).namespaces(["a", "b"]).build();
    backend.informer::<ConfigMap>().unwrap();
    let user = Subject { kind: "User".into(), name: "u".into(), ..Subject::default() };
    let rules = backend.required_rules(&Rights::default()).await.unwrap();
    let manifests = rules.manifests("operator", std::slice::from_ref(&user));
    assert!(manifests.cluster_role.is_none() && manifests.cluster_role_binding.is_none());
    for (index, namespace) in ["a", "b"].into_iter().enumerate() {
        let (role, binding) = (&manifests.roles[index], &manifests.role_bindings[index]);
        assert_eq!(role.metadata.namespace.as_deref(), Some(namespace));
        assert_eq!(role.metadata, binding.metadata);
        assert_eq!((&*binding.role_ref.kind, &*binding.role_ref.name), ("Role", "operator"));
        assert_eq!(binding.subjects.as_deref(), Some(std::slice::from_ref(&user)));
        backend
            .create(
                &serde_json::from_value::<k8s_openapi::api::core::v1::Namespace>(
                    serde_json::json!({ "metadata": { "name": namespace } }),
                )
                .unwrap(),
            )
            .await
            .unwrap();
        // A server takes them as they are.
        backend.create(role).await.unwrap();
        backend.create(binding).await.unwrap();
    }
    backend.informer::<Node>().unwrap();
    let manifests = backend.required_rules(&Rights::default()).await.unwrap().manifests("operator", &[user]);
    backend.create(&manifests.cluster_role.unwrap()).await.unwrap();
    backend.create(&manifests.cluster_role_binding.unwrap()).await.unwrap();
}
