//! The kinds that the server serves: a table of built-in ones, and those of the CustomResourceDefinitions.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{
    builtin::{self, Builtin},
    crd::Custom,
    names::NameRule,
    objects::Stored,
};

/// One kind in one version, as it is served.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    /// Whether there is a `status` subresource.
    pub(crate) status: bool,
    /// The paths that the `scale` subresource reads and writes, where there is one.
    pub(crate) scale: Option<ScalePaths>,
    pub(crate) origin: Origin,
}

/// Where a kind comes from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    Builtin(&'static Builtin),
    Custom(Arc<Custom>),
}

/// JSON pointers to what `scale` is made of.
#[derive(Clone, Debug)]
pub(crate) struct ScalePaths {
    pub(crate) spec: String,
    pub(crate) status: String,
    /// A selector that is a string (of a custom kind) or a label selector (of a built-in one).
    pub(crate) selector: Option<String>,
}

/// All kinds that are served now.
#[derive(Clone, Debug)]
pub(crate) struct Kinds {
    /// By group, version and plural.
    served: BTreeMap<(String, String, String), Arc<Resource>>,
}

// === impl Kinds ===

impl Kinds {
    /// The built-in kinds.
    pub(crate) fn builtin() -> Self {
        let mut kinds = Self { served: BTreeMap::new() };
        for row in builtin::TABLE {
            kinds.add(Resource::of_builtin(row));
        }
        kinds
    }

    pub(crate) fn add(&mut self, resource: Resource) {
        let key = (resource.group.clone(), resource.version.clone(), resource.plural.clone());
        self.served.insert(key, Arc::new(resource));
    }

    /// Replaces all versions of a custom kind; with none, the kind is served no more.
    pub(crate) fn replace_custom(&mut self, group: &str, plural: &str, resources: Vec<Resource>) {
        self.served.retain(|(one, _, other), _| one != group || other != plural);
        for resource in resources {
            self.add(resource);
        }
    }

    /// Forgets all custom kinds.
    pub(crate) fn clear_custom(&mut self) {
        self.served.retain(|_, resource| matches!(resource.origin, Origin::Builtin(_)));
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        self.served.get(&(group.to_owned(), version.to_owned(), plural.to_owned())).cloned()
    }

    /// A kind by the `apiVersion` and `kind` of an object.
    pub(crate) fn of_object(&self, api_version: &str, kind: &str) -> Option<Arc<Resource>> {
        self.iter().find(|resource| resource.kind == kind && resource.api_version() == api_version).cloned()
    }

    /// Any version of a group's resource.
    pub(crate) fn of_storage(&self, storage: &str) -> Option<Arc<Resource>> {
        self.iter().find(|resource| resource.storage() == storage).cloned()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.served.values()
    }
}

// === impl Resource ===

impl Resource {
    fn of_builtin(row: &'static Builtin) -> Self {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            group: row.group.to_owned(),
            version: row.version.to_owned(),
            plural: row.plural.to_owned(),
            singular: row.kind.to_lowercase(),
            kind: row.kind.to_owned(),
            list_kind: format!("{}List", row.kind),
            short_names: owned(row.short),
            categories: owned(row.categories),
            namespaced: row.namespaced,
            status: row.status,
            scale: row.scale.then(|| ScalePaths {
                spec: "/spec/replicas".to_owned(),
                status: "/status/replicas".to_owned(),
                selector: Some("/spec/selector".to_owned()),
            }),
            origin: Origin::Builtin(row),
        }
    }

    /// `group/version`, or the version alone in the core group.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `plural.group` as messages name it, or the plural alone in the core group.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The name under which all versions of this kind are stored.
    pub(crate) fn storage(&self) -> String {
        self.qualified()
    }

    /// The key of an object in its storage.
    pub(crate) fn key(&self, namespace: Option<&str>, name: &str) -> String {
        match namespace {
            Some(namespace) if self.namespaced => format!("{namespace}/{name}"),
            _ => name.to_owned(),
        }
    }

    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }

    /// The package that messages name types with.
    pub(crate) fn go_package(&self) -> &str {
        match &self.origin {
            Origin::Custom(_) => "unstructured",
            Origin::Builtin(_) if self.group.is_empty() => "core",
            Origin::Builtin(_) => self.group.split('.').next().unwrap_or_default(),
        }
    }

    pub(crate) fn is_custom(&self) -> bool {
        matches!(self.origin, Origin::Custom(_))
    }

    /// Whether the kind counts generations.
    pub(crate) fn counts_generations(&self) -> bool {
        match &self.origin {
            Origin::Builtin(row) => row.generation,
            Origin::Custom(_) => true,
        }
    }

    /// Whether a successful deletion answers the object, and not a `Status`.
    pub(crate) fn returns_deleted(&self) -> bool {
        match &self.origin {
            Origin::Builtin(row) => row.returns_deleted,
            Origin::Custom(_) => false,
        }
    }

    /// Whether an update may leave out the version it is based on.
    pub(crate) fn allows_unconditional_update(&self) -> bool {
        match &self.origin {
            Origin::Builtin(row) => row.unconditional,
            Origin::Custom(_) => false,
        }
    }

    pub(crate) fn name_rule(&self) -> NameRule {
        match &self.origin {
            Origin::Builtin(row) => row.names,
            Origin::Custom(_) => NameRule::Subdomain,
        }
    }

    /// Whether field selectors may name more than name and namespace.
    pub(crate) fn has_own_fields(&self) -> bool {
        match &self.origin {
            Origin::Builtin(row) => !row.fields.is_empty(),
            Origin::Custom(_) => true,
        }
    }

    /// Whether field selectors may name `field`.
    pub(crate) fn selects_by(&self, field: &str) -> bool {
        let always = field == "metadata.name" || field == "metadata.namespace";
        always
            || match &self.origin {
                Origin::Builtin(row) => row.fields.contains(&field),
                Origin::Custom(custom) => custom.selectable.iter().any(|one| one == field),
            }
    }

    /// The object as it goes over the wire in this version.
    pub(crate) fn stamp(&self, stored: &Stored) -> Value {
        self.stamp_value(stored.value.clone())
    }

    pub(crate) fn stamp_value(&self, mut value: Value) -> Value {
        value["kind"] = Value::String(self.kind.clone());
        value["apiVersion"] = Value::String(self.api_version());
        value
    }

    /// The same as [`stamp`](Self::stamp), as bytes and without encoding the object again.
    pub(crate) fn stamp_bytes(&self, stored: &Stored) -> Vec<u8> {
        let head = format!("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",", self.kind, self.api_version());
        let json = stored.json();
        let mut bytes = Vec::with_capacity(head.len() + json.len());
        bytes.extend_from_slice(head.as_bytes());
        // What is stored has metadata always, so after its opening brace comes a member.
        bytes.extend_from_slice(json.get(1..).unwrap_or_default());
        bytes
    }
}
