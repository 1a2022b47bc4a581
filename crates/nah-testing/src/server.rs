//! The embedded API server: a handle, and how it is set up.

mod apply;
mod body;
mod builtin;
mod chores;
mod crd;
mod defaults;
mod delete;
mod discovery;
mod distort;
mod faults;
mod http;
mod immutable;
mod kinds;
mod list;
mod listener;
mod managed_fields;
mod names;
mod objects;
mod openapi;
mod patch;
mod protobuf;
mod request;
mod required;
mod schema;
mod select;
mod shape;
mod shared;
mod signal;
mod state;
mod status;
mod subresource;
mod table;
mod watch;
mod write;

use std::{fmt, io, sync::Arc};

use ::http::{HeaderValue, Request, header};
use kube_client::{Client, client::Body};
use serde_json::Value;
use tower::service_fn;

use self::{
    delete::{DeleteOptions, Deleted},
    kinds::Resource,
    list::ListOptions,
    shared::Shared,
    state::Options,
    write::Part,
};
pub use self::{listener::Listening, status::Status};
use crate::{
    fault::{Fault, FaultId, Script},
    journal::Journal,
};

/// A Kubernetes API server inside the process. A cheap handle: clones are the same server.
///
/// It serves clients in the process through [`client`](Self::client), with no socket and on the runtime's own
/// clock, so that tests with paused time work; and any client on loopback through [`listen`](Self::listen).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube_client::Api;
/// use nah_testing::ApiServer;
///
/// let server = ApiServer::new();
/// server.create(&serde_json::json!({
///     "apiVersion": "v1", "kind": "ConfigMap",
///     "metadata": {"name": "colours", "namespace": "default"}, "data": {"sky": "blue"},
/// }))?;
///
/// let maps: Api<ConfigMap> = Api::default_namespaced(server.client());
/// assert_eq!(maps.get("colours").await?.data.unwrap_or_default()["sky"], "blue");
/// assert_eq!(server.journal().count("get", "configmaps"), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ApiServer(Arc<Shared>);

/// Sets up an [`ApiServer`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ApiServerBuilder(Options);

// === impl ApiServer ===

impl ApiServer {
    /// A server with the built-in kinds and the namespaces that every cluster has.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A server that is set up otherwise.
    pub fn builder() -> ApiServerBuilder {
        ApiServerBuilder::default()
    }

    /// A client in this process. Has to be called within a Tokio runtime.
    pub fn client(&self) -> Client {
        self.client_for("nah-testing")
    }

    /// A client in this process that calls itself `agent`, which managedFields and the journal then show.
    pub fn client_for(&self, agent: &str) -> Client {
        let shared = self.0.clone();
        let agent = HeaderValue::from_str(agent).unwrap_or(HeaderValue::from_static("nah-testing"));
        let service = service_fn(move |mut request: Request<Body>| {
            request.headers_mut().entry(header::USER_AGENT).or_insert_with(|| agent.clone());
            http::serve(shared.clone(), request)
        });
        Client::new(service, "default")
    }

    /// Serves on a free port of the loopback interface.
    ///
    /// # Errors
    /// Those of the operating system.
    pub async fn listen(&self) -> io::Result<Listening> {
        Listening::start(self.0.clone(), 0).await
    }

    /// Serves on a given port of the loopback interface.
    ///
    /// # Errors
    /// Those of the operating system; most often, that the port is taken.
    pub async fn listen_on(&self, port: u16) -> io::Result<Listening> {
        Listening::start(self.0.clone(), port).await
    }

    /// What the server was asked.
    pub fn journal(&self) -> Journal {
        self.0.journal.clone()
    }

    /// The version of the last write.
    pub fn version(&self) -> u64 {
        self.0.state.lock().objects.version()
    }

    /// Lets something go wrong.
    pub fn inject(&self, fault: Fault) -> FaultId {
        let now = self.0.age();
        self.0.faults.lock().inject(fault, now)
    }

    /// Injects the faults of a script, in their order.
    pub fn inject_all(&self, script: Script) -> Vec<FaultId> {
        script.0.into_iter().map(|fault| self.inject(fault)).collect()
    }

