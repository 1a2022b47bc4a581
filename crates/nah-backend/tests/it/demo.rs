//! The demo, small: over real HTTP on loopback, by a real clock.

use std::time::Duration;

use kube::{Api, api::PostParams};
use nah_backend::{Backend as _, KubeBackend};

#[path = "../../examples/demo/main.rs"]
mod program;

use program::{
    Arguments,
    ground::{Choice, Ground},
    operator::{Website, WebsiteSpec, install},
    verdict::differences,
};

#[tokio::test]
async fn ends_with_what_was_asked_for_and_leaves_nothing() {
    let arguments = Arguments {
        objects: 8,
        duration: Duration::from_millis(300),
        seed: 7,
        ground: Choice::Embedded,
        json: true,
    };
    let ground = Ground::prepare(&arguments.ground).await.unwrap();
    let report = program::demo(&arguments, &ground).await.unwrap();
    assert!(report.differences.is_empty(), "{:?}", report.differences);
    let report = serde_json::to_value(&report).unwrap();
    assert!(report["created"].as_u64() >= Some(8) && report["callbacks"].as_u64() >= Some(8), "{report}");
    let sites = Api::<Website>::namespaced(ground.client.clone(), &ground.namespace);
    assert!(sites.list(&Default::default()).await.unwrap().items.is_empty());
    ground.clean_up().await.unwrap();
}

#[tokio::test]
async fn tells_what_differs_from_what_was_asked_for() {
    let ground = Ground::prepare(&Choice::Embedded).await.unwrap();
    let backend = KubeBackend::with_client(ground.counted().unwrap()).namespaces([&ground.namespace]).build();
    install(&backend).unwrap();
    // Preloaded, so the cache is right, and nobody makes what the Website asks for.
    backend.preload().await.unwrap();
    let sites = Api::<Website>::namespaced(ground.client.clone(), &ground.namespace);
    let spec = WebsiteSpec { html: "x".into(), class: "blog".into(), replicas: 1 };
    sites.create(&PostParams::default(), &Website::new("site", spec)).await.unwrap();
    let found = differences(&ground, &backend).await.unwrap().join("\n");
    for missing in
        ["ConfigMap site does not hold its page", "Deployment site has None replicas", "was last seen at"]
    {
        assert!(found.contains(missing), "{found}");
    }
    backend.shutdown(Duration::from_secs(1)).await;
    ground.clean_up().await.unwrap();
}

#[tokio::test]
async fn names_the_kubeconfig_that_it_cannot_read() {
    let error = Ground::prepare(&Choice::Kubeconfig("/no/such/kubeconfig".into())).await.err().unwrap();
    assert!(error.to_string().contains("/no/such/kubeconfig"), "{error}");
}
