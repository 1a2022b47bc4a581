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

/// Another sort of Pod, of some two kilobytes as well.
fn other(number: usize) -> Value {
    let pod = pod(&format!("b/q{number:05}"), &format!("v{number}"), 1);
    let mount = |n: usize| {
        json!({"mountPath": format!("/var/lib/{n}/{}", number * n % 13), "readOnly": true,
        "volumeOf": format!("claim-{}", n * 7 % 5)})
    };
    let mounts: Vec<_> = (0..26).map(mount).collect();
    with(pod, "/spec/volumes", mounts)
}

fn small(number: usize) -> Value {
    let pod = pod(&format!("c/r{number:06}"), &format!("w{number}"), 1);
    with(
        pod,
        "/spec/template",
        json!({"restartPolicy": "Always", "schedulerName": "default-scheduler",
        "securityContext": {"runAsNonRoot": true, "fsGroup": 2000 + number % 3}}),
    )
}

/// What the present generation makes of these, in bytes.
fn packed(store: &Store, objects: &[Value]) -> usize {
    let generation = store.shelf.codec.generation().expect("trained");
    let bytes = |object: &Value| store.shelf.codec.pack(&generation, object.to_string().as_bytes());
    objects.iter().filter_map(bytes).map(|packed| packed.len()).sum()
}

#[tokio::test]
async fn a_dictionary_that_drifts_before_anything_is_committed_learns_from_what_has_arrived() {
    let store = store();
    let first: Vec<_> = (0..2500).map(|number| arrived(&store, &large(number, 1))).collect();
    store.tend().await;
    let others: Vec<_> = (0..3500).map(other).collect();
    let sample = &others[3000..3100];
    let before = packed(&store, sample);
    let second: Vec<_> = others.iter().map(|pod| arrived(&store, pod)).collect();
    store.tend().await;
    let after = packed(&store, sample);
    assert!(2 * after < before, "{before} bytes before, {after} after");
    let items = first.into_iter().chain(second).map(Listed::New).collect();
    store.replace(None, items, 1.into());
}

#[tokio::test]
async fn a_dictionary_of_the_beginning_is_made_anew_where_the_whole_is_other() {
    let store = store();
    let first: Vec<_> = (0..2500).map(|number| arrived(&store, &large(number, 1))).collect();
    store.tend().await;
    // What was compressed so far came out as expected.
    assert!(!store.shelf.codec.wants_training());
    let others: Vec<_> = (0..9000).map(small).collect();
    let before = packed(&store, &others[..100]);
    let second: Vec<_> = others.iter().map(|pod| arrived(&store, pod)).collect();
    store.tend().await;
    assert_eq!(packed(&store, &others[..100]), before, "too little has arrived to call it a drift");
    store.replace(None, first.into_iter().chain(second).map(Listed::New).collect(), 1.into());
    store.improve().await;
    let after = packed(&store, &others[..100]);
    assert!(5 * after < 4 * before, "{before} bytes before, {after} after");
    store.repack().await;
    assert!(!store.shelf.codec.is_behind(), "one generation is left");
}

#[tokio::test]
async fn a_dictionary_that_would_be_no_better_is_not_made_anew() {
    let store = store();
    let first: Vec<_> = (0..2500).map(|number| arrived(&store, &large(number, 1))).collect();
    store.tend().await;
    let dictionary = |store: &Store| store.shelf.codec.generation().expect("trained");
    let before = dictionary(&store);
    let second: Vec<_> = (2500..10_500).map(|number| arrived(&store, &large(number, 1))).collect();
    store.replace(None, first.into_iter().chain(second).map(Listed::New).collect(), 1.into());
    store.improve().await;
    assert!(Arc::ptr_eq(&before, &dictionary(&store)));
    assert!(!store.shelf.codec.is_outgrown(10_500), "and it is not asked again until there are many more");
}
