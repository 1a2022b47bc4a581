//! Server-side apply: a configuration is merged into what is there, and its fields belong to who applied it.
//!
//! Lists are merged by the keys that the published schemas of the built-in kinds name, and by those of a definition's
//! schema; a list without is one value. What is not done as the real server does it: managers of other versions of a
//! kind are taken as if their fields had the same names; the many managers of an object are never folded into one;
//! nothing becomes of kubectl's `last-applied-configuration`; a definition whose lists are merged otherwise than before
//! leaves what is owned as it is.

pub(crate) mod fields;
pub(crate) mod rules;
pub(crate) mod walk;

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    kinds::{Origin, Resource},
    managed_fields::{Manager, Managers, of_nobody},
    objects::Stored,
    request::Call,
    state::{State, Write},
    status::{Cause, Status},
    write::Part,
};
use fields::Fields;
use rules::Rules;
use walk::{compare, fields_of, merge, with_structs, without};

/// What is applied, and how.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    /// What to own; `metadata` names the object, if anything.
    pub(crate) value: Value,
    /// Whether fields are taken from those who own them.
    pub(crate) force: bool,
    /// The subresource that it is applied to.
    pub(crate) subresource: Option<&'static str>,
}

// === impl Configuration ===

impl Configuration {
    /// The configuration that a request applies; none where it patches in another way.
    ///
    /// # Errors
    /// 422 of options that do not fit, 400 of what does not parse: JSON is read, and no other YAML.
    pub(crate) fn read(call: &Call) -> Result<Option<Self>, Status> {
        let invalid = |cause| Err(Status::invalid("meta.k8s.io", "PatchOptions", "", vec![cause]));
        if !call.is_apply() {
            return match call.query.get("force") {
                Some(_) => invalid(Cause::forbidden("force", "may not be specified for non-apply patch")),
                None => Ok(None),
            };
        }
        if call.query.get("fieldManager").is_none() {
            return invalid(Cause::required("fieldManager", "is required for apply patch"));
        }
        let wrong =
            |error: &dyn std::fmt::Display| Status::bad_request(format!("error decoding YAML: {error}"));
        let value = serde_json::from_slice::<Value>(&call.body).map_err(|error| wrong(&error))?;
        Ok(Some(Self { value, force: call.query.flag("force"), subresource: None }))
    }
}

// === impl State ===

impl State {
    /// Applies a configuration; tells whether it made the object.
    pub(crate) fn apply(
        &mut self,
        write: &Write,
        resource: &Arc<Resource>,
        namespace: Option<&str>,
        name: &str,
        part: Part,
        configuration: &Configuration,
    ) -> Result<(Arc<Stored>, bool), Status> {
        let mut applied = configuration.value.clone();
        check_types(resource, &applied)?;
        let shown = object_text(resource, &applied);
        self.fit(resource, namespace, Some(name), &mut applied)?;
        if configuration.value["metadata"].get("managedFields").is_some_and(|fields| !fields.is_null()) {
            return Err(Status::bad_request("metadata.managedFields must be nil"));
        }
        let live = match self.get(resource, namespace, name) {
            Ok(live) => Some(live),
            Err(status) if part != Part::Main || configuration.subresource.is_some() => return Err(status),
            Err(_) => None,
        };
        if let (None, Some(uid)) = (&live, applied["metadata"]["uid"].as_str()) {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            return Err(Status::conflict(resource, name, &why));
        }
        let rules = Rules::of(resource);
        let mut before = live.as_ref().map_or_else(|| json!({}), |live| live.value.clone());
        let mut managers = Managers::read(&before);
        if let Some(metadata) = before["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        let manager = Manager::of(write, &resource.api_version(), configuration.subresource);
        if managers.0.is_empty() && live.is_some() {
            let whole = compare(rules, Some(&json!({})), Some(&before));
            let name = "before-first-apply".to_owned();
            managers.note(Manager { name, subresource: None, ..manager.clone() }, &whole);
        }

        let ignored: &[&str] = match part {
            Part::Main if resource.status => &["f:status"],
            Part::Status => &["f:metadata", "f:spec"],
            _ => &[],
        };
        let typed = self.known_to(resource, &applied, &shown)?;
        let mut own =
            fields_of(rules, &typed, "").map_err(|why| untyped(&shown, &why))?.difference(&of_nobody());
        ignored.iter().for_each(|step| own.cut(&[step]));

        let mut applier = Manager { applies: true, ..manager };
        let last = managers.find(&applier).map(|at| managers.0.remove(at));
        let mut after = merge(rules, &before, &typed);
        if let Some(last) = &last {
            let owned = managers.0.iter().fold(own.clone(), |all, other| all.union(&other.fields));
            let gone = with_structs(rules, &after, &last.fields);
            let gone = gone.difference(&with_structs(rules, &after, &owned));
            after = without(rules, &after, &gone);
        }
        let mut difference = compare(rules, Some(&before), Some(&after));
        ignored.iter().for_each(|step| difference.cut(&[step]));
        let set = difference.set();
        let conflicts: Vec<_> =
            managers.0.iter().map(|other| (other, other.fields.intersection(&set))).collect();
        if !configuration.force && conflicts.iter().any(|(_, fields)| !fields.is_empty()) {
            return Err(conflict(conflicts));
        }
        if let Origin::Custom(custom) = &resource.origin {
            // In what is sent null is as good as nothing; in what comes of an apply it is not.
            let mut causes = custom.causes(&resource.stamp_value(after.clone()));
            causes.retain(|cause| cause.message.starts_with("Invalid value: \"null\""));
            Self::refuse(resource, &after, causes)?;
        }
        for other in &mut managers.0 {
            other.fields = other.fields.difference(&set).difference(&difference.removed);
        }
        // Who applies what is there already has done nothing, and the time stays.
        let is_same = set.is_empty() && difference.removed.is_empty();
        applier.fields = own;
        if is_same {
            applier.time = last.and_then(|last| last.time);
        }
        if configuration.subresource == Some("scale") {
            applier.time = None;
        }
        managers.0.push(applier);

        let mut write = write.clone();
        write.managed = Some(managers.write());
        let Some(live) = live else {
            // There is no version that this could be of.
            if let Some(metadata) = after["metadata"].as_object_mut() {
                metadata.remove("resourceVersion");
            }
            return Ok((self.create(&write, resource, namespace, resource.stamp_value(after))?, true));
        };
        for field in ["uid", "resourceVersion"] {
            if after["metadata"][field].is_null() {
                after["metadata"][field] = live.metadata(field).clone();
            }
        }
        let stored = self.update(&write, resource, namespace, name, part, resource.stamp_value(after))?;
        Ok((stored, false))
    }

    /// What is applied, if its kind knows all of it.
    fn known_to(&self, resource: &Resource, applied: &Value, object: &str) -> Result<Value, Status> {
        let unknown = match &resource.origin {
            Origin::Custom(custom) => custom.prune(&mut applied.clone()),
            Origin::Builtin(row) => {
                let read = (row.check)(applied.clone()).map_err(|error| untyped(object, &error))?;
                // What a kind reads otherwise than it is written is known all the same: `stringData`.
                missing(applied, &read, "")
                    .into_iter()
                    .filter(|path| !path.starts_with("stringData"))
                    .collect()
            }
        };
        match unknown.first() {
            Some(path) => Err(untyped(object, &format!(".{path}: field not declared in schema"))),
            None => Ok(applied.clone()),
        }
    }
}

/// The members that one value has and the other lacks.
fn missing(one: &Value, other: &Value, at: &str) -> Vec<String> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => one
            .iter()
            .filter(|(_, value)| !value.is_null())
            .flat_map(|(name, value)| {
                let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                match other.get(name) {
                    Some(other) => missing(value, other, &path),
                    None if value.as_object().is_some_and(serde_json::Map::is_empty) => Vec::new(),
                    None if value.as_array().is_some_and(Vec::is_empty) => Vec::new(),
                    None => vec![path],
                }
            })
            .collect(),
        (Value::Array(one), Value::Array(other)) => {
            one.iter().zip(other).flat_map(|(one, other)| missing(one, other, at)).collect()
        }
        _ => Vec::new(),
    }
}

