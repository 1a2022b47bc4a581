//! Gets and lists.

use kube_core::{Expression, Selector};
use nah_core::{DynamicObject, GroupVersionKind, ResourceVersion};

use super::*;
use crate::CacheError;

fn labelled(key: &str, labels: &[(&str, &str)]) -> Value {
    let labels: serde_json::Map<_, _> = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    with(pod(key, key, 1), "/metadata/labels", labels)
}

fn owned(key: &str, owners: &[&str]) -> Value {
    let reference = |uid: &&str| json!({"apiVersion": "v1", "kind": "Node", "name": "n", "uid": uid});
    with(pod(key, key, 1), "/metadata/ownerReferences", owners.iter().map(reference).collect::<Vec<_>>())
}

#[test]
fn an_absent_key_is_none_and_no_error() // A3
{
    let store = store();
    list(&store, 1, &[pod("a/x", "u", 1)]);
    assert!(store.get(&"a/y".parse().expect("a key")).expect("synced").is_none());
    assert!(store.get(&"a/x".parse().expect("a key")).expect("synced").is_some());
}

#[test]
fn the_key_is_namespace_and_name_whatever_the_uid() // A1
{
    let store = store();
    list(&store, 1, &[pod("a/x", "u1", 1), pod("b/x", "u1", 1), pod("a/y", "u1", 1)]);
    assert_eq!(select(&store, ListOptions::default()), ["a/x", "a/y", "b/x"]);
}

#[test]
fn before_the_first_list_there_is_no_answer_rather_than_none() // F6, B15
{
    let store = store();
    let key = "a/x".parse().expect("a key");
    assert!(matches!(store.get(&key), Err(CacheError::NotSynced { .. })));
    assert!(matches!(store.list(&ListOptions::default()), Err(CacheError::NotSynced { .. })));
    put(&store, &pod("a/x", "u", 1));
    assert!(matches!(store.get(&key), Err(CacheError::NotSynced { .. })));
}

#[test]
fn an_empty_list_is_a_list() // F9
{
    let store = store();
    list(&store, 7, &[]);
    let all = store.list(&ListOptions::default()).expect("synced");
    assert!(all.is_empty());
    assert_eq!(all.resource_version(), Some(&ResourceVersion::from(7)));
}

#[test]
fn a_list_is_sorted_by_key_and_has_the_stores_version() // F23, A15, Q42
{
    let store = store();
    list(&store, 10, &[pod("b/x", "1", 1), pod("a/y", "2", 2), pod("a/x", "3", 3)]);
    put(&store, &pod("a/xx", "4", 12));
    let all = store.list(&ListOptions::default()).expect("synced");
    assert_eq!(keys(&all), ["a/x", "a/xx", "a/y", "b/x"]);
    assert_eq!(all.resource_version(), Some(&ResourceVersion::from(12)));
}

#[test]
fn a_list_does_not_change_after_it_was_taken() // A4, Q40
{
    let store = store();
    let pods: Vec<_> = (0..1000).map(|n| on("n1", pod(&format!("a/x{n:04}"), "u", 1))).collect();
    list(&store, 1, &pods);
    index(&store, "spec.nodeName");
    let (all, some) = (ListOptions::default(), ListOptions::default().matching_field("spec.nodeName", "n1"));
    let (all, some) = (store.list(&all).expect("synced"), store.list(&some).expect("synced"));
    list(&store, 5000, &[]);
    assert_eq!((all.len(), some.len()), (1000, 1000));
    assert_eq!((all.iter().count(), some.iter().count()), (1000, 1000));
    assert_eq!(select(&store, ListOptions::default()).len(), 0);
}

#[test]
fn a_namespace_limits_to_its_own_objects() // F10
{
    let store = store();
    list(&store, 1, &["a/x", "a-b/x", "a/y", "a0/x", "aa/x"].map(|key| pod(key, key, 1)));
    assert_eq!(select(&store, ListOptions::default().in_namespace("a")), ["a/x", "a/y"]);
    assert_eq!(select(&store, ListOptions::default().in_namespace("none")), [""; 0]);
    assert_eq!(select(&store, ListOptions::default().in_namespace("")).len(), 5);
}

