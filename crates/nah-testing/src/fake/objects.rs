//! The objects of a fake, and what a write does to them.

use std::collections::{BTreeMap, HashMap};

use kube_core::{SelectorExt, Status, response::StatusDetails};
use nah_cache::ListOptions;
use nah_client::{Error, Result, Verb, Write, Written};
use nah_core::{GroupVersionKind, Object, ObjectKey};
use serde_json::{Value, json};

#[derive(Default)]
pub(super) struct Objects {
    kinds: HashMap<GroupVersionKind, BTreeMap<ObjectKey, Value>>,
    version: u64,
    uids: u64,
}

impl Objects {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn get(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> Option<&Value> {
        self.kinds.get(gvk)?.get(key)
    }

    /// The objects that namespace, labels and owner select, by key.
    pub(super) fn select(&self, gvk: &GroupVersionKind, options: &ListOptions) -> Vec<Value> {
        let objects = self.kinds.get(gvk).into_iter().flatten();
        let selected = objects.filter(|(key, value)| {
            let labels: BTreeMap<String, String> = part(value, "labels");
            let owners: Vec<Value> = part(value, "ownerReferences");
            options.namespace().is_none_or(|wanted| key.namespace().is_none_or(|own| own == wanted))
                && options.labels().matches(&labels)
                && options.owner().is_none_or(|uid| owners.iter().any(|owner| owner["uid"] == uid))
        });
        selected.map(|(_, value)| value.clone()).collect()
    }

    pub(super) fn seed(&mut self, gvk: &GroupVersionKind, key: &ObjectKey, mut value: Value) {
        let (version, uid) = (self.next(), self.uid());
        for (field, known) in [("resourceVersion", version), ("uid", uid)] {
            if value["metadata"][field].is_null() {
                value["metadata"][field] = known.into();
            }
        }
        stamp(gvk, &mut value);
        self.kinds.entry(gvk.clone()).or_default().insert(key.clone(), value);
    }

    pub(super) fn write(&mut self, write: &Write) -> Result<Written> {
        if write.verb == Verb::DeleteAll {
            for value in self.select(&write.gvk, &write.selection) {
                let name = value["metadata"]["name"].as_str().map(str::to_owned);
                let namespace = value["metadata"]["namespace"].as_str().map(str::to_owned);
                let mut one = write.clone();
                (one.verb, one.name, one.namespace) = (Verb::Delete, name, namespace);
                self.write(&one)?;
            }
            return Ok(Written::Status(Status::success().boxed()));
        }
        let status = write.subresource.as_deref() == Some("status");
        if write.subresource.is_some() && !status {
            let key = write.key().unwrap_or_else(|| ObjectKey::cluster(""));
            self.get(&write.gvk, &key).ok_or_else(|| Error::not_found(&write.gvk, &key))?;
            return Ok(Written::Status(Status::success().boxed()));
        }
        match write.verb {
            Verb::Create => self.create(write),
            Verb::Delete => self.delete(write),
            _ => self.change(write, status),
        }
    }

    fn create(&mut self, write: &Write) -> Result<Written> {
        let mut value = body(write)?;
        if value["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty()) {
            return Err(refused(
                write,
                400,
                "BadRequest",
                "resourceVersion should not be set on objects to be created",
            ));
        }
        if let (None, Some(prefix)) = (&write.name, value["metadata"]["generateName"].as_str()) {
            let name = format!("{prefix}{:05}", self.uids + 1);
            value["metadata"]["name"] = name.into();
        }
        let Some(name) = value["metadata"]["name"].as_str().filter(|name| !name.is_empty()) else {
            return Err(refused(write, 422, "Invalid", "name or generateName is required"));
        };
        let key = ObjectKey::new(write.namespace.as_deref(), name);
        if self.get(&write.gvk, &key).is_some() {
            return Err(refused(write, 409, "AlreadyExists", "object exists already"));
        }
        value["metadata"]["uid"] = self.uid().into();
        value["metadata"]["generation"] = 1.into();
        self.store(write, key, value)
    }

    fn change(&mut self, write: &Write, status: bool) -> Result<Written> {
        let key = write.key().unwrap_or_else(|| ObjectKey::cluster(""));
        let Some(current) = self.get(&write.gvk, &key).cloned() else {
            return match write.verb {
                Verb::Apply { .. } if !status => self.create(write),
                _ => Err(Error::not_found(&write.gvk, &key)),
            };
        };
        let mut changed = current.clone();
        match write.verb {
            Verb::Update => changed = body(write)?,
            Verb::JsonPatch => {
                let patch: json_patch::Patch = serde_json::from_slice(&write.body)
                    .map_err(|error| refused(write, 400, "BadRequest", &error.to_string()))?;
                json_patch::patch(&mut changed, &patch)
                    .map_err(|error| refused(write, 422, "Invalid", &error.to_string()))?;
            }
            _ => json_patch::merge(&mut changed, &body(write)?),
        }
        let sent = changed["metadata"]["resourceVersion"].as_str().filter(|version| !version.is_empty());
        if sent.is_some_and(|sent| Some(sent) != current["metadata"]["resourceVersion"].as_str()) {
            return Err(refused(write, 409, "Conflict", "the object has been modified"));
        }
        if status {
            let part = changed["status"].take();
            changed = current.clone();
            changed["status"] = part;
        } else if let Some(part) = current.get("status") {
            changed["status"] = part.clone();
        }
        for field in
            ["uid", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "creationTimestamp"]
        {
            match current["metadata"].get(field) {
                Some(kept) => changed["metadata"][field] = kept.clone(),
                None => _ = changed["metadata"].as_object_mut().and_then(|meta| meta.remove(field)),
            }
        }
        changed["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"].clone();
        stamp(&write.gvk, &mut changed);
        if changed == current {
            return Ok(Written::Object(super::object(&write.gvk, &current)?));
        }
        if changed["spec"] != current["spec"] {
            changed["metadata"]["generation"] =
                (current["metadata"]["generation"].as_i64().unwrap_or(0) + 1).into();
        }
        let ends = !changed["metadata"]["deletionTimestamp"].is_null()
            && part::<Vec<String>>(&changed, "finalizers").is_empty();
        if ends {
            return self.remove(write, &key, &changed);
        }
        self.store(write, key, changed)
    }

    fn delete(&mut self, write: &Write) -> Result<Written> {
        let key = write.key().unwrap_or_else(|| ObjectKey::cluster(""));
        let Some(current) = self.get(&write.gvk, &key).cloned() else {
            return Err(Error::not_found(&write.gvk, &key));
        };
        for (field, wanted) in [("uid", &write.uid), ("resourceVersion", &write.resource_version)] {
            if wanted.as_deref().is_some_and(|wanted| current["metadata"][field] != wanted) {
                return Err(refused(write, 409, "Conflict", "a precondition does not hold"));
            }
        }
        if part::<Vec<String>>(&current, "finalizers").is_empty() {
            return self.remove(write, &key, &current);
        }
        if !current["metadata"]["deletionTimestamp"].is_null() {
            return Ok(Written::Object(super::object(&write.gvk, &current)?));
        }
        let mut terminating = current;
        // A fixed time: a fake has no clock.
        terminating["metadata"]["deletionTimestamp"] = "2000-01-01T00:00:00Z".into();
        terminating["metadata"]["deletionGracePeriodSeconds"] = 0.into();
        self.store(write, key, terminating)
    }

    fn remove(&mut self, write: &Write, key: &ObjectKey, last: &Value) -> Result<Written> {
        let last: Object = super::object(&write.gvk, last)?;
        if !write.dry_run {
            self.next();
            self.kinds.entry(write.gvk.clone()).or_default().remove(key);
        }
        Ok(Written::Gone { uid: last.uid().map(ToString::to_string), last: Some(last) })
    }

    fn store(&mut self, write: &Write, key: ObjectKey, mut value: Value) -> Result<Written> {
        stamp(&write.gvk, &mut value);
        if !write.dry_run {
            value["metadata"]["resourceVersion"] = self.next().into();
            self.kinds.entry(write.gvk.clone()).or_default().insert(key, value.clone());
        }
        Ok(Written::Object(super::object(&write.gvk, &value)?))
    }

    fn next(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    fn uid(&mut self) -> String {
        self.uids += 1;
        format!("00000000-0000-0000-0000-{:012}", self.uids)
    }
}

fn stamp(gvk: &GroupVersionKind, value: &mut Value) {
    value["apiVersion"] = gvk.api_version().into();
    value["kind"] = gvk.kind.clone().into();
}

fn part<T: serde::de::DeserializeOwned + Default>(value: &Value, field: &str) -> T {
    serde_json::from_value(value["metadata"][field].clone()).unwrap_or_default()
}

fn body(write: &Write) -> Result<Value> {
    let value: Option<Value> = serde_json::from_slice(&write.body).ok();
    value
        .filter(Value::is_object)
        .map(|mut value| {
            if !value["metadata"].is_object() {
                value["metadata"] = json!({});
            }
            value
        })
        .ok_or_else(|| refused(write, 400, "BadRequest", "the body is no object"))
}

fn refused(write: &Write, code: u16, reason: &str, message: &str) -> Error {
    let details = StatusDetails {
        name: write.name.clone().unwrap_or_default(),
        group: write.gvk.group.clone(),
        kind: write.gvk.kind.clone(),
        uid: String::new(),
        causes: Vec::new(),
        retry_after_seconds: 0,
    };
    let status = Status::failure(message, reason).with_code(code).with_details(details).boxed();
    let key = write.key().map(|key| key.to_string()).unwrap_or_default();
    Error::Api { gvk: write.gvk.clone(), key, status }
}
