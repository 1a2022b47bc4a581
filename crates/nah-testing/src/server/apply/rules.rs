//! How the lists and maps of a kind are merged (pure).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::server::kinds::{Origin, Resource};

/// How a value is merged: what stands at one place of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rules<'a> {
    /// A place in a structural schema; null where it says nothing.
    Schema(&'a Value),
    /// A place in a built-in kind.
    Builtin(Known),
}

/// What is known of a member of a built-in kind, by its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Known {
    /// A struct or a scalar; a list is one value.
    Plain,
    /// One value, whatever is in it.
    Atomic,
    /// A map: its keys are not its type's.
    Map,
    /// A list without order or duplicates.
    Set,
    /// A list of structs, each known by these members.
    Keyed(&'static [&'static str]),
    /// The same, of structs that are one value each.
    KeyedAtomic(&'static [&'static str]),
    /// The ports of a container or of a service.
    Ports,
    /// A Job's status: alone among all, its conditions are one value.
    JobStatus,
}

/// How a value is merged.
#[derive(Debug)]
pub(crate) enum Shape<'v> {
    /// As one.
    Leaf,
    /// Member by member.
    Map(&'v Map<String, Value>),
    /// Item by item, in the order of the list.
    List(&'v [Value]),
}

/// The items of a list, each with the step to it and its rules.
pub(crate) type Steps<'v, 'a> = Vec<(String, &'v Value, Rules<'a>)>;

// === impl Rules ===

impl<'a> Rules<'a> {
    /// The rules of a whole object.
    pub(crate) fn of(resource: &'a Resource) -> Self {
        match &resource.origin {
            Origin::Builtin(row) if row.kind == "Job" => Self::Builtin(Known::JobStatus),
            Origin::Builtin(_) => Self::Builtin(Known::Plain),
            Origin::Custom(custom) => Self::Schema(&custom.schema),
        }
    }

    /// The rules of a member.
    pub(crate) fn member(self, name: &str) -> Self {
        match self {
            Self::Builtin(Known::JobStatus) if name == "status" => self,
            Self::Builtin(Known::JobStatus) if name == "conditions" => Self::Builtin(Known::Atomic),
            Self::Builtin(_) => Self::Builtin(known(name)),
            // Schemas may say little of metadata, and nothing that would count.
            Self::Schema(schema)
                if name == "metadata" && schema["properties"][name]["properties"].is_null() =>
            {
                Self::Builtin(Known::Plain)
            }
            Self::Schema(schema) => match &schema["properties"][name] {
                Value::Null => Self::Schema(&schema["additionalProperties"]),
                property => Self::Schema(property),
            },
        }
    }

    /// The rules of an item of a list.
    fn item(self) -> Self {
        match self {
            Self::Builtin(Known::KeyedAtomic(_)) => Self::Builtin(Known::Atomic),
            Self::Builtin(_) => Self::Builtin(Known::Plain),
            Self::Schema(schema) => Self::Schema(&schema["items"]),
        }
    }

    /// Whether a member of this name is one of the type's, and not a key of a map.
    pub(crate) fn declares(self, name: &str) -> bool {
        match self {
            Self::Builtin(known) => known != Known::Map,
            Self::Schema(schema) => {
                !schema["properties"][name].is_null() || ["apiVersion", "kind", "metadata"].contains(&name)
            }
        }
    }

    /// Whether an object that lacks a member of this name has an empty one: a struct or a list that Go cannot leave out.
    pub(crate) fn has_always(self, name: &str) -> bool {
        let names = [
            "spec",
            "status",
            "metadata",
            "template",
            "jobTemplate",
            "containers",
            "strategy",
            "updateStrategy",
        ];
        matches!(self, Self::Builtin(known) if known != Known::Map)
            && (names.contains(&name) || name == "loadBalancer")
    }

    /// How `value` is merged here.
    pub(crate) fn shape(self, value: &Value) -> Shape<'_> {
        let is_atomic = match self {
            Self::Builtin(known) => known == Known::Atomic,
            Self::Schema(schema) => schema["x-kubernetes-map-type"] == "atomic",
        };
        match value {
            Value::Object(members) if !is_atomic => Shape::Map(members),
            Value::Array(items) if self.keys(items).is_some() => Shape::List(items),
            _ => Shape::Leaf,
        }
    }

    /// The names of the members that tell an item of a list; none of them in a set, and none at all where the list is
    /// one value.
    fn keys(self, items: &[Value]) -> Option<Vec<&'a str>> {
        match self {
            Self::Builtin(Known::Keyed(keys) | Known::KeyedAtomic(keys)) => Some(keys.to_vec()),
            Self::Builtin(Known::Set) => Some(Vec::new()),
            Self::Builtin(Known::Ports) => {
                let in_container = items.iter().any(|item| item.get("containerPort").is_some());
                Some(vec![if in_container { "containerPort" } else { "port" }, "protocol"])
            }
            Self::Builtin(_) => None,
            Self::Schema(schema) => match schema["x-kubernetes-list-type"].as_str() {
                Some("set") => Some(Vec::new()),
                Some("map") => {
                    let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
                    Some(keys.filter_map(Value::as_str).collect())
                }
                _ => None,
            },
        }
    }

    /// The items of a list, each with its step and its rules. A key that an item lacks and that has no default is none
    /// of its keys.
    ///
    /// # Errors
    /// The place in the list of an item without any key, and what is wrong with it.
    pub(crate) fn steps<'v>(self, items: &'v [Value]) -> Result<Steps<'v, 'a>, (usize, String)> {
        let keys = self.keys(items).unwrap_or_default();
        let rules = self.item();
        let step = |(at, item): (usize, &'v Value)| {
            if keys.is_empty() {
                return Ok((format!("v:{item}"), item, rules));
            }
            let value = |key: &&str| {
                let value = item.get(*key).cloned().or_else(|| rules.default(key))?;
                Some(((*key).to_owned(), value))
            };
            let values: BTreeMap<_, _> = keys.iter().filter_map(value).collect();
            if values.is_empty() {
                let keys: Vec<_> = keys.iter().map(|key| format!("{key:?}")).collect();
                let why = format!(
                    "associative list with keys has an element that omits all key fields [{}] (and doesn't have \
                     default values for any key fields)",
                    keys.join(" ")
                );
                return Err((at, why));
            }
            Ok((format!("k:{}", json!(values)), item, rules))
        };
        items.iter().enumerate().map(step).collect()
    }

    fn default(self, key: &str) -> Option<Value> {
        match self {
            Self::Builtin(_) => Some(match key {
                "protocol" => json!("TCP"),
                "port" | "containerPort" => json!(0),
                _ => json!(""),
            }),
            Self::Schema(schema) => schema["properties"][key].get("default").cloned(),
        }
    }
}

