//! The cache against the embedded API server: every answer as the real one gives it, and faults.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use nah_cache::{
    CacheFactory, CacheFactoryExt, CacheOptions, Event, Informer, InformerFactory, KindCacheOptions,
    ListOptions, informers,
};
use nah_core::{GroupVersionKind, Kind, Object};
use nah_testing::{Action, ApiServer, Corruption, Fault};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Key, uid, version.
type Rows = BTreeMap<String, (String, String)>;

/// What a handler has been told, folded; it panics where that is no history.
#[derive(Default)]
struct Folded {
    rows: Rows,
    deletions: usize,
}

fn start(server: &ApiServer, options: CacheOptions) -> InformerFactory {
    let (factory, driver) = informers(server.client(), options);
    tokio::spawn(driver.run());
    factory
}

fn config_map(namespace: &str, name: &str, value: u64) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "namespace": namespace, "name": name, "labels": { "value": format!("v{value}") } },
            "data": { "value": value.to_string() } })
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// What the server has of ConfigMaps.
fn truth(server: &ApiServer) -> Rows {
    let row = |object: &Value| {
        let key = format!("{}/{}", text(object, "namespace"), text(object, "name"));
        (key, (text(object, "uid").to_owned(), text(object, "resourceVersion").to_owned()))
    };
    server.list("v1", "ConfigMap").unwrap().iter().map(row).collect()
}

fn row(object: &Object) -> (String, String) {
    let uid = object.uid().map_or("", |uid| uid.as_str());
    (uid.to_owned(), object.resource_version().map_or("", |version| version.as_str()).to_owned())
}

fn cached(informer: &Informer) -> Rows {
    let list = informer.list(&ListOptions::default()).unwrap();
    list.handles().map(|object| (object.key().to_string(), row(object))).collect()
}

fn fold(informer: &Informer) -> Arc<Mutex<Folded>> {
    let folded = Arc::new(Mutex::new(Folded::default()));
    let told = folded.clone();
    informer.add_event_handler(move |event| told.lock().take(event)).unwrap();
    folded
}

