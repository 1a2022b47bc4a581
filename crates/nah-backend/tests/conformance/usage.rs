//! The five usage examples of the interface, as a user would write them.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Container, Pod, PodSpec},
};
use kube::ResourceExt;
use nah_backend::{cache::Event, core::Causes, core::ObjectMeta, prelude::*};
use serde_json::json;

use crate::{
    fixtures::{Seen, deployment, pod},
    scenario::scenarios,
    world::World,
};

scenarios! {
    basic_operations_get_list_create_update_and_delete => "F1, F9, F29" (Loose),
    triggers_with_growing_delays_make_one_run_at_the_first => "D6, D7, D9" (Loose),
    a_watched_kind_triggers_a_dependent_one => "E1, E6, D20" (Loose),
    an_informer_tells_what_is_added_updated_and_deleted => "B1, B2, B4, G13" (Loose),
    a_field_index_finds_pods_by_their_node => "F12, F17, A6, A8" (Loose),
}

fn new_pod(namespace: &str, name: &str) -> Pod {
    let container =
        Container { name: "nginx".into(), image: Some("nginx:latest".into()), ..Container::default() };
    Pod {
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: Some(namespace.into()),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec { containers: vec![container], ..PodSpec::default() }),
        ..Pod::default()
    }
}

async fn basic_operations_get_list_create_update_and_delete(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("pods", pod("my-pod", None)).await?;
    let backend = world.backend();
    backend.start().await?;

    let found = backend.get::<Pod>((ns, "my-pod")).await?;
    ensure!(found.uid().is_some());

    let created = backend.create(&new_pod(ns, "new-pod")).await?;
    ensure!(created.uid().is_some() && created.resource_version().is_some());
    let mut names = Vec::new();
    for pod in backend.list::<Pod>(ListOptions::default().in_namespace(ns)).await? {
        names.push(pod?.name_any());
    }
    ensure!(names == ["my-pod", "new-pod"], "{names:?}");

    let mut changed = Pod::clone(&found);
    changed.labels_mut().insert("updated".into(), "true".into());
    let stored = backend.update(&changed).await?;
    ensure!(stored.labels().get("updated").is_some_and(|value| value == "true"));
    ensure!(found.labels().is_empty(), "what was read has changed");

    backend.delete(&*stored).await?;
    ensure!(backend.get::<Pod>((ns, "my-pod")).await.is_err_and(|error| error.is_not_found()));
    Ok(())
}

async fn triggers_with_growing_delays_make_one_run_at_the_first(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("pods", pod("my-pod", None)).await?;
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    backend.watcher("pods", move |change: Change<Pod>| {
        seen.tell(change.causes);
        async { Ok(()) }
    })?;
    backend.start().await?;
    ensure!(runs.next().await?.contains(Causes::INITIAL));

    let started = tokio::time::Instant::now();
    for delay in [400, 800, 1200, 1600].map(Duration::from_millis) {
        backend.trigger::<Pod>((ns, "my-pod"), delay)?;
    }
    backend.trigger::<Pod>((ns, "my-pod"), Duration::ZERO)?;
    ensure!(runs.next().await?.contains(Causes::TRIGGER));
    ensure!(started.elapsed() < Duration::from_millis(400), "at once took {:?}", started.elapsed());
    ensure!(runs.next().await?.contains(Causes::TRIGGER));
    ensure!(started.elapsed() >= Duration::from_millis(400), "the first delay took {:?}", started.elapsed());
    runs.nothing_for(Duration::from_millis(1600)).await
}

async fn a_watched_kind_triggers_a_dependent_one(world: &World) -> Result<()> {
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    backend.watcher("pod-watcher", move |change: Change<Pod>| {
        seen.tell((change.key.clone(), change.object.is_some(), change.causes));
        async { Ok(()) }
    })?;
    let pods = backend.clone();
    backend.watcher("config-watcher", move |change: Change<ConfigMap>| {
        let pods = pods.clone();
        async move {
            pods.trigger::<Pod>(&change.key, Duration::ZERO)?;
            Ok(())
        }
    })?;
    backend.start().await?;

    world.behind_create("configmaps", json!({ "metadata": { "name": "a" } })).await?;
    let (key, there, causes) = runs.next().await?;
    ensure!(key.name() == "a" && key.namespace() == Some(&world.namespace), "{key}");
    ensure!(!there && causes == Causes::TRIGGER, "{key} {there} {causes:?}");
    Ok(())
}

async fn an_informer_tells_what_is_added_updated_and_deleted(world: &World) -> Result<()> {
    let deployments = format!("/apis/apps/v1/namespaces/{}/deployments", world.namespace);
    let mut first = deployment("first", 0);
    first["spec"]["paused"] = json!(true);
    world.behind(http::Method::POST, &deployments, Some(first)).await?.expect(201)?;
    let backend = world.backend();
    let informer = backend.informer::<Deployment>()?;
    let (seen, mut events) = Seen::new();
    informer.add_event_handler(move |event: Event<Deployment>| match event {
        Event::Added { object, initial, .. } => seen.tell(format!("added {} {initial}", object.name_any())),
        // The controllers of the real ground write a status into it: that is none of ours.
        Event::Updated { old, new, .. }
            if old.labels().get("round") != new.labels().get("round").map(|it| it.as_str()) =>
        {
            seen.tell(format!("updated {} {:?}", new.name_any(), old.labels().get("round")));
        }
        Event::Deleted { key, tombstone, .. } => seen.tell(format!("deleted {} {tombstone}", key.name())),
        _ => {}
    })?;
    backend.start().await?;
    informer.wait_for_sync().await?;
    ensure!(events.next().await? == "added first true");

    let path = format!("{deployments}/first");
    let patch = json!({ "metadata": { "labels": { "round": "1" } } });
    world.behind(http::Method::PATCH, &path, Some(patch)).await?.expect(200)?;
    ensure!(events.next().await? == "updated first None");
    world.behind(http::Method::DELETE, &path, None).await?.expect(200)?;
    ensure!(events.next().await? == "deleted first false");
    Ok(())
}

async fn a_field_index_finds_pods_by_their_node(world: &World) -> Result<()> {
    world.behind_create("pods", pod("a", Some("node-1"))).await?;
    world.behind_create("pods", pod("b", Some("node-2"))).await?;
    let backend = world.backend();
    backend.index_field("spec.nodeName", |pod: &Pod| {
        pod.spec.iter().filter_map(|spec| spec.node_name.clone()).collect::<Vec<_>>()
    })?;
    backend.start().await?;

    let on = async |node: &str| -> Result<Vec<String>> {
        let options = ListOptions::default().matching_field("spec.nodeName", node);
        Ok(backend.list::<Pod>(options).await?.decoded().map(|pod| pod.name_any()).collect())
    };
    ensure!(on("node-1").await? == ["a"]);
    ensure!(on("node-3").await?.is_empty());
    backend
        .create(&{
            let mut pod = new_pod(&world.namespace, "c");
            pod.spec.get_or_insert_default().node_name = Some("node-1".into());
            pod
        })
        .await?;
    ensure!(on("node-1").await? == ["a", "c"], "our own write is not in the index");
    let options = ListOptions::default().matching_field("spec.hostName", "x");
    ensure!(
        backend.list::<Pod>(options).await.is_err_and(|error| error.to_string().contains("spec.hostName"))
    );
    Ok(())
}
