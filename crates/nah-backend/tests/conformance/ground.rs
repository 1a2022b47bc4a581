//! The grounds: an API server, embedded or real, and what can be done to it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::{Context, Result};
use http::Method;
use kube::{
    Client,
    client::Body,
    config::{Config, KubeConfigOptions, Kubeconfig},
};
use nah_testing::{ApiServer, ControlPlane, ControlPlaneOptions, Fault, FaultId, Listening};
use parking_lot::Mutex;
use serde_json::json;

use crate::{fixtures::eventually, world::World};

/// An API server to stand on, shared by all scenarios of a run.
pub(crate) enum Ground {
    /// The one of nah-testing, over HTTP on loopback.
    Embedded(Box<Embedded>),
    /// kube-apiserver and etcd.
    Real(Box<ControlPlane>),
}

/// The embedded ground.
pub(crate) struct Embedded {
    server: ApiServer,
    listening: Listening,
    /// Its version at the last backup.
    backup: AtomicU64,
    /// What the outsider may do, by namespace and collection: nothing, as long as a fault says so.
    rights: Mutex<HashMap<(String, String), Option<FaultId>>>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    Admin,
    /// Somebody without any right.
    Outsider,
}

impl Ground {
    pub(crate) async fn embedded() -> Result<Self> {
        let server = ApiServer::new();
        let listening = server.listen().await?;
        Ok(Self::Embedded(Box::new(Embedded {
            server,
            listening,
            backup: AtomicU64::default(),
            rights: Mutex::default(),
        })))
    }

    /// Starts a control plane from a directory of binaries.
    pub(crate) async fn real(binaries: &Path) -> Result<Self> {
        let plane = ControlPlane::start(binaries, ControlPlaneOptions::default().with_controllers()).await?;
        Ok(Self::Real(Box::new(plane)))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Embedded(_) => "embedded",
            Self::Real(_) => "real",
        }
    }

    /// The address of the API server.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        let url = match self {
            Self::Embedded(embedded) => embedded.listening.url(),
            Self::Real(plane) => plane.url().to_owned(),
        };
        let address = url.rsplit_once("//").context("an address without a scheme")?.1;
        Ok(address.trim_end_matches('/').parse()?)
    }

    /// How a user reaches the API server.
    pub(crate) async fn config(&self, user: User) -> Result<Config> {
        let mut config = match self {
            Self::Embedded(embedded) => Config::new(embedded.listening.url().parse()?),
            Self::Real(plane) => {
                let kubeconfig = Kubeconfig::read_from(match user {
                    User::Admin => plane.kubeconfig(),
                    User::Outsider => plane.outsider_kubeconfig(),
                })?;
                Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?
            }
        };
        // What is asked and how often is what is looked at; kube's own repetitions would hide it.
        config.default_retry = false;
        config.read_timeout = None;
        Ok(config)
    }

    /// Ends the server with all its connections, and starts it again at the same address.
    pub(crate) async fn restart(&self) -> Result<()> {
        match self {
            Self::Embedded(embedded) => embedded.server.restart(),
            Self::Real(plane) => {
                plane.kill_server().await?;
                plane.start_server().await?;
            }
        }
        Ok(())
    }

    /// Makes every version but the newest too old (410); the connections end too.
    pub(crate) async fn forget_history(&self) -> Result<()> {
        match self {
            Self::Embedded(embedded) => {
                embedded.server.compact();
                embedded.server.restart();
            }
            Self::Real(plane) => {
                plane.compact().await?;
                // kube-apiserver answers from its own memory of recent events as long as it lives.
                plane.kill_server().await?;
                plane.start_server().await?;
            }
        }
        Ok(())
    }

    /// Keeps what is stored, to be brought back by [`restore`](Self::restore).
    pub(crate) async fn backup(&self) -> Result<()> {
        match self {
            Self::Embedded(embedded) => embedded.backup.store(embedded.server.version(), Ordering::Relaxed),
            Self::Real(plane) => plane.backup().await?,
        }
        Ok(())
    }

    /// Goes back to the backup: later writes are forgotten.
    pub(crate) async fn restore(&self) -> Result<()> {
        match self {
            Self::Embedded(embedded) => {
                let writes = embedded.server.version() - embedded.backup.load(Ordering::Relaxed);
                embedded.server.forget_last_writes(usize::try_from(writes)?);
            }
            Self::Real(plane) => plane.restore().await?,
        }
        Ok(())
    }

    /// Has the outsider refused whatever he was not allowed in a namespace. A real server does so by itself.
    pub(crate) fn refuse_outsider(&self, namespace: &str) {
        let Self::Embedded(embedded) = self else { return };
        for collection in ["configmaps", "secrets"] {
            let key = (namespace.to_owned(), collection.to_owned());
            if !embedded.rights.lock().contains_key(&key) {
                embedded.forbid(namespace, collection);
            }
        }
    }

    /// Gives the outsider every right to a collection in the namespace of a scenario.
    pub(crate) async fn allow(&self, world: &World, collection: &str) -> Result<()> {
        if let Self::Embedded(embedded) = self {
            embedded.allow(&world.namespace, collection);
            return Ok(());
        }
        let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}", world.namespace);
        let rules = json!([{ "apiGroups": ["*"], "resources": [collection], "verbs": ["*"] }]);
        let role = json!({ "metadata": { "name": collection }, "rules": rules });
        world.behind(Method::POST, &format!("{path}/roles"), Some(role)).await?.expect(201)?;
        let binding = json!({
            "metadata": { "name": collection },
            "subjects": [{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "outsider" }],
            "roleRef": { "kind": "Role", "apiGroup": "rbac.authorization.k8s.io", "name": collection },
        });
        world.behind(Method::POST, &format!("{path}/rolebindings"), Some(binding)).await?.expect(201)?;
        self.settled(world, collection, 200).await
    }

    /// Takes them away again.
    pub(crate) async fn forbid(&self, world: &World, collection: &str) -> Result<()> {
        if let Self::Embedded(embedded) = self {
            embedded.forbid(&world.namespace, collection);
            return Ok(());
        }
        let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}", world.namespace);
        for kind in ["rolebindings", "roles"] {
            world.behind(Method::DELETE, &format!("{path}/{kind}/{collection}"), None).await?.expect(200)?;
        }
        self.settled(world, collection, 403).await
    }

    /// The authorizer reads its rules from a watch of its own, a moment later.
    async fn settled(&self, world: &World, collection: &str, code: u16) -> Result<()> {
        let client = Client::try_from(self.config(User::Outsider).await?)?;
        eventually("the rights are in force", async || {
            let request = http::Request::get(world.path(collection)).body(Body::empty())?;
            Ok(client.send(request).await?.status().as_u16() == code)
        })
        .await
    }

    pub(crate) async fn shutdown(self) {
        if let Self::Real(plane) = self {
            let _ = plane.shutdown().await;
        }
    }
}

impl Embedded {
    /// The embedded server knows no users: until it is allowed, everybody is refused. So a scenario makes what it needs
    /// before it lets the outsider in.
    fn forbid(&self, namespace: &str, collection: &str) {
        let fault = self.server.inject(Fault::answer(403).of(collection).in_namespace(namespace).always());
        self.rights.lock().insert((namespace.to_owned(), collection.to_owned()), Some(fault));
    }

    fn allow(&self, namespace: &str, collection: &str) {
        let before = self.rights.lock().insert((namespace.to_owned(), collection.to_owned()), None);
        if let Some(fault) = before.flatten() {
            self.server.clear_fault(fault);
        }
    }
}
