//! Creating and updating.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    apply::rules::Rules,
    crd, immutable,
    kinds::{Origin, Resource},
    managed_fields::{self, Manager, Managers},
    names,
    objects::Stored,
    patch::Patch,
    required,
    state::{State, Write},
    status::{Cause, Status},
};

/// The part of an object that an update is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything but the status, where that is a part of its own.
    Main,
    Status,
    /// The finalizers in the spec of a namespace.
    Finalize,
    /// The node of a Pod, and what is said of that.
    Binding,
}

impl Part {
    /// The subresource through which it is written.
    pub(crate) fn subresource(self) -> Option<&'static str> {
        match self {
            Self::Main => None,
            Self::Status => Some("status"),
            Self::Finalize => Some("finalize"),
            Self::Binding => Some("binding"),
        }
    }
}

/// The metadata that only the server writes.
const OWN: [&str; 7] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "managedFields",
];

// === impl State ===

impl State {
    pub(crate) fn create(
        &mut self,
        write: &Write,
        resource: &Arc<Resource>,
        namespace: Option<&str>,
        mut body: Value,
    ) -> Result<Arc<Stored>, Status> {
        self.fit(resource, namespace, None, &mut body)?;
        let metadata = &mut body["metadata"];
        if metadata["name"].is_null()
            && let Some(prefix) = metadata["generateName"].as_str()
        {
            let name = format!("{prefix}{}", self.suffix());
            metadata["name"] = json!(name);
        }
        let name = metadata["name"].as_str().unwrap_or_default().to_owned();
        if let Some(namespace) = namespace {
            self.check_namespace(resource, namespace, &name)?;
        }
        if metadata["resourceVersion"].as_str().is_some_and(|version| version != "0") {
            return Err(Status::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        if let Some(metadata) = metadata.as_object_mut() {
            OWN.iter().for_each(|field| drop(metadata.remove(*field)));
        }
        if resource.status
            && !resource.is("", "nodes")
            && let Some(members) = body.as_object_mut()
        {
            members.remove("status");
        }
        let mut causes = Vec::new();
        names::check_metadata(resource, &body["metadata"], &mut causes);
        let given = body.get("spec").cloned().unwrap_or_default();
        self.admit(write, resource, &mut body, &mut causes)?;
        Self::refuse(resource, &body, causes)?;
        let definitions = match State::is_definition(resource) {
            true => Some(crd::resources(&body)?),
            false => None,
        };
        let (storage, key) = (resource.storage(), resource.key(namespace, &name));
        if let Some(there) = self.objects.get(&storage, &key) {
            return Err(Status::already_exists(resource, &name, there.is_terminating()));
        }
        let uid = self.uid();
        let metadata = &mut body["metadata"];
        metadata["uid"] = json!(uid);
        metadata["creationTimestamp"] = json!(write.now());
        if resource.counts_generations() {
            metadata["generation"] = json!(1);
        }
        let has_owners = metadata["ownerReferences"].is_array();
        match &write.managed {
            Some(managers) => body["metadata"]["managedFields"] = managers.clone(),
            None => {
                let manager = Manager::of(write, &resource.api_version(), None);
                let mut managers = Managers::default();
                managers.note(manager, &managed_fields::made(resource, &body, &given));
                managers.put(&mut body);
            }
        }
        if write.dry_run {
            return Ok(Arc::new(Stored::new(body)));
        }
        let stored = self.objects.put(&storage, &key, body, write.at);
        self.has_chores |= self.options.collects_garbage && has_owners;
        if let Some(definitions) = definitions {
            self.define(write, &key, definitions);
        }
        Ok(stored)
    }

    pub(crate) fn update(
        &mut self,
        write: &Write,
        resource: &Arc<Resource>,
        namespace: Option<&str>,
        name: &str,
        part: Part,
        mut body: Value,
    ) -> Result<Arc<Stored>, Status> {
        let resets = part == Part::Main && managed_fields::are_reset_by(&body);
        self.fit(resource, namespace, Some(name), &mut body)?;
        let old = self.get(resource, namespace, name)?;
        Self::check_base(resource, &old, part, &body)?;
        let mut new = Self::compose(resource, &old, part, body);
        let mut causes = Vec::new();
        names::check_metadata(resource, &new["metadata"], &mut causes);
        if old.is_terminating() {
            let before = old.finalizers();
            let added: Vec<_> = super::objects::strings(&new["metadata"]["finalizers"])
                .into_iter()
                .filter(|finalizer| !before.contains(finalizer))
                .collect();
            if !added.is_empty() {
                let why = format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers \
                     []string{{{}}}",
                    added.iter().map(|one| format!("{one:?}")).collect::<Vec<_>>().join(", ")
                );
                causes.push(Cause::forbidden("metadata.finalizers", &why));
            }
        }
        self.admit(write, resource, &mut new, &mut causes)?;
        if part == Part::Main {
            immutable::check(resource, &old.value, &new, &mut causes);
        }
        Self::refuse(resource, &new, causes)?;
        let definitions = match State::is_definition(resource) && part == Part::Main {
            true => Some(crd::resources(&new)?),
            false => None,
        };
        let has_managers = |managers: &Value| {
            let found = json!({ "metadata": { "managedFields": managers } });
            Managers::read(&found).without_times() == Managers::read(&old.value).without_times()
        };
        if is_same(&old.value, &new) && !resets && write.managed.as_ref().is_none_or(has_managers) {
            return Ok(old);
        }
        if part == Part::Main && resource.counts_generations() && !is_same_spec(&old.value, &new, resource) {
            let generation = old.metadata("generation").as_i64().unwrap_or_default();
            new["metadata"]["generation"] = json!(generation + 1);
        }
        let subresource = part.subresource().or(write.through);
        match &write.managed {
            Some(managers) => new["metadata"]["managedFields"] = managers.clone(),
            None if resets => drop(new["metadata"].as_object_mut().map(|all| all.remove("managedFields"))),
            // The real server does not note who bound a Pod, nor who writes what nobody manages.
            None if part == Part::Binding || old.metadata("managedFields").is_null() => {}
            None => {
                let manager = Manager::of(write, &resource.api_version(), subresource);
                managed_fields::note(&mut new, Some(&old.value), Rules::of(resource), manager);
            }
        }
        let (storage, key) = (resource.storage(), resource.key(namespace, name));
        if part != Part::Status && is_finished(resource, &new) {
            // The answer shows the version before: the deletion has one that the writer does not learn.
            if !write.dry_run {
                self.remove(write, resource, &storage, &key);
            }
            return Ok(Arc::new(Stored::new(new)));
        }
        if write.dry_run {
            return Ok(Arc::new(Stored::new(new)));
        }
        let stored = self.objects.put(&storage, &key, new, write.at);
        self.has_chores |= self.options.collects_garbage;
        if let Some(definitions) = definitions {
            self.define(write, &key, definitions);
        }
        Ok(stored)
    }

    pub(crate) fn patch(
        &mut self,
        write: &Write,
        resource: &Arc<Resource>,
        namespace: Option<&str>,
        name: &str,
        part: Part,
        patch: &Patch,
    ) -> Result<Arc<Stored>, Status> {
        let old = self.get(resource, namespace, name)?;
        let mut object = resource.stamp(&old);
        patch.apply(&mut object)?;
        let uid = &object["metadata"]["uid"];
        if !uid.is_null() && uid != old.uid() {
            let cause = Cause::invalid("metadata.uid", uid, "field is immutable");
            return Err(Status::invalid(&resource.group, &resource.kind, name, vec![cause]));
        }
        let patched = object.clone();
        self.update(write, resource, namespace, name, part, object).map_err(|status| {
            // What cannot be read after a patch is the patch's fault: no bad request, but an invalid patch.
            let is_unreadable = status.code == 400 && status.message.contains("cannot be handled as a");
            let why = match status.message.find("strict decoding error") {
                Some(at) => status.message.get(at..).unwrap_or_default(),
                None if is_unreadable && !resource.is_custom() => &status.message,
                None => return status,
            };
            let cause = Cause::invalid("patch", &Value::String(patched.to_string()), why);
            Status::invalid("", "", "", vec![cause])
        })
    }

    /// Whether the update may be made on what is stored now.
    fn check_base(resource: &Resource, old: &Stored, part: Part, body: &Value) -> Result<(), Status> {
        let metadata = &body["metadata"];
        let name = old.name();
        if let Some(uid) = metadata["uid"].as_str()
            && uid != old.uid()
        {
            let why = format!(
                "StorageError: invalid object, Code: 4, Key: /registry/{}, ResourceVersion: 0, AdditionalErrorMsg: \
                 Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                registry_key(resource, old),
                old.uid()
            );
            return Err(Status::conflict(resource, name, &why));
        }
        match metadata["resourceVersion"].as_str() {
            None | Some("" | "0") if part == Part::Main && !resource.allows_unconditional_update() => {
                let why = "must be specified for an update";
                let cause = Cause::invalid("metadata.resourceVersion", &json!(0), why);
                // Here, and only here, the real server names the resource and not the kind.
                Err(Status::invalid(&resource.group, &resource.plural, name, vec![cause]))
            }
            Some(version) if version != "0" && old.metadata("resourceVersion") != version => {
                Err(Status::stale(resource, name))
            }
            _ => Ok(()),
        }
    }

    /// The object after the update: what the body may change, on top of what it may not.
    fn compose(resource: &Resource, old: &Stored, part: Part, mut body: Value) -> Value {
        if part != Part::Main {
            let mut new = old.value.clone();
            match part {
                Part::Finalize => new["spec"]["finalizers"] = body["spec"]["finalizers"].take(),
                Part::Binding => {
                    new["spec"]["nodeName"] = body["spec"]["nodeName"].take();
                    new["status"]["conditions"] = body["status"]["conditions"].take();
                    if body["metadata"]["annotations"].is_object() {
                        new["metadata"]["annotations"] = body["metadata"]["annotations"].take();
                    }
                }
                _ => new["status"] = body["status"].take(),
            }
            return new;
        }
        for field in OWN {
            let kept = old.metadata(field).clone();
            if kept.is_null() {
                body["metadata"].as_object_mut().map(|metadata| metadata.remove(field));
            } else {
                body["metadata"][field] = kept;
            }
        }
        if resource.status {
            let status = old.value.get("status").cloned();
            match (status, body.as_object_mut()) {
                (Some(status), Some(members)) => drop(members.insert("status".into(), status)),
                (None, Some(members)) => drop(members.remove("status")),
                _ => {}
            }
        }
        if resource.is("", "namespaces") {
            body["spec"]["finalizers"] = old.value["spec"]["finalizers"].clone();
        }
        body
    }

    /// Reads the object as its kind: types, defaults, unknown fields, the schema.
    fn admit(
        &self,
        write: &Write,
        resource: &Resource,
        value: &mut Value,
        causes: &mut Vec<Cause>,
    ) -> Result<(), Status> {
        match &resource.origin {
            Origin::Builtin(row) => {
                let kind = row.kind;
                *value = (row.check)(value.take()).map_err(|error| {
                    Status::bad_request(format!(
                        "{kind} in version {:?} cannot be handled as a {kind}: {error}",
                        row.version
                    ))
                })?;
                if let Some(members) = value.as_object_mut() {
                    members.remove("apiVersion");
                    members.remove("kind");
                }
                (row.default)(value);
                required::check(row.kind, value, causes);
            }
            Origin::Custom(custom) => {
                let dropped = custom.prune(value);
                if write.strict && !dropped.is_empty() {
                    let fields: Vec<_> =
                        dropped.iter().map(|field| format!("unknown field {field:?}")).collect();
                    return Err(Status::bad_request(format!(
                        "{kind} in version {:?} cannot be handled as a {kind}: strict decoding error: {}",
                        resource.version,
                        fields.join(", "),
                        kind = resource.kind,
                    )));
                }
                custom.fill(value);
                causes.extend(custom.causes(&resource.stamp_value(value.clone())));
            }
        }
        Ok(())
    }
}

/// Where the real server keeps an object.
fn registry_key(resource: &Resource, stored: &Stored) -> String {
    let key = resource.key(stored.namespace(), stored.name());
    match resource.is_custom() {
        true => format!("{}/{}/{key}", resource.group, resource.plural),
        false => format!("{}/{key}", resource.plural),
    }
}

/// Whether nothing keeps a terminating object any more.
pub(crate) fn is_finished(resource: &Resource, value: &Value) -> bool {
    let metadata = &value["metadata"];
    let has = |list: &Value| list.as_array().is_some_and(|items| !items.is_empty());
    metadata["deletionTimestamp"].is_string()
        && !has(&metadata["finalizers"])
        && metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or_default() == 0
        && !(resource.is("", "namespaces") && has(&value["spec"]["finalizers"]))
}

/// Whether two objects differ in nothing but who wrote them.
fn is_same(one: &Value, other: &Value) -> bool {
    members_but(one, &["metadata"]).eq(members_but(other, &["metadata"]))
        && members_but(&one["metadata"], &["managedFields"])
            .eq(members_but(&other["metadata"], &["managedFields"]))
}

fn is_same_spec(one: &Value, other: &Value, resource: &Resource) -> bool {
    let but: &[&str] = if resource.status { &["metadata", "status"] } else { &["metadata"] };
    members_but(one, but).eq(members_but(other, but))
}

fn members_but<'a>(value: &'a Value, but: &'a [&str]) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.as_object().into_iter().flatten().filter(move |(key, _)| !but.contains(&key.as_str()))
}
