//! Indexes: values, buckets, queries.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::*;
use crate::CacheError;

fn by(field: &str, value: &str) -> ListOptions {
    ListOptions::default().matching_field(field, value)
}

fn by_node(node: &str) -> ListOptions {
    by("spec.nodeName", node)
}

fn extractor(values: impl Fn(&Object) -> Vec<String> + Send + Sync + 'static) -> Extract {
    Extract::Object(Arc::new(move |object| Ok(values(object))))
}

fn nodes(store: &Store) -> Vec<String> {
    store.index_values("spec.nodeName").expect("an index")
}

#[test]
fn objects_enter_and_leave_buckets_as_their_values_change() // A6
{
    let store = store();
    store.add_index("args", Extract::Path("spec.args".into())).expect("a new index");
    let args = |version, args: &[&str]| with(pod("a/x", "1", version), "/spec/args", args);
    list(&store, 1, &[args(1, &["p", "q"]), pod("a/none", "2", 1)]);
    let found = |value| select(&store, by("args", value));
    assert_eq!((found("p"), found("q"), found("r")), (vec!["a/x".into()], vec!["a/x".into()], vec![]));
    put(&store, &args(2, &["q", "r"]));
    assert_eq!((found("p"), found("q"), found("r")), (vec![], vec!["a/x".into()], vec!["a/x".into()]));
    put(&store, &args(3, &[]));
    assert!(found("q").is_empty() && found("r").is_empty());
}

#[test]
fn an_index_shows_the_object_as_it_is_now() // A2
{
    let store = store();
    index(&store, "spec.nodeName");
    list(&store, 1, &[on("n", pod("a/x", "1", 1))]);
    put(&store, &on("n", pod("a/x", "1", 2)));
    let found = store.list(&by_node("n")).expect("an index");
    let versions: Vec<_> = found.handles().map(|object| object.resource_version().cloned()).collect();
    assert_eq!(versions, [Some(ResourceVersion::from(2))]);
}

#[test]
fn an_emptied_bucket_is_gone() // A7
{
    let store = store();
    index(&store, "spec.nodeName");
    list(
        &store,
        1,
        &[on("n1", pod("a/x", "1", 1)), on("n2", pod("a/y", "2", 1)), on("n2", pod("a/z", "3", 1))],
    );
    assert_eq!(nodes(&store), ["n1", "n2"]);
    delete(&store, &pod("a/x", "1", 2));
    delete(&store, &pod("a/y", "2", 3));
    assert_eq!(nodes(&store), ["n2"]);
    list(&store, 4, &[]);
    assert!(nodes(&store).is_empty());
}

#[test]
fn an_unknown_value_is_an_empty_answer() // A8
{
    let store = store();
    index(&store, "spec.nodeName");
    list(&store, 1, &[on("n1", pod("a/x", "1", 1))]);
    assert_eq!(select(&store, by_node("n")), [""; 0]);
    assert_eq!(select(&store, by_node("n11")), [""; 0]);
}

#[test]
fn an_unknown_index_is_an_error_that_names_it() // A8, F14
{
    let store = store();
    list(&store, 1, &[]);
    let error = store.list(&by_node("n")).expect_err("there is no index").to_string();
    assert_eq!(
        error,
        r#"Pod has no index "spec.nodeName": index_path::<Pod>("spec.nodeName") adds one by its path, index_field by a function"#
    );
    assert!(matches!(store.index_values("x"), Err(CacheError::NoIndex { .. })));
}

#[test]
fn a_filled_store_is_indexed() // A10, F17
{
    let store = store();
    list(&store, 1, &[on("n1", pod("a/x", "1", 1)), on("n2", pod("a/y", "2", 1))]);
    index(&store, "spec.nodeName");
    assert_eq!(select(&store, by_node("n1")), ["a/x"]);
    put(&store, &on("n1", pod("a/y", "2", 2)));
    assert_eq!(select(&store, by_node("n1")), ["a/x", "a/y"]);
    assert_eq!(nodes(&store), ["n1"]);
}

