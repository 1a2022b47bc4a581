//! Deleting: at once, gracefully, or when the last finalizer is gone.

use std::sync::Arc;

use jiff::ToSpan;
use serde_json::{Value, json};

use super::{
    kinds::Resource,
    objects::Stored,
    select::Selector,
    state::{State, Write, time_text},
    status::Status,
};

/// How something shall be deleted.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) grace: Option<i64>,
    pub(crate) uid: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) propagation: Option<String>,
}

/// What a deletion did.
#[derive(Clone, Debug)]
pub(crate) enum Deleted {
    /// It is gone; this is what it was, under the version of its deletion.
    Gone(Arc<Stored>),
    /// It lives on and terminates.
    Terminating(Arc<Stored>),
}

// === impl State ===

impl State {
    pub(crate) fn delete(
        &mut self,
        write: &Write,
        resource: &Arc<Resource>,
        namespace: Option<&str>,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, Status> {
        let old = self.get(resource, namespace, name)?;
        options.check(resource, &old)?;
        if resource.is("", "namespaces") {
            return self.delete_namespace(write, resource, &old);
        }
        if State::is_definition(resource) {
            return Ok(self.delete_definition(write, resource, &old));
        }
        let (storage, key) = (resource.storage(), resource.key(namespace, name));
        let mut new = old.value.clone();
        let finalizers = options.finalizers(&old);
        if finalizers != old.finalizers() {
            new["metadata"]["finalizers"] = json!(finalizers);
            if finalizers.is_empty() {
                new["metadata"].as_object_mut().map(|metadata| metadata.remove("finalizers"));
            }
        }
        // Only Pods are deleted gracefully; for all others the time of grace is none.
        let grace = if resource.is("", "pods") { Some(pod_grace(&old.value, options)) } else { None };
        let known = old.metadata("deletionGracePeriodSeconds").as_i64();
        if old.is_terminating() {
            let shortens = match (grace, known) {
                (Some(grace), Some(known)) => options.grace.is_some() && grace < known,
                _ => false,
            };
            if !shortens {
                return Ok(Deleted::Terminating(self.keep(write, &storage, &key, &old, new)));
            }
        } else if grace.is_none() && finalizers.is_empty() {
            return Ok(Deleted::Gone(self.removed(write, resource, &storage, &key, &old)));
        }
        let seconds = grace.unwrap_or_default();
        mark(&mut new, write, Some(seconds));
        let marked = self.keep(write, &storage, &key, &old, new);
        if seconds > 0 || !finalizers.is_empty() || write.dry_run {
            return Ok(Deleted::Terminating(marked));
        }
        Ok(Deleted::Gone(self.removed(write, resource, &storage, &key, &marked)))
    }

    /// Deletes what a selector selects; answers the objects as they were before.
    pub(crate) fn delete_collection(
        &mut self,
        write: &Write,
        resource: &Arc<Resource>,
        namespace: Option<&str>,
        selector: &Selector,
        options: &DeleteOptions,
    ) -> Result<Vec<Arc<Stored>>, Status> {
        let items = self.objects.collection(&resource.storage()).items().values();
        let chosen: Vec<_> = items
            .filter(|stored| namespace.is_none() || stored.namespace() == namespace)
            .filter(|stored| super::list::is_selected(selector, stored))
            .cloned()
            .collect();
        for stored in &chosen {
            match self.delete(write, resource, stored.namespace(), stored.name(), options) {
                // A foreign deletion in between is what was asked for.
                Err(status) if !status.is_not_found() => return Err(status),
                _ => {}
            }
        }
        Ok(chosen)
    }

    /// Removes an object, and notes what that may set free.
    pub(crate) fn remove(
        &mut self,
        write: &Write,
        resource: &Resource,
        storage: &str,
        key: &str,
    ) -> Option<Arc<Stored>> {
        let gone = self.objects.remove(storage, key, write.at)?;
        let in_terminating = gone.namespace().and_then(|namespace| self.objects.get("namespaces", namespace));
        let waits =
            self.options.finalizes_namespaces && in_terminating.is_some_and(|one| one.is_terminating());
        self.has_chores |= waits || self.options.collects_garbage;
        if State::is_definition(resource) {
            self.redefine();
        }
        Some(gone)
    }

    fn removed(
        &mut self,
        write: &Write,
        resource: &Resource,
        storage: &str,
        key: &str,
        old: &Arc<Stored>,
    ) -> Arc<Stored> {
        if write.dry_run {
            return old.clone();
        }
        self.remove(write, resource, storage, key).unwrap_or_else(|| old.clone())
    }

    /// Stores `new` if it differs from what is there.
    fn keep(
        &mut self,
        write: &Write,
        storage: &str,
        key: &str,
        old: &Arc<Stored>,
        new: Value,
    ) -> Arc<Stored> {
        if new == old.value {
            return old.clone();
        }
        if write.dry_run {
            return Arc::new(Stored::new(new));
        }
        self.has_chores |= self.options.collects_garbage;
        self.objects.put(storage, key, new, write.at)
    }

    fn delete_namespace(
        &mut self,
        write: &Write,
        resource: &Arc<Resource>,
        old: &Arc<Stored>,
    ) -> Result<Deleted, Status> {
        let name = old.name();
        if ["default", "kube-system", "kube-public"].contains(&name) {
            return Err(Status::forbidden(resource, name, "this namespace may not be deleted"));
        }
        if old.is_terminating() {
            return Ok(Deleted::Terminating(old.clone()));
        }
        let mut new = old.value.clone();
        mark(&mut new, write, None);
        new["status"]["phase"] = json!("Terminating");
        let name = name.to_owned();
        let stored = self.keep(write, "namespaces", &name, old, new);
        self.has_chores |= self.options.finalizes_namespaces;
        Ok(Deleted::Terminating(stored))
    }

    /// Takes a kind away: its objects first, so that their watchers are told, then the definition.
    fn delete_definition(&mut self, write: &Write, resource: &Arc<Resource>, old: &Arc<Stored>) -> Deleted {
        let storage = resource.storage();
        let mut new = old.value.clone();
        if !old.is_terminating() {
            mark(&mut new, write, None);
            let condition = json!({
                "type": "Terminating", "status": "True", "lastTransitionTime": write.now(),
                "reason": "InstanceDeletionPending",
                "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
            });
            if let Some(conditions) = new["status"]["conditions"].as_array_mut() {
                conditions.push(condition);
            }
        }
        let name = old.name().to_owned();
        let marked = self.keep(write, &storage, &name, old, new);
        if write.dry_run {
            return Deleted::Terminating(marked);
        }
        // The storage of a kind has the name of its definition.
        let keys: Vec<_> = self.objects.collection(&name).items().keys().cloned().collect();
        for key in keys {
            self.objects.remove(&name, &key, write.at);
        }
        if old.finalizers().is_empty() {
            self.remove(write, resource, &storage, &name);
            self.objects.collection(&name).wake();
        }
        Deleted::Terminating(marked)
    }
}

// === impl DeleteOptions ===

impl DeleteOptions {
    /// Reads the options from a body and a query; the query's win where both are there.
    pub(crate) fn read(body: &Value, query: &super::request::Query) -> Result<Self, Status> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let orphans = body["orphanDependents"].as_bool().map(|yes| if yes { "Orphan" } else { "Background" });
        let (mut grace, mut propagation) =
            (body["gracePeriodSeconds"].as_i64(), text(&body["propagationPolicy"]));
        // Where there is a body, the parameters mean nothing.
        if body.is_null() {
            let seconds = query.number("gracePeriodSeconds")?;
            grace = seconds.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX));
            propagation = query.get("propagationPolicy").map(str::to_owned);
        }
        Ok(Self {
            grace,
            uid: text(&body["preconditions"]["uid"]),
            version: text(&body["preconditions"]["resourceVersion"]),
            propagation: propagation.or(orphans.map(str::to_owned)),
        })
    }

    fn check(&self, resource: &Resource, old: &Stored) -> Result<(), Status> {
        if let Some(uid) = &self.uid
            && uid != old.uid()
        {
            let why = format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have \
                 been deleted and then recreated",
                old.uid()
            );
            return Err(Status::precondition(resource, old.name(), &why));
        }
        if let Some(version) = &self.version
            && old.metadata("resourceVersion") != version.as_str()
        {
            let why = format!(
                "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record \
                 ({}). The object might have been modified",
                old.version()
            );
            return Err(Status::precondition(resource, old.name(), &why));
        }
        Ok(())
    }

    /// The finalizers that the object has once the propagation policy is noted in them.
    fn finalizers(&self, old: &Stored) -> Vec<String> {
        let mut finalizers = old.finalizers();
        let Some(policy) = self.propagation.as_deref() else { return finalizers };
        finalizers.retain(|one| one != "orphan" && one != "foregroundDeletion");
        match policy {
            "Orphan" => finalizers.push("orphan".to_owned()),
            "Foreground" => finalizers.push("foregroundDeletion".to_owned()),
            _ => {}
        }
        finalizers
    }
}

