//! The kinds that are written and watched.

use nah_core::GroupVersionKind;
use serde_json::{Value, json};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    ConfigMap,
    Secret,
    /// Lives in no namespace.
    ClusterRole,
    /// Is defined and undefined while it is watched.
    Widget,
}

pub(crate) const SORTS: [Sort; 4] = [Sort::ConfigMap, Sort::Secret, Sort::ClusterRole, Sort::Widget];

pub(crate) const NAMESPACES: [&str; 2] = ["default", "other"];

impl Sort {
    pub(crate) fn gvk(self) -> GroupVersionKind {
        match self {
            Self::ConfigMap => GroupVersionKind::gvk("", "v1", "ConfigMap"),
            Self::Secret => GroupVersionKind::gvk("", "v1", "Secret"),
            Self::ClusterRole => GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", "ClusterRole"),
            Self::Widget => GroupVersionKind::gvk("example.com", "v1", "Widget"),
        }
    }

    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmaps",
            Self::Secret => "secrets",
            Self::ClusterRole => "clusterroles",
            Self::Widget => "widgets",
        }
    }

    pub(crate) fn is_namespaced(self) -> bool {
        self != Self::ClusterRole
    }

    /// An object; every third state of it is of another tier.
    pub(crate) fn object(self, namespace: &str, name: &str, value: u32) -> Value {
        let gvk = self.gvk();
        let tier = if value.is_multiple_of(3) { "back" } else { "front" };
        let mut metadata = json!({ "name": name, "labels": { "tier": tier } });
        if self.is_namespaced() {
            metadata["namespace"] = json!(namespace);
        }
        let mut object = json!({ "apiVersion": gvk.api_version(), "kind": gvk.kind, "metadata": metadata });
        let text = json!({ "value": format!("v{value}") });
        match self {
            Self::ConfigMap => object["data"] = text,
            Self::Secret => object["stringData"] = text,
            Self::ClusterRole => object["metadata"]["annotations"] = text,
            Self::Widget => object["spec"] = text,
        }
        object
    }
}

pub(crate) fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}

/// What defines the Widgets.
pub(crate) fn definition() -> Value {
    let schema =
        json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
    json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": "widgets.example.com" },
            "spec": { "group": "example.com", "scope": "Namespaced",
                      "names": { "plural": "widgets", "kind": "Widget" },
                      "versions": [{ "name": "v1", "served": true, "storage": true, "schema": schema }] } })
}
