//! Every way to write a callback: closures, async closures, functions with a context and an error of their own, structs.

use std::{sync::Arc, time::Duration};

use futures_core::future::BoxFuture;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use nah_backend::{
    KubeBackend,
    core::BoxError,
    prelude::*,
    watch::{Callback, CallbackResult, Ignore, Outcome, Requeue, Terminal, WatchError},
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

mod ground;

type Told = UnboundedSender<&'static str>;

fn closures(backend: &dyn Backend, gvk: &GroupVersionKind) -> Result<(), WatchError> {
    // Untyped, for a kind known at run time. Errors of any type go through `?`.
    backend.watcher_for_kind(gvk, "untyped", |change| async move {
        let number: u32 = change.key.name().trim_start_matches("style-").parse()?;
        println!("untyped: {number}");
        Ok(())
    })?;
    // Typed. `Ignore` counts as a success, `Terminal` is reported and not retried; what is returned goes on.
    backend.watcher("typed", |change: Change<ConfigMap>| async move {
        let Some(map) = change.object else { return Err(Ignore.into()) };
        if map.data.is_none() {
            return Err(Terminal("a map without data".into()).into());
        }
        Ok(map)
    })?;
    backend.watcher("chained", |change: Change<ConfigMap>| async move { Ok(change.object) })?;
    backend.watcher("async closure", async |change: Change<ConfigMap>| {
        println!("async closure: {}", change.key);
        Ok(Requeue(Duration::from_secs(3600)))
    })?;
    Ok(())
}

#[derive(Debug, thiserror::Error)]
#[error("nobody listens")]
struct NobodyListens;

/// A function with its context, and an error type of its own.
async fn own_error(told: Told, _: Change<ConfigMap>) -> Result<(), NobodyListens> {
    told.send("function").map_err(|_| NobodyListens)
}

async fn any_error(_: (), change: Change<ConfigMap>) -> anyhow::Result<Option<Arc<ConfigMap>>> {
    Ok(change.object)
}

fn functions(backend: &dyn Backend, told: Told) -> Result<(), WatchError> {
    backend.watcher_with("own error", told, own_error)?;
    backend.watcher_with("any error", (), any_error)?;
    Ok(())
}

struct Reconciler(Told);

impl Callback for Reconciler {
    fn call(&self, change: Change) -> BoxFuture<'_, CallbackResult<Outcome>> {
        Box::pin(async move {
            let change: Change<ConfigMap> = change.decode()?;
            println!("struct: {:?}", change.object.map(|map| map.data.clone()));
            self.0.send("struct")?;
            Ok(Outcome::default())
        })
    }
}

fn register(backend: &dyn Backend, told: &Told) -> Result<(), BoxError> {
    let gvk = ConfigMap::kind_of();
    closures(backend, &gvk)?;
    functions(backend, told.clone())?;
    backend.add_callback(&gvk, "struct", Arc::new(Reconciler(told.clone())))?;
    let twice = backend.add_callback(&gvk, "struct", Arc::new(Reconciler(told.clone())));
    println!("a name is unique: {}", twice.err().ok_or("registered twice")?);
    Ok(())
}

pub(crate) async fn run(client: Client) -> anyhow::Result<()> {
    let backend = KubeBackend::with_client(client).build();
    let (told, mut all_told) = unbounded_channel();
    register(&backend, &told).map_err(anyhow::Error::from_boxed)?;
    backend.start().await?;

    let map: ConfigMap = serde_json::from_value(serde_json::json!({
        "metadata": { "name": "style-1", "namespace": "default" }, "data": { "k": "v" },
    }))?;
    backend.create(&map).await?;
    for expected in ["function", "struct"] {
        anyhow::ensure!(
            all_told.recv().await == Some(expected),
            "callbacks run in the order of registration"
        );
    }
    backend.delete(&map).await?;
    backend.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

#[allow(dead_code)] // A test calls `run`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    run(ground::client().await?).await
}
