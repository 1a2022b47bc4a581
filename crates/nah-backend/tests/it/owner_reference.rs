//! Owner references: what may own what.

use k8s_openapi::api::core::v1::{ConfigMap, Node};
use nah_backend::{BadOwner, prelude::*, set_controller_reference, set_owner_reference};
use serde_json::json;

use crate::ground::{ground, map};

fn seen(name: &str, uid: &str) -> ConfigMap {
    let mut map = map(name);
    map.metadata.uid = Some(uid.into());
    map
}

#[test]
fn a_controller_is_set_once_and_renewed_when_it_was_made_anew() {
    let mut child = map("child");
    set_controller_reference(&seen("a", "1"), &mut child).unwrap();
    set_controller_reference(&seen("a", "2"), &mut child).unwrap();
    let owners = child.metadata.owner_references.as_deref().unwrap();
    let [owner] = owners else { panic!("{owners:?}") };
    assert_eq!((&*owner.kind, &*owner.api_version, &*owner.name, &*owner.uid), ("ConfigMap", "v1", "a", "2"));
    assert_eq!((owner.controller, owner.block_owner_deletion), (Some(true), Some(true)));
}

#[test]
fn a_second_controller_is_refused_and_a_second_owner_is_not() {
    let mut child = map("child");
    set_controller_reference(&seen("a", "1"), &mut child).unwrap();
    let before = child.clone();
    let error = set_controller_reference(&seen("b", "2"), &mut child).unwrap_err();
    assert_eq!(error.to_string(), "object is controlled by ConfigMap a already");
    assert_eq!(child, before);
    set_owner_reference(&seen("b", "2"), &mut child).unwrap();
    let owners = child.metadata.owner_references.unwrap();
    assert_eq!(owners.len(), 2);
    assert_eq!((owners[1].controller, owners[1].block_owner_deletion), (None, None));
}

#[test]
fn an_owner_reaches_its_own_namespace_only_and_the_cluster_reaches_all() {
    let mut elsewhere = map("child");
    elsewhere.metadata.namespace = Some("other".into());
    let error = set_controller_reference(&seen("a", "1"), &mut elsewhere).unwrap_err();
    assert_eq!(error.to_string(), "owner default/a cannot own an object of namespace other");
    let mut node = Node::default();
    let error = set_controller_reference(&seen("a", "1"), &mut node).unwrap_err();
    assert_eq!(error.to_string(), "owner default/a cannot own an object of no namespace");
    let owner: Node = serde_json::from_value(json!({ "metadata": { "name": "n", "uid": "1" } })).unwrap();
    set_controller_reference(&owner, &mut elsewhere).unwrap();
    assert!(node.metadata.owner_references.is_none());
}

#[test]
fn an_owner_that_the_server_has_not_seen_is_none() {
    let mut child = map("child");
    assert!(matches!(set_controller_reference(&map("a"), &mut child), Err(BadOwner::NoUid { .. })));
    assert!(matches!(set_controller_reference(&seen("a", ""), &mut child), Err(BadOwner::NoUid { .. })));
    assert!(matches!(set_controller_reference(&ConfigMap::default(), &mut child), Err(BadOwner::Key(_))));
    assert!(child.metadata.owner_references.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_set_on_a_metadata_only_object_is_what_owns_it() {
    let (_server, backend) = ground();
    backend.start().await.unwrap();
    let owner = backend.create(&map("owner")).await.unwrap();
    let mut child = map("child");
    set_controller_reference(&*owner, &mut child).unwrap();
    backend.create(&child).await.unwrap();
    let uid = owner.metadata.uid.clone().unwrap();
    let owned = backend.list::<ConfigMap>(ListOptions::default().owned_by(&uid)).await.unwrap();
    assert_eq!(owned.handles().map(|object| object.key().name().to_owned()).collect::<Vec<_>>(), ["child"]);
    let handle = backend.get_for_kind(&ConfigMap::kind_of(), ("default", "child")).await.unwrap();
    assert_eq!(handle.controller_of::<ConfigMap>(), Some(("default", "owner").into()));
}
