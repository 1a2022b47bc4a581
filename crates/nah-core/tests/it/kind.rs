//! Kinds come from the type, or from what a dynamic object carries.

use std::sync::Arc;

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use nah_core::{ApiResource, DynamicObject, GroupVersionKind, Kind, PartialObjectMeta, Payload, UnknownKind};

fn widget() -> DynamicObject {
    DynamicObject::new("w", &ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Widget")))
}

#[test]
fn of_a_type_is_known_to_the_compiler() // F49
{
    let deployment = GroupVersionKind::gvk("apps", "v1", "Deployment");
    assert_eq!(*Pod::kind_of(), GroupVersionKind::gvk("", "v1", "Pod"));
    assert_eq!(Deployment::default().gvk(), Ok(deployment.clone()));
    assert_eq!(PartialObjectMeta::<Deployment>::default().gvk(), Ok(deployment));
}

#[test]
fn of_a_type_is_made_once_a_thread() {
    assert!(Arc::ptr_eq(&Pod::kind_of(), &Pod::kind_of()));
}

#[test]
fn of_a_dynamic_object_is_what_it_carries() // F49
{
    assert_eq!(widget().gvk(), Ok(GroupVersionKind::gvk("example.com", "v1", "Widget")));
}

#[test]
fn of_a_dynamic_object_without_types_is_an_error() // F49
{
    let mut widget = widget();
    widget.types = None;
    assert_eq!(widget.gvk(), Err(UnknownKind));
    widget.types = Some(kube_core::TypeMeta { api_version: "v1".into(), kind: String::new() });
    assert_eq!(widget.gvk(), Err(UnknownKind));
}