/// What the published schemas of the built-in kinds say of their members. Where a name means a list in one place and an
/// object in another, what the object holds decides.
fn known(name: &str) -> Known {
    match name {
        "labels" | "annotations" | "data" | "binaryData" | "stringData" | "limits" | "requests"
        | "capacity" | "allocatable" | "allocatedResources" | "hard" | "overhead" | "parameters"
        | "volumeAttributes" => Known::Map,
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "env"
        | "claims"
        | "resourceClaims"
        | "volumes"
        | "schedulingGates"
        | "resourceClaimStatuses" => Known::Keyed(&["name"]),
        "imagePullSecrets" | "secrets" => Known::KeyedAtomic(&["name"]),
        "conditions" | "addresses" => Known::Keyed(&["type"]),
        "ownerReferences" => Known::KeyedAtomic(&["uid"]),
        "ports" => Known::Ports,
        "volumeMounts" => Known::Keyed(&["mountPath"]),
        "volumeDevices" => Known::Keyed(&["devicePath"]),
        "hostAliases" | "podIPs" => Known::Keyed(&["ip"]),
        "topologySpreadConstraints" => Known::Keyed(&["topologyKey", "whenUnsatisfiable"]),
        "finalizers" | "podCIDRs" | "succeeded" | "failed" => Known::Set,
        "selector"
        | "nodeSelector"
        | "labelSelector"
        | "podSelector"
        | "configMapKeyRef"
        | "secretKeyRef"
        | "fieldRef"
        | "resourceFieldRef"
        | "fileKeyRef"
        | "secretRef"
        | "claimRef"
        | "dataSource"
        | "roleRef"
        | "involvedObject"
        | "regarding"
        | "related"
        | "required"
        | "requiredDuringSchedulingIgnoredDuringExecution"
        | "port"
        | "resource" => Known::Atomic,
        name if name.ends_with("SecretRef") => Known::Atomic,
        _ => Known::Plain,
    }
}