impl Folded {
    fn take(&mut self, event: Event) {
        match event {
            Event::Added { object, .. } => {
                let before = self.rows.insert(object.key().to_string(), row(&object));
                assert_eq!(before, None, "added twice");
            }
            Event::Updated { old, new, .. } => {
                let before = self.rows.insert(new.key().to_string(), row(&new));
                assert_eq!(before, Some(row(&old)), "updated from another state than the last one told");
            }
            Event::Deleted { key, last, .. } => {
                let before = self.rows.remove(key.as_str()).expect("deleted without having been told of");
                assert_eq!(before.0, row(&last).0, "deleted another object");
                self.deletions += 1;
            }
            _ => {}
        }
    }
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn one_stream_fills_and_follows_a_kind() // C21, C29
{
    let server = ApiServer::new();
    (0..700)
        .for_each(|index| _ = server.create(&config_map("default", &format!("m{index}"), index)).unwrap());
    let factory = start(&server, CacheOptions::default());
    let informer = factory.informer_for_kind(&ConfigMap::kind_of()).unwrap();
    informer.wait_for_sync().await.unwrap();
    assert_eq!(cached(&informer), truth(&server));
    server.update(&config_map("default", "m7", 1000)).unwrap();
    server.delete("v1", "ConfigMap", "default", "m8").unwrap();
    seconds(1).await;
    assert_eq!(cached(&informer), truth(&server));
    let journal = server.journal();
    assert_eq!((journal.count("list", "configmaps"), journal.count("watch", "configmaps")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn pages_follow_each_other_where_lists_do_not_stream() // C1, C2, C22
{
    let server = ApiServer::new();
    (0..1200)
        .for_each(|index| _ = server.create(&config_map("default", &format!("m{index}"), index)).unwrap());
    server.inject(Fault::answer(422).on("watch"));
    let kind = KindCacheOptions::default().page_size(500);
    let factory = start(&server, CacheOptions::default().kind((*ConfigMap::kind_of()).clone(), kind));
    // For "whatever you have", its watch cache would answer in one piece.
    factory.raise_floor(&ConfigMap::kind_of(), &1.into());
    let informer = factory.informer_for_kind(&ConfigMap::kind_of()).unwrap();
    informer.wait_for_sync().await.unwrap();
    assert_eq!(cached(&informer), truth(&server));
    server.create(&config_map("default", "later", 1)).unwrap();
    seconds(1).await;
    assert_eq!(cached(&informer), truth(&server));
}

#[tokio::test(start_paused = true)]
async fn a_list_whose_token_expires_is_completed_in_one_piece() // C3
{
    let server = ApiServer::new();
    (0..30).for_each(|index| _ = server.create(&config_map("default", &format!("m{index}"), index)).unwrap());
    server.inject(Fault::answer(422).on("watch"));
    server.inject(Fault::gone().on("list").of("configmaps").skip(2));
    let kind = KindCacheOptions::default().page_size(10);
    let factory = start(&server, CacheOptions::default().kind((*ConfigMap::kind_of()).clone(), kind));
    // For "whatever you have", its watch cache would answer in one piece.
    factory.raise_floor(&ConfigMap::kind_of(), &1.into());
    let informer = factory.informer_for_kind(&ConfigMap::kind_of()).unwrap();
    informer.wait_for_sync().await.unwrap();
    assert_eq!(cached(&informer), truth(&server));
    assert_eq!(server.journal().count("list", "configmaps"), 4);
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_in_a_gap_is_told_once_as_a_tombstone() // C11, C14, Q51
{
    let server = ApiServer::new();
    (0..5).for_each(|index| _ = server.create(&config_map("default", &format!("m{index}"), index)).unwrap());
    let factory = start(&server, CacheOptions::default());
    let informer = factory.informer_for_kind(&ConfigMap::kind_of()).unwrap();
    let folded = fold(&informer);
    informer.wait_for_sync().await.unwrap();
    seconds(1).await;
    server.refuse_connections(true);
    server.cut_watches("");
    seconds(1).await;
    server.delete("v1", "ConfigMap", "default", "m1").unwrap();
    server.delete("v1", "ConfigMap", "default", "m2").unwrap();
    server.create(&config_map("default", "m2", 9)).unwrap();
    server.compact();
    seconds(120).await;
    assert_eq!(informer.list(&ListOptions::default()).unwrap().len(), 5);
    server.refuse_connections(false);
    seconds(120).await;
    assert_eq!(cached(&informer), truth(&server));
    let folded = folded.lock();
    assert_eq!((&folded.rows, folded.deletions), (&truth(&server), 2));
}

#[tokio::test(start_paused = true)]
async fn a_restart_costs_no_list() // C8, C10
{
    let server = ApiServer::new();
    server.create(&config_map("default", "a", 1)).unwrap();
    let factory = start(&server, CacheOptions::default());
    let informer = factory.informer_for_kind(&ConfigMap::kind_of()).unwrap();
    informer.wait_for_sync().await.unwrap();
    server.restart();
    server.create(&config_map("default", "b", 2)).unwrap();
    seconds(10).await;
    assert_eq!(cached(&informer), truth(&server));
    let watches =
        server.journal().filter(|request| request.verb == "watch" && request.resource == "configmaps");
    assert_eq!(watches.iter().filter(|watch| watch.query.contains("sendInitialEvents")).count(), 1);
    // A look at the version, for a server that was away may come back with an older history.
    let lists = server.journal().filter(|request| request.verb == "list" && request.resource == "configmaps");
    assert_eq!(lists.iter().map(|list| list.query.as_str()).collect::<Vec<_>>(), ["limit=1"]);
}

#[tokio::test(start_paused = true)]
async fn a_restored_backup_leaves_the_cache_as_the_server() // C4
{
    let server = ApiServer::new();
    (0..6).for_each(|index| _ = server.create(&config_map("default", &format!("m{index}"), index)).unwrap());
    let factory = start(&server, CacheOptions::default());
    let informer = factory.informer_for_kind(&ConfigMap::kind_of()).unwrap();
    let folded = fold(&informer);
    informer.wait_for_sync().await.unwrap();
    server.forget_last_writes(3);
    seconds(300).await;
    assert_eq!(cached(&informer), truth(&server));
    assert_eq!(folded.lock().rows, truth(&server));
    server.create(&config_map("default", "another", 1)).unwrap();
    seconds(1).await;
    assert_eq!(cached(&informer), truth(&server));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_kind_keeps_up_by_bookmarks() // C17
{
    let server = ApiServer::new();
    let factory = start(&server, CacheOptions::default());
    let informer = factory.informer::<Secret>().unwrap();
    informer.wait_for_sync().await.unwrap();
    server.create(&config_map("default", "a", 1)).unwrap();
    let version = server.version().into();
    tokio::time::timeout(Duration::from_secs(90), informer.wait_until_observed(&version))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_event_told_twice_is_one() // C18
{
    let server = ApiServer::new();
    server.inject(Fault::duplicate(3).of("configmaps"));
    let factory = start(&server, CacheOptions::default());
    let informer = factory.informer_for_kind(&ConfigMap::kind_of()).unwrap();
    let folded = fold(&informer);
    informer.wait_for_sync().await.unwrap();
    (0..6).for_each(|index| _ = server.create(&config_map("default", &format!("m{index}"), index)).unwrap());
    seconds(1).await;
    assert_eq!(folded.lock().rows, truth(&server));
}

#[tokio::test(start_paused = true)]
async fn one_bad_object_does_not_blind_a_kind() // C19, C20, Q52
{
    for how in
        [Corruption::WrongType("metadata.labels".into()), Corruption::NoMetadata, Corruption::Truncated]
    {
        let server = ApiServer::new();
        (0..3).for_each(|index| {
            _ = server.create(&config_map("default", &format!("m{index}"), index)).unwrap()
        });
        let factory = start(&server, CacheOptions::default());
        let informer = factory.informer_for_kind(&ConfigMap::kind_of()).unwrap();
        informer.wait_for_sync().await.unwrap();
        server.inject(Fault::corrupt_object("m1", how.clone()).of("configmaps").times(2));
        // Onto a stream that has the fault.
        server.cut_watches("configmaps");
        seconds(5).await;
        server.update(&config_map("default", "m1", 10)).unwrap();
        server.update(&config_map("default", "m2", 20)).unwrap();
        seconds(60).await;
        let m2 = informer.get(&("default", "m2").into()).unwrap().unwrap();
        assert_eq!(m2.labels().get("value"), Some("v20"), "{how:?}");
        assert!(informer.get(&("default", "m1").into()).unwrap().is_some());
        server.update(&config_map("default", "m1", 11)).unwrap();
        server.cut_watches("configmaps");
        seconds(700).await;
        assert_eq!(cached(&informer), truth(&server), "{how:?}");
        assert_eq!(informer.status().quarantined, 0, "{how:?}");
    }
}

fn crd() -> Value {
    let schema =
        json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
    json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": "widgets.example.com" },
            "spec": { "group": "example.com", "scope": "Namespaced",
                      "names": { "plural": "widgets", "kind": "Widget" },
                      "versions": [{ "name": "v1", "served": true, "storage": true, "schema": schema }] } })
}

#[tokio::test(start_paused = true)]
async fn a_crd_may_come_go_and_come_back() // G14, Q20
{
    let server = ApiServer::new();
    let factory = start(&server, CacheOptions::default());
    let widget = GroupVersionKind::gvk("example.com", "v1", "Widget");
    let informer = factory.informer_for_kind(&widget).unwrap();
    seconds(90).await;
    assert!(informer.status().last_error.unwrap().contains("does not serve Widget"));
    let object = |name: &str| {
        json!({ "apiVersion": "example.com/v1", "kind": "Widget",
                "metadata": { "namespace": "default", "name": name } })
    };
    server.create(&crd()).unwrap();
    seconds(1).await;
    server.create(&object("first")).unwrap();
    informer.wait_for_sync().await.unwrap();
    assert_eq!(informer.list(&ListOptions::default()).unwrap().len(), 1);

    server.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "widgets.example.com").unwrap();
    seconds(120).await;
    assert!(informer.has_synced());
    server.create(&crd()).unwrap();
    seconds(1).await;
    server.create(&object("second")).unwrap();
    seconds(120).await;
    let list = informer.list(&ListOptions::default()).unwrap();
    assert_eq!(list.handles().map(|object| object.key().name().to_owned()).collect::<Vec<_>>(), ["second"]);
}

#[tokio::test(start_paused = true)]
async fn a_selector_is_left_by_a_deletion_of_a_living_object() // C25, C26
{
    let server = ApiServer::new();
    server.create(&config_map("default", "a", 1)).unwrap();
    server.create(&config_map("default", "b", 2)).unwrap();
    let labels: kube::core::Selector = [("value", "v1")].into_iter().collect();
    let factory = start(&server, CacheOptions::default().labels(labels));
    let informer = factory.informer_for_kind(&ConfigMap::kind_of()).unwrap();
    let folded = fold(&informer);
    informer.wait_for_sync().await.unwrap();
    assert_eq!(cached(&informer).len(), 1);
    server.update(&config_map("default", "a", 7)).unwrap();
    server.update(&config_map("default", "b", 1)).unwrap();
    seconds(1).await;
    assert_eq!(cached(&informer).into_keys().collect::<Vec<_>>(), ["default/b"]);
    assert_eq!(folded.lock().deletions, 1);
}

// === any order of faults ===

fn fault(random: &mut fastrand::Rng) -> Fault {
    let code = random.choice([403, 410, 429, 500, 503, 504]).unwrap_or(500);
    let few = random.u64(0..4);
    let corruption = match random.u8(0..3) {
        0 => Corruption::WrongType("metadata.labels".into()),
        1 => Corruption::NoMetadata,
        _ => Corruption::Truncated,
    };
    let fault = match random.u8(0..15) {
        0 => Fault::hang(),
        1 => Fault::delay(Duration::from_millis(random.u64(0..5000))),
        2 => Fault::refuse(),
        3 => Fault::cut_after_events(few),
        4 => Fault::end_after_events(few),
        5 => Fault::cut_after_bytes(random.u64(0..2000)),
        6 => Fault::duplicate(few),
        7 => Fault::error_event(few, code),
        8 => Fault::corrupt(corruption),
        9 => Fault::lag(Duration::from_millis(random.u64(0..3000))),
        10 => Fault::too_many_requests(random.u64(1..10)),
        11 => Fault::new(Action::Compact),
        12 => Fault::drop_answer(),
        _ => Fault::answer(code),
    };
    fault.of("configmaps").times(random.u32(1..4))
}

/// Writers, faults and readers drawn from `seed`; in the end, quiet, everything agrees.
async fn soak(seed: u64) {
    fastrand::seed(seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let server = ApiServer::builder().seed(seed).history(random.usize(5..200)).build();
    let mut options = CacheOptions::default().concurrent_lists(1);
    if random.bool() {
        options = options.namespaces(["default", "other"]);
    }
    if random.bool() {
        let kind = KindCacheOptions::default().page_size(random.u32(1..6));
        options = options.kind((*ConfigMap::kind_of()).clone(), kind);
    }
    if random.u8(0..3) == 0 {
        // A server without WatchList.
        server.inject(Fault::answer(422).on("watch").of("configmaps"));
    }
    let namespaces = ["default", "other"]
        .map(|name| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }));
    server.create(&namespaces[1]).unwrap();
    let factory = start(&server, options);
    let informer = factory.informer_for_kind(&ConfigMap::kind_of()).unwrap();
    let mut folded = vec![fold(&informer)];
    let mut script = Vec::new();
    for step in 0..120 {
        let namespace = random.choice(["default", "other"]).unwrap_or("default");
        let name = format!("m{}", random.u8(0..12));
        match random.u8(0..20) {
            0..8 => _ = server.apply(&config_map(namespace, &name, step)).unwrap(),
            8..12 => _ = server.delete("v1", "ConfigMap", namespace, &name),
            12..15 => {
                let fault = fault(&mut random);
                script.push(fault.to_string());
                server.inject(fault);
            }
            15 => server.cut_watches("configmaps"),
            16 => server.restart(),
            17 if random.u8(0..4) == 0 => folded.push(fold(&informer)),
            17 if random.u8(0..4) == 0 => informer.refresh(),
            18 if random.u8(0..3) == 0 => {
                // What is written while nobody has noticed yet would be taken for the old history.
                server.clear_faults();
                server.forget_last_writes(random.usize(1..10));
                namespaces.iter().for_each(|namespace| _ = server.apply(namespace).unwrap());
                seconds(700).await;
            }
            _ => tokio::time::sleep(Duration::from_millis(random.u64(0..20_000))).await,
        }
    }
    server.clear_faults();
    // Streams that were hit keep their fault until they end.
    server.cut_watches("configmaps");
    seconds(1500).await;
    let truth = truth(&server);
    let state = || format!("seed {seed}, status {:?}, faults {script:#?}", informer.status());
    assert_eq!(cached(&informer), truth, "{}", state());
    for folded in &folded {
        assert_eq!(folded.lock().rows, truth, "a handler lost or invented something; {}", state());
    }
    assert_eq!(informer.status().quarantined, 0, "{}", state());
    factory.stop();
}

#[tokio::test(start_paused = true)]
async fn after_any_faults_the_cache_is_the_server_and_every_handler_knows()
// C2, C3, C5, C6, C8, C10, C11, C12, C14, C19, C20
{
    // NAH_SEED=7 plays one again, NAH_SEEDS=1000 looks further.
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let seeds = match number("NAH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("NAH_SEEDS").unwrap_or(40),
    };
    for seed in seeds {
        println!("seed {seed}");
        soak(seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn many_kinds_share_a_factory_and_each_asks_once() // C29
{
    let server = ApiServer::new();
    let factory = start(&server, CacheOptions::default().concurrent_lists(2));
    let kinds = [
        ("", "v1", "ConfigMap"),
        ("", "v1", "Secret"),
        ("", "v1", "Pod"),
        ("", "v1", "Service"),
        ("", "v1", "Namespace"),
        ("", "v1", "Node"),
        ("apps", "v1", "Deployment"),
        ("batch", "v1", "Job"),
    ];
    let kinds = kinds.map(|(group, version, kind)| GroupVersionKind::gvk(group, version, kind));
    let all = kinds.iter().map(|gvk| factory.informer_for_kind(gvk).unwrap().wait_for_sync());
    futures::future::try_join_all(all).await.unwrap();
    seconds(1).await;
    let watches = server.journal().filter(|request| request.verb == "watch");
    assert_eq!(watches.len(), kinds.len());
    assert_eq!(factory.status().len(), kinds.len());
    let mut names = futures::stream::iter(factory.status()).map(|status| status.gvk.kind);
    assert_eq!(names.next().await.as_deref(), Some("ConfigMap"));
}