#[test]
fn an_index_that_is_being_built_is_not_synced_and_misses_no_change() // A10, F17
{
    let store = store();
    let pods: Vec<_> = (0..10).map(|n| on("n1", pod(&format!("a/{n}"), &n.to_string(), 1))).collect();
    list(&store, 1, &pods);
    let build = store.add_index("spec.nodeName", Extract::Path("spec.nodeName".into())).expect("a new index");
    let mut build = build.expect("the store is filled");
    assert!(!build.step(4));
    assert!(matches!(store.list(&by_node("n1")), Err(CacheError::NotSynced { .. })));
    assert!(!store.is_ready().expect("open") && store.has_synced());
    put(&store, &on("n2", pod("a/0", "0", 2)));
    put(&store, &on("n2", pod("a/9", "9", 3)));
    delete(&store, &pod("a/1", "1", 4));
    delete(&store, &pod("a/8", "8", 5));
    put(&store, &on("n1", pod("a/x", "x", 6)));
    assert!(!build.step(4));
    assert!(build.step(4));
    assert!(store.is_ready().expect("open"));
    assert_eq!(select(&store, by_node("n1")), ["a/2", "a/3", "a/4", "a/5", "a/6", "a/7", "a/x"]);
    assert_eq!(select(&store, by_node("n2")), ["a/0", "a/9"]);
    list(&store, 7, &[]);
    assert!(nodes(&store).is_empty());
}

