//! Program 7: nah-cache alone, under kube-rs's Controller: it reads the children and reports their changes.
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Client, ResourceExt,
    runtime::{Controller, controller::Action, reflector::ObjectRef, watcher},
};
use nah_cache::{
    CacheFactoryExt as _, CacheOptions, Event, FieldIndexerExt as _, Index, Informer, ListOptions, informers,
};
use nah_core::{Object, ObjectKey};
use std::{sync::Arc, time::Duration};

struct Context {
    pods: Informer<Pod>,
    by_node: Index<Pod>,
}
fn owner(event: Event) -> Option<ObjectRef<Deployment>> {
    let object: Object = match event {
        Event::Added { object, .. } | Event::Updated { new: object, .. } => object,
        Event::Deleted { last, .. } => last,
        _ => return None,
    };
    let key = object.controller_of::<Deployment>()?;
    Some(ObjectRef::new(key.name()).within(key.namespace()?))
}
async fn reconcile(
    deployment: Arc<Deployment>,
    context: Arc<Context>,
) -> Result<Action, nah_cache::CacheError> {
    let key = ObjectKey::from((deployment.namespace().unwrap_or_default(), deployment.name_any()));
    let on_node = context.pods.list(&ListOptions::default().by(&context.by_node, "node-1"))?;
    println!("{key}: {} pods on node-1", on_node.len());
    Ok(Action::await_change())
}
async fn run(client: Client) -> anyhow::Result<()> {
    let (factory, driver) = informers(client.clone(), CacheOptions::default());
    tokio::spawn(driver.for_each_concurrent(None, |task| async move { drop(tokio::spawn(task).await) }));
    let by_node = factory.index_path::<Pod>("spec.nodeName")?;
    let pods = factory.informer::<Pod>()?;
    pods.wait_for_sync().await?;
    let changes =
        pods.clone().typed::<Object>().subscribe()?.try_filter_map(|event| async { Ok(owner(event)) });
    Controller::new(Api::<Deployment>::all(client), watcher::Config::default())
        .reconcile_on(changes.filter_map(|key| async { key.ok() }))
        .run(
            reconcile,
            |_, _, _| Action::requeue(Duration::from_secs(5)),
            Arc::new(Context { pods, by_node }),
        )
        .for_each(|_| async {})
        .await;
    Ok(())
}
fn main() {
    let _ = run;
}
