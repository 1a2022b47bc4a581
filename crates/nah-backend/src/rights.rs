//! The rights that a backend needs, as rules of RBAC.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
};

use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use nah_client::{Result, Verb};
use nah_core::{GroupVersionKind, Kind, ObjectMeta};

use crate::KubeBackend;

/// What every cached kind needs: `get` for what only the server knows, `list` and `watch` for the cache.
const READS: [&str; 3] = ["get", "list", "watch"];

/// What an operator does beyond reading the kinds that its backend watches. By default nothing.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Rights(Vec<Grant>);

/// Something done to a kind, or to a part of its objects.
#[derive(Clone, Debug)]
struct Grant {
    gvk: GroupVersionKind,
    subresource: Option<String>,
    verbs: Vec<&'static str>,
}

/// The rules of an operator, sorted by where they hold.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RequiredRules {
    /// In the whole cluster: kinds without namespaces, and all kinds of a backend that caches every namespace.
    pub cluster: Vec<PolicyRule>,
    /// In one namespace each.
    pub namespaces: BTreeMap<String, Vec<PolicyRule>>,
}

/// Objects that grant the rules to somebody.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Manifests {
    /// The rules of the whole cluster, where there are any.
    pub cluster_role: Option<ClusterRole>,
    /// Who has them.
    pub cluster_role_binding: Option<ClusterRoleBinding>,
    /// The rules of each namespace.
    pub roles: Vec<Role>,
    /// Who has them.
    pub role_bindings: Vec<RoleBinding>,
}

// === impl Rights ===

impl Rights {
    /// Reads `K` as well, although nobody has asked for it yet.
    pub fn reads<K: Kind>(self) -> Self {
        self.grant(&K::kind_of(), None, READS)
    }

    /// Writes objects of `K`. `modify` and `Finalizer` send [`Verb::JsonPatch`].
    pub fn writes<K: Kind>(self, verbs: impl IntoIterator<Item = Verb>) -> Self {
        self.writes_for(&K::kind_of(), None, verbs)
    }

    /// Writes a part of objects of `K`: `status`, `scale`, `eviction`. `modify_status` sends [`Verb::JsonPatch`].
    pub fn writes_part<K: Kind>(self, subresource: &str, verbs: impl IntoIterator<Item = Verb>) -> Self {
        self.writes_for(&K::kind_of(), Some(subresource), verbs)
    }

    /// Writes a kind that is known at run time, or a part of it.
    pub fn writes_for(
        self,
        gvk: &GroupVersionKind,
        subresource: Option<&str>,
        verbs: impl IntoIterator<Item = Verb>,
    ) -> Self {
        self.grant(gvk, subresource, verbs.into_iter().flat_map(words).copied())
    }

    /// Refers to objects of `K` as owners that must not vanish before what they own. Clusters with the admission
    /// plugin `OwnerReferencesPermissionEnforcement` ask for it.
    pub fn owner<K: Kind>(self) -> Self {
        self.grant(&K::kind_of(), Some("finalizers"), ["update"])
    }

    /// Publishes events about objects, as [`KubeBackend::recorder`] does. Those about objects without a namespace
    /// lie in `default`.
    pub fn events(self) -> Self {
        self.grant(&GroupVersionKind::gvk("events.k8s.io", "v1", "Event"), None, ["create", "patch"])
    }

    fn grant(
        mut self,
        gvk: &GroupVersionKind,
        subresource: Option<&str>,
        verbs: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        self.0.push(Grant {
            gvk: gvk.clone(),
            subresource: subresource.map(Into::into),
            verbs: verbs.into_iter().collect(),
        });
        self
    }
}

/// The words of RBAC for a verb.
fn words(verb: Verb) -> &'static [&'static str] {
    match verb {
        Verb::Create => &["create"],
        Verb::Update => &["update"],
        // Where there is nothing to apply to, the server makes it.
        Verb::Apply { .. } => &["create", "patch"],
        Verb::Delete => &["delete"],
        Verb::DeleteAll => &["deletecollection"],
        _ => &["patch"],
    }
}

// === impl KubeBackend ===

