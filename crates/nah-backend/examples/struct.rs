//! Program 3: a backend in a struct, as a trait object and by parameter, with callbacks that hold the struct.
use k8s_openapi::api::core::v1::ConfigMap;
use nah_backend::{KubeBackend, WeakBackend, core::BoxError, prelude::*, watch::RegistrationGuard};
use std::sync::{Arc, Mutex};

struct App {
    backend: Arc<dyn Backend>,
    callbacks: Mutex<Vec<RegistrationGuard>>,
}
impl App {
    /// The cycle App -> backend -> callback -> App is broken by the guard's owner holding a Weak.
    fn watch(self: &Arc<Self>) -> Result<(), BoxError> {
        let app = Arc::downgrade(self);
        let registration =
            self.backend.watcher_with("c", app, |app, change: Change<ConfigMap>| async move {
                let Some(app) = app.upgrade() else { return Ok(()) };
                app.backend.get::<ConfigMap>(&change.key).await?;
                Ok::<_, BoxError>(())
            })?;
        self.callbacks.lock().unwrap().push(registration.drop_guard());
        Ok(())
    }
}
struct Generic<B: Backend> {
    backend: B,
}
impl<B: Backend> Generic<B> {
    fn watch(self: Arc<Self>) -> Result<(), BoxError> {
        self.backend.watcher_with("g", self.clone(), Self::on_config)?;
        Ok(())
    }
    async fn on_config(self: Arc<Self>, change: Change<ConfigMap>) -> Result<(), nah_backend::client::Error> {
        self.backend.get::<ConfigMap>(&change.key).await?;
        Ok(())
    }
}
/// A callback that must not keep the backend alive.
fn weakly(backend: &KubeBackend) -> Result<(), BoxError> {
    async fn run(backend: WeakBackend, change: Change<ConfigMap>) -> Result<(), nah_backend::client::Error> {
        let Some(backend) = backend.upgrade() else { return Ok(()) };
        backend.get::<ConfigMap>(&change.key).await?;
        Ok(())
    }
    backend.watcher_with("w", backend.downgrade(), run)?;
    Ok(())
}
fn main() {
    let _ = (App::watch, Generic::<Arc<dyn Backend>>::watch, weakly);
}
