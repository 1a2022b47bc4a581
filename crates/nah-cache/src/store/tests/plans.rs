//! Which index answers a query, and that the answer is the same.

use super::*;
use crate::Explanation;

fn all() -> ListOptions {
    ListOptions::default()
}

fn by(field: &str, value: &str) -> ListOptions {
    all().matching_field(field, value)
}

fn labels(text: &str) -> ListOptions {
    all().matching_text(text).expect("a selector")
}

fn explain(store: &Store, options: &ListOptions) -> Explanation {
    store.explain(options).expect("an answer")
}

fn add(store: &Arc<Store>, field: &str, extract: Extract) {
    let build = store.add_index(field, extract).expect("a new index");
    build.into_iter().for_each(|mut build| while !build.step(3) {});
}

fn label(store: &Arc<Store>, label: &str) {
    add(store, &Extract::label_field(label), Extract::Label(label.into()));
}

/// A thousand Pods on a hundred nodes in ten namespaces.
fn thousand() -> Arc<Store> {
    let store = store();
    index(&store, "spec.nodeName");
    index(&store, "status.phase");
    let pods: Vec<_> = (0..1000)
        .map(|n| on(&format!("n{}", n % 100), pod(&format!("ns{}/{n}", n % 10), &n.to_string(), 1)))
        .map(|pod| with(pod, "/status/phase", "Running"))
        .collect();
    list(&store, 1, &pods);
    store
}

#[test]
fn the_smallest_source_answers() // A12, F13, Q41
{
    let store = thousand();
    let check = |options: ListOptions, index: Option<&str>, candidates, checks: &[&str]| {
        let explanation = explain(&store, &options);
        assert_eq!(explanation.index.as_deref(), index, "{options:?}");
        assert_eq!((explanation.candidates, explanation.objects), (candidates, 1000), "{options:?}");
        assert_eq!(explanation.checks, checks, "{options:?}");
        assert_eq!(explanation.selected, select(&store, options).len());
    };
    let (node, running) = (by("spec.nodeName", "n1"), by("status.phase", "Running"));
    check(all(), None, 1000, &[]);
    check(all().in_namespace("ns1"), Some("metadata.namespace"), 100, &[]);
    check(node.clone(), Some("spec.nodeName"), 10, &[]);
    let both = node.clone().matching_field("status.phase", "Running");
    check(both, Some("spec.nodeName"), 10, &["status.phase"]);
    let both = running.clone().matching_field("spec.nodeName", "n1");
    check(both, Some("spec.nodeName"), 10, &["status.phase"]);
    check(node.clone().in_namespace("ns2"), Some("spec.nodeName"), 0, &[]);
    check(node.matching_field("metadata.name", "17"), Some("metadata.name"), 1, &["spec.nodeName"]);
    check(running.owned_by("nobody"), Some("metadata.ownerReferences.uid"), 0, &["status.phase"]);
    let nothing = by("metadata.name", "1").matching_field("metadata.name", "2");
    check(nothing, None, 0, &[]);
}

#[test]
fn an_explanation_reads_as_a_sentence() // F13
{
    let store = thousand();
    let options = by("spec.nodeName", "n1").matching_text("app").expect("a selector");
    assert_eq!(
        explain(&store, &options).to_string(),
        r#"by "spec.nodeName": 10 of 1000 objects looked at, asked for metadata.labels['app']; 0 selected"#
    );
    assert_eq!(
        explain(&store, &all()).to_string(),
        "without an index: 1000 of 1000 objects looked at; 1000 selected"
    );
}

/// Pods whose labels are `app` (of three) and, on every tenth, `tier`.
fn labelled_pods() -> Vec<Value> {
    let labels = |n: usize| match n % 10 {
        0 => format!("app=a{},tier=back", n % 3),
        _ => format!("app=a{},app.x={n}", n % 3),
    };
    (0..90).map(|n| labelled(&labels(n), pod(&format!("ns{}/{n}", n % 2), &n.to_string(), 1))).collect()
}

/// Each selector, and how many candidates an index over labels leaves of ninety.
const SELECTORS: [(&str, usize); 12] = [
    ("app=a1", 30),
    ("app=a1,tier=back", 9),
    ("app in (a0, a2)", 60),
    ("app in (a0, a9),tier", 9),
    ("tier", 9),
    ("app.x=11", 1),
    ("tier!=back", 90),
    ("app notin (a1),tier in (back)", 9),
    ("!tier", 90),
    ("app=a1,!tier", 30),
    ("app=none", 0),
    ("nothing", 0),
];

