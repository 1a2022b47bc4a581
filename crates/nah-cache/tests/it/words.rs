//! What needs no server: options, lists, events, traits.

use std::sync::Arc;

use bytes::Bytes;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Pod},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube_core::Selector;
use nah_cache::{
    CacheError, CacheFactory, CacheFactoryExt, Extract, FieldIndexer, FieldIndexerExt, Informer, List,
    ListOptions, Observer, RestMapper, admit,
};
use nah_core::{GroupVersionKind, Kind, Object, ResourceVersion};

fn pod(namespace: &str, name: &str) -> Object {
    let json =
        format!(r#"{{"metadata":{{"namespace":"{namespace}","name":"{name}"}},"spec":{{"nodeName":"n"}}}}"#);
    admit(&Pod::kind_of(), Bytes::from(json)).expect("a Pod")
}

#[test]
fn every_trait_is_dyn_compatible_and_works_through_an_arc() {
    struct Nothing;
    impl CacheFactory for Nothing {
        fn informer_for_kind(&self, _: &GroupVersionKind) -> Result<Informer, CacheError> {
            Err(CacheError::Stopped)
        }
    }
    impl FieldIndexer for Nothing {
        fn add_index(&self, _: &GroupVersionKind, _: &str, _: Extract) -> Result<(), CacheError> {
            Ok(())
        }
    }
    fn is_dyn(_: Option<&dyn RestMapper>, _: Option<&dyn Observer>) {}
    is_dyn(None, None);
    let factory: Arc<dyn CacheFactory> = Arc::new(Nothing);
    assert!(matches!(factory.informer::<Pod>(), Err(CacheError::Stopped)));
    let indexer: Arc<dyn FieldIndexer> = Arc::new(Nothing);
    let index = indexer.index_path::<Pod>("spec.nodeName").expect("it takes anything");
    assert_eq!(index.name(), "spec.nodeName");
    let index = indexer.index_field::<Pod, _>("names", |pod| pod.metadata.name.clone()).expect("likewise");
    assert_eq!(format!("{index:?}"), r#"Index("names")"#);
    let index = indexer.index_label::<Pod>("app.kubernetes.io/name").expect("likewise");
    assert_eq!(index.name(), "metadata.labels['app.kubernetes.io/name']");
    assert_eq!(indexer.index_labels::<Pod>().expect("likewise").name(), "metadata.labels");
}

#[test]
fn options_become_selectors_of_the_api() // F10, F11, F34
{
    let none = ListOptions::default().in_namespace("");
    assert_eq!((none.namespace(), none.label_selector(), none.field_selector()), (None, None, None));
    let options = ListOptions::default()
        .in_namespace("a")
        .matching_labels([("app", "web"), ("tier", "front")])
        .matching_fields([("spec.nodeName", "n1"), ("status.phase", "Running")])
        .limit(5);
    assert_eq!(options.namespace(), Some("a"));
    assert_eq!(options.label_selector().as_deref(), Some("app=web,tier=front"));
    assert_eq!(options.field_selector().as_deref(), Some("spec.nodeName=n1,status.phase=Running"));
    // No value reads as another term.
    let odd = ListOptions::default().matching_field("spec.x", r"a,b=c\d");
    assert_eq!(odd.field_selector().as_deref(), Some(r"spec.x=a\,b\=c\\d"));
    assert_eq!(options.limit_of(), Some(5));
    assert_eq!(options.clone().limit(0).limit_of(), None);
    let replaced = options.matching_text("!legacy,env in (a,b)").expect("a selector");
    assert_eq!(replaced.label_selector().as_deref(), Some("!legacy,env in (a,b)"));
}

#[test]
fn kubes_own_selector_converts() // F10
{
    let labels = [("app".to_owned(), "web".to_owned())].into();
    let selector = LabelSelector { match_labels: Some(labels), match_expressions: None };
    let selector = Selector::try_from(selector).expect("a selector");
    assert_eq!(ListOptions::default().matching(selector).label_selector().as_deref(), Some("app=web"));
}

#[test]
fn a_selector_that_does_not_parse_names_its_text() {
    let error = ListOptions::default().matching_text("app in web").expect_err("no parentheses");
    assert_eq!(error.to_string(), r#"bad selector "app in web""#);
    assert!(matches!(error, CacheError::Selector(_)));
}

#[test]
fn a_list_of_objects_is_sorted_and_typed_at_will() // F23
{
    let list: List = List::from_objects(vec![pod("b", "x"), pod("a", "y"), pod("a", "x")]);
    let list = list.with_version(Some(ResourceVersion::from(7)));
    assert_eq!(list.resource_version(), Some(&ResourceVersion::from(7)));
    assert_eq!(format!("{list:?}"), "[Pod a/x, Pod a/y, Pod b/x]");
    let pods = list.clone().typed::<Pod>();
    assert_eq!(pods.resource_version(), Some(&ResourceVersion::from(7)));
    assert_eq!((pods.len(), pods.iter().len(), pods.decoded().count()), (3, 3, 3));
    let mut names = pods.into_iter();
    assert_eq!(names.len(), 3);
    let first = names.next().expect("three").expect("a Pod");
    assert_eq!(first.metadata.namespace.as_deref(), Some("a"));
    assert_eq!(names.len(), 2);
    assert_eq!(list.typed::<ConfigMap>().decoded().count(), 0);
}

#[test]
fn an_admitted_object_is_as_the_cache_keeps_it() // F5, F40
{
    let json = r#"{"metadata":{"name":"x","managedFields":[{"manager":"m"}],"uid":"u"},"data":{"k":"v"}}"#;
    let object = admit(&ConfigMap::kind_of(), Bytes::from(json)).expect("a ConfigMap");
    let expected =
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","uid":"u"},"data":{"k":"v"}}"#;
    assert_eq!(object.json().expect("JSON"), expected.as_bytes());
    let decoded = object.decode::<ConfigMap>().expect("a ConfigMap");
    assert!(Arc::ptr_eq(&decoded, &object.decode().expect("a ConfigMap")), "decoded once");
}
