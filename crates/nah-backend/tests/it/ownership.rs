//! `owns` and `triggers`: a change of one kind is work for another.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Node, Secret};
use kube::Resource as _;
use nah_backend::{cache::Event, core::Causes, prelude::*};
use serde_json::json;

use crate::ground::{ground, map, next, record, silent};

fn secret(name: &str, owner: Option<&ConfigMap>) -> Secret {
    let owners: Vec<_> = owner.and_then(|owner| owner.controller_owner_ref(&())).into_iter().collect();
    let metadata = json!({ "name": name, "namespace": "default", "ownerReferences": owners });
    serde_json::from_value(json!({ "metadata": metadata })).unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_change_of_what_is_owned_triggers_its_owner() {
    let (_server, backend) = ground();
    let (_callback, mut told) = record(&backend, "owner");
    backend.owns::<ConfigMap, Secret>().unwrap();
    backend.start().await.unwrap();
    let owner = backend.create(&map("owner")).await.unwrap();
    assert_eq!(next(&mut told).await.causes, Causes::EVENT);

    backend.create(&secret("child", Some(&owner))).await.unwrap();
    let created = next(&mut told).await;
    assert_eq!((created.name.as_str(), created.causes, created.has_object), ("owner", Causes::TRIGGER, true));

    let label = |secret: &mut Secret| {
        secret.metadata.labels.get_or_insert_default().insert("a".into(), "b".into());
    };
    backend.modify::<Secret>(("default", "child"), label).await.unwrap();
    assert_eq!(next(&mut told).await.name, "owner");
    backend.delete(&secret("child", None)).await.unwrap();
    assert_eq!(next(&mut told).await.name, "owner");

    backend.create(&secret("orphan", None)).await.unwrap();
    silent(&mut told, Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn what_changes_its_owner_triggers_both() {
    let (_server, backend) = ground();
    let (_callback, mut told) = record(&backend, "owner");
    backend.owns::<ConfigMap, Secret>().unwrap();
    backend.start().await.unwrap();
    let (first, second) =
        (backend.create(&map("first")).await.unwrap(), backend.create(&map("second")).await.unwrap());
    next(&mut told).await;
    next(&mut told).await;
    backend.create(&secret("child", Some(&first))).await.unwrap();
    next(&mut told).await;
    let adopt = |child: &mut Secret| {
        child.metadata.owner_references = secret("child", Some(&second)).metadata.owner_references;
    };
    backend.modify::<Secret>(("default", "child"), adopt).await.unwrap();
    let mut names = [next(&mut told).await.name, next(&mut told).await.name];
    names.sort();
    assert_eq!(names, ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn any_change_can_be_mapped_to_any_keys_until_its_registration_is_removed() {
    let (_server, backend) = ground();
    let (_callback, mut told) = record(&backend, "target");
    let registration = backend
        .triggers::<Secret, ConfigMap, _>(|event| match event {
            Event::Deleted { .. } => vec![],
            event => vec![("default", format!("of-{}", event.key().name())).into()],
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&secret("s", None)).await.unwrap();
    assert_eq!(next(&mut told).await.name, "of-s");
    backend.delete(&secret("s", None)).await.unwrap();
    silent(&mut told, Duration::from_secs(60)).await;
    registration.remove();
    backend.create(&secret("t", None)).await.unwrap();
    silent(&mut told, Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_map_that_panics_costs_that_event_only() // B23
{
    let (_server, backend) = ground();
    let (_callback, mut told) = record(&backend, "target");
    backend
        .triggers::<Secret, ConfigMap, _>(|event| {
            assert_ne!(event.key().name(), "bad", "a panic of a test");
            [event.key().clone()]
        })
        .unwrap();
    backend.start().await.unwrap();
    for name in ["bad", "good"] {
        backend.create(&secret(name, None)).await.unwrap();
    }
    assert_eq!(next(&mut told).await.name, "good");
}

#[tokio::test(start_paused = true)]
async fn an_owner_without_a_namespace_is_triggered_by_a_child_with_one() {
    for early in [true, false] {
        let (server, backend) = ground();
        let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n" } });
        let node: Node = serde_json::from_value(server.create(&node).unwrap()).unwrap();
        let owners = [node.controller_owner_ref(&()).unwrap()];
        let metadata = json!({ "name": "child", "namespace": "default", "ownerReferences": owners });
        let child = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata });
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        backend
            .watcher("nodes", move |change: Change<Node>| {
                let tell = tell.clone();
                async move { Ok(tell.send((change.key, change.object.is_some(), change.causes))?) }
            })
            .unwrap();
        backend.owns::<Node, Secret>().unwrap();
        if early {
            backend.trigger::<Node>(("default", "n"), Duration::ZERO).unwrap();
        }
        backend.start().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.create(&child).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut triggers = 0;
        while let Ok((key, there, causes)) = told.try_recv() {
            assert!(key == ObjectKey::cluster("n") && there, "{key}");
            triggers += usize::from(causes.contains(Causes::TRIGGER));
        }
        assert_eq!(triggers, 1 + usize::from(early));
    }
}
