//! The cache against a real kube-apiserver. Not run by default: NAH_CONTROL_PLANE names the directory that
//! `cargo xtask control-plane --build` has filled.

use std::{collections::BTreeMap, path::Path, time::Duration};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Config,
    api::{DeleteParams, DynamicObject, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::ApiResource,
};
use nah_cache::{
    CacheFactory, CacheFactoryExt, CacheOptions, Informer, InformerFactory, ListOptions, informers,
};
use nah_core::GroupVersionKind;
use nah_testing::{ControlPlane, ControlPlaneOptions};
use serde_json::{Value, json};

type Rows = BTreeMap<String, String>;

async fn ground(options: ControlPlaneOptions) -> ControlPlane {
    let binaries = std::env::var_os("NAH_CONTROL_PLANE").expect("NAH_CONTROL_PLANE names a control plane");
    ControlPlane::start(binaries, options).await.expect("a control plane")
}

async fn client(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

fn start(client: &Client) -> InformerFactory {
    let (factory, driver) = informers(client.clone(), CacheOptions::default());
    tokio::spawn(driver.run());
    factory
}

fn object(value: Value) -> ConfigMap {
    serde_json::from_value(value).unwrap()
}

fn config_map(name: &str, value: &str) -> ConfigMap {
    object(json!({ "metadata": { "name": name }, "data": { "value": value } }))
}

async fn truth(api: &Api<ConfigMap>) -> Rows {
    let list = api.list(&Default::default()).await.unwrap();
    list.into_iter().map(|map| (map.metadata.name.unwrap(), map.metadata.resource_version.unwrap())).collect()
}

fn cached(informer: &Informer<ConfigMap>) -> Rows {
    let list = informer.list(&ListOptions::default().in_namespace("default")).unwrap();
    let row = |object: &nah_core::Object| {
        (object.key().name().to_owned(), object.resource_version().unwrap().to_string())
    };
    list.handles().map(row).collect()
}

/// Waits until the cache is the server, in real time: there is no other here.
async fn agrees(informer: &Informer<ConfigMap>, api: &Api<ConfigMap>) {
    let truth = truth(api).await;
    for _ in 0..600 {
        if cached(informer) == truth {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(cached(informer), truth, "{:?}", informer.status());
}

async fn fill(api: &Api<ConfigMap>, from: usize, to: usize) {
    let creates =
        (from..to).map(|index| {
            let api = api.clone();
            async move {
                api.create(&PostParams::default(), &config_map(&format!("m{index}"), "1")).await.map(drop)
            }
        });
    futures::future::try_join_all(creates).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a control plane"]
async fn follows_a_real_server_through_restarts_and_a_restored_backup() // C4, C8, C10, C14, C21
{
    let ground = ground(ControlPlaneOptions::default()).await;
    let client = client(ground.kubeconfig()).await;
    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
    fill(&api, 0, 50).await;
    let factory = start(&client);
    let informer = factory.informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    agrees(&informer, &api).await;

    api.replace("m1", &PostParams::default(), &config_map("m1", "2")).await.unwrap();
    api.delete("m2", &DeleteParams::default()).await.unwrap();
    agrees(&informer, &api).await;

    ground.kill_server().await.unwrap();
    ground.start_server().await.unwrap();
    api.delete("m3", &DeleteParams::default()).await.unwrap();
    agrees(&informer, &api).await;

    ground.stop_server().await.unwrap();
    ground.compact().await.unwrap();
    ground.start_server().await.unwrap();
    api.delete("m4", &DeleteParams::default()).await.unwrap();
    agrees(&informer, &api).await;

    ground.backup().await.unwrap();
    fill(&api, 100, 110).await;
    api.delete("m5", &DeleteParams::default()).await.unwrap();
    agrees(&informer, &api).await;
    let before = informer.observed(None).unwrap();
    ground.restore().await.unwrap();
    agrees(&informer, &api).await;
    assert!(informer.get(&("default", "m5").into()).unwrap().is_some());
    assert!(informer.observed(None).unwrap().compare(&before).unwrap().is_lt());
    fill(&api, 200, 203).await;
    agrees(&informer, &api).await;
    factory.stop();
    ground.shutdown().await.unwrap();
}

#[tokio::test]
#[ignore = "needs a control plane"]
async fn a_real_crd_comes_alive_and_a_refusal_is_shown() // C6, G14
{
    let ground = ground(ControlPlaneOptions::default()).await;
    let client = client(ground.kubeconfig()).await;
    let widget = GroupVersionKind::gvk("example.com", "v1", "Widget");
    let factory = start(&client);
    let informer = factory.informer_for_kind(&widget).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(informer.status().last_error.unwrap().contains("does not serve Widget"));
    let dynamic = |gvk: &GroupVersionKind, plural: &str, value: Value| {
        let resource = ApiResource::from_gvk_with_plural(gvk, plural);
        (resource, serde_json::from_value::<DynamicObject>(value).unwrap())
    };
    let schema =
        json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
    let crd = json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.example.com" },
        "spec": { "group": "example.com", "scope": "Cluster", "names": { "plural": "widgets", "kind": "Widget" },
                  "versions": [{ "name": "v1", "served": true, "storage": true, "schema": schema }] } });
    let gvk = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let (resource, crd) = dynamic(&gvk, "customresourcedefinitions", crd);
    Api::<DynamicObject>::all_with(client.clone(), &resource)
        .create(&PostParams::default(), &crd)
        .await
        .unwrap();
    informer.wait_for_sync().await.unwrap();
    let value = json!({ "apiVersion": "example.com/v1", "kind": "Widget", "metadata": { "name": "w" } });
    let (resource, object) = dynamic(&widget, "widgets", value);
    Api::<DynamicObject>::all_with(client, &resource).create(&PostParams::default(), &object).await.unwrap();
    for _ in 0..100 {
        if informer.status().objects == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(informer.get(&nah_core::ObjectKey::cluster("w")).unwrap().is_some());

    let outsider = self::client(ground.outsider_kubeconfig()).await;
    let refused = start(&outsider);
    let informer = refused.informer::<ConfigMap>().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let error = informer.status().last_error.unwrap();
    assert!(error.contains("403") && error.contains("outsider"), "{error}");
    refused.stop();
    factory.stop();
    ground.shutdown().await.unwrap();
}

#[tokio::test]
#[ignore = "needs a control plane"]
async fn follows_servers_without_streaming_lists_or_watch_cache() // C1, C2, C22
{
    for argument in ["--feature-gates=WatchList=false", "--watch-cache=false"] {
        let ground = ground(ControlPlaneOptions::default().with_argument(argument)).await;
        let client = client(ground.kubeconfig()).await;
        let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
        fill(&api, 0, 600).await;
        let factory = start(&client);
        let informer = factory.informer::<ConfigMap>().unwrap();
        informer.wait_for_sync().await.unwrap();
        agrees(&informer, &api).await;
        fill(&api, 600, 620).await;
        agrees(&informer, &api).await;
        ground.kill_server().await.unwrap();
        ground.start_server().await.unwrap();
        api.delete("m4", &DeleteParams::default()).await.unwrap();
        agrees(&informer, &api).await;
        factory.stop();
        ground.shutdown().await.unwrap();
    }
}
