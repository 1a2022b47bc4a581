//! The example that feeds a `kube_runtime::Controller`, run.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::DeleteParams};
use nah_testing::ApiServer;
use tokio::{sync::mpsc::unbounded_channel, time::timeout};

#[path = "../../examples/cache_only.rs"]
#[allow(dead_code, reason = "its main is not called")]
mod cache_only;

use cache_only::{Feed, pod, run, seed};

async fn check(feed: Feed) {
    let server = ApiServer::new();
    let web = seed(&server).expect("created");
    let (reports, mut reported) = unbounded_channel();
    let controller = tokio::spawn(run(server.client(), feed, reports));
    let mut until = async |expected: &str| {
        let heard = async {
            while let Some(report) = reported.recv().await {
                if report == expected {
                    return;
                }
            }
            panic!("the controller ended");
        };
        timeout(Duration::from_secs(60), heard).await.expect(expected);
    };
    until("web: 3 pods, 2 of them on node-1").await;
    server.create(&pod("web-4", "node-1", &web)).expect("created");
    until("web: 4 pods, 3 of them on node-1").await;
    // At once, as a kubelet would in the end.
    let pods = Api::<Pod>::namespaced(server.client(), "default");
    pods.delete("web-1", &DeleteParams::default().grace_period(0)).await.expect("deleted");
    until("web: 3 pods, 2 of them on node-1").await;
    let journal = server.journal();
    assert_eq!(journal.count("watch", "pods"), 1, "the children are watched once: {journal:?}");
    assert!(journal.count("list", "pods") <= 1, "{journal:?}");
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn a_controller_of_kube_learns_of_its_children_from_our_informer() // B1, B4, F12
{
    check(Feed::Owner).await;
}

#[tokio::test(start_paused = true)]
async fn a_controller_does_so_with_stable_features_alone() // B1, B4, F12
{
    check(Feed::Everyone).await;
}