    /// Takes a fault back. Streams that it has hit already keep it.
    pub fn clear_fault(&self, id: FaultId) {
        self.0.faults.lock().remove(id);
    }

    /// Takes all faults back.
    pub fn clear_faults(&self) {
        self.0.faults.lock().clear();
    }

    /// Whether a fault still waits for requests.
    pub fn is_armed(&self, id: FaultId) -> bool {
        self.0.faults.lock().is_armed(id)
    }

    /// Forgets the history: versions before the current one answer 410.
    pub fn compact(&self) {
        self.0.state.lock().objects.compact();
    }

    /// Undoes the last writes and drops all connections, as when a backup is restored. Versions go back.
    pub fn forget_last_writes(&self, writes: usize) {
        self.0.forget(writes);
    }

    /// Drops all connections and streams. Objects and history stay.
    pub fn restart(&self) {
        self.0.restart();
    }

    /// Refuses all requests and connections from now on, or takes them again.
    pub fn refuse_connections(&self, refuses: bool) {
        self.0.control.send_modify(|control| control.refuses = refuses);
    }

    /// Answers 401 to every request from now on that brings none of these bearer tokens, as the real server does once
    /// a token has been rotated; running streams go on. No tokens at all lets everybody in.
    pub fn accept_tokens<T: Into<String>>(&self, tokens: impl IntoIterator<Item = T>) {
        *self.0.tokens.lock() = tokens.into_iter().map(Into::into).collect();
    }

    /// Breaks off the watches of a resource that run now; those of all resources where it is empty.
    pub fn cut_watches(&self, resource: &str) {
        self.0.control.send_modify(|control| *control.cuts.entry(resource.to_owned()).or_default() += 1);
    }

    /// Holds back all events of a resource (of all, where it is empty), of running watches too.
    pub fn hold_watches(&self, resource: &str) {
        self.0.control.send_modify(|control| {
            control.held.insert(resource.to_owned());
        });
    }

    /// Delivers what was held back.
    pub fn release_watches(&self, resource: &str) {
        self.0.control.send_modify(|control| {
            control.held.remove(resource);
        });
    }

    /// Creates an object, as a POST would.
    ///
    /// # Errors
    /// What the POST would be answered.
    pub fn create(&self, object: &Value) -> Result<Value, Status> {
        let resource = self.resource_of(object)?;
        let write = self.0.write("nah-testing".to_owned());
        let namespace = namespace_of(&resource, object);
        let stored = self.0.state.lock().create(&write, &resource, namespace.as_deref(), object.clone())?;
        self.0.plan_chores();
        Ok(resource.stamp(&stored))
    }

    /// Replaces an object, as a PUT would. Without a version it replaces whatever is there.
    ///
    /// # Errors
    /// What the PUT would be answered.
    pub fn update(&self, object: &Value) -> Result<Value, Status> {
        self.replace(object, Part::Main)
    }

    /// Replaces the status of an object, as a PUT of its status subresource would.
    ///
    /// # Errors
    /// What the PUT would be answered.
    pub fn update_status(&self, object: &Value) -> Result<Value, Status> {
        self.replace(object, Part::Status)
    }

    /// Creates an object, or replaces the one that is there.
    ///
    /// # Errors
    /// What the POST or the PUT would be answered.
    pub fn apply(&self, object: &Value) -> Result<Value, Status> {
        match self.create(object) {
            Err(status) if status.is_already_exists() => self.update(object),
            answer => answer,
        }
    }