impl KubeBackend {
    /// The least rights with which this backend works as it is set up by now: every kind that somebody reads, watches
    /// or indexes, within the namespaces that are cached of it, and what `rights` adds. Discovery is not among them:
    /// every authenticated user has it.
    ///
    /// # Errors
    /// [`UnknownKind`](nah_cache::CacheError::UnknownKind) for a kind that the server does not serve, and
    /// [`Discovery`](nah_cache::CacheError::Discovery) where it cannot be asked.
    pub fn required_rules(
        &self,
        rights: &Rights,
    ) -> impl Future<Output = Result<RequiredRules>> + Send + use<> {
        let informers = self.0.informers.clone();
        let Rights(mut grants) = rights.clone();
        async move {
            let read = informers.status().into_iter().map(|status| status.gvk);
            let reads = |gvk: GroupVersionKind| Grant { gvk, subresource: None, verbs: READS.into() };
            grants.extend(read.map(reads));
            let (mapper, mut needs) = (informers.rest_mapper(), Needs::default());
            for Grant { gvk, subresource, verbs } in grants {
                let mapping = mapper.mapping(&gvk).await?;
                let namespaces = if mapping.namespaced { informers.namespaces(&gvk) } else { Vec::new() };
                let plural = mapping.resource.plural;
                let resource = match subresource {
                    Some(part) => format!("{plural}/{part}"),
                    None => plural,
                };
                needs.add(namespaces, gvk.group, resource, verbs);
            }
            Ok(needs.rules())
        }
    }
}

/// Verbs by group and resource.
type Verbs = BTreeMap<(String, String), BTreeSet<&'static str>>;

/// Verbs by namespace; none is the cluster.
#[derive(Default)]
struct Needs(BTreeMap<Option<String>, Verbs>);

impl Needs {
    fn add(&mut self, namespaces: Vec<String>, group: String, resource: String, verbs: Vec<&'static str>) {
        let mut places: Vec<_> = namespaces.into_iter().map(Some).collect();
        if places.is_empty() {
            places.push(None);
        }
        for place in places {
            let resources = self.0.entry(place).or_default();
            resources.entry((group.clone(), resource.clone())).or_default().extend(&verbs);
        }
    }

    /// One rule for all resources of a group with the same verbs.
    fn rules(self) -> RequiredRules {
        let mut required = RequiredRules::default();
        for (place, resources) in self.0 {
            let mut merged: BTreeMap<(String, Vec<&str>), Vec<String>> = BTreeMap::new();
            for ((group, resource), verbs) in resources {
                merged.entry((group, verbs.into_iter().collect())).or_default().push(resource);
            }
            let rules = merged.into_iter().map(|((group, verbs), resources)| PolicyRule {
                api_groups: Some(vec![group]),
                resources: Some(resources),
                verbs: verbs.into_iter().map(Into::into).collect(),
                ..PolicyRule::default()
            });
            match place {
                None => required.cluster = rules.collect(),
                Some(namespace) => _ = required.namespaces.insert(namespace, rules.collect()),
            }
        }
        required
    }
}

// === impl RequiredRules ===

impl RequiredRules {
    /// A role and a binding called `name` wherever there are rules.
    pub fn manifests(&self, name: &str, subjects: &[Subject]) -> Manifests {
        let cluster =
            (!self.cluster.is_empty()).then(|| ObjectMeta { name: Some(name.into()), ..Default::default() });
        let places = self.namespaces.iter().map(|(namespace, rules)| {
            let metadata = ObjectMeta {
                name: Some(name.into()),
                namespace: Some(namespace.clone()),
                ..Default::default()
            };
            (metadata, rules)
        });
        let role = |kind: &str| RoleRef {
            // Optional in later versions of Kubernetes only.
            api_group: String::from("rbac.authorization.k8s.io").into(),
            kind: kind.into(),
            name: name.into(),
        };
        let (roles, role_bindings) = places
            .map(|(metadata, rules)| {
                let binding = RoleBinding {
                    metadata: metadata.clone(),
                    role_ref: role("Role"),
                    subjects: Some(subjects.to_vec()),
                };
                (Role { metadata, rules: Some(rules.clone()) }, binding)
            })
            .unzip();
        Manifests {
            cluster_role: cluster.clone().map(|metadata| ClusterRole {
                metadata,
                rules: Some(self.cluster.clone()),
                ..ClusterRole::default()
            }),
            cluster_role_binding: cluster.map(|metadata| ClusterRoleBinding {
                metadata,
                role_ref: role("ClusterRole"),
                subjects: Some(subjects.to_vec()),
            }),
            roles,
            role_bindings,
        }
    }
}
