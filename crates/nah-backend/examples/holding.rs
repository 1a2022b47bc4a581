//! Who holds whom: a backend inside a struct whose methods are its callbacks, and how that cycle ends.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use nah_backend::{
    KubeBackend, WeakBackend,
    core::BoxError,
    prelude::*,
    watch::{RegistrationGuard, WatchError},
};
use tokio::sync::watch;

mod ground;

/// App holds the backend, the backend holds the callback: the callback holds the App weakly.
struct App {
    backend: Arc<dyn Backend>,
    seen: watch::Sender<usize>,
    callbacks: Mutex<Vec<RegistrationGuard>>,
}

impl App {
    fn watch(self: &Arc<Self>) -> Result<(), WatchError> {
        let registration =
            self.backend.watcher_with("app", Arc::downgrade(self), |app, change| async move {
                let Some(app) = app.upgrade() else { return Ok(()) };
                app.look(change).await
            })?;
        // Dropped with the App, and the callback with it.
        self.callbacks
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .push(registration.drop_guard());
        Ok(())
    }

    async fn look(&self, change: Change<ConfigMap>) -> Result<(), BoxError> {
        self.backend.get::<ConfigMap>(&change.key).await.optional()?;
        self.seen.send_modify(|seen| *seen += 1);
        Ok(())
    }
}

/// Holds the backend for good: `shutdown` drops every callback, which ends the cycle.
struct Service<B: Backend> {
    backend: B,
}

impl<B: Backend> Service<B> {
    fn watch(self: Arc<Self>) -> Result<(), WatchError> {
        self.backend.watcher_with("service", self.clone(), Self::on_config).map(drop)
    }

    async fn on_config(self: Arc<Self>, change: Change<ConfigMap>) -> Result<(), nah_backend::client::Error> {
        self.backend.get::<ConfigMap>(&change.key).await.optional().map(drop)
    }
}

/// A plain function that must not keep the backend alive.
fn watch_weakly(backend: &KubeBackend) -> Result<(), WatchError> {
    async fn on_config(
        backend: WeakBackend,
        change: Change<ConfigMap>,
    ) -> Result<(), nah_backend::client::Error> {
        let Some(backend) = backend.upgrade() else { return Ok(()) };
        backend.get::<ConfigMap>(&change.key).await.optional().map(drop)
    }
    backend.watcher_with("weak", backend.downgrade(), on_config).map(drop)
}

pub(crate) async fn run(client: Client) -> anyhow::Result<()> {
    let backend = KubeBackend::with_client(client).build();
    let app = Arc::new(App {
        backend: Arc::new(backend.clone()),
        seen: watch::Sender::new(0),
        callbacks: Mutex::default(),
    });
    app.watch()?;
    Arc::new(Service { backend: backend.clone() }).watch()?;
    watch_weakly(&backend)?;
    backend.start().await?;

    let map: ConfigMap = serde_json::from_value(
        serde_json::json!({ "metadata": { "name": "holding", "namespace": "default" } }),
    )?;
    backend.create(&map).await?;
    app.seen.subscribe().wait_for(|seen| *seen > 0).await?;
    backend.delete(&map).await?;
    println!("the callback has seen {} changes", *app.seen.borrow());

    let weak = backend.downgrade();
    backend.shutdown(Duration::from_secs(5)).await;
    anyhow::ensure!(weak.upgrade().is_none(), "after a shutdown nobody gets the backend back");
    let weak = Arc::downgrade(&app);
    drop(app);
    anyhow::ensure!(weak.upgrade().is_none(), "no callback keeps the App alive");
    Ok(())
}

#[allow(dead_code)] // A test calls `run`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    run(ground::client().await?).await
}
