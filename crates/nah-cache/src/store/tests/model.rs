//! The store against a map, and every subscriber's view against the store.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::atomic::Ordering::Relaxed,
};

use proptest::prelude::*;

use self::{
    cache::{Cache, Server},
    reader::{How, Reader, identity, passes},
    trimming::{Trimming, trimming},
};
use super::*;

mod cache;
mod reader;
mod trimming;

/// What happens to the server, to the wire and to readers.
#[derive(Clone, Debug)]
enum Step {
    /// Key, node: an event.
    Put(u8, u8),
    Delete(u8),
    /// Several changes at the server that no event tells, then a list.
    Relist(Vec<(u8, Option<u8>)>, bool),
    Subscribe(How),
    Unsubscribe(usize),
    /// Which subscriber looks at everything again.
    Look(usize),
    /// Which subscriber reads how many events.
    Read(usize, usize),
    /// A dictionary made from some of the objects is the present one from now on.
    Train,
    /// Everything is encoded as it would be now.
    Repack,
    /// An object is read decoded, so that it may be hot.
    Decode(u8),
    /// An index is added to what is there, by an extractor of a user's.
    Index,
    /// As a relist, of which nothing can be read yet, and nobody is told.
    Begin(Vec<(u8, Option<u8>)>, bool),
    /// It can be read; or, the second time, it is told.
    Go,
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![Just(How::Stream), Just(How::Filtered), Just(How::Handler), Just(How::FilteredHandler)]
}

fn changes() -> impl Strategy<Value = Vec<(u8, Option<u8>)>> {
    prop::collection::vec((0..12u8, prop::option::of(0..3u8)), 0..12)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..12u8, 0..3u8).prop_map(|(key, node)| Step::Put(key, node)),
        4 => (0..12u8).prop_map(Step::Delete),
        2 => (changes(), any::<bool>()).prop_map(|(changes, anew)| Step::Relist(changes, anew)),
        2 => how().prop_map(Step::Subscribe),
        1 => (0..8usize).prop_map(Step::Unsubscribe),
        1 => (0..8usize).prop_map(Step::Look),
        4 => (0..8usize, 1..6usize).prop_map(|(who, n)| Step::Read(who, n)),
        1 => Just(Step::Train),
        1 => Just(Step::Repack),
        3 => (0..12u8).prop_map(Step::Decode),
        1 => Just(Step::Index),
        2 => (changes(), any::<bool>()).prop_map(|(changes, anew)| Step::Begin(changes, anew)),
        4 => Just(Step::Go),
    ]
}

/// As a training would: from what is held, and enough of what may come that zstd finds something in common.
fn train(store: &Store) {
    let mut training = crate::store::encoding::Training::new();
    for number in 0..100 {
        let version = store.newest().and_then(|version| version.number()).unwrap_or_default() + number;
        training.add(on("n1", pod(&format!("a/{number}"), "u1", version)).to_string().as_bytes());
    }
    store.shelf.codec.adopt(training.run(None), 12);
}

/// A decoded object says what the encoded one says, whether it was remembered or not.
fn decode(store: &Store, key: u8) -> Result<(), TestCaseError> {
    if let Ok(Some(object)) = store.get(&Server::key(key).parse().expect("a key")) {
        let decoded = object.decode::<nah_core::DynamicObject>().expect("an object");
        let json: Value =
            object.read(|json| serde_json::from_slice(json).expect("JSON")).expect("it is read back");
        prop_assert_eq!(serde_json::to_value(&*decoded).expect("JSON"), json);
    }
    Ok(())
}

/// The node of an object, as a user's extractor would find it.
fn node(object: &Object) -> Result<Vec<String>, DecodeError> {
    let json: Value = object.read(|json| serde_json::from_slice(json).expect("JSON"))?;
    Ok(json["spec"]["nodeName"].as_str().map(str::to_owned).into_iter().collect())
}