// === impl Deleted ===

impl Deleted {
    pub(crate) fn object(&self) -> &Arc<Stored> {
        match self {
            Self::Gone(stored) | Self::Terminating(stored) => stored,
        }
    }
}

/// Sets the time at which the object shall be gone.
fn mark(value: &mut Value, write: &Write, grace: Option<i64>) {
    let until = write.now.checked_add(grace.unwrap_or_default().seconds()).unwrap_or(write.now);
    let metadata = &mut value["metadata"];
    let is_first = metadata["deletionTimestamp"].is_null();
    metadata["deletionTimestamp"] = json!(time_text(until));
    if let Some(grace) = grace {
        metadata["deletionGracePeriodSeconds"] = json!(grace);
    }
    if let Some(generation) = metadata["generation"].as_i64().filter(|_| is_first) {
        metadata["generation"] = json!(generation + 1);
    }
}

/// The seconds that a Pod is given: none where no node runs it, or it has ended.
fn pod_grace(pod: &Value, options: &DeleteOptions) -> i64 {
    let is_bound = pod["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty());
    let has_ended = ["Succeeded", "Failed"].contains(&pod["status"]["phase"].as_str().unwrap_or_default());
    if !is_bound || has_ended {
        return 0;
    }
    let asked = options.grace.or(pod["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(30);
    if asked < 0 { 1 } else { asked }
}