    /// Deletes an object, as a DELETE would; answers what is left of it.
    ///
    /// # Errors
    /// What the DELETE would be answered.
    pub fn delete(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Value, Status> {
        let resource = self.resource(api_version, kind)?;
        let write = self.0.write("nah-testing".to_owned());
        let namespace = resource.namespaced.then_some(namespace);
        let deleted =
            self.0.state.lock().delete(&write, &resource, namespace, name, &DeleteOptions::default())?;
        self.0.plan_chores();
        Ok(match &deleted {
            Deleted::Gone(stored) | Deleted::Terminating(stored) => resource.stamp(stored),
        })
    }

    /// Reads an object.
    ///
    /// # Errors
    /// That there is none, or no such kind.
    pub fn get(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Value, Status> {
        let resource = self.resource(api_version, kind)?;
        let namespace = resource.namespaced.then_some(namespace);
        let stored = self.0.state.lock().get(&resource, namespace, name)?;
        Ok(resource.stamp(&stored))
    }

    /// All objects of a kind, sorted by namespace and name.
    ///
    /// # Errors
    /// That there is no such kind.
    pub fn list(&self, api_version: &str, kind: &str) -> Result<Vec<Value>, Status> {
        let resource = self.resource(api_version, kind)?;
        let options = ListOptions::read(&resource, None, &request::Query::default())?;
        let page = self.0.state.lock().list(&resource, &options)?;
        Ok(page.items.iter().map(|stored| resource.stamp(stored)).collect())
    }

    fn replace(&self, object: &Value, part: Part) -> Result<Value, Status> {
        let resource = self.resource_of(object)?;
        let write = self.0.write("nah-testing".to_owned());
        let namespace = namespace_of(&resource, object);
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let mut state = self.0.state.lock();
        let mut object = object.clone();
        if object["metadata"]["resourceVersion"].is_null() {
            let current = state.get(&resource, namespace.as_deref(), name)?;
            object["metadata"]["resourceVersion"] = current.metadata("resourceVersion").clone();
        }
        let stored = state.update(&write, &resource, namespace.as_deref(), name, part, object)?;
        drop(state);
        self.0.plan_chores();
        Ok(resource.stamp(&stored))
    }

    fn resource_of(&self, object: &Value) -> Result<Arc<Resource>, Status> {
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        self.resource(text("apiVersion"), text("kind"))
    }

    fn resource(&self, api_version: &str, kind: &str) -> Result<Arc<Resource>, Status> {
        let found = self.0.state.lock().kinds.of_object(api_version, kind);
        found.ok_or_else(|| {
            let message = format!("no matches for kind {kind:?} in version {api_version:?}");
            Status::new(404, "NotFound", message)
        })
    }
}

impl Default for ApiServer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiServer").field("version", &self.version()).finish_non_exhaustive()
    }
}

// === impl ApiServerBuilder ===

impl ApiServerBuilder {
    /// Collects garbage by owner references, as the controller manager of a real cluster does. Off by
    /// default.
    pub fn garbage_collection(mut self, on: bool) -> Self {
        self.0.collects_garbage = on;
        self
    }

    /// Empties namespaces that are deleted and removes them, as the controller manager does. On by default.
    pub fn namespace_finalization(mut self, on: bool) -> Self {
        self.0.finalizes_namespaces = on;
        self
    }

    /// How many changes of a kind are kept for watches that start at an old version; 10,000 by default.
    pub fn history(mut self, changes: usize) -> Self {
        self.0.history = changes;
        self
    }

    /// Makes uids and generated names the same at every run.
    pub fn seed(mut self, seed: u64) -> Self {
        self.0.seed = Some(seed);
        self
    }

    /// The version before the first write; 100 by default.
    pub fn first_version(mut self, version: u64) -> Self {
        self.0.first_version = version;
        self
    }

    /// The seconds between two bookmarks of a watch; 60 by default.
    pub fn bookmark_seconds(mut self, seconds: u64) -> Self {
        self.0.bookmark_seconds = seconds;
        self
    }

    /// The version of Kubernetes that `/version` reports.
    pub fn git_version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.0.git_version);
        self
    }

    /// The server.
    pub fn build(self) -> ApiServer {
        ApiServer(Shared::new(self.0))
    }
}

/// The namespace that a seeded object goes to: its own, or the default one.
fn namespace_of(resource: &Resource, object: &Value) -> Option<String> {
    let given = object["metadata"]["namespace"].as_str().unwrap_or("default");
    resource.namespaced.then(|| given.to_owned())
}