#[test]
fn two_indexes_of_one_name_conflict() // A11, F18
{
    let store = store();
    index(&store, "spec.nodeName");
    list(&store, 1, &[on("n1", pod("a/x", "1", 1))]);
    let again = store.add_index("spec.nodeName", extractor(|_| vec!["other".into()]));
    let error = again.err().expect("a conflict").to_string();
    assert_eq!(error, r#"indexer conflict: Pod has an index "spec.nodeName" already"#);
    put(&store, &on("n2", pod("a/x", "1", 2)));
    assert_eq!(nodes(&store), ["n2"], "the first one stays as it was");
}

#[test]
fn built_in_fields_need_no_index_and_take_none() // F21
{
    let store = store();
    for field in ["metadata.name", "metadata.namespace"] {
        store.add_index(field, Extract::Path(field.into())).expect("as it is anyway");
        let other = store.add_index(field, extractor(|_| vec![]));
        assert!(matches!(other, Err(CacheError::IndexConflict { .. })));
    }
    list(&store, 1, &[pod("a/x", "1", 1)]);
    assert_eq!(select(&store, by("metadata.name", "x")), ["a/x"]);
}

#[test]
fn a_bad_path_is_refused() // F14
{
    let error =
        store().add_index("x", Extract::Path("spec..x".into())).err().expect("a bad path").to_string();
    assert_eq!(error, r#"bad path "spec..x""#);
}

#[test]
fn an_extractor_that_fails_or_panics_means_no_values() // A13, Q57
{
    let store = store();
    let extract = |object: &Object| match object.key().name() {
        "bad" => Err(nah_core::DecodeError::new(object.head().gvk.clone(), object.key().clone(), "bad")),
        "worse" => panic!("an extractor's own mistake"),
        name => Ok(vec![name.to_owned()]),
    };
    store.add_index("name", Extract::Object(Arc::new(extract))).expect("a new index");
    list(&store, 1, &[pod("a/bad", "1", 1), pod("a/good", "2", 1), pod("a/worse", "3", 1)]);
    assert_eq!(store.index_values("name").expect("an index"), ["good"]);
    assert_eq!(store.indexes()[0].failures, 2);
    put(&store, &pod("a/worse", "3", 2));
    let status = &store.indexes()[0];
    assert_eq!((status.failures, status.values, status.rows), (3, 1, 1));
    assert_eq!(status.last_failure.as_deref(), Some("a/worse: extractor panicked"));
    assert_eq!(select(&store, ListOptions::default()).len(), 3);
}

#[test]
fn a_moody_extractor_leaves_no_stale_rows() // A14, Q57
{
    let store = store();
    let calls = AtomicUsize::new(0);
    let mood = extractor(move |_| vec![calls.fetch_add(1, Relaxed).to_string()]);
    store.add_index("mood", mood).expect("a new index");
    list(&store, 1, &[pod("a/x", "1", 1)]);
    for version in 2..10 {
        put(&store, &pod("a/x", "1", version));
        assert_eq!(store.index_values("mood").expect("an index").len(), 1);
    }
    delete(&store, &pod("a/x", "1", 10));
    assert!(store.index_values("mood").expect("an index").is_empty());
}

#[test]
fn an_extractor_runs_once_a_version_and_under_no_lock() // A13, Q41
{
    let store = store();
    let (calls, inner) = (Arc::new(AtomicUsize::new(0)), Arc::downgrade(&store));
    let counted = calls.clone();
    let curious = extractor(move |_| {
        counted.fetch_add(1, Relaxed);
        // Every lock that a read or a subscriber takes is free here.
        inner.upgrade().map(|store| (store.has_synced(), store.subscribe().is_ok()));
        vec![]
    });
    store.add_index("curious", curious).expect("a new index");
    list(&store, 1, &[pod("a/x", "1", 1), pod("a/y", "2", 1)]);
    put(&store, &pod("a/x", "1", 2));
    assert_eq!(calls.load(Relaxed), 3);
    select(&store, by("curious", "x"));
    delete(&store, &pod("a/x", "1", 3));
    assert_eq!(calls.load(Relaxed), 3);
}

#[test]
fn an_index_added_from_an_extractor_is_seen_by_its_object() // A6
{
    let store = store();
    let inner = Arc::downgrade(&store);
    let first = extractor(move |_| {
        let added = inner.upgrade().map(|store| store.add_index("second", extractor(|_| vec!["v".into()])));
        drop(added);
        vec![]
    });
    store.add_index("first", first).expect("a new index");
    list(&store, 1, &[pod("a/x", "1", 1)]);
    assert_eq!(select(&store, by("second", "v")), ["a/x"]);
}

#[test]
fn a_field_answers_over_all_namespaces_and_in_one() // F12, F20, Q12
{
    let store = store();
    index(&store, "spec.nodeName");
    list(&store, 1, &["a/x", "a/y", "a-b/x", "b/x"].map(|key| on("n", pod(key, key, 1))));
    assert_eq!(select(&store, by_node("n")), ["a-b/x", "a/x", "a/y", "b/x"]);
    assert_eq!(select(&store, by_node("n").in_namespace("a")), ["a/x", "a/y"]);
    assert_eq!(select(&store, by_node("n").in_namespace("c")), [""; 0]);
    assert_eq!(select(&store, by_node("n").limit(2)), ["a-b/x", "a/x"]);
}

#[test]
fn a_field_of_a_cluster_scoped_kind_is_indexed() // F20
{
    let store = store();
    index(&store, "spec.zone");
    list(
        &store,
        1,
        &[with(pod("n1", "1", 1), "/spec/zone", "z"), with(pod("n2", "2", 1), "/spec/zone", "z")],
    );
    assert_eq!(select(&store, by("spec.zone", "z").in_namespace("ignored")), ["n1", "n2"]);
}

#[test]
fn several_fields_are_anded() // F13
{
    let store = store();
    index(&store, "spec.nodeName");
    index(&store, "status.phase");
    let running = |key: &str, node| with(on(node, pod(key, key, 1)), "/status/phase", "Running");
    list(&store, 1, &[running("a/1", "n1"), running("a/2", "n2"), on("n1", pod("a/3", "3", 1))]);
    let both = by_node("n1").matching_field("status.phase", "Running");
    assert_eq!(select(&store, both.clone()), ["a/1"]);
    assert_eq!(select(&store, both.clone().matching_field("metadata.name", "1")), ["a/1"]);
    assert_eq!(select(&store, both.matching_field("metadata.name", "3")), [""; 0]);
    let twice = by_node("n1").matching_field("spec.nodeName", "n2");
    assert_eq!(select(&store, twice), [""; 0]);
}

#[test]
fn the_empty_value_is_found_by_asking_for_it() // F16
{
    let store = store();
    index(&store, "spec.nodeName");
    list(&store, 1, &[on("", pod("a/x", "1", 1)), pod("a/y", "2", 1), on("n", pod("a/z", "3", 1))]);
    assert_eq!(select(&store, by_node("")), ["a/x"]);
    assert_eq!(nodes(&store), ["", "n"]);
}

#[test]
fn an_index_may_name_many_values_of_one_object() // F16, A9
{
    let store = store();
    let doubled = extractor(|object| vec![object.key().name().into(), "all".into(), "all".into()]);
    store.add_index("names", doubled).expect("a new index");
    list(&store, 1, &[pod("a/x", "1", 1), pod("a/y", "2", 1)]);
    assert_eq!(select(&store, by("names", "all")), ["a/x", "a/y"]);
    assert_eq!(select(&store, by("names", "x")), ["a/x"]);
}

#[test]
fn values_share_one_text() // A7
{
    let store = store();
    index(&store, "spec.nodeName");
    list(&store, 1, &[on("n1", pod("a/x", "1", 1)), on("n1", pod("a/y", "2", 1))]);
    put(&store, &on("n1", pod("a/z", "3", 2)));
    let known = store.known.read();
    let text = known.indexes[0].rows.text("n1").expect("it has objects");
    let remembered: Vec<_> = known
        .objects
        .iter()
        .filter_map(crate::store::Entry::of)
        .filter_map(crate::store::Entry::values)
        .map(|own| own[0].1.as_ptr())
        .collect();
    assert!(remembered.len() == 3 && remembered.iter().all(|own| *own == text.as_ptr()));
}
