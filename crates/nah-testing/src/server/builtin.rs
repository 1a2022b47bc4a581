//! The table of built-in kinds.

use std::fmt;

use k8s_openapi::api::{
    apps::v1 as apps, batch::v1 as batch, coordination::v1 as coordination, core::v1 as core,
    events::v1 as events, networking::v1 as networking, policy::v1 as policy, rbac::v1 as rbac,
    storage::v1 as storage,
};
use serde_json::Value;

use super::{
    defaults::{
        definition, definition_names, deployment, namespace, opaque, pending, pod, replicated, secret,
        service, typed, workload,
    },
    names::NameRule,
};

/// One built-in kind.
pub(crate) struct Builtin {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) short: &'static [&'static str],
    pub(crate) categories: &'static [&'static str],
    pub(crate) namespaced: bool,
    pub(crate) status: bool,
    pub(crate) scale: bool,
    pub(crate) generation: bool,
    pub(crate) returns_deleted: bool,
    pub(crate) unconditional: bool,
    pub(crate) names: NameRule,
    /// What field selectors may name, beyond name and namespace.
    pub(crate) fields: &'static [&'static str],
    /// Reads an object as its type and writes it again: wrong types are errors, unknown fields vanish.
    pub(crate) check: fn(Value) -> Result<Value, String>,
    /// Fills in what the real server does.
    pub(crate) default: fn(&mut Value),
}

const BASE: Builtin = Builtin {
    group: "",
    version: "v1",
    plural: "",
    kind: "",
    short: &[],
    categories: &[],
    namespaced: true,
    status: false,
    scale: false,
    generation: false,
    returns_deleted: false,
    unconditional: true,
    names: NameRule::Subdomain,
    fields: &[],
    check: Ok,
    default: |_| {},
};

const WORKLOAD: Builtin = Builtin {
    group: "apps",
    status: true,
    generation: true,
    categories: &["all"],
    default: workload,
    ..BASE
};

const RBAC: Builtin = Builtin { group: "rbac.authorization.k8s.io", names: NameRule::PathSegment, ..BASE };

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

const POD_FIELDS: &[&str] = &[
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
];

