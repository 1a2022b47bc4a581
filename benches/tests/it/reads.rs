//! Guards of reads: hot, cold, by index, and of the whole kind.

use std::hint::black_box;

use benches::{
    config_maps::{self, PER_VALUE},
    pods::{PODS_PER_NODE, Pods, node_name},
    process,
    server::{Kind, SEED},
};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use nah_cache::{CacheFactoryExt, FieldIndexerExt, Informer, ListOptions};
use nah_core::ObjectKey;

use crate::{
    canned,
    counted::{Counted, alone, counted},
    factory, runtime,
};

const PODS: usize = 400;

fn pod_key(number: usize) -> ObjectKey {
    let (namespace, name) = Pods::new(SEED, PODS).name(number);
    (&namespace, &name).into()
}

#[test]
fn a_hot_get_allocates_nothing_and_a_cold_one_decodes_once() {
    let _alone = alone();
    let canned = canned(Kind::Pods, PODS);
    let runtime = runtime();
    let pods = runtime.block_on(async {
        let pods = factory(&canned).informer::<Pod>().expect("not stopped");
        pods.wait_for_sync().await.expect("not stopped");
        pods
    });
    let get = |number: usize| pods.get(&pod_key(number)).expect("it decodes").expect("it is there");
    let (hot, key) = (get(7), pod_key(7));
    _ = get(7);
    let (_, warm) = counted(|| black_box(pods.get(&key)));
    assert_eq!(warm.allocations, 0.0, "a hot get is a clone of an Arc: {warm:?}");
    assert!(std::sync::Arc::ptr_eq(&hot, &get(7)));

    let keys: Vec<_> = (100..150).map(pod_key).collect();
    let (_, cold) = counted(|| keys.iter().for_each(|key| _ = black_box(pods.get(key))));
    let texts: Vec<_> = (100..150)
        .map(|number| {
            let mut pod = Pods::new(SEED, PODS).pod(number, 1);
            pod["metadata"].as_object_mut().map(|metadata| metadata.remove("managedFields"));
            pod.to_string()
        })
        .collect();
    let (_, decode) = counted(|| {
        texts.iter().for_each(|text| _ = black_box(serde_json::from_str::<Pod>(text)));
    });
    println!("cold {cold:?}, a decode {decode:?}");
    // A decode and what it keeps of where it is, for an error that may come; a second decode would be beyond.
    assert!(cold.allocations <= 4.0 * decode.allocations, "a decode and little more");
    assert!(cold.requested <= 1.5 * decode.requested, "a decode and little more");
}

/// ConfigMaps, so many, by shard.
fn config_maps(count: usize, query: impl FnOnce(&Informer<ConfigMap>, &nah_cache::Index<ConfigMap>)) {
    let canned = canned(Kind::ConfigMaps, count);
    runtime().block_on(async {
        let factory = factory(&canned);
        let by_shard = factory.index_path::<ConfigMap>("data.shard").expect("a new index");
        let maps = factory.informer::<ConfigMap>().expect("not stopped");
        maps.wait_for_sync().await.expect("not stopped");
        query(&maps, &by_shard);
    });
}

/// What a query of a hundred costs among so many: allocations, and the least CPU of several rounds.
fn by_index(count: usize) -> (Counted, f64) {
    let (mut found, mut best) = (None, f64::INFINITY);
    config_maps(count, |maps, by_shard| {
        let query = ListOptions::default().by(by_shard, config_maps::shard(3, count));
        let explained = maps.explain(&query).expect("there is an index");
        assert_eq!((explained.candidates, explained.selected), (PER_VALUE, PER_VALUE), "{explained}");
        let list = || maps.list(&query).expect("there is an index").handles().count();
        for _ in 0..20 {
            let begun = process::thread_cpu();
            for _ in 0..20 {
                assert_eq!(black_box(list()), PER_VALUE);
            }
            best = best.min((process::thread_cpu() - begun).as_secs_f64());
        }
        found = Some(counted(list).1);
    });
    (found.expect("it was counted"), best)
}

#[test]
fn a_list_by_index_looks_at_its_answer_alone_however_many_objects_there_are() {
    let _alone = alone();
    let ((few, fast), (many, slow)) = (by_index(500), by_index(10_000));
    println!("{few:?} in {fast}, {many:?} in {slow}");
    assert!(
        many.allocations <= few.allocations && many.allocations <= 4.0,
        "the objects of a value are shared"
    );
    // Twenty times as many objects: a scan would take twenty times as long.
    assert!(slow <= 4.0 * fast, "{:.1} times as long", slow / fast);
}

#[test]
fn pods_of_a_node_are_found_without_a_scan_or_a_decode() {
    let _alone = alone();
    let canned = canned(Kind::Pods, PODS);
    runtime().block_on(async {
        let factory = factory(&canned);
        let by_node = factory.index_path::<Pod>("spec.nodeName").expect("a new index");
        let pods = factory.informer::<Pod>().expect("not stopped");
        pods.wait_for_sync().await.expect("not stopped");
        let query = ListOptions::default().by(&by_node, node_name(3));
        let (count, list) = counted(|| pods.list(&query).expect("there is an index").handles().count());
        assert_eq!(count, PODS_PER_NODE);
        assert!(list.allocations <= 16.0, "{list:?}");
        assert_eq!(pods.explain(&query).expect("there is an index").candidates, PODS_PER_NODE);
    });
}

#[test]
fn a_list_of_the_whole_kind_is_sorted_and_copies_nothing() {
    let _alone = alone();
    let taken = |count| {
        let mut found = None;
        config_maps(count, |maps, _| {
            let (list, counted) = counted(|| maps.list(&ListOptions::default()).expect("synced"));
            assert!(list.len() == count && list.handles().is_sorted_by(|a, b| a.key() < b.key()));
            found = Some(counted);
        });
        found.expect("it was counted")
    };
    let (few, many) = (taken(500), taken(10_000));
    println!("{few:?} {many:?}");
    assert!(many.requested <= few.requested && many.requested <= 512.0, "{few:?} {many:?}");
    assert!(many.allocations <= 8.0, "{many:?}");
}

#[test]
fn an_index_by_path_costs_a_fraction_of_one_by_closure() {
    let _alone = alone();
    let canned = canned(Kind::Pods, PODS);
    runtime().block_on(async {
        let factory = factory(&canned);
        let pods = factory.informer::<Pod>().expect("not stopped");
        pods.wait_for_sync().await.expect("not stopped");
        let (_, path) = counted(|| factory.index_path::<Pod>("spec.schedulerName").expect("a new index"));
        let scheduler = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.scheduler_name.clone());
        let (_, closure) =
            counted(|| factory.index_field::<Pod, _>("scheduler", scheduler).expect("a new index"));
        println!("path {path:?}, closure {closure:?}");
        assert!(pods.status().indexes.iter().all(|index| index.whole && index.rows == PODS));
        assert!(path.allocations <= closure.allocations / 4.0);
    });
}
