//! Queries against a scan, while indexes come, are built a piece at a time, and objects change.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{selector::selects, store::commit::Build};

/// What happens between two looks at every query.
#[derive(Clone, Debug)]
enum Step {
    /// Key, labels, node, arguments.
    Put(u8, Vec<(u8, u8)>, u8, Vec<u8>),
    Delete(u8),
    /// A complete list without the keys below this one.
    Relist(u8),
    /// Which index.
    Add(usize),
    /// Goes on with every index that is being built, over so many objects.
    Build(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let labels = || prop::collection::vec((0..3u8, 0..3u8), 0..3);
    let args = || prop::collection::vec(0..4u8, 0..3);
    prop_oneof![
        8 => (0..20u8, labels(), 0..4u8, args()).prop_map(|(key, l, node, a)| Step::Put(key, l, node, a)),
        2 => (0..20u8).prop_map(Step::Delete),
        1 => (0..6u8).prop_map(Step::Relist),
        1 => (0..EXTRACTS).prop_map(Step::Add),
        3 => (1..5usize).prop_map(Step::Build),
    ]
}

const EXTRACTS: usize = 5;

fn extract(at: usize) -> (String, Extract) {
    match at {
        0 => (Extract::LABELS.into(), Extract::Labels),
        1 | 2 => {
            let label = format!("l{at}");
            (Extract::label_field(&label), Extract::Label(label))
        }
        3 => ("spec.nodeName".into(), Extract::Path("spec.nodeName".into())),
        _ => ("spec.args".into(), Extract::Path("spec.args".into())),
    }
}

fn object(key: u8, labels: &[(u8, u8)], node: u8, args: &[u8], version: u64) -> Value {
    let labels: Vec<_> = labels.iter().map(|(label, value)| format!("l{label}=v{value}")).collect();
    let args: Vec<_> = args.iter().map(ToString::to_string).collect();
    let pod = pod(&format!("{}/{key}", ["a", "a-b", "b"][key as usize % 3]), "u", version);
    with(on(&format!("n{node}"), labelled(&labels.join(","), pod)), "/spec/args", args)
}

/// Whether a Pod as the server has it is selected, told without any index.
fn wanted(object: &Value, options: &ListOptions) -> bool {
    let metadata = &object["metadata"];
    let labels = metadata["labels"].as_object().into_iter().flatten();
    let labels = labels.map(|(label, value)| (label, value.as_str().expect("a text"))).collect();
    let is = |field: &str, value: &String| match field {
        "spec.nodeName" => object["spec"]["nodeName"] == **value,
        "metadata.name" => metadata["name"] == **value,
        "metadata.namespace" => metadata["namespace"] == **value,
        _ => object["spec"]["args"].as_array().expect("a list").iter().any(|arg| arg == value),
    };
    options.namespace().is_none_or(|namespace| metadata["namespace"] == namespace)
        && selects(&options.expressions(), &labels)
        && options.fields().iter().all(|(field, value)| is(field, value))
        && options.field_sets().iter().all(|(field, values)| values.iter().any(|value| is(field, value)))
}

fn queries() -> Vec<ListOptions> {
    let all = ListOptions::default;
    let selectors = [
        "l0=v1",
        "l0 in (v0,v2)",
        "l1",
        "!l1",
        "l0!=v1",
        "l2 notin (v1)",
        "l0=v1,l1",
        "l0 in (v1,v2),l1=v0,!l2",
        "l9",
    ];
    let mut queries: Vec<_> =
        selectors.iter().map(|text| all().matching_text(text).expect("a selector")).collect();
    queries.push(all().matching_field("spec.nodeName", "n1"));
    queries.push(all().matching_field_in("spec.nodeName", ["n0", "n2"]));
    queries.push(all().matching_field_in("spec.args", ["0", "1"]).matching_field("spec.args", "2"));
    queries.push(all().matching_field_in("metadata.name", ["3", "4"]));
    queries.push(
        all().matching_field_in("metadata.namespace", ["a", "b"]).matching_field("spec.nodeName", "n1"),
    );
    let narrow = queries.iter().flat_map(|query| {
        let labelled = query.clone().matching_labels([("l0", "v1")]);
        [query.clone().in_namespace("a"), query.clone().limit(2), labelled]
    });
    queries.iter().cloned().chain(narrow).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_query_agrees_with_a_scan_at_any_time( // A6, A10, F10, F13, F15
        steps in prop::collection::vec(step(), 1..50),
    ) {
        let (store, mut model, mut builds) = (store(), BTreeMap::<ObjectKey, Value>::new(), Vec::<Build>::new());
        list(&store, 1, &[]);
        let queries = queries();
        for (version, step) in (2..).zip(steps) {
            match step {
                Step::Put(key, labels, node, args) => {
                    let object = object(key, &labels, node, &args, version);
                    put(&store, &object);
                    let metadata = &object["metadata"];
                    let key = (metadata["namespace"].as_str().expect("one"), metadata["name"].as_str().expect("one"));
                    model.insert(key.into(), object.clone());
                }
                Step::Delete(key) => {
                    let object = object(key, &[], 0, &[], version);
                    delete(&store, &object);
                    model.retain(|_, held| held["metadata"]["name"] != object["metadata"]["name"]);
                }
                Step::Relist(from) => {
                    model.retain(|key, _| key.name().parse::<u8>().expect("a number") >= from);
                    list(&store, version, &model.values().cloned().collect::<Vec<_>>());
                }
                Step::Add(at) => {
                    let (field, extract) = extract(at);
                    builds.extend(store.add_index(&field, extract).ok().flatten());
                }
                Step::Build(n) => builds.retain_mut(|build| !build.step(n)),
            }
            for options in &queries {
                let found = match store.list(options) {
                    Ok(found) => keys(&found),
                    // Not there yet, or not whole.
                    Err(crate::CacheError::NoIndex { .. } | crate::CacheError::NotSynced { .. }) => continue,
                    Err(error) => return Err(TestCaseError::fail(error.to_string())),
                };
                let expected: Vec<_> = model
                    .iter()
                    .filter(|(_, object)| wanted(object, options))
                    .map(|(key, _)| key.to_string())
                    .take(options.limit_of().unwrap_or(usize::MAX))
                    .collect();
                prop_assert_eq!(found, expected, "{:?} {}", options, store.explain(options).expect("an answer"));
            }
        }
        // What is left of every index is what is there.
        builds.into_iter().for_each(|mut build| while !build.step(7) {});
        list(&store, 1000, &[]);
        for index in store.indexes() {
            prop_assert_eq!((index.rows, index.values, index.whole), (0, 0, true), "{}", index.field);
        }
    }
}