/// Every built-in kind that is served.
pub(crate) const TABLE: &[Builtin] = &[
    Builtin {
        plural: "configmaps",
        kind: "ConfigMap",
        short: &["cm"],
        check: typed::<core::ConfigMap>,
        ..BASE
    },
    Builtin {
        plural: "endpoints",
        kind: "Endpoints",
        short: &["ep"],
        check: typed::<core::Endpoints>,
        ..BASE
    },
    Builtin {
        plural: "events",
        kind: "Event",
        short: &["ev"],
        fields: EVENT_FIELDS,
        check: typed::<core::Event>,
        ..BASE
    },
    Builtin {
        plural: "namespaces",
        kind: "Namespace",
        short: &["ns"],
        namespaced: false,
        status: true,
        returns_deleted: true,
        names: NameRule::Label,
        fields: &["status.phase", "name"],
        check: typed::<core::Namespace>,
        default: namespace,
        ..BASE
    },
    Builtin {
        plural: "nodes",
        kind: "Node",
        short: &["no"],
        namespaced: false,
        status: true,
        fields: &["spec.unschedulable"],
        check: typed::<core::Node>,
        ..BASE
    },
    Builtin {
        plural: "persistentvolumeclaims",
        kind: "PersistentVolumeClaim",
        short: &["pvc"],
        status: true,
        returns_deleted: true,
        check: typed::<core::PersistentVolumeClaim>,
        default: pending,
        ..BASE
    },
    Builtin {
        plural: "persistentvolumes",
        kind: "PersistentVolume",
        short: &["pv"],
        namespaced: false,
        status: true,
        returns_deleted: true,
        check: typed::<core::PersistentVolume>,
        default: pending,
        ..BASE
    },
    Builtin {
        plural: "pods",
        kind: "Pod",
        short: &["po"],
        categories: &["all"],
        status: true,
        generation: true,
        returns_deleted: true,
        fields: POD_FIELDS,
        check: typed::<core::Pod>,
        default: pod,
        ..BASE
    },
    Builtin { plural: "secrets", kind: "Secret", fields: &["type"], check: secret, default: opaque, ..BASE },
    Builtin {
        plural: "serviceaccounts",
        kind: "ServiceAccount",
        short: &["sa"],
        returns_deleted: true,
        check: typed::<core::ServiceAccount>,
        ..BASE
    },
    Builtin {
        plural: "services",
        kind: "Service",
        short: &["svc"],
        categories: &["all"],
        status: true,
        returns_deleted: true,
        names: NameRule::Label,
        fields: &["spec.clusterIP", "spec.type"],
        check: typed::<core::Service>,
        default: service,
        ..BASE
    },
    Builtin {
        plural: "daemonsets",
        kind: "DaemonSet",
        short: &["ds"],
        check: typed::<apps::DaemonSet>,
        ..WORKLOAD
    },
    Builtin {
        plural: "deployments",
        kind: "Deployment",
        short: &["deploy"],
        scale: true,
        check: typed::<apps::Deployment>,
        default: deployment,
        ..WORKLOAD
    },
    Builtin {
        plural: "replicasets",
        kind: "ReplicaSet",
        short: &["rs"],
        scale: true,
        fields: &["status.replicas"],
        check: typed::<apps::ReplicaSet>,
        default: replicated,
        ..WORKLOAD
    },
    Builtin {
        plural: "statefulsets",
        kind: "StatefulSet",
        short: &["sts"],
        scale: true,
        check: typed::<apps::StatefulSet>,
        default: replicated,
        ..WORKLOAD
    },
    Builtin {
        group: "batch",
        plural: "cronjobs",
        kind: "CronJob",
        short: &["cj"],
        check: typed::<batch::CronJob>,
        default: |_| {},
        ..WORKLOAD
    },
    Builtin {
        group: "batch",
        plural: "jobs",
        kind: "Job",
        fields: &["status.successful"],
        check: typed::<batch::Job>,
        default: |_| {},
        ..WORKLOAD
    },
    Builtin {
        group: "coordination.k8s.io",
        plural: "leases",
        kind: "Lease",
        unconditional: false,
        check: typed::<coordination::Lease>,
        ..BASE
    },
    Builtin {
        group: "events.k8s.io",
        plural: "events",
        kind: "Event",
        short: &["ev"],
        check: typed::<events::Event>,
        ..BASE
    },
    Builtin {
        group: "networking.k8s.io",
        plural: "ingresses",
        kind: "Ingress",
        short: &["ing"],
        status: true,
        generation: true,
        check: typed::<networking::Ingress>,
        ..BASE
    },
    Builtin {
        group: "networking.k8s.io",
        plural: "networkpolicies",
        kind: "NetworkPolicy",
        short: &["netpol"],
        generation: true,
        check: typed::<networking::NetworkPolicy>,
        ..BASE
    },
    Builtin {
        group: "policy",
        plural: "poddisruptionbudgets",
        kind: "PodDisruptionBudget",
        short: &["pdb"],
        status: true,
        generation: true,
        check: typed::<policy::PodDisruptionBudget>,
        ..BASE
    },
    Builtin {
        plural: "clusterrolebindings",
        kind: "ClusterRoleBinding",
        namespaced: false,
        check: typed::<rbac::ClusterRoleBinding>,
        ..RBAC
    },
    Builtin {
        plural: "clusterroles",
        kind: "ClusterRole",
        namespaced: false,
        check: typed::<rbac::ClusterRole>,
        ..RBAC
    },
    Builtin { plural: "rolebindings", kind: "RoleBinding", check: typed::<rbac::RoleBinding>, ..RBAC },
    Builtin { plural: "roles", kind: "Role", check: typed::<rbac::Role>, ..RBAC },
    Builtin {
        group: "storage.k8s.io",
        plural: "storageclasses",
        kind: "StorageClass",
        short: &["sc"],
        namespaced: false,
        returns_deleted: true,
        check: typed::<storage::StorageClass>,
        ..BASE
    },
    Builtin {
        group: "apiextensions.k8s.io",
        plural: "customresourcedefinitions",
        kind: "CustomResourceDefinition",
        short: &["crd", "crds"],
        categories: &["api-extensions"],
        namespaced: false,
        status: true,
        generation: true,
        unconditional: false,
        check: definition,
        default: definition_names,
        ..BASE
    },
];

// === impl Builtin ===

impl fmt::Debug for Builtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Builtin({}/{} {})", self.group, self.version, self.kind)
    }
}
