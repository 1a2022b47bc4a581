//! What objects cost, and that they say the same however they are kept.

use k8s_openapi::api::core::v1::ConfigMap;
use nah_cache::{CacheFactoryExt, CacheOptions, Informer, ListOptions};
use serde_json::{Value, json};

use crate::script::{Reply, Script, config_map, settle};

/// A ConfigMap of a kilobyte, most of which it has in common with the others.
fn large(number: u64, version: u64) -> Value {
    let mut object = config_map(&format!("c{number:06}"), version);
    let line = |n: u64| format!("setting-{n}=value-{}", (number * n) % 17);
    object["data"]["lines"] = json!((0..50).map(line).collect::<Vec<_>>().join("\n"));
    object
}

/// That every object says what the server said of it.
fn check(informer: &Informer<ConfigMap>, expected: impl Iterator<Item = Value>) {
    let list = informer.list(&ListOptions::default()).unwrap();
    let mut held = list.handles();
    for expected in expected {
        let object = held.next().expect("it is held");
        let mut value: Value = object.read(|json| serde_json::from_slice(json).unwrap()).unwrap();
        value.as_object_mut().unwrap().retain(|field, _| field == "metadata" || field == "data");
        assert_eq!(value, expected);
    }
    assert!(held.next().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_large_kind_is_compressed_while_it_is_listed() {
    let script = Script::new();
    let objects: Vec<_> = (0..6000).map(|number| large(number, 1)).collect();
    script.list(Reply::list("10", &objects));
    let lines = script.watching();
    let informer = script.factory(CacheOptions::default()).informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    let raw: usize = objects.iter().map(|object| object.to_string().len()).sum();
    let memory = informer.memory();
    assert!(raw > 5 << 20 && memory.encoded * 5 < raw, "{memory:?} of {raw}");
    assert!(memory.dictionaries > 0 && memory.dictionaries < 256 << 10, "{memory:?}");
    assert_eq!(memory.plain, 0, "what came before there was a dictionary is packed, too");
    check(&informer, objects.iter().cloned());

    for number in 0..600 {
        lines.event("MODIFIED", large(number, 11));
    }
    settle().await;
    assert_eq!(informer.memory().plain, 0);
    check(&informer, (0..6000).map(|number| large(number, if number < 600 { 11 } else { 1 })));
}

#[tokio::test(start_paused = true)]
async fn a_small_kind_is_left_as_it_is() {
    let script = Script::new();
    let objects: Vec<_> = (0..100).map(|number| large(number, 1)).collect();
    script.list(Reply::list("10", &objects));
    let _lines = script.watching();
    let informer = script.factory(CacheOptions::default()).informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    settle().await;
    let memory = informer.memory();
    assert_eq!((memory.plain, memory.dictionaries), (memory.encoded, 0));
    check(&informer, objects.iter().cloned());
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_grows_by_events_is_compressed_beside_its_readers() {
    let script = Script::new();
    script.list(Reply::list("10", &[]));
    let lines = script.watching();
    let informer = script.factory(CacheOptions::default()).informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    for number in 0..8000 {
        lines.event("ADDED", large(number, number + 11));
    }
    while informer.list(&ListOptions::default()).unwrap().len() < 8000 {
        tokio::task::yield_now().await;
    }
    settle().await;
    let memory = informer.memory();
    assert!(memory.dictionaries > 0, "{memory:?}");
    assert_eq!(memory.plain, 0, "{memory:?}");
    check(&informer, (0..8000).map(|number| large(number, number + 11)));
}
