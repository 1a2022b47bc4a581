//! When objects are compressed, and when they are not.

use k8s_openapi::api::core::v1::Pod;

use super::*;

/// A Pod of some two kilobytes.
fn large(number: usize, version: u64) -> Value {
    let pod = pod(&format!("a/p{number:05}"), &format!("u{number}"), version);
    let env =
        |n: usize| json!({"name": format!("SETTING_{n}"), "value": format!("value-{}", number * n % 17)});
    let env: Vec<_> = (0..40).map(env).collect();
    with(pod, "/spec/containers", json!([{"name": "main", "env": env}]))
}

/// A store that has a dictionary.
async fn trained() -> Arc<Store> {
    let (store, pods) = (store(), (0..2500).map(|number| large(number, 1)).collect::<Vec<_>>());
    list(&store, 1, &pods);
    store.tend().await;
    store.repack().await;
    let memory = store.memory();
    assert!(memory.dictionaries > 0 && memory.plain == 0 && memory.encoded < 1 << 20, "{memory:?}");
    store
}

fn operations(store: &Store) -> (u64, u64) {
    store.shelf.codec.operations()
}

#[tokio::test]
async fn an_event_is_told_from_the_text_it_came_with() {
    let store = trained().await;
    let mut subscription = subscribe(&store).typed::<Pod>();
    use futures_util::StreamExt as _;
    while let Some(Some(event)) = subscription.next().now_or_never() {
        event.expect("a Pod");
    }
    let before = operations(&store);
    for number in 0..100 {
        put(&store, &large(number, 2));
        let Some(Some(Ok(Event::Updated { new, .. }))) = subscription.next().now_or_never() else {
            panic!("it was not told");
        };
        assert_eq!(new.metadata.resource_version.as_deref(), Some("2"));
    }
    assert_eq!(operations(&store), before, "nothing was compressed or decompressed to be told");
    // There is room for so much and no more: those of the beginning are compressed by now.
    for number in 0..2500 {
        put(&store, &large(number, 3));
    }
    let memory = store.memory();
    assert!(memory.plain <= 2 << 20, "{memory:?}");
    assert!(operations(&store).0 > before.0);
}

#[tokio::test]
async fn what_nobody_waits_for_is_compressed_at_once() {
    let store = trained().await;
    let (packs, _) = operations(&store);
    put(&store, &large(1, 2));
    assert_eq!(operations(&store).0, packs + 1);
    assert_eq!(store.memory().plain, 0);
    drop(subscribe(&store));
    put(&store, &large(2, 2));
    assert_eq!(store.memory().plain, 0, "the only subscriber has left");
}

#[tokio::test]
async fn an_index_reads_what_has_come_before_it_is_compressed() {
    let store = trained().await;
    index(&store, "spec.nodeName");
    let (_, unpacks) = operations(&store);
    put(&store, &on("n1", large(1, 2)));
    assert_eq!(operations(&store).1, unpacks);
    assert_eq!(select(&store, ListOptions::default().matching_field("spec.nodeName", "n1")), ["a/p00001"]);
}

#[tokio::test]
async fn a_training_that_is_left_is_begun_again() {
    let (store, pods) = (store(), (0..2500).map(|number| large(number, 1)).collect::<Vec<_>>());
    list(&store, 1, &pods);
    assert!(store.tend().now_or_never().is_none(), "it is under way");
    assert_eq!(store.memory().dictionaries, 0);
    list(&store, 2, &(0..5000).map(|number| large(number, 1)).collect::<Vec<_>>());
    store.tend().await;
    assert!(store.memory().dictionaries > 0);
}