#[test]
fn restrictions_are_anded() // F10, F11
{
    let store = store();
    list(
        &store,
        1,
        &[
            labelled("a/1", &[("app", "web"), ("tier", "front")]),
            labelled("a/2", &[("app", "web")]),
            labelled("b/1", &[("app", "web"), ("tier", "front")]),
            labelled("b/2", &[]),
        ],
    );
    let web = ListOptions::default().matching_labels([("app", "web")]);
    assert_eq!(select(&store, web.clone()), ["a/1", "a/2", "b/1"]);
    assert_eq!(select(&store, web.clone().matching_labels([("tier", "front")])), ["a/1", "b/1"]);
    assert_eq!(select(&store, web.clone().in_namespace("a")), ["a/1", "a/2"]);
    let selector = Selector::from(Expression::DoesNotExist("tier".into()));
    assert_eq!(select(&store, web.matching(selector)), ["a/2", "b/2"]);
    let text = ListOptions::default().matching_text("app in (web),!tier").expect("a selector");
    assert_eq!(select(&store, text), ["a/2"]);
}

#[test]
fn a_limit_counts_what_passed_the_filters() // F22, Q42
{
    let store = store();
    list(
        &store,
        1,
        &[
            labelled("a/1", &[]),
            labelled("a/2", &[("app", "web")]),
            labelled("b/3", &[("app", "web")]),
            labelled("b/4", &[("app", "web")]),
        ],
    );
    let web = ListOptions::default().matching_labels([("app", "web")]);
    assert_eq!(select(&store, web.clone().limit(2)), ["a/2", "b/3"]);
    assert_eq!(select(&store, web.limit(0)).len(), 3);
    assert_eq!(select(&store, ListOptions::default().limit(3)), ["a/1", "a/2", "b/3"]);
    assert_eq!(select(&store, ListOptions::default().in_namespace("b").limit(1)), ["b/3"]);
    assert_eq!(select(&store, ListOptions::default().limit(100)).len(), 4);
}

#[test]
fn name_and_namespace_are_fields_without_an_index() // F21
{
    let store = store();
    list(&store, 1, &["a/x", "a/y", "b/x", "c/y", "c/z"].map(|key| pod(key, key, 1)));
    let field = |field: &str, value: &str| ListOptions::default().matching_field(field, value);
    assert_eq!(select(&store, field("metadata.name", "x")), ["a/x", "b/x"]);
    assert_eq!(select(&store, field("metadata.name", "x").in_namespace("b")), ["b/x"]);
    assert_eq!(select(&store, field("metadata.name", "x").limit(1)), ["a/x"]);
    assert_eq!(select(&store, field("metadata.namespace", "c")), ["c/y", "c/z"]);
    assert_eq!(
        select(&store, field("metadata.namespace", "c").matching_field("metadata.name", "y")),
        ["c/y"]
    );
    assert_eq!(select(&store, field("metadata.namespace", "c").in_namespace("a")), [""; 0]);
    assert_eq!(select(&store, field("metadata.namespace", "")), [""; 0]);
    assert_eq!(select(&store, field("metadata.name", "x").matching_field("metadata.name", "y")), [""; 0]);
}

#[test]
fn the_namespace_of_a_cluster_scoped_kind_is_ignored() // F4, F24, A12
{
    let store = store();
    list(&store, 1, &[pod("n1", "1", 1), pod("n2", "2", 1)]);
    assert!(store.get(&("a", "n1").into()).expect("synced").is_some());
    assert_eq!(select(&store, ListOptions::default().in_namespace("a")), ["n1", "n2"]);
    assert_eq!(select(&store, ListOptions::default().matching_field("metadata.namespace", "")).len(), 2);
    assert_eq!(select(&store, ListOptions::default().matching_field("metadata.namespace", "a")), [""; 0]);
    assert_eq!(select(&store, ListOptions::default().matching_field("metadata.name", "n2")), ["n2"]);
    let object = admit(&store, &pod("n1", "1", 1));
    assert!(store.matches(&object, &ListOptions::default().in_namespace("a")).expect("no index needed"));
}

