//! What the tests stand on: a server, a backend, objects, and a callback that records.

use std::{
    sync::{Arc, Once},
    time::Duration,
};

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use nah_backend::{KubeBackend, Shutdown, StartError, core::Causes, prelude::*, watch::Registration};
use nah_testing::ApiServer;
use serde_json::json;
use tokio::{
    sync::{
        Semaphore,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    },
    task::JoinHandle,
    time::{Instant, timeout},
};
use tracing::{
    Subscriber,
    subscriber::{DefaultGuard, set_default, set_global_default},
};
use tracing_subscriber::Registry;

/// Longer than anything takes that ends. The clock is paused, so it is no wait.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// A server in this process and a backend on it that has not been started.
pub(crate) fn ground() -> (ApiServer, KubeBackend) {
    let server = ApiServer::new();
    let backend = KubeBackend::with_client(server.client()).build();
    (server, backend)
}

pub(crate) fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({ "metadata": { "name": name, "namespace": "default" } })).unwrap()
}

pub(crate) fn map_with(name: &str, value: &str) -> ConfigMap {
    ConfigMap { data: Some([("k".into(), value.into())].into()), ..map(name) }
}

pub(crate) fn pod(name: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "default" },
        "spec": { "containers": [{ "name": "c", "image": "i" }] },
    }))
    .unwrap()
}

/// What a recording callback was told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) name: String,
    /// The value of `data.k`; none without an object.
    pub(crate) value: Option<String>,
    pub(crate) has_object: bool,
    pub(crate) last_known: Option<Object>,
    pub(crate) causes: Causes,
    pub(crate) failures: u32,
    pub(crate) certain: bool,
    pub(crate) at: Instant,
}

impl Told {
    pub(crate) fn of(change: &Change<ConfigMap>) -> Self {
        let value = change.object.as_ref().and_then(|map| map.data.as_ref()?.get("k").cloned());
        Self {
            name: change.key.name().into(),
            value,
            has_object: change.object.is_some(),
            last_known: change.last_known.clone(),
            causes: change.causes,
            failures: change.failures,
            certain: change.certain,
            at: Instant::now(),
        }
    }
}

/// Registers a callback for ConfigMaps of the default namespace that records and succeeds.
pub(crate) fn record(backend: &KubeBackend, name: &str) -> (Registration, UnboundedReceiver<Told>) {
    let (tell, told) = unbounded_channel();
    let registration = backend.watcher_with(name, Arc::new(tell), recorded).unwrap();
    (registration, told)
}

async fn recorded(
    tell: Arc<UnboundedSender<Told>>,
    change: Change<ConfigMap>,
) -> Result<(), std::convert::Infallible> {
    let _ = tell.send(Told::of(&change));
    Ok(())
}

/// The next thing told. The clock is paused, so the limit is no wait.
pub(crate) async fn next(told: &mut UnboundedReceiver<Told>) -> Told {
    timeout(LONG, told.recv()).await.expect("nothing was told").expect("ended")
}

/// Nothing more is told within `limit`.
pub(crate) async fn silent(told: &mut UnboundedReceiver<Told>, limit: Duration) {
    if let Ok(Some(told)) = timeout(limit, told.recv()).await {
        panic!("told {told:?}");
    }
}

/// Listens to what this thread traces. Somebody listens in the whole process first, and to everything: where nobody
/// did, a span or event that another thread meets for the first time would be taken for one that nobody ever wants.
pub(crate) fn listen(subscriber: impl Subscriber + Send + Sync + 'static) -> DefaultGuard {
    static EVERYWHERE: Once = Once::new();
    EVERYWHERE.call_once(|| set_global_default(Registry::default()).unwrap());
    set_default(subscriber)
}

/// A start that is under way.
pub(crate) fn starting(backend: &KubeBackend) -> JoinHandle<Result<(), StartError>> {
    let backend = backend.clone();
    tokio::spawn(async move { backend.start().await })
}

/// A pause that is under way.
pub(crate) fn pausing(backend: &KubeBackend) -> JoinHandle<()> {
    let backend = backend.clone();
    tokio::spawn(async move { backend.pause().await })
}

/// A shutdown that is under way.
pub(crate) fn ending(backend: &KubeBackend, grace: Duration) -> JoinHandle<Shutdown> {
    let backend = backend.clone();
    tokio::spawn(async move { backend.shutdown(grace).await })
}

/// Where callbacks wait until they are let go.
#[derive(Clone)]
pub(crate) struct Gate(Arc<(Semaphore, Semaphore)>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new((Semaphore::new(0), Semaphore::new(0))))
    }

    /// A callback for ConfigMaps that goes through a gate and succeeds.
    pub(crate) fn hold(backend: &KubeBackend) -> Self {
        let gate = Self::new();
        let inside = gate.clone();
        backend
            .watcher("held", move |_: Change<ConfigMap>| {
                let gate = inside.clone();
                async move {
                    gate.pass().await;
                    Ok(())
                }
            })
            .unwrap();
        gate
    }

    /// A backend that has been started, with one callback at such a gate, for the ConfigMap `a`.
    pub(crate) async fn taken(backend: &KubeBackend) -> Self {
        let gate = Self::hold(backend);
        backend.start().await.unwrap();
        backend.create(&map("a")).await.unwrap();
        gate.entered().await;
        gate
    }

    /// Inside a callback: tells that it has come this far, and waits.
    pub(crate) async fn pass(&self) {
        self.0.0.add_permits(1);
        self.0.1.acquire().await.unwrap().forget();
    }

    /// Waits until one more callback has come to the gate.
    pub(crate) async fn entered(&self) {
        timeout(LONG, self.came()).await.expect("nobody came");
    }

    /// The same without a limit.
    pub(crate) async fn came(&self) {
        self.0.0.acquire().await.unwrap().forget();
    }

    /// Lets one callback go.
    pub(crate) fn open(&self) {
        self.0.1.add_permits(1);
    }
}
