//! What goes over the wire.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube_core::params::{DeleteParams, Patch, PatchParams, PostParams, ValidationDirective};
use nah_cache::ListOptions;
use nah_client::{ReaderExt, Verb, Write, Writer, WriterExt, merge_from, merge_from_locked};
use nah_core::{GroupVersionKind, Kind, ObjectKey};
use nah_testing::Request;
use serde_json::json;

use crate::{World, config_map, key};

fn last(world: &World) -> Request {
    let mut requests = world.server.journal().filter(|request| !request.resource.is_empty());
    requests.pop().unwrap()
}

#[tokio::test(start_paused = true)]
async fn options_become_parameters() // F38
{
    let world = World::new();
    let params = PostParams { dry_run: true, field_manager: Some("me & you".into()) };
    world.client.create_with(&config_map("a", "1"), &params).await.unwrap();
    let request = last(&world);
    assert_eq!(request.path, "/api/v1/namespaces/default/configmaps");
    assert_eq!(request.query, "dryRun=All&fieldManager=me%20%26%20you");
    world.client.create(&config_map("a", "1")).await.unwrap();
    let params =
        PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::default() };
    let patch = Patch::Merge(json!({}));
    world.client.patch::<ConfigMap>(("default", "a"), &patch, &params).await.unwrap();
    let request = last(&world);
    assert_eq!(request.path, "/api/v1/namespaces/default/configmaps/a");
    assert_eq!(request.query, "fieldValidation=Strict");
}

#[tokio::test(start_paused = true)]
async fn each_patch_has_its_type() // F35, F36
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    let (merge, strategic) = (Patch::Merge(json!({})), Patch::Strategic(json!({})));
    let apply = Patch::Apply(json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" } }));
    for (patch, content) in [
        (merge, "application/merge-patch+json"),
        (strategic, "application/strategic-merge-patch+json"),
        (apply, "application/apply-patch+yaml"),
    ] {
        let params = match patch {
            Patch::Apply(_) => PatchParams::apply("me").force(),
            _ => PatchParams::default(),
        };
        // The embedded server says that it cannot do all of them; what was sent is what counts.
        drop(world.client.patch::<ConfigMap>(("default", "a"), &patch, &params).await);
        let request = last(&world);
        assert_eq!(request.content_type, content);
        assert_eq!(request.query.contains("force=true"), matches!(patch, Patch::Apply(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_apply_needs_a_manager_and_names_its_kind() // F36
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    let error = world.client.apply_with(&config_map("a", "1"), &PatchParams::default()).await.unwrap_err();
    assert_eq!(error.status().unwrap().code, 400);
    let mut map = config_map("a", "1");
    map.metadata.managed_fields = Some(Vec::new());
    let write = Write::new(Verb::Apply { force: false }, &map, None).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&write.body).unwrap();
    assert_eq!((&body["apiVersion"], &body["kind"]), (&json!("v1"), &json!("ConfigMap")));
    assert!(body["metadata"].get("managedFields").is_none());
    drop(world.client.apply(&map, "me").await);
    assert_eq!(last(&world).query, "fieldManager=me");
}

#[tokio::test(start_paused = true)]
async fn a_group_has_a_path_of_its_own() {
    let world = World::new();
    drop(world.client.get_live::<Deployment>(("default", "web")).await);
    assert_eq!(last(&world).path, "/apis/apps/v1/namespaces/default/deployments/web");
    drop(world.client.list_live::<Deployment>(ListOptions::default()).await);
    assert_eq!(last(&world).path, "/apis/apps/v1/deployments");
}

#[tokio::test(start_paused = true)]
async fn names_are_escaped() {
    let world = World::new();
    let role = GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", "ClusterRole");
    drop(world.client.get_live_for_kind(&role, ObjectKey::cluster("system:node?x")).await);
    assert_eq!(last(&world).path, "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node%3Fx");
}

#[tokio::test(start_paused = true)]
async fn selectors_become_parameters() // F10, F34
{
    let world = World::new();
    let options = ListOptions::default()
        .in_namespace("default")
        .matching_text("app in (a,b),!old")
        .unwrap()
        .matching_field("metadata.name", "x");
    world.client.delete_all_of::<ConfigMap>(options).await.unwrap();
    let request = last(&world);
    assert_eq!(request.verb, "deletecollection");
    assert!(request.query.contains("labelSelector=app%20in%20%28a%2Cb%29%2C%21old"), "{}", request.query);
    assert!(request.query.contains("fieldSelector=metadata.name%3Dx"), "{}", request.query);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_carries_its_options() // F33
{
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.client.delete_with(&*created, &DeleteParams::orphan()).await.unwrap();
    // Orphaning is a finalizer: it lives until the collector has let its dependents go.
    assert_eq!(last(&world).verb, "delete");
    let write = Write::at(Verb::Delete, &ConfigMap::kind_of(), &key("a")).delete(&DeleteParams::foreground());
    assert!(write.propagation.is_some() && write.body.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_merge_patch_is_made_of_two_states() // F35
{
    let world = World::new();
    let before = world.client.create(&config_map("a", "1")).await.unwrap();
    let mut after = ConfigMap::clone(&before);
    after.data = Some([("other".into(), "2".into())].into());
    let patch = merge_from(&*before, &after).unwrap();
    assert!(
        matches!(&patch, Patch::Merge(patch) if *patch == json!({ "data": { "value": null, "other": "2" } }))
    );
    let locked = merge_from_locked(&*before, &after).unwrap();
    let params = PatchParams::default();
    let patched = world.client.patch::<ConfigMap>(("default", "a"), &patch, &params).await.unwrap();
    assert_eq!(patched.data, after.data);
    // The version that the lock names is not there any more.
    let late = world.client.patch::<ConfigMap>(("default", "a"), &locked, &params).await.unwrap_err();
    assert!(late.is_conflict(), "{late}");
    assert!(matches!(merge_from(&after, &after).unwrap(), Patch::Merge(patch) if patch == json!({})));
    assert!(merge_from_locked(&config_map("b", "1"), &after).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_raw_patch_is_sent_as_it_is() // F35
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    let raw = br#"[{"op": "replace", "path": "/data/value", "value": "2"}]"#;
    let write = Write::at(Verb::JsonPatch, &ConfigMap::kind_of(), &key("a")).body(raw.to_vec());
    let written = Writer::write(&world.client, write).await.unwrap();
    assert_eq!(crate::data(&written.decode::<ConfigMap>().unwrap()).as_deref(), Some("2"));
    assert_eq!(world.data("a").await.as_deref(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn what_the_server_warns_of_is_remembered() {
    let server = nah_testing::ApiServer::new();
    let inner = server.client();
    let service = tower::service_fn(move |request: http::Request<kube_client::client::Body>| {
        let inner = inner.clone();
        async move {
            let mut response = inner.send(request).await?;
            let warning = r#"299 - "unknown field \"data.x\"""#.parse().unwrap();
            response.headers_mut().append(http::header::WARNING, warning);
            Ok::<_, kube_client::Error>(response)
        }
    });
    let client = kube_client::Client::new(service, "default");
    let (informers, driver) = nah_cache::informers(server.client(), nah_cache::CacheOptions::default());
    tokio::spawn(driver.run());
    let client = nah_client::CachedClient::new(client, informers);
    client.create(&config_map("a", "1")).await.unwrap();
    client.get_live::<ConfigMap>(("default", "a")).await.unwrap();
    assert_eq!(client.warnings(), [r#"unknown field "data.x""#], "each text once");
}
