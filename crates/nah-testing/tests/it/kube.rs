//! Through kube's own client.

use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod},
};
use kube_client::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
};
use nah_testing::ApiServer;
use serde_json::{from_value, json};

use crate::support::{deployment, map, pod};

async fn round(client: Client) {
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let created = maps.create(&PostParams::default(), &from_value(map("a")).unwrap()).await.unwrap();
    let mut events = maps.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    assert!(matches!(events.try_next().await.unwrap(), Some(WatchEvent::Added(_))));
    let mut changed = created.clone();
    changed.data = Some([("x".to_owned(), "y".to_owned())].into());
    let replaced = maps.replace("a", &PostParams::default(), &changed).await.unwrap();
    assert!(
        matches!(events.try_next().await.unwrap(), Some(WatchEvent::Modified(found)) if found == replaced)
    );
    let stale = maps.replace("a", &PostParams::default(), &created).await.unwrap_err();
    assert!(
        matches!(stale, kube_client::Error::Api(status) if status.code == 409 && status.reason == "Conflict")
    );
    assert_eq!(maps.list(&ListParams::default()).await.unwrap().items.len(), 1);
    assert!(maps.get_opt("b").await.unwrap().is_none());
    let deleted = maps.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(deleted.right().unwrap().is_success());
    assert!(matches!(events.try_next().await.unwrap(), Some(WatchEvent::Deleted(_))));

    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    pods.create(&PostParams::default(), &from_value(pod("p", Some("n"))).unwrap()).await.unwrap();
    let pod = pods.delete("p", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert!(pod.metadata.deletion_timestamp.is_some());

    let deployments: Api<Deployment> = Api::default_namespaced(client);
    deployments.create(&PostParams::default(), &from_value(deployment("d")).unwrap()).await.unwrap();
    let patch = Patch::Merge(json!({"spec": {"replicas": 3}}));
    let scale = deployments.patch_scale("d", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(3));
    let metadata = deployments.get_metadata("d").await.unwrap();
    assert_eq!(metadata.metadata.generation, Some(2));
    let list = deployments.list_metadata(&ListParams::default()).await.unwrap();
    assert_eq!(list.items.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn kube_works_in_process() {
    round(ApiServer::new().client()).await;
}

#[tokio::test]
async fn kube_works_over_a_socket() {
    let server = ApiServer::new();
    let listening = server.listen().await.unwrap();
    round(Client::try_from(listening.config()).unwrap()).await;
    listening.close().await;
}

#[tokio::test(start_paused = true)]
async fn streaming_lists_of_kube_work() {
    let server = ApiServer::new();
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client());
    for name in ["a", "b"] {
        server.create(&map(name)).unwrap();
    }
    let params = WatchParams::default().initial_events();
    let mut events = maps.watch(&params, "0").await.unwrap().boxed();
    let mut added = 0;
    loop {
        match events.try_next().await.unwrap().unwrap() {
            WatchEvent::Added(_) => added += 1,
            WatchEvent::Bookmark(bookmark) => {
                assert_eq!(bookmark.metadata.annotations["k8s.io/initial-events-end"], "true");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(added, 2);
}
