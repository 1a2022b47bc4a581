//! Objects are handles whose head is there without decoding.

use std::sync::Arc;

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Pod, Secret},
    },
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use nah_core::{BadKey, BadObject, DynamicObject, Kind, Object, ObjectKey, ObjectMeta, View};
use serde::Deserialize;

const POD: &str = r#"{"metadata":{"name":"p","namespace":"default","uid":"u-1","resourceVersion":"7","generation":3,
    "deletionTimestamp":"2026-01-01T00:00:00Z","labels":{"app":"w\u0065b"},
    "ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"d","uid":"u-0","controller":true}]},
    "spec":{"nodeName":"node-1","containers":[]}}"#;

fn meta(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.into()), namespace: Some("default".into()), ..Default::default() }
}

fn pod(json: &str) -> Object {
    Object::from_json(&Pod::kind_of(), json.as_bytes().to_vec()).unwrap()
}

#[test]
fn has_a_head_without_decoding() {
    let pod = pod(POD);
    assert_eq!(pod.key(), &ObjectKey::from(("default", "p")));
    assert_eq!(pod.uid().map(|uid| uid.as_str()), Some("u-1"));
    assert_eq!(pod.resource_version().and_then(|version| version.number()), Some(7));
    assert_eq!((pod.generation(), pod.is_terminating()), (Some(3), true));
    assert_eq!(pod.labels().get("app"), Some("web"));
    assert_eq!(pod.owners()[0].name, "d");
}

#[test]
fn names_its_controller_by_kind_and_group() {
    let pod = pod(POD);
    assert_eq!(pod.controller_of::<Deployment>(), Some(ObjectKey::from(("default", "d"))));
    assert_eq!(pod.controller_of::<ConfigMap>(), None);
}

#[test]
fn has_the_same_head_from_a_value_as_from_its_json() {
    let owner = OwnerReference {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        name: "d".into(),
        uid: "u".into(),
        ..Default::default()
    };
    let map = ConfigMap {
        metadata: ObjectMeta {
            uid: Some("u-1".into()),
            resource_version: Some("9".into()),
            labels: Some([("a".into(), "b".into())].into()),
            owner_references: Some(vec![owner]),
            ..meta("c")
        },
        ..Default::default()
    };
    let encoded = Object::from_json(&ConfigMap::kind_of(), serde_json::to_vec(&map).unwrap()).unwrap();
    let typed = Object::from_typed(Arc::new(map)).unwrap();
    assert_eq!(format!("{:?}", encoded.head()), format!("{:?}", typed.head()));
}

#[test]
fn remembers_what_it_was_decoded_as() {
    let pod = pod(POD);
    assert!(Arc::ptr_eq(&pod.decode::<Pod>().unwrap(), &pod.decode::<Pod>().unwrap()));
    assert_eq!(pod.decode::<DynamicObject>().unwrap().data["spec"]["nodeName"], "node-1");
}

#[test]
fn made_of_a_value_decodes_to_that_very_value() // F1
{
    let map = Arc::new(ConfigMap { metadata: meta("c"), ..Default::default() });
    let object = Object::from_typed(map.clone()).unwrap();
    assert!(Arc::ptr_eq(&object.decode().unwrap(), &map));
}

#[test]
fn is_not_read_as_another_kind() {
    let secret = Object::from_typed(Arc::new(Secret { metadata: meta("s"), ..Default::default() })).unwrap();
    let error = secret.decode::<ConfigMap>().unwrap_err().to_string();
    assert!(error.contains("Secret default/s") && error.contains("ConfigMap"), "{error}");
}

#[test]
fn names_kind_key_and_path_of_what_does_not_decode() {
    let pod = pod(r#"{"metadata":{"name":"p","namespace":"default"},"spec":{"containers":[{"name":5}]}}"#);
    let error = pod.decode::<Pod>().unwrap_err();
    assert_eq!(error.path.as_deref(), Some("spec.containers[0].name"));
    assert!(
        error.to_string().starts_with("cannot decode Pod default/p at spec.containers[0].name: "),
        "{error}"
    );
}

#[test]
fn needs_a_name() {
    let unnamed = ConfigMap::default();
    assert!(matches!(Object::from_typed(Arc::new(unnamed)), Err(BadObject::Key(BadKey::NoName))));
    let error = Object::from_json(&Pod::kind_of(), br#"{"metadata":{}}"#.to_vec()).unwrap_err();
    assert_eq!(error.path.as_deref(), Some("metadata.name"));
}

#[test]
fn refuses_what_is_no_object() {
    for json in ["7", "{", "{}", r#"{"metadata":null}"#, r#"{"metadata":{"name":5}}"#] {
        let error = Object::from_json(&Pod::kind_of(), json.as_bytes().to_vec()).unwrap_err();
        assert!(error.to_string().starts_with("cannot decode Pod ?"), "{json}: {error}");
        assert!(error.path.is_some(), "{json}: {error}");
    }
}

#[test]
fn projects_only_the_fields_asked_for() {
    #[derive(Deserialize)]
    struct OnNode {
        spec: Spec,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Spec {
        node_name: String,
    }
    assert_eq!(pod(POD).project::<OnNode>().unwrap().spec.node_name, "node-1");
    assert_eq!(pod(POD).metadata().unwrap().uid.as_deref(), Some("u-1"));
}

#[test]
fn read_dynamically_carries_its_kind() // F5
{
    let types = pod(POD).dynamic().unwrap().types.clone().unwrap();
    assert_eq!((&*types.api_version, &*types.kind), ("v1", "Pod"));
}

#[test]
fn prints_kind_and_key_only() {
    let secret = r#"{"metadata":{"name":"s","namespace":"default"},"data":{"password":"aHVudGVyMg=="}}"#;
    let secret = Object::from_json(&Secret::kind_of(), secret.as_bytes().to_vec()).unwrap();
    assert_eq!(format!("{secret:?}"), "Secret default/s");
}

#[test]
fn is_viewed_as_itself_or_decoded() {
    let pod = pod(POD);
    assert_eq!(Object::view(&pod).unwrap().key(), pod.key());
    assert_eq!(Pod::view(&pod).unwrap().spec.as_ref().unwrap().node_name.as_deref(), Some("node-1"));
}