#[test]
fn a_foreign_namespace_is_an_error_and_no_absence() // F25
{
    let store = store_of(&[Some("a"), Some("b")]);
    list_in(&store, Some("a"), 1, &[pod("a/x", "1", 1)]);
    list_in(&store, Some("b"), 2, &[]);
    let outside = |result: Result<_, CacheError>| match result {
        Err(CacheError::OutsideScope { gvk, namespace }) => (gvk.kind, namespace),
        other => panic!("{other:?}"),
    };
    let error = outside(store.get(&("c", "x").into()).map(drop));
    assert_eq!(error, ("Pod".into(), "c".into()));
    assert_eq!(outside(store.list(&ListOptions::default().in_namespace("c")).map(drop)).1, "c");
    assert_eq!(
        outside(store.list(&ListOptions::default().matching_field("metadata.namespace", "c")).map(drop)).1,
        "c"
    );
    assert_eq!(select(&store, ListOptions::default()), ["a/x"]);
}

#[test]
fn each_namespace_answers_once_it_is_listed() // C27, B15
{
    let store = store_of(&[Some("a"), Some("b")]);
    list_in(&store, Some("a"), 5, &[pod("a/x", "1", 1)]);
    assert!(!store.has_synced());
    assert_eq!(select(&store, ListOptions::default().in_namespace("a")), ["a/x"]);
    assert!(store.get(&("a", "x").into()).expect("a is synced").is_some());
    assert!(matches!(store.list(&ListOptions::default()), Err(CacheError::NotSynced { .. })));
    assert!(matches!(store.get(&("b", "x").into()), Err(CacheError::NotSynced { .. })));
    list_in(&store, Some("b"), 7, &[]);
    assert!(store.has_synced());
    let all = store.list(&ListOptions::default()).expect("synced");
    assert_eq!((all.len(), all.resource_version()), (1, None));
    let one = store.list(&ListOptions::default().in_namespace("a")).expect("synced");
    assert_eq!(one.resource_version(), Some(&ResourceVersion::from(5)));
}

#[test]
fn owners_are_indexed_by_uid() // F10
{
    let store = store();
    list(
        &store,
        1,
        &[owned("a/1", &["u1"]), owned("a/2", &["u1", "u2"]), owned("b/1", &["u1"]), owned("b/2", &[])],
    );
    let by = |uid: &str| ListOptions::default().owned_by(uid);
    assert_eq!(select(&store, by("u1")), ["a/1", "a/2", "b/1"]);
    assert_eq!(select(&store, by("u1").in_namespace("a")), ["a/1", "a/2"]);
    assert_eq!(select(&store, by("u2")), ["a/2"]);
    assert_eq!(select(&store, by("u")), [""; 0]);
    put(&store, &with(owned("a/2", &["u2"]), "/metadata/resourceVersion", "2"));
    delete(&store, &owned("b/1", &[]));
    assert_eq!(select(&store, by("u1")), ["a/1"]);
    assert_eq!(select(&store, by("u2")), ["a/2"]);
}

#[test]
fn objects_are_shared_by_all_readers() // B31, F1, Q44
{
    let store = store();
    let object = with(pod("a/x", "1", 1), "/metadata/managedFields", json!([{"manager": "m"}]));
    list(&store, 1, &[object]);
    let read = || store.get(&("a", "x").into()).expect("synced").expect("there");
    assert!(std::ptr::eq(read().head(), read().head()));
    let decoded = read().decode::<DynamicObject>().expect("an object");
    assert!(Arc::ptr_eq(&decoded, &read().decode().expect("an object")));
    assert!(decoded.metadata.managed_fields.is_none());
    assert!(store.hot_bytes() > 0);
}

#[test]
fn list_items_carry_their_kind() // F5
{
    let store = store();
    let mut bare = pod("a/x", "1", 1);
    bare.as_object_mut().expect("an object").retain(|field, _| field == "metadata");
    list(&store, 1, &[bare]);
    let object = store.get(&("a", "x").into()).expect("synced").expect("there");
    let types = object.decode::<DynamicObject>().expect("an object").types.clone().expect("types");
    assert_eq!((types.api_version.as_str(), types.kind.as_str()), ("v1", "Pod"));
}