/// The store shows what there is to be kept of what the server has, by every way of asking.
fn check(cache: &Cache, trimming: Trimming) -> Result<(), TestCaseError> {
    let Cache { store, shown, .. } = cache;
    let kept = |(key, object): (&String, &Value)| (key.parse().expect("a key"), trimming.kept(object));
    let expected: BTreeMap<ObjectKey, Value> = shown.iter().map(kept).collect();
    let keys_where = |passes: &dyn Fn(&ObjectKey, &Value) -> bool| -> Vec<String> {
        expected.iter().filter(|(key, object)| passes(key, object)).map(|(key, _)| key.to_string()).collect()
    };
    prop_assert_eq!(select(store, ListOptions::default()), keys_where(&|_, _| true));
    let has_late = store.indexes().iter().any(|index| index.field == "late");
    for namespace in ["a", "a-b", "b"] {
        let here = |key: &ObjectKey| key.namespace() == Some(namespace);
        let all = ListOptions::default().in_namespace(namespace);
        prop_assert_eq!(select(store, all.clone()), keys_where(&|key, _| here(key)));
        for at in ["0", "1", "2"] {
            let (node, zone) = (format!("n{at}"), format!("z{at}"));
            let on_node = keys_where(&|key, object| here(key) && object["spec"]["nodeName"] == node);
            prop_assert_eq!(
                select(store, all.clone().matching_field("spec.nodeName", &node)),
                on_node.clone()
            );
            if has_late {
                prop_assert_eq!(select(store, all.clone().matching_field("late", &node)), on_node);
            }
            let in_zone =
                keys_where(&|key, object| here(key) && object["metadata"]["labels"]["zone"] == zone);
            prop_assert_eq!(select(store, all.clone().matching_labels([("zone", &zone)])), in_zone);
        }
    }
    for (key, object) in &expected {
        let held = store.get(key).expect("synced").expect("there");
        prop_assert_eq!(&serde_json::from_slice::<Value>(&held.json().expect("JSON")).expect("JSON"), object);
        prop_assert_eq!(held.is_trimmed(), trimming.trims());
    }
    let bytes: usize = expected.values().map(|object| object.to_string().len()).sum();
    let (held, held_bytes) = store.size();
    prop_assert_eq!(held, expected.len());
    let packed = store.shelf.codec.is_trained();
    prop_assert!(packed || held_bytes >= bytes, "what readers have not read yet is counted, too");
    let nodes: HashSet<_> =
        expected.values().filter_map(|object| object["spec"]["nodeName"].as_str()).collect();
    prop_assert_eq!(store.index_values("spec.nodeName").expect("an index").len(), nodes.len());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn every_view_ends_as_the_store_and_every_end_is_told_once( // B9, B10, B12, B13, B25, B26, B29
        steps in prop::collection::vec(step(), 1..80),
        synced_first: bool,
        trimming in trimming(),
    ) {
        let ((store, failures), mut server) = (trimming.store(), Server::default());
        let mut cache = Cache { store: store.clone(), shown: BTreeMap::new(), taking: None };
        index(&store, "spec.nodeName");
        store.add_index(&Extract::label_field("zone"), Extract::Label("zone".into())).expect("a new index");
        let mut readers = vec![Reader::new(&store, How::Stream), Reader::new(&store, How::FilteredHandler)];
        if synced_first {
            cache.relist(&server, false);
        }
        for step in steps {
            match step {
                Step::Put(key, node) => {
                    cache.finish();
                    let object = server.put(key, node);
                    if store.has_synced() {
                        put(&store, &object);
                        cache.shown = server.objects.clone();
                    }
                }
                Step::Delete(key) => {
                    cache.finish();
                    if let Some(last) = server.delete(key).filter(|_| store.has_synced()) {
                        delete(&store, &last);
                        cache.shown = server.objects.clone();
                    }
                }
                Step::Relist(changes, anew) => {
                    server.change(changes);
                    cache.relist(&server, anew);
                }
                Step::Begin(changes, anew) => {
                    server.change(changes);
                    cache.begin(&server, anew);
                }
                Step::Go => cache.go(),
                Step::Subscribe(how) => readers.push(Reader::new(&store, how)),
                Step::Look(who) => {
                    if let Some(reader) = readers.get(who) { reader.events.look_again(); }
                }
                Step::Unsubscribe(who) if who < readers.len() && readers.len() > 1 => {
                    readers.swap_remove(who);
                }
                Step::Unsubscribe(_) => {}
                Step::Train => train(&store),
                Step::Repack => {
                    let held = store.known.read().objects.clone();
                    held.iter().filter_map(crate::store::Entry::of).for_each(|entry| _ = entry.pack());
                }
                Step::Decode(key) => decode(&store, key)?,
                // The second time it is there.
                Step::Index => {
                    if let Ok(Some(mut build)) = store.add_index("late", Extract::Object(Arc::new(node))) {
                        cache.finish();
                        while !build.step(2) {}
                    }
                }
                Step::Read(who, n) => {
                    if let Some(reader) = readers.get_mut(who) { reader.read(n)?; }
                }
            }
            if store.has_synced() {
                check(&cache, trimming)?;
            }
        }
        cache.relist(&server, false);
        check(&cache, trimming)?;
        prop_assert_eq!(store.transform_failures(), failures.load(Relaxed));
        let held: HashMap<String, ((String, String), bool)> = store
            .list(&ListOptions::default())
            .expect("synced")
            .handles()
            .map(|object| (object.key().to_string(), (identity(object), passes(object))))
            .collect();
        for reader in &mut readers {
            reader.read(usize::MAX)?;
            prop_assert!(reader.events.has_synced());
            let expected: BTreeMap<_, _> = held
                .iter()
                .filter(|(_, (_, passes))| *passes || !reader.filtered)
                .map(|(key, (state, _))| (key.clone(), state.clone()))
                .collect();
            prop_assert_eq!(&reader.view, &expected);
            if reader.filtered {
                continue;
            }
            // Each uid that was shown lives, or its end was told (once: see `read`).
            let alive: HashSet<_> = held.values().map(|(state, _)| state.0.clone()).collect();
            let ended: HashSet<_> = reader.shown.difference(&alive).cloned().collect();
            prop_assert_eq!(&reader.ended, &ended);
        }
    }

    #[test]
    fn indexes_agree_with_a_scan_whatever_extractors_say( // A6, A7, A14
        steps in prop::collection::vec((0..6u8, prop::option::of(prop::collection::vec(0..4u8, 0..4))), 1..60),
        seed: u64,
    ) {
        let store = store();
        let mood = std::sync::atomic::AtomicU64::new(seed);
        // Says something else each time it is asked; what it said is written into a map that the test reads.
        let said = Arc::new(parking_lot::Mutex::new(HashMap::<String, Vec<String>>::new()));
        let saying = said.clone();
        let extract = move |object: &Object| {
            let n = mood.fetch_add(0x9E37_79B9_7F4A_7C15, std::sync::atomic::Ordering::Relaxed);
            let mut values: Vec<String> = (0..n % 4).map(|at| ((n >> (8 * at)) % 5).to_string()).collect();
            values.sort();
            values.dedup();
            saying.lock().insert(object.key().to_string(), values.clone());
            Ok(values)
        };
        store.add_index("mood", Extract::Object(Arc::new(extract))).expect("a new index");
        index(&store, "spec.args");
        list(&store, 1, &[]);
        let mut model = BTreeMap::<String, Vec<String>>::new();
        for (version, (key, args)) in (2..).zip(steps) {
            let key = format!("a/{key}");
            match args {
                Some(args) => {
                    let args: Vec<_> = args.iter().map(ToString::to_string).collect();
                    put(&store, &with(pod(&key, "u", version), "/spec/args", args.clone()));
                    model.insert(key, args);
                }
                None => {
                    delete(&store, &pod(&key, "u", version));
                    model.remove(&key);
                    said.lock().remove(&key);
                }
            }
            let holders = |model: &BTreeMap<String, Vec<String>>, value: &str| -> Vec<String> {
                model.iter().filter(|(_, values)| values.iter().any(|own| own == value)).map(|(key, _)| key.clone()).collect()
            };
            let said: BTreeMap<_, _> = said.lock().clone().into_iter().collect();
            for value in ["0", "1", "2", "3", "4"] {
                let by = |field: &str| ListOptions::default().matching_field(field, value);
                prop_assert_eq!(select(&store, by("spec.args")), holders(&model, value));
                prop_assert_eq!(select(&store, by("mood")), holders(&said, value));
            }
        }
    }
}
