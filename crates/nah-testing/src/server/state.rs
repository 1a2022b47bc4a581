//! What the server knows: its kinds and its objects.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    crd,
    kinds::{Kinds, Resource},
    objects::{Objects, Stored},
    status::{Cause, Status},
};

/// The group and plural of definitions, which change what is served.
const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// All of the server that a request can change, under one lock.
pub(crate) struct State {
    pub(crate) objects: Objects,
    pub(crate) kinds: Kinds,
    pub(crate) options: Options,
    /// Whether a namespace waits to be emptied, or there may be garbage.
    pub(crate) has_chores: bool,
    random: fastrand::Rng,
}

/// What the builder sets.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) first_version: u64,
    pub(crate) history: usize,
    pub(crate) finalizes_namespaces: bool,
    pub(crate) collects_garbage: bool,
    pub(crate) seed: Option<u64>,
    pub(crate) bookmark_seconds: u64,
    pub(crate) git_version: String,
}

/// What a write knows beside the object.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) now: Timestamp,
    pub(crate) at: Instant,
    pub(crate) manager: String,
    pub(crate) dry_run: bool,
    /// Whether unknown fields are an error (`fieldValidation=Strict`).
    pub(crate) strict: bool,
    /// The managers that an apply has found; of every other write they follow from what it changes.
    pub(crate) managed: Option<Value>,
    /// The subresource through which the object itself is written.
    pub(crate) through: Option<&'static str>,
}

// === impl State ===

