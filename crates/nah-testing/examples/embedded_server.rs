//! An operator's view of the embedded server: a kind of its own, a watch, a fault, the journal.
//!
//! With `--serve` it also listens on loopback until it is stopped, and prints a kubeconfig for `kubectl`.

#![allow(clippy::print_stdout)]

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use kube_client::{
    Api, Error,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
    core::GroupVersionKind,
};
use nah_testing::{ApiServer, Fault};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = ApiServer::builder().garbage_collection(true).build();

    // What a test needs to be there goes in without a client.
    server.create(&json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "websites.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Website", "plural": "websites", "shortNames": ["web"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "required": ["url"], "properties": {"url": {"type": "string"}}},
                    "status": {"type": "object", "properties": {"ready": {"type": "boolean"}}},
                }}},
            }],
        },
    }))?;

    // The code under test gets an ordinary client.
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Website"));
    let sites: Api<DynamicObject> = Api::default_namespaced_with(server.client_for("example"), &kind);

    let wrong = DynamicObject::new("blog", &kind).data(json!({"spec": {"url": 7}}));
    if let Err(Error::Api(status)) = sites.create(&PostParams::default(), &wrong).await {
        println!("refused:  {}", status.message);
    }
    let start = server.version().to_string();
    let right = DynamicObject::new("blog", &kind).data(json!({"spec": {"url": "https://example.com"}}));
    sites.create(&PostParams::default(), &right).await?;
    let ready = Patch::Merge(json!({"status": {"ready": true}}));
    sites.patch_status("blog", &PatchParams::default(), &ready).await?;
    let moved = Patch::Merge(json!({"spec": {"url": "https://example.org"}}));
    sites.patch("blog", &PatchParams::default(), &moved).await?;

    // The first watch breaks off after two events; the second one goes on where that ended.
    server.inject(Fault::cut_after_events(2).of("websites"));
    let mut version = start;
    let mut seen = 0;
    while seen < 3 {
        let mut events = sites.watch(&WatchParams::default(), &version).await?.boxed();
        while seen < 3 {
            match events.try_next().await {
                Ok(Some(WatchEvent::Added(site) | WatchEvent::Modified(site))) => {
                    version = site.metadata.resource_version.clone().unwrap_or_default();
                    println!("seen:     {} {}", site.data["spec"], site.data["status"]);
                    seen += 1;
                }
                Ok(Some(other)) => println!("seen:     {other:?}"),
                Ok(None) => break,
                Err(error) => {
                    println!("broken:   {error}");
                    break;
                }
            }
        }
    }

    for request in server.journal().requests() {
        println!("journal:  {:3} {:6} {} {}", request.code, request.verb, request.path, request.query);
    }

    if std::env::args().any(|argument| argument == "--serve") {
        let listening = server.listen().await?;
        println!("{}", listening.kubeconfig());
        loop {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
        }
    }
    Ok(())
}