fn check_types(resource: &Resource, applied: &Value) -> Result<(), Status> {
    let text = |name: &str| applied[name].as_str().unwrap_or_default();
    if text("apiVersion") == resource.api_version() && text("kind") == resource.kind {
        return Ok(());
    }
    let (group, version) = text("apiVersion").rsplit_once('/').unwrap_or(("", text("apiVersion")));
    Err(Status::bad_request(format!("invalid object type: {group}/{version}, Kind={}", text("kind"))))
}

/// An object as the messages about types name it.
fn object_text(resource: &Resource, applied: &Value) -> String {
    let text = |name: &str| applied["metadata"][name].as_str().unwrap_or_default();
    let Resource { group, version, kind, .. } = resource;
    format!("{}/{}; {group}/{version}, Kind={kind}", text("namespace"), text("name"))
}

fn untyped(object: &str, why: &str) -> Status {
    let message = format!("failed to create typed patch object ({object}): {why}");
    Status::new(500, "", message)
}

/// The conflict of those who own what another would set.
fn conflict(mut owners: Vec<(&Manager, Fields)>) -> Status {
    owners.sort_by_key(|(manager, _)| shown(manager));
    let mut all = Vec::new();
    let mut lines = Vec::new();
    for (manager, fields) in owners.iter().filter(|(_, fields)| !fields.is_empty()) {
        lines.push(format!("conflicts with {}:", shown(manager)));
        for path in fields.paths() {
            lines.push(format!("- {path}"));
            all.push((shown(manager), path));
        }
    }
    let message = match all.as_slice() {
        [(manager, path)] => format!("Apply failed with 1 conflict: conflict with {manager}: {path}"),
        all => format!("Apply failed with {} conflicts: {}", all.len(), lines.join("\n")),
    };
    let cause = |(manager, path): &(String, String)| {
        json!({
            "reason": "FieldManagerConflict",
            "message": format!("conflict with {manager}"),
            "field": path,
        })
    };
    let mut status = Status::new(409, "Conflict", message);
    status.details = Some(json!({ "causes": all.iter().map(cause).collect::<Vec<_>>() }));
    status
}

/// A manager as messages name it.
fn shown(manager: &Manager) -> String {
    let mut text = format!("{:?}", manager.name);
    if let Some(subresource) = &manager.subresource {
        text.push_str(&format!(" with subresource {subresource:?}"));
    }
    if !manager.applies {
        text.push_str(&format!(" using {}", manager.api_version));
    }
    text
}
