//! The server that is written to and watched: embedded, or a real one.

use std::{path::Path, time::Duration};

use kube::{
    Api, Client, Config,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::ApiResource,
};
use nah_testing::{ApiServer, ControlPlane, ControlPlaneOptions, Fault};
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    folded::Rows,
    kinds::{NAMESPACES, Sort, definition, namespace},
};

pub(crate) enum Ground {
    Embedded(ApiServer),
    Real(Box<ControlPlane>, Client),
}

/// How long a real server may take over something.
const PATIENCE: u32 = 600;

impl Ground {
    /// A control plane of its own, for versions that go back spoil it for others.
    pub(crate) async fn real(binaries: &Path) -> Self {
        let options = ControlPlaneOptions::default().with_controllers();
        let plane = ControlPlane::start(binaries, options).await.expect("a control plane");
        let kubeconfig = Kubeconfig::read_from(plane.kubeconfig()).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let client = Client::try_from(config.expect("a config")).expect("a client");
        Self::Real(Box::new(plane), client)
    }

    pub(crate) fn client(&self) -> Client {
        match self {
            Self::Embedded(server) => server.client(),
            Self::Real(_, client) => client.clone(),
        }
    }

    /// Namespaces, and the definition where it is `wanted`. What is there already is not written again.
    pub(crate) async fn repair(&self, wanted: bool) {
        for name in NAMESPACES {
            self.put(&namespace(name), "namespaces").await;
        }
        if wanted {
            self.define(true).await;
        }
    }

    pub(crate) async fn define(&self, wanted: bool) {
        match wanted {
            true => self.put(&definition(), "customresourcedefinitions").await,
            false => {
                self.remove(&definition(), "customresourcedefinitions").await;
            }
        }
    }

    /// Writes an object, unless the server will not have it.
    pub(crate) async fn put(&self, object: &Value, plural: &str) {
        match self {
            Self::Embedded(server) => drop(server.apply(object)),
            Self::Real(_, client) => {
                let (api, object) = api(client, object, plural);
                let name = object.metadata.name.clone().unwrap_or_default();
                drop(api.patch(&name, &PatchParams::apply("soak").force(), &Patch::Apply(&object)).await);
            }
        }
    }

    pub(crate) async fn remove(&self, object: &Value, plural: &str) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        match self {
            Self::Embedded(server) => drop(server.delete(
                &text(&object["apiVersion"]),
                &text(&object["kind"]),
                &text(&metadata["namespace"]),
                &text(&metadata["name"]),
            )),
            Self::Real(_, client) => {
                let (api, object) = api(client, object, plural);
                drop(api.delete(&object.metadata.name.unwrap_or_default(), &DeleteParams::default()).await);
            }
        }
    }

    /// What the server has, of the front tier only where that is all that is cached.
    pub(crate) async fn truth(&self, sort: Sort, front_only: bool) -> Rows {
        let objects: Vec<Value> = match self {
            Self::Embedded(server) => {
                let gvk = sort.gvk();
                server
                    .list(&gvk.api_version(), &gvk.kind)
                    .unwrap_or_else(|error| panic!("{sort:?}: {error:?}"))
            }
            Self::Real(_, client) => {
                let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource(sort));
                let list = api.list(&ListParams::default()).await.expect("a server that is quiet");
                list.items.into_iter().map(|object| serde_json::to_value(object).expect("JSON")).collect()
            }
        };
        let text =
            |object: &Value, field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let cached = |object: &&Value| !front_only || object["metadata"]["labels"]["tier"] == "front";
        let row = |object: &Value| {
            let (namespace, name) = (text(object, "namespace"), text(object, "name"));
            let key = if namespace.is_empty() { name } else { format!("{namespace}/{name}") };
            (key, (text(object, "uid"), text(object, "resourceVersion")))
        };
        objects.iter().filter(cached).map(row).collect()
    }

    pub(crate) fn fault(&self, fault: &Fault) {
        if let Self::Embedded(server) = self {
            server.inject(fault.clone());
        }
    }

    pub(crate) fn cut(&self, sort: Sort) {
        if let Self::Embedded(server) = self {
            server.cut_watches(sort.plural());
        }
    }

    pub(crate) async fn restart(&self) {
        match self {
            Self::Embedded(server) => server.restart(),
            Self::Real(plane, _) => {
                plane.kill_server().await.expect("a server");
                plane.start_server().await.expect("a server");
            }
        }
    }

    pub(crate) async fn away(&self, time: Duration) {
        match self {
            Self::Embedded(server) => {
                server.refuse_connections(true);
                server.cut_watches("");
                sleep(time).await;
                server.refuse_connections(false);
            }
            Self::Real(plane, _) => {
                plane.freeze_server().await.expect("a server");
                sleep(time).await;
                plane.thaw_server().await.expect("a server");
            }
        }
    }

    pub(crate) async fn compact(&self) {
        match self {
            Self::Embedded(server) => server.compact(),
            Self::Real(plane, _) => plane.compact().await.expect("a server"),
        }
    }

    pub(crate) async fn backup(&self) {
        if let Self::Real(plane, _) = self {
            plane.backup().await.expect("a backup");
        }
    }

    /// Goes back, and waits until everybody must have noticed: what is written before that would be taken for the old
    /// history.
    pub(crate) async fn restore(&self, writes: usize) {
        match self {
            Self::Embedded(server) => {
                server.clear_faults();
                server.forget_last_writes(writes);
                sleep(Duration::from_secs(700)).await;
            }
            Self::Real(plane, _) => {
                plane.restore().await.expect("a backup");
                sleep(Duration::from_secs(45)).await;
            }
        }
    }

    /// No fault any more, and every kind is served.
    pub(crate) async fn calm(&self) {
        match self {
            Self::Embedded(server) => {
                server.clear_faults();
                self.repair(true).await;
                // Streams that were hit keep their fault until they end.
                server.cut_watches("");
                sleep(Duration::from_secs(1500)).await;
            }
            Self::Real(_, client) => {
                let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource(Sort::Widget));
                for _ in 0..PATIENCE {
                    self.repair(true).await;
                    if api.list(&ListParams::default()).await.is_ok() {
                        return;
                    }
                    sleep(Duration::from_millis(100)).await;
                }
                panic!("the server does not come to rest");
            }
        }
    }

    /// How often to look whether all agrees.
    pub(crate) fn looks(&self) -> u32 {
        if matches!(self, Self::Embedded(_)) { 1 } else { PATIENCE }
    }

    pub(crate) async fn end(self) {
        if let Self::Real(plane, _) = self {
            plane.shutdown().await.expect("an end");
        }
    }
}

fn resource(sort: Sort) -> ApiResource {
    ApiResource::from_gvk_with_plural(&sort.gvk(), sort.plural())
}

fn api(client: &Client, object: &Value, plural: &str) -> (Api<DynamicObject>, DynamicObject) {
    let object: DynamicObject = serde_json::from_value(object.clone()).expect("an object");
    let types = object.types.clone().expect("a kind");
    let gvk = kube::core::GroupVersionKind::try_from(&types).expect("a kind");
    let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
    let api = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    (api, object)
}