#[test]
fn every_operator_of_a_label_selector_uses_the_index_where_it_helps() // F10, F13
{
    let plain = store();
    list(&plain, 1, &labelled_pods());
    let of_all = store();
    add(&of_all, Extract::LABELS, Extract::Labels);
    list(&of_all, 1, &labelled_pods());
    let of_each = store();
    list(&of_each, 1, &labelled_pods());
    ["app", "tier", "app.x", "nothing"].iter().for_each(|name| label(&of_each, name));
    for (text, candidates) in SELECTORS {
        for options in [labels(text), labels(text).in_namespace("ns1"), labels(text).limit(2)] {
            let expected = select(&plain, options.clone());
            assert_eq!(select(&of_all, options.clone()), expected, "{options:?}");
            assert_eq!(select(&of_each, options.clone()), expected, "{options:?}");
        }
        assert_eq!(explain(&of_all, &labels(text)).candidates, candidates, "{text}");
        assert_eq!(explain(&of_each, &labels(text)).candidates, candidates, "{text}");
        assert_eq!(explain(&plain, &labels(text)).candidates, 90, "{text}");
    }
}

#[test]
fn an_object_moves_as_its_labels_change() // A6, A7
{
    for whole in [true, false] {
        let store = store();
        match whole {
            true => add(&store, Extract::LABELS, Extract::Labels),
            false => label(&store, "app"),
        }
        let texts = |expected: &[&str]| {
            let field = if whole { Extract::LABELS } else { "metadata.labels['app']" };
            let pair = |value: &&str| if whole { format!("app={value}") } else { (*value).to_owned() };
            let expected: Vec<_> = expected.iter().map(pair).collect();
            assert_eq!(store.index_values(field).expect("an index"), expected);
        };
        list(&store, 1, &[labelled("app=a", pod("a/x", "1", 1)), labelled("app=a", pod("a/y", "2", 1))]);
        texts(&["a"]);
        put(&store, &labelled("app=b", pod("a/x", "1", 2)));
        texts(&["a", "b"]);
        assert_eq!(
            (select(&store, labels("app=a")), select(&store, labels("app=b"))),
            (vec!["a/y".into()], vec!["a/x".into()])
        );
        put(&store, &labelled("app=b", pod("a/x", "1", 3)));
        let held = store.list(&labels("app=b")).expect("an answer");
        assert_eq!(held.handles().next().and_then(Object::resource_version), Some(&ResourceVersion::from(3)));
        put(&store, &pod("a/x", "1", 4));
        texts(&["a"]);
        delete(&store, &pod("a/y", "2", 5));
        texts(&[]);
        let status = &store.indexes()[0];
        assert_eq!((status.rows, status.values), (0, 0));
    }
}

#[test]
fn an_index_over_labels_is_added_live_and_shared_by_all_who_ask() // A10, A11, F17
{
    let store = store();
    list(&store, 1, &labelled_pods());
    let add = |store: &Arc<Store>| {
        store.add_index("metadata.labels['app']", Extract::Label("app".into())).expect("no conflict")
    };
    let mut build = add(&store).expect("there is something to index");
    assert!(!build.step(40));
    // Until it is whole, selectors are answered without it.
    assert_eq!(explain(&store, &labels("app=a1")).candidates, 90);
    put(&store, &labelled("app=late", pod("ns0/0", "0", 2)));
    put(&store, &labelled("app=late", pod("ns1/new", "n", 3)));
    delete(&store, &pod("ns1/89", "89", 4));
    while !build.step(40) {}
    assert!(add(&store).is_none());
    assert_eq!(select(&store, labels("app=late")), ["ns0/0", "ns1/new"]);
    assert_eq!(explain(&store, &labels("app=a2")).candidates, 29);
    assert_eq!(select(&store, by("metadata.labels['app']", "late")), ["ns0/0", "ns1/new"]);
    let other = Extract::Object(Arc::new(|_: &Object| Ok(Vec::new())));
    assert!(matches!(
        store.add_index("metadata.labels['app']", other),
        Err(crate::CacheError::IndexConflict { .. })
    ));
}

#[test]
fn a_path_to_a_label_is_an_index_over_that_label() // F10
{
    let store = store();
    index(&store, "metadata.labels.tier");
    list(&store, 1, &labelled_pods());
    assert_eq!(explain(&store, &labels("tier=back")).index.as_deref(), Some("metadata.labels.tier"));
    assert_eq!(select(&store, by("metadata.labels.tier", "back")).len(), 9);
}

#[test]
fn a_field_may_have_any_of_several_values() // F13, F15
{
    let store = thousand();
    let nodes = |nodes: &[&str]| all().matching_field_in("spec.nodeName", nodes.iter().copied());
    assert_eq!(explain(&store, &nodes(&["n1", "n2", "none", "n1"])).candidates, 20);
    assert_eq!(select(&store, nodes(&["n1", "n2"]).in_namespace("ns1")).len(), 10);
    assert_eq!(select(&store, nodes(&["n1"])), select(&store, by("spec.nodeName", "n1")));
    assert_eq!(select(&store, nodes(&[])), [""; 0]);
    let found = select(&store, nodes(&["n3", "n2", "n13"]));
    let mut sorted = found.clone();
    sorted.sort();
    assert_eq!((found.len(), &found), (30, &sorted));
    assert_eq!(select(&store, nodes(&["n3", "n2"]).limit(3)), ["ns2/102", "ns2/2", "ns2/202"]);
    let unknown = store.list(&all().matching_field_in("x", ["a", "b"]));
    assert!(matches!(unknown, Err(crate::CacheError::NoIndex { .. })));
}

