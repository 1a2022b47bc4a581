//! The counterparts that `docs/go-to-rust.md` names: they are there, and do what the row says.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::core::params::{DeleteParams, Patch, PatchParams, PostParams};
use nah_backend::{
    Backend, BackendExt, KindOptions, KubeBackend, LiveWatch,
    cache::{CacheError, CacheOptions, Event, Extract, HandlerOptions, KindCacheOptions},
    client::{Error, OptionalExt, Verb, Write, Writer, merge_from, merge_from_locked},
    core::{DynamicObject, GroupVersionKind, Kind, ObjectKey, Payload},
    prelude::*,
    trigger::{Classes, QueueOptions},
    watch::Ignore,
};
use nah_testing::ApiServer;
use serde_json::json;

use crate::ground::map;

const KEY: (&str, &str) = ("default", "a");

fn server() -> ApiServer {
    let server = ApiServer::new();
    for name in ["a", "b"] {
        let labels = json!({ "app": name, "all": "yes" });
        let metadata = json!({ "name": name, "namespace": "default", "labels": labels });
        let map =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { "v": name } });
        server.create(&map).unwrap();
    }
    server
}

#[tokio::test(start_paused = true)]
async fn of_what_sets_a_backend_up() {
    let queue = QueueOptions::default().with_classes(Classes::by_namespace());
    let by_name = QueueOptions::default().with_classes(Classes::by(|key: &ObjectKey| key.name().to_owned()));
    let trim = KindCacheOptions::default()
        .namespaces(["default"])
        .labels(kube::core::Selector::default())
        .fields("metadata.name!=b")
        .trim(|object| object.metadata.annotations = None);
    let bytes = KindCacheOptions::default().trim_bytes(|bytes| Ok(bytes.to_vec())).keep_managed_fields();
    let cache = CacheOptions::default()
        .labels(kube::core::Selector::default())
        .kind((*ConfigMap::kind_of()).clone(), trim)
        .kind((*Pod::kind_of()).clone(), bytes);
    let backend = KubeBackend::with_client(server().client())
        .namespaces(["default"])
        .labels(kube::core::Selector::default())
        .cache(cache)
        .workers(3)
        .kind::<ConfigMap>(KindOptions::default().workers(2).queue(queue).resync(Duration::from_secs(3600)))
        .kind::<Pod>(KindOptions::default().queue(by_name).optional())
        .sync_timeout(Duration::from_secs(30))
        .build();
    backend.informer::<ConfigMap>().unwrap();
    backend.preload().await.unwrap();
    backend.start().await.unwrap();
    // Config.FieldSelector, cache.ByObject.Field: what the server selects is all that is there.
    let names: Vec<_> = backend.list::<ConfigMap>(ListOptions::default()).await.unwrap().decoded().collect();
    assert_eq!(names.len(), 1);
    backend.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn of_callbacks_and_triggers() {
    let server = server();
    let backend = KubeBackend::with_client(server.client()).build();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    // Watcher.Watcher, Callback, ErrIgnore.
    let registration = backend
        .watcher("maps", move |_: Change<ConfigMap>| {
            counted.fetch_add(1, Relaxed);
            async { Err::<(), _>(Ignore.into()) }
        })
        .unwrap();
    backend.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(runs.swap(0, Relaxed), 2, "a success, so nothing is tried again");
    // Trigger.Trigger, and what takes it back.
    backend.trigger::<ConfigMap>(KEY, Duration::from_secs(60)).unwrap();
    let handle = backend.trigger_handle();
    handle
        .trigger_for_kind(&ConfigMap::kind_of(), &("default", "b").into(), Duration::from_secs(60))
        .unwrap();
    assert!(handle.cancel_for_kind(&ConfigMap::kind_of(), &("default", "b").into()).unwrap());
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(runs.swap(0, Relaxed), 1);
    // HandlerTransaction: undone with the guard, kept by taking it out.
    let guard = registration.drop_guard();
    let registration = guard.into_inner().unwrap();
    backend.trigger::<ConfigMap>(KEY, Duration::ZERO).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(runs.swap(0, Relaxed), 1);
    drop(registration.drop_guard());
    drop(backend.trigger::<ConfigMap>(KEY, Duration::ZERO));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(runs.load(Relaxed), 0);
    // watcher.New[T].ByObject and ByName.
    let waited = backend.wait_for::<ConfigMap>(KEY, |map: Option<&ConfigMap>| map.is_some()).await.unwrap();
    assert!(waited.is_some());
    backend.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn of_reads() {
    let backend = KubeBackend::with_client(server().client()).build();
    let by_value = backend.index_path::<ConfigMap>("data.v").unwrap();
    backend.start().await.unwrap();
    let gvk = ConfigMap::kind_of();
    let read = backend.get::<ConfigMap>(KEY).await.unwrap();
    assert!(backend.get_for_kind(&gvk, KEY).await.is_ok());
    assert!(backend.lookup(&gvk, &KEY.into()).unwrap().is_some());
    assert!(!backend.select(&gvk, &ListOptions::default()).unwrap().is_empty());
    assert!(backend.fetch(&gvk, &KEY.into()).await.unwrap().is_some());
    assert!(backend.get_live::<ConfigMap>(KEY).await.is_ok());
    assert_eq!(backend.list_live::<ConfigMap>(ListOptions::default()).await.unwrap().len(), 2);
    assert_eq!(backend.fetch_list(&gvk, ListOptions::default().limit(1)).await.unwrap().len(), 1);
    assert_eq!(read.key().unwrap(), ObjectKey::of(&read.metadata).unwrap());
    assert_eq!("default/a".parse::<ObjectKey>().unwrap(), ObjectKey::from(KEY));
    assert!("a/b/c".parse::<ObjectKey>().is_err());
    assert_eq!(read.gvk().unwrap(), *gvk);
    let count = async |options| backend.list::<ConfigMap>(options).await.unwrap().len();
    let all = || ListOptions::default().in_namespace("default");
    assert_eq!(count(all().matching_labels([("app", "a")])).await, 1);
    assert_eq!(count(all().matching_text("app").unwrap()).await, 2, "HasLabels");
    assert_eq!(count(all().matching(kube::core::Selector::default())).await, 2);
    assert_eq!(count(all().matching_field("data.v", "a")).await, 1);
    assert_eq!(count(all().matching_fields([("data.v", "a"), ("metadata.name", "b")])).await, 0);
    assert_eq!(count(all().by(&by_value, "a")).await, 1);
    assert_eq!(count(all().by_any(&by_value, ["a", "b"])).await, 2);
    assert_eq!(count(all().matching_field_in("data.v", ["a", "z"])).await, 1);
    assert_eq!(count(all().limit(1)).await, 1);
    assert!(backend.get::<ConfigMap>(("default", "z")).await.optional().unwrap().is_none());
    let unindexed = backend.list::<ConfigMap>(all().matching_field("data.w", "a")).await.unwrap_err();
    assert!(matches!(unindexed, Error::Cache(CacheError::NoIndex { .. })));
    let mut events = LiveWatch::watch(&backend, &gvk, all());
    assert!(matches!(events.next().await.unwrap().unwrap(), kube::core::WatchEvent::Added(_)));
    drop(events);
    let mapping = backend.rest_mapper().mapping(&Namespace::kind_of()).await.unwrap();
    assert_eq!((mapping.namespaced, &*mapping.resource.plural), (false, "namespaces"));
    let other = GroupVersionKind::gvk("", "v2", "ConfigMap");
    assert!(backend.rest_mapper().mapping(&other).await.is_err(), "the version asked for or none");
    backend.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn of_writes() {
    let server = server();
    let backend = KubeBackend::with_client(server.client()).build();
    backend.start().await.unwrap();
    let created = backend.create_with(&map("c"), &PostParams::default()).await.unwrap();
    assert!(backend.create(&map("c")).await.unwrap_err().is_already_exists());
    let mut changed = ConfigMap::clone(&created);
    changed.data = Some([("v".to_owned(), "2".to_owned())].into());
    let changed = backend.update_with(&changed, &PostParams::default()).await.unwrap();
    let (free, locked) =
        (merge_from(&*created, &*changed).unwrap(), merge_from_locked(&*created, &*changed).unwrap());
    let params = PatchParams::default();
    backend.patch::<ConfigMap>(("default", "c"), &free, &params).await.unwrap();
    assert!(backend.patch::<ConfigMap>(("default", "c"), &locked, &params).await.unwrap_err().is_conflict());
    for patch in [Patch::Merge(json!({})), Patch::Strategic(json!({}))] {
        backend.patch_for_kind(&ConfigMap::kind_of(), &KEY.into(), None, &patch, &params).await.unwrap();
    }
    // RawPatch, Patch.Type, Patch.Data.
    let raw = Write::at(Verb::MergePatch, &ConfigMap::kind_of(), &KEY.into())
        .body(br#"{"data":{"r":"1"}}"#.to_vec());
    Writer::write(&backend, raw).await.unwrap();
    assert!(backend.get::<ConfigMap>(KEY).await.unwrap().data.as_ref().unwrap().contains_key("r"));
    // ApplyConfigurationFromUnstructured, ForceOwnership, FieldOwner.
    let dynamic: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a", "namespace": "default" }, "data": { "r": "2" },
    }))
    .unwrap();
    assert!(backend.apply(&dynamic, "me").await.unwrap_err().is_conflict());
    backend.apply_with(&dynamic, &PatchParams::apply("me").force()).await.unwrap();
    backend.modify::<ConfigMap>(KEY, |map| map.data = None).await.unwrap();
    backend.delete_with(&*changed, &DeleteParams::default().grace_period(0)).await.unwrap();
    backend.delete_by_key::<ConfigMap>(("default", "b")).await.unwrap();
    backend.delete_for_kind(&ConfigMap::kind_of(), &KEY.into(), &DeleteParams::background()).await.unwrap();
    backend.delete_all_of::<ConfigMap>(ListOptions::default().in_namespace("default")).await.unwrap();
    assert!(server.list("v1", "ConfigMap").unwrap().is_empty());
    backend.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn of_informers_handlers_and_indexes() {
    let server = server();
    let backend = KubeBackend::with_client(server.client()).build();
    backend.start().await.unwrap();
    let informer = backend.informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    assert!(informer.has_synced() && informer.observed(None).is_some());
    // IndexField and AddIndexers work late, and a name is taken once.
    let values =
        |map: &ConfigMap| map.data.iter().flatten().map(|(_, value)| value.clone()).collect::<Vec<_>>();
    let index = backend.index_field("values", values).unwrap();
    let extract = Extract::Object(Arc::new(|object| {
        Ok(object.labels().get("app").map(str::to_owned).into_iter().collect())
    }));
    backend.add_index(&ConfigMap::kind_of(), "apps", extract).unwrap();
    assert!(matches!(backend.index_field("values", values), Err(CacheError::IndexConflict { .. })));
    let mut found = informer.index_values("values").unwrap();
    found.sort();
    assert_eq!(found, ["a", "b"]);
    let keys = informer.list(&ListOptions::default().by(&index, "a")).unwrap();
    assert_eq!(keys.handles().map(|object| object.key().to_string()).collect::<Vec<_>>(), ["default/a"]);
    assert!(informer.get(&KEY.into()).unwrap().is_some());
    assert_eq!(informer.status().indexes.len(), 2);
    assert_eq!(informer.status().last_error, None);

    // Handlers: the first list is initial, the end of an object has its key; removed, it hears nothing more.
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let handler = informer
        .add_event_handler_with(HandlerOptions::default().named("h"), move |event: Event<ConfigMap>| {
            let said = match event {
                Event::Added { initial, .. } => format!("added {initial}"),
                Event::Updated { .. } => "updated".to_owned(),
                Event::Deleted { key, tombstone, .. } => format!("deleted {key} {tombstone}"),
                _ => String::new(),
            };
            drop(told.send(said));
        })
        .unwrap();
    handler.wait_for_sync().await;
    assert!(handler.has_synced());
    server.delete("v1", "ConfigMap", "default", "a").unwrap();
    let mut said = Vec::new();
    for _ in 0..3 {
        said.push(heard.recv().await.unwrap());
    }
    assert_eq!(said, ["added true", "added true", "deleted default/a false"]);
    // Store.Resync.
    handler.resync();
    assert_eq!(heard.recv().await.unwrap(), "updated");
    handler.remove_and_wait().await;
    server.delete("v1", "ConfigMap", "default", "b").unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(heard.recv().await.is_none());
    // FilteringResourceEventHandler.
    let mut some = informer.subscribe().unwrap().filtered(|object| object.key().name() == "d");
    for name in ["c", "d"] {
        backend.create(&map(name)).await.unwrap();
    }
    let Event::Added { object, .. } = some.next().await.unwrap().unwrap() else {
        panic!("something else was told")
    };
    assert_eq!(object.metadata.name.as_deref(), Some("d"));
    backend.shutdown(Duration::ZERO).await;
    assert!(
        matches!(informer.subscribe().map(drop), Err(CacheError::Stopped)),
        "SharedIndexInformer.IsStopped"
    );
}