#[test]
fn an_object_is_matched_as_a_list_would() // F47
{
    let store = store();
    index(&store, "spec.nodeName");
    list(&store, 1, &[]);
    let object = admit(&store, &on("n1", with(owned("a/x", &["u1"]), "/metadata/labels/app", "web")));
    let matches = |options: ListOptions| store.matches(&object, &options).expect("an answer");
    let all = ListOptions::default;
    for options in [
        all(),
        all().in_namespace("a").matching_labels([("app", "web")]).owned_by("u1"),
        all().matching_field("spec.nodeName", "n1").matching_field("metadata.name", "x"),
        all().matching_field("metadata.namespace", "a"),
    ] {
        assert!(matches(options.clone()), "{options:?}");
    }
    for options in [
        all().in_namespace("b"),
        all().matching_labels([("app", "db")]),
        all().owned_by("u2"),
        all().matching_field("spec.nodeName", "n2"),
        all().matching_field("metadata.name", "y"),
        all().matching_field("metadata.namespace", "b"),
    ] {
        assert!(!matches(options.clone()), "{options:?}");
    }
    let unknown = store.matches(&object, &all().in_namespace("b").matching_field("spec.other", "x"));
    assert!(matches!(unknown, Err(CacheError::NoIndex { .. })));
}

#[test]
fn the_scope_is_namespaces_labels_and_fields() // C25, C27
{
    let options = Scope {
        namespaces: vec!["a".into()],
        labels: Selector::from(Expression::Equal("app".into(), "web".into())),
        fields: "spec.nodeName=n1,status.phase!=Failed".into(),
        ..Scope::default()
    };
    let store = scopeless(options);
    let web = on("n1", labelled("a/x", &[("app", "web")]));
    let within = |pod: &Value| store.in_scope(&admit(&store, pod));
    assert!(within(&web));
    assert!(!within(&on("n2", web.clone())));
    assert!(!within(&with(web.clone(), "/status/phase", "Failed")));
    assert!(within(&with(web.clone(), "/status/phase", "Running")));
    assert!(!within(&with(web.clone(), "/metadata/labels/app", "db")));
    assert!(!within(&with(web.clone(), "/metadata/namespace", "b")));
    store.add_scope(Some("b"));
    assert!(within(&with(web.clone(), "/metadata/namespace", "b")));
    assert!(!within(&web));
}

#[test]
fn what_is_closed_answers_stopped() // B20, E29
{
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1)]);
    index(&store, "spec.nodeName");
    store.close();
    let stopped = |result: Result<(), CacheError>| assert!(matches!(result, Err(CacheError::Stopped)));
    stopped(store.get(&("a", "x").into()).map(drop));
    stopped(store.list(&ListOptions::default()).map(drop));
    stopped(store.list(&ListOptions::default().matching_field("spec.nodeName", "n")).map(drop));
    stopped(store.subscribe().map(drop));
    stopped(store.add_index("x", Extract::Path("x".into())).map(drop));
    stopped(store.is_ready().map(drop));
    stopped(store.has_observed(&ResourceVersion::from(1)).map(drop));
    assert!(store.has_synced(), "what was synced once stays so");
    assert_eq!(store.size().0, 0);
    list(&store, 2, &[pod("a/x", "1", 2)]);
    put(&store, &pod("a/x", "1", 3));
    assert_eq!(store.size().0, 0);
}

#[test]
fn a_bad_object_names_kind_and_key() // C19
{
    let store = store();
    let error = taken(&store, br#"{"metadata":{"name":"x","labels":7}}"#).expect_err("labels are a map");
    assert_eq!(error.gvk.kind, "Pod");
    assert_eq!(error.path.as_deref(), Some("metadata.labels"));
    assert!(taken(&store, b"[]").is_err());
    assert!(taken(&store, br#"{"metadata":{}}"#).is_err());
    let gvk = Arc::new(GroupVersionKind::gvk("", "v1", "Pod"));
    assert!(crate::admit(&gvk, bytes::Bytes::from_static(b"{}")).is_err());
}
