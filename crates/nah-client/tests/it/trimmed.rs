//! Kinds whose objects the cache trims.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Secret},
};
use nah_cache::{CacheOptions, KindCacheOptions};
use nah_client::{Effect, Error, ReadWriteExt, ReaderExt, Verb, Write, Writer, WriterExt};
use nah_core::{GroupVersionKind, Kind, Object};
use nah_testing::ApiServer;
use serde_json::{Value, json};

use crate::World;

/// A world whose cache drops `binaryData` and everything of `data` but `value`, of ConfigMaps.
fn world() -> World {
    let trim = KindCacheOptions::default().trim(|object| {
        if let Some(fields) = object.data.as_object_mut() {
            fields.remove("binaryData");
        }
        if let Some(data) = object.data["data"].as_object_mut() {
            data.retain(|key, _| key == "value");
        }
    });
    World::with(ApiServer::new(), CacheOptions::default().kind((*ConfigMap::kind_of()).clone(), trim))
}

fn whole() -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"},
        "data": {"value": "1", "other": "kept at the server"}, "binaryData": {"blob": "AAAA"},
    })
}

fn at_the_server(world: &World) -> Value {
    world.server.get("v1", "ConfigMap", "default", "a").unwrap()
}

async fn cached(world: &World) -> Object {
    world.client.get_for_kind(&ConfigMap::kind_of(), ("default", "a")).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_replacement_is_refused_and_names_kind_and_key() {
    let world = world();
    world.server.create(&whole()).unwrap();
    let object = cached(&world).await;
    assert!(object.is_trimmed());
    let map = object.decode::<ConfigMap>().unwrap();
    assert_eq!(map.data.as_ref().unwrap().len(), 1);
    for error in [
        world.client.update(&*map).await.unwrap_err(),
        world.client.update(&*object.dynamic().unwrap()).await.unwrap_err(),
        world.client.update_status(&*map).await.unwrap_err(),
    ] {
        assert_eq!(error.effect(), Effect::None);
        let Error::Trimmed { gvk, key } = &error else { panic!("{error}") };
        assert_eq!((gvk.kind.as_str(), key.to_string().as_str()), ("ConfigMap", "default/a"));
        assert!(error.to_string().contains("ConfigMap default/a"), "{error}");
    }
    assert_eq!(at_the_server(&world)["data"].as_object().unwrap().len(), 2);
    // Other kinds are as they were.
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "default"}});
    world.server.create(&secret).unwrap();
    let secret = world.client.get::<Secret>(("default", "a")).await.unwrap();
    world.client.update(&*secret).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_has_the_whole_object_may_say_so() {
    let world = world();
    world.server.create(&whole()).unwrap();
    cached(&world).await;
    let live = world.client.get_live::<ConfigMap>(("default", "a")).await.unwrap();
    assert_eq!(live.data.as_ref().unwrap().len(), 2, "a live read is whole");
    let mut edited = ConfigMap::clone(&live);
    edited.data.as_mut().unwrap().insert("value".into(), "2".into());
    let write = Write::new(Verb::Update, &edited, None).unwrap().whole();
    let written = world.client.write(write).await.unwrap();
    assert!(!written.object().unwrap().is_trimmed(), "the server's answer is whole");
    assert_eq!(at_the_server(&world)["data"], json!({"value": "2", "other": "kept at the server"}));
}

#[tokio::test(start_paused = true)]
async fn modify_and_patches_keep_what_the_cache_dropped() {
    let world = world();
    world.server.create(&whole()).unwrap();
    let edit = |map: &mut ConfigMap| _ = map.data.get_or_insert_default().insert("value".into(), "2".into());
    world.client.modify::<ConfigMap>(("default", "a"), edit).await.unwrap();
    let mut expected = whole();
    expected["data"]["value"] = "2".into();
    assert_eq!(at_the_server(&world)["data"], expected["data"]);
    assert_eq!(at_the_server(&world)["binaryData"], expected["binaryData"]);
    let patch = kube_core::params::Patch::Merge(json!({"data": {"value": "3"}}));
    world.client.patch::<ConfigMap>(("default", "a"), &patch, &Default::default()).await.unwrap();
    expected["data"]["value"] = "3".into();
    assert_eq!(at_the_server(&world)["data"], expected["data"]);
}

#[tokio::test(start_paused = true)]
async fn a_modification_fits_what_the_server_has_and_not_what_the_cache_kept() {
    let trim = KindCacheOptions::default().trim(|object| object.metadata.annotations = None);
    let options = CacheOptions::default().kind((*ConfigMap::kind_of()).clone(), trim);
    let world = World::with(ApiServer::new(), options);
    let mut whole = whole();
    whole["metadata"]["annotations"] = json!({"theirs": "1"});
    world.server.create(&whole).unwrap();
    assert!(cached(&world).await.is_trimmed());
    // Where there were no annotations, the difference would be all of them.
    let edit = |map: &mut ConfigMap| {
        map.metadata.annotations.get_or_insert_default().insert("ours".into(), "1".into());
    };
    world.client.modify::<ConfigMap>(("default", "a"), edit).await.unwrap();
    assert_eq!(at_the_server(&world)["metadata"]["annotations"], json!({"ours": "1", "theirs": "1"}));
}

#[tokio::test(start_paused = true)]
async fn a_scale_has_a_form_of_its_own_that_nothing_is_trimmed_of() {
    let trim = KindCacheOptions::default().trim(|object| object.metadata.annotations = None);
    let options = CacheOptions::default().kind((*Deployment::kind_of()).clone(), trim);
    let world = World::with(ApiServer::new(), options);
    let template =
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
                     "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}});
    world.server.create(&web).unwrap();
    let key = || ("default", "web");
    let web = world.client.get::<Deployment>(key()).await.unwrap();
    assert!(matches!(world.client.update_status(&*web).await.unwrap_err(), Error::Trimmed { .. }));
    let scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale",
                       "metadata": {"name": "web", "namespace": "default"}, "spec": {"replicas": 3}});
    let params = Default::default();
    world.client.update_subresource::<Deployment>(key(), "scale", &scale, &params).await.unwrap();
    assert_eq!(world.client.get::<Deployment>(key()).await.unwrap().spec.replicas, Some(3));
}

#[tokio::test(start_paused = true)]
async fn own_writes_are_shown_as_the_cache_will_show_them() {
    let world = world();
    world.server.create(&whole()).unwrap();
    world.blind::<ConfigMap>().await;
    let patch = kube_core::params::Patch::Merge(json!({"data": {"value": "2", "more": "dropped, too"}}));
    world.client.patch::<ConfigMap>(("default", "a"), &patch, &Default::default()).await.unwrap();
    let object = cached(&world).await;
    assert!(object.is_trimmed());
    let map = object.decode::<ConfigMap>().unwrap();
    assert_eq!(serde_json::to_value(&map.data).unwrap(), json!({"value": "2"}));
    assert!(map.binary_data.is_none());
    world.catch_up::<ConfigMap>().await;
    assert_eq!(cached(&world).await.json().unwrap(), object.json().unwrap());
}

#[tokio::test(start_paused = true)]
async fn another_version_of_the_kind_is_refused_as_well() {
    let trim = KindCacheOptions::default().trim(|_| {});
    let other = GroupVersionKind::gvk("", "v1beta1", "ConfigMap");
    let world = World::with(ApiServer::new(), CacheOptions::default().kind(other, trim));
    let map = ConfigMap { metadata: crate::config_map("a", "1").metadata, ..ConfigMap::default() };
    let error = world.client.update(&map).await.unwrap_err();
    assert!(matches!(error, Error::Trimmed { .. }), "{error}");
}
