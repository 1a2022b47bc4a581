//! Versions and what is remembered of them: nothing is missed, nothing is invented.

use std::collections::BTreeMap;

use nah_testing::ApiServer;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Ground, Lines, MAPS, map, version};

#[tokio::test(start_paused = true)]
async fn a_restored_backup_goes_back_in_content_and_version() {
    let ground = Ground::new();
    let (_, kept) = ground.post(MAPS, map("a")).await;
    let mut watch = ground.watch(&format!("{MAPS}?watch=1&resourceVersion={}", version(&kept))).await;
    ground.post(MAPS, map("b")).await;
    ground.patch(&format!("{MAPS}/a"), json!({"data": {"x": "1"}})).await;
    ground.delete(&format!("{MAPS}/a")).await;
    ground.server.forget_last_writes(3);
    assert_eq!(ground.server.version(), version(&kept));
    assert_eq!(ground.get(&format!("{MAPS}/a")).await, (200, kept.clone()));
    assert_eq!(ground.get(&format!("{MAPS}/b")).await.0, 404);
    assert!(watch.line().await.unwrap().is_err(), "connections are dropped");
    let (_, again) = ground.post(MAPS, map("c")).await;
    assert_eq!(version(&again), version(&kept) + 1, "versions are used again");
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_a_version_that_was_forgotten_waits_silently() {
    let ground = Ground::new();
    for name in ["a", "b", "c"] {
        ground.post(MAPS, map(name)).await;
    }
    let ahead = ground.server.version();
    ground.server.forget_last_writes(2);
    let mut watch = ground.watch(&format!("{MAPS}?watch=1&resourceVersion={ahead}")).await;
    for name in ["x", "y", "z"] {
        ground.post(MAPS, map(name)).await;
    }
    assert_eq!(watch.drain().await, ["ADDED z"], "events up to the version asked for are not told");
}

#[tokio::test(start_paused = true)]
async fn a_backup_from_before_all_that_is_remembered_goes_back_as_far_as_that() {
    let server = ApiServer::builder().history(2).build();
    let secret = |name: &str| json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "namespace": "default" } });
    let map = |name: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": "default" } });
    server.create(&secret("old")).unwrap();
    for name in ["a", "b", "c", "d"] {
        server.create(&map(name)).unwrap();
    }
    let version = server.version();
    server.compact();
    server.forget_last_writes(10);
    assert_eq!(server.version(), version - 2, "a write was undone, and one after it was not");
    let names = |kind: &str| server.list("v1", kind).unwrap().len();
    assert_eq!((names("ConfigMap"), names("Secret")), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_a_backup_did_not_have_is_gone() {
    let server = ApiServer::new();
    server.create(&crate::crd::definition()).unwrap();
    server.forget_last_writes(2);
    let ground = Ground::of(server);
    assert_eq!(ground.text("/apis/example.com/v1/widgets").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_restart_drops_connections_and_keeps_objects() {
    let ground = Ground::new();
    ground.post(MAPS, map("a")).await;
    let from = ground.server.version();
    let mut watch = ground.watch(&format!("{MAPS}?watch=1&resourceVersion={from}")).await;
    ground.server.restart();
    assert!(watch.line().await.unwrap().is_err());
    assert!(watch.line().await.is_none());
    ground.post(MAPS, map("b")).await;
    let mut watch = ground.watch(&format!("{MAPS}?watch=1&resourceVersion={from}")).await;
    assert_eq!(watch.short().await, "ADDED b");
}

/// What a random client does.
#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    Cut,
    Compact,
    Read(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..6_u8, any::<u8>()).prop_map(|(name, value)| Step::Put(name, value)),
        2 => (0..6_u8).prop_map(Step::Delete),
        1 => Just(Step::Cut),
        1 => Just(Step::Compact),
        3 => (1..4_u8).prop_map(Step::Read),
    ]
}

/// A reflector of a few lines: lists, watches, lists again where it has to.
struct Mirror {
    seen: BTreeMap<String, Value>,
    version: u64,
    watch: Option<Lines>,
}

impl Mirror {
    async fn list(ground: &Ground) -> Self {
        let (_, list) = ground.get(MAPS).await;
        let items = list["items"].as_array().unwrap().iter();
        let seen = items.map(|item| (name(item), item["data"].clone())).collect();
        Self { seen, version: version(&list), watch: None }
    }

    /// Reads up to `most` events; whether there may be more.
    async fn read(&mut self, ground: &Ground, most: u8) -> bool {
        for _ in 0..most {
            if self.watch.is_none() {
                let path = format!("{MAPS}?watch=1&resourceVersion={}", self.version);
                self.watch = Some(ground.watch(&path).await);
            }
            let Some(watch) = &mut self.watch else { continue };
            match tokio::time::timeout(std::time::Duration::from_millis(1), watch.line()).await {
                Err(_) => return false,
                Ok(None | Some(Err(_))) => self.watch = None,
                Ok(Some(Ok(line))) => {
                    let event: Value = serde_json::from_str(&line).unwrap();
                    let object = &event["object"];
                    match event["type"].as_str().unwrap() {
                        "ERROR" => *self = Self::list(ground).await,
                        kind => {
                            assert!(version(object) > self.version, "versions grow");
                            self.version = version(object);
                            match kind {
                                "DELETED" => {
                                    drop(self.seen.remove(&name(object)).expect("deletes what is there"))
                                }
                                "ADDED" => {
                                    let old = self.seen.insert(name(object), object["data"].clone());
                                    assert!(old.is_none(), "adds what is not there");
                                }
                                _ => {
                                    let old = self.seen.insert(name(object), object["data"].clone());
                                    assert!(old.is_some(), "modifies what is there");
                                }
                            }
                        }
                    }
                }
            }
        }
        true
    }
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

async fn run(steps: Vec<Step>) {
    let ground = Ground::of(ApiServer::builder().history(5).build());
    let mut mirror = Mirror::list(&ground).await;
    for step in steps {
        match step {
            Step::Put(name, value) => {
                let mut object = map(&format!("m{name}"));
                object["metadata"]["namespace"] = json!("default");
                object["data"] = json!({"v": value.to_string()});
                ground.server.apply(&object).unwrap();
            }
            Step::Delete(name) => {
                let _ = ground.server.delete("v1", "ConfigMap", "default", &format!("m{name}"));
            }
            Step::Cut => ground.server.cut_watches(""),
            Step::Compact => ground.server.compact(),
            Step::Read(most) => drop(mirror.read(&ground, most).await),
        }
    }
    while mirror.read(&ground, 10).await {}
    let objects = ground.server.list("v1", "ConfigMap").unwrap();
    let there: BTreeMap<_, _> = objects.iter().map(|object| (name(object), object["data"].clone())).collect();
    assert_eq!(mirror.seen, there);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mirror_by_list_and_watch_ends_up_equal(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(steps));
    }
}