#[test]
fn an_object_with_two_of_the_values_is_there_once() // A9, F15
{
    let store = store();
    index(&store, "spec.args");
    list(&store, 1, &[with(pod("a/x", "1", 1), "/spec/args", ["p", "q"])]);
    assert_eq!(select(&store, all().matching_field_in("spec.args", ["p", "q"])), ["a/x"]);
}

#[test]
fn names_and_namespaces_may_be_any_of_several() // F15, F21
{
    let store = store();
    list(&store, 1, &["a/x", "a/y", "a-b/x", "b/x", "c/z"].map(|key| pod(key, key, 1)));
    let any = |field: &str, values: &[&str]| all().matching_field_in(field, values.iter().copied());
    assert_eq!(select(&store, any("metadata.namespace", &["a", "a-b"])), ["a-b/x", "a/x", "a/y"]);
    assert_eq!(select(&store, any("metadata.name", &["z", "y"])), ["a/y", "c/z"]);
    let both = any("metadata.namespace", &["a", "c"]).matching_field("metadata.name", "x");
    assert_eq!(select(&store, both), ["a/x"]);
    assert_eq!(select(&store, any("metadata.namespace", &["a", "c"]).in_namespace("a")), ["a/x", "a/y"]);
    assert_eq!(select(&store, any("metadata.namespace", &["a", "c"]).in_namespace("b")), [""; 0]);
    let named = explain(&store, &any("metadata.name", &["y", "z"]));
    assert_eq!((named.index.as_deref(), named.candidates), (Some("metadata.name"), 2));
}

#[test]
fn what_matches_is_what_is_selected() // F47
{
    let store = thousand();
    let options = [
        all().matching_field_in("spec.nodeName", ["n1", "n2"]),
        all().matching_field_in("metadata.name", ["1", "2"]),
        all().matching_field_in("metadata.namespace", ["ns1", "ns2"]),
        all().matching_field_in("metadata.namespace", [""; 0]),
    ];
    for options in options {
        let selected = select(&store, options.clone());
        let matching: Vec<_> = store
            .list(&all())
            .expect("an answer")
            .handles()
            .filter(|object| store.matches(object, &options).expect("an answer"))
            .map(|object| object.key().to_string())
            .collect();
        assert_eq!(selected, matching, "{options:?}");
    }
}

#[test]
fn the_bytes_of_indexes_are_accounted_for() // A7
{
    let store = store();
    index(&store, "spec.nodeName");
    add(&store, Extract::LABELS, Extract::Labels);
    list(&store, 1, &[]);
    let empty = store.index_bytes();
    let pods: Vec<_> = labelled_pods().into_iter().map(|pod| on("some-node", pod)).collect();
    list(&store, 1, &pods);
    // A row is 16 bytes, and there are three of each Pod; a remembered value is 24.
    let filled = store.index_bytes();
    assert!((90 * 90..90 * 200).contains(&(filled - empty)), "{empty} {filled}");
    for (version, pod) in (2..).zip(&pods) {
        delete(&store, &with(pod.clone(), "/metadata/resourceVersion", version.to_string()));
    }
    assert!(store.index_bytes() < empty + 200, "{} {empty}", store.index_bytes());
}

#[test]
fn a_change_of_one_of_many_members_copies_a_chunk() // A4
{
    let store = store();
    index(&store, "spec.nodeName");
    let pods: Vec<_> = (0..20_000).map(|n| on("n", pod(&format!("a/{n}"), "u", 1))).collect();
    list(&store, 1, &pods);
    // What a snapshot shares with the store is what the store has not copied since.
    let before = store.list(&by("spec.nodeName", "n")).expect("an answer");
    let rows = store.known.read().indexes[0].rows.clone();
    put(&store, &on("n", pod("a/7", "u", 2)));
    let after = store.known.read().indexes[0].rows.clone();
    assert!(rows.bytes_apart(&after) < 64 << 10, "{} of {}", rows.bytes_apart(&after), rows.bytes());
    let version = |list: &crate::List| {
        let seven = list.handles().find(|object| object.key().name() == "7");
        seven.and_then(Object::resource_version).and_then(ResourceVersion::number)
    };
    let now = store.list(&by("spec.nodeName", "n")).expect("an answer");
    assert_eq!((version(&before), version(&now)), (Some(1), Some(2)));
}
