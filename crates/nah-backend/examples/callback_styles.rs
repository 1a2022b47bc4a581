//! Program 8: every way to write a callback.
use futures_core::future::BoxFuture;
use k8s_openapi::api::core::v1::ConfigMap;
use nah_backend::{
    core::BoxError,
    prelude::*,
    watch::{Callback, CallbackResult, Ignore, Outcome, Terminal},
};

fn closures(backend: &dyn Backend, gvk: &GroupVersionKind) -> Result<(), BoxError> {
    backend.watcher_for_kind(gvk, "a", |change| async move {
        let number: u32 = change.key.name().parse()?;
        println!("{number}");
        Ok(())
    })?;
    backend.watcher("typed", |change: Change<ConfigMap>| async move {
        let Some(map) = change.object else { return Err(Ignore.into()) };
        if map.data.is_none() {
            return Err(Terminal("no data".into()).into());
        }
        Ok(map)
    })?;
    backend.watcher("chained", |change: Change<ConfigMap>| async move { Ok(change.object) })?;
    backend.watcher("async closure", async |change: Change<ConfigMap>| {
        println!("{}", change.key);
        Ok(())
    })?;
    Ok(())
}
#[derive(Debug, thiserror::Error)]
#[error("mine")]
struct Mine;
async fn own_error(_: (), _: Change<ConfigMap>) -> Result<(), Mine> {
    Err(Mine)
}
async fn any_error(_: (), change: Change<ConfigMap>) -> anyhow::Result<Option<std::sync::Arc<ConfigMap>>> {
    Ok(change.object)
}
fn functions(backend: &dyn Backend) -> Result<(), BoxError> {
    backend.watcher_with("own", (), own_error)?;
    backend.watcher_with("any", (), any_error)?;
    Ok(())
}
struct Reconciler;
impl Callback for Reconciler {
    fn call(&self, change: Change) -> BoxFuture<'_, CallbackResult<Outcome>> {
        Box::pin(async move {
            let change: Change<ConfigMap> = change.decode()?;
            println!("{:?}", change.object.map(|map| map.data.clone()));
            Ok(Outcome::default())
        })
    }
}
fn structs(backend: &dyn Backend, gvk: &GroupVersionKind) -> Result<(), BoxError> {
    backend.add_callback(gvk, "struct", std::sync::Arc::new(Reconciler))?;
    Ok(())
}
fn main() {
    let _ = (closures, functions, structs);
}
