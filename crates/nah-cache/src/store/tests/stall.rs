//! How long a commit of a very large list keeps others waiting. Measured, so these run by hand:
//! `cargo test --release -p nah-cache --lib -- --ignored --nocapture store::tests::stall`

use std::{future::poll_fn, pin::pin, time::Duration};

use tokio::time::Instant;

use super::*;

/// A small object of one of 200 namespaces.
fn small(number: usize, version: u64) -> Value {
    let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r",
        "uid": format!("owner-{}", number / 3)}]);
    let pod = pod(&format!("team-{}/p{number:07}", number % 200), &format!("u{number}"), version);
    let pod = labelled(&format!("app=app-{}", number % 17), on(&format!("n{}", number % 1000), pod));
    with(pod, "/metadata/ownerReferences", owner)
}

fn arrivals(store: &Store, count: usize, version: u64) -> Vec<Listed> {
    let arrival = |number| Listed::New(arrived(store, &small(number, version)));
    (0..count).map(arrival).collect()
}

/// How long a future takes, and its longest poll, which is what others on its thread wait for.
async fn measured<T>(future: impl Future<Output = T>) -> (Duration, Duration) {
    let (mut future, mut longest, began) = (pin!(future), Duration::ZERO, Instant::now());
    poll_fn(|context| {
        let began = Instant::now();
        let polled = future.as_mut().poll(context);
        longest = longest.max(began.elapsed());
        polled
    })
    .await;
    (began.elapsed(), longest)
}

#[tokio::test]
#[ignore = "measures"]
async fn commits() {
    for count in [400, 10_000, 100_000, 1_000_000] {
        let store = store();
        index(&store, "spec.nodeName");
        store.add_index(&Extract::label_field("app"), Extract::Label("app".into())).expect("a new index");
        let key = |number| ObjectKey::from((format!("team-{}", number % 200), format!("p{number:07}")));
        for (version, what) in
            (1..).zip(["all are new", "none has changed", "all have changed", "all are gone"])
        {
            let items = match version {
                1 | 3 => arrivals(&store, count, version),
                2 => (0..count).map(|number| Listed::Same(key(number))).collect(),
                _ => Vec::new(),
            };
            let commit = store.commit(None, items, count, version.into());
            let (whole, longest) = measured(commit).await;
            println!("{count} objects, {what}: {whole:?}, the longest poll {longest:?}");
        }
    }
}