impl State {
    pub(crate) fn new(options: Options, write: &Write) -> Self {
        let random = options.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let mut state = Self {
            objects: Objects::new(options.first_version, options.history),
            kinds: Kinds::builtin(),
            options,
            has_chores: false,
            random,
        };
        if let Some(namespaces) = state.kinds.find("", "v1", "namespaces") {
            for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
                let body = json!({"metadata": {"name": name}});
                // The name is valid and new, so there is nothing that could fail.
                let _ = state.create(write, &namespaces, None, body);
            }
        }
        state
    }

    /// The kind, or what the real server says of a path that it does not route.
    pub(crate) fn get(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Arc<Stored>, Status> {
        let found = self.objects.get(&resource.storage(), &resource.key(namespace, name));
        found.ok_or_else(|| Status::not_found(resource, name))
    }

    /// Refuses new content in a namespace that is not there, or is going.
    pub(crate) fn check_namespace(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Result<(), Status> {
        let Some(stored) = self.objects.get("namespaces", namespace) else {
            return Err(Status::no_namespace(namespace));
        };
        if !stored.is_terminating() {
            return Ok(());
        }
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut status = Status::forbidden(resource, name, &why);
        if let Some(details) = &mut status.details {
            details["causes"] = json!([{
                "reason": "NamespaceTerminating",
                "message": format!("namespace {namespace} is being terminated"),
                "field": "metadata.namespace",
            }]);
        }
        Err(status)
    }

    /// Checks `apiVersion` and `kind`, takes them off, and fits namespace and name to those of the URL.
    pub(crate) fn fit(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: Option<&str>,
        body: &mut Value,
    ) -> Result<(), Status> {
        let kind = &resource.kind;
        let Some(members) = body.as_object_mut() else {
            return Err(Status::bad_request(format!(
                "the object provided is unrecognized (must be of type {kind}): it is no JSON object"
            )));
        };
        let text =
            |value: Option<Value>| value.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        let (given_version, given_kind) = (text(members.remove("apiVersion")), text(members.remove("kind")));
        if resource.is_custom() && given_kind.is_empty() {
            return Err(Status::bad_request(format!(
                "the object provided is unrecognized (must be of type {kind}): Object 'Kind' is missing"
            )));
        }
        if !resource.is_custom() && !given_version.is_empty() && given_version != resource.api_version() {
            return Err(Status::bad_request(format!(
                "{kind} in version {given_version:?} cannot be handled as a {kind}: no kind {kind:?} is registered \
                 for version {given_version:?} in scheme \"pkg/runtime/scheme.go:111\""
            )));
        }
        if resource.is_custom() && given_version != resource.api_version() {
            return Err(Status::bad_request(format!(
                "the API version in the data ({given_version}) does not match the expected API version ({})",
                resource.api_version()
            )));
        }
        if resource.is_custom() && given_kind != *kind {
            let name =
                members.get("metadata").and_then(|metadata| metadata["name"].as_str()).unwrap_or_default();
            let cause = Cause::invalid("kind", &json!(given_kind), &format!("must be {kind}"));
            return Err(Status::invalid(&resource.group, &given_kind, name, vec![cause]));
        }
        if !given_kind.is_empty() && given_kind != *kind {
            return Err(Status::bad_request(format!(
                "{given_kind} in version {:?} cannot be handled as a {kind}: converting ({given_version}.{given_kind}) \
                 to ({}.{kind}): unknown conversion",
                resource.version,
                if resource.group.is_empty() { "core" } else { &resource.group }
            )));
        }
        let metadata = members.entry("metadata").or_insert_with(|| json!({}));
        if metadata.is_null() {
            *metadata = json!({});
        }
        let Some(metadata) = metadata.as_object_mut() else {
            return Err(Status::bad_request(format!(
                "{kind} in version {:?} cannot be handled as a {kind}: json: cannot unmarshal into Go struct field \
                 {kind}.metadata of type v1.ObjectMeta",
                resource.version
            )));
        };
        // An empty map or list is as good as none, and the real server writes none.
        metadata.retain(|_, value| match value {
            Value::Null => false,
            Value::Object(map) => !map.is_empty(),
            Value::Array(list) => !list.is_empty(),
            Value::String(text) => !text.is_empty(),
            _ => true,
        });
        let given = metadata.get("namespace").and_then(Value::as_str).map(str::to_owned);
        match (namespace, given) {
            (None, _) => {
                metadata.remove("namespace");
            }
            (Some(namespace), None) => {
                metadata.insert("namespace".into(), json!(namespace));
            }
            (Some(namespace), Some(given)) if namespace != given => {
                return Err(Status::bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request",
                ));
            }
            _ => {}
        }
        let given = metadata.get("name").and_then(Value::as_str).map(str::to_owned);
        match (name, given) {
            (Some(name), None) => {
                metadata.insert("name".into(), json!(name));
            }
            (Some(name), Some(given)) if name != given => {
                return Err(Status::bad_request(format!(
                    "the name of the object ({given}) does not match the name on the URL ({name})"
                )));
            }
            _ => {}
        }
        Ok(())
    }

    /// Follows a definition that was written: its kinds are served from now on.
    pub(crate) fn define(&mut self, write: &Write, key: &str, resources: Vec<Resource>) -> Option<()> {
        let definition = self.objects.get(DEFINITIONS, key)?;
        let text = |path: &str| definition.value.pointer(path).and_then(Value::as_str).unwrap_or_default();
        self.kinds.replace_custom(text("/spec/group"), text("/spec/names/plural"), resources);
        if definition.value["status"]["conditions"].as_array().is_none_or(Vec::is_empty) {
            let mut value = definition.value.clone();
            value["status"] = crd::accepted(&value, &write.now());
            self.objects.put(DEFINITIONS, key, value, write.at);
        }
        Some(())
    }

    /// Serves what the stored definitions say, after history was rewritten.
    pub(crate) fn redefine(&mut self) {
        self.kinds.clear_custom();
        let definitions: Vec<_> = self.objects.collection(DEFINITIONS).items().values().cloned().collect();
        for definition in definitions {
            // What was accepted once is accepted again.
            for resource in crd::resources(&definition.value).unwrap_or_default() {
                self.kinds.add(resource);
            }
        }
    }

    /// A new uid.
    pub(crate) fn uid(&mut self) -> String {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// What the real server puts behind a `generateName`.
    pub(crate) fn suffix(&mut self) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..5).map(|_| char::from(LETTERS[self.random.usize(..LETTERS.len())])).collect()
    }

    pub(crate) fn is_definition(resource: &Resource) -> bool {
        resource.storage() == DEFINITIONS
    }

    /// The error of an object with wrong fields, if there are any.
    pub(crate) fn refuse(resource: &Resource, value: &Value, causes: Vec<Cause>) -> Result<(), Status> {
        if causes.is_empty() {
            return Ok(());
        }
        let name = value["metadata"]["name"].as_str().unwrap_or_default();
        Err(Status::invalid(&resource.group, &resource.kind, name, causes))
    }
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            first_version: 100,
            history: 10_000,
            finalizes_namespaces: true,
            collects_garbage: false,
            seed: None,
            bookmark_seconds: 60,
            git_version: "v1.37.0".to_owned(),
        }
    }
}

// === impl Write ===

impl Write {
    /// The time as objects have it: in whole seconds.
    pub(crate) fn now(&self) -> String {
        time_text(self.now)
    }
}

/// A time as metadata has it.
pub(crate) fn time_text(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}
