//! Guard of growth: an object costs the same among many as among few.

use std::time::Duration;

use benches::{process, server::Kind};
use k8s_openapi::api::core::v1::ConfigMap;
use nah_cache::{CacheFactoryExt, FieldIndexerExt};

use crate::{
    canned,
    counted::{Counted, alone, counted_async},
    factory, runtime,
};

/// What an object costs among so many, and the CPU seconds of it.
fn synced(count: usize) -> (Counted, f64) {
    let canned = canned(Kind::ConfigMaps, count);
    runtime().block_on(async {
        let factory = factory(&canned);
        factory.index_path::<ConfigMap>("data.shard").expect("a new index");
        let begun = process::thread_cpu();
        let (maps, counted) = counted_async(async {
            let maps = factory.informer::<ConfigMap>().expect("not stopped");
            maps.wait_for_sync().await.expect("not stopped");
            maps
        })
        .await;
        let cpu = process::thread_cpu() - begun;
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(maps.status().objects, count);
        (counted.each(count), cpu.as_secs_f64() / count as f64)
    })
}

#[test]
fn an_object_costs_the_same_among_many_as_among_few() {
    let _alone = alone();
    let ((few, fast), (many, slow)) = (synced(1_000), synced(10_000));
    println!("{few:?} in {fast}, {many:?} in {slow}");
    assert!(many.kept <= 1.2 * few.kept);
    assert!(many.allocations <= 1.2 * few.allocations);
    // A debug build on a busy machine: what grows with the square would be ten times as slow.
    assert!(slow <= 2.5 * fast, "{:.1} times the CPU", slow / fast);
}
