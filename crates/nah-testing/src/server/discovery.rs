//! Discovery: which groups, versions and kinds there are.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::kinds::{Kinds, Resource};

/// The content type of the aggregated form.
pub(crate) const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// The document behind a discovery path, or none where there is no such group or version.
pub(crate) fn document(kinds: &Kinds, path: &str, aggregated: bool) -> Option<Value> {
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["api"] if aggregated => Some(aggregate(kinds, true)),
        ["api"] => Some(json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}],
        })),
        ["apis"] if aggregated => Some(aggregate(kinds, false)),
        ["apis"] => {
            let groups: Vec<_> =
                groups(kinds).iter().filter(|(name, _)| !name.is_empty()).map(group).collect();
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        ["api", version] => resources(kinds, "", version),
        ["apis", name] => {
            let found = groups(kinds).into_iter().find(|(group, _)| group == name && !name.is_empty())?;
            let mut document = group((&found.0, &found.1));
            document["kind"] = json!("APIGroup");
            document["apiVersion"] = json!("v1");
            Some(document)
        }
        ["apis", group, version] => resources(kinds, group, version),
        _ => None,
    }
}

/// What `/version` answers.
pub(crate) fn version(git_version: &str) -> Value {
    let mut numbers = git_version.trim_start_matches('v').split('.');
    json!({
        "major": numbers.next().unwrap_or_default(),
        "minor": numbers.next().unwrap_or_default(),
        "gitVersion": git_version,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// The versions of each group with their kinds, the preferred version first.
type Groups = BTreeMap<String, Versions>;

type Versions = Vec<(String, Vec<Arc<Resource>>)>;

fn groups(kinds: &Kinds) -> Groups {
    let mut groups = Groups::new();
    for resource in kinds.iter() {
        let versions = groups.entry(resource.group.clone()).or_default();
        match versions.iter_mut().find(|(version, _)| *version == resource.version) {
            Some((_, resources)) => resources.push(resource.clone()),
            None => versions.push((resource.version.clone(), vec![resource.clone()])),
        }
    }
    for versions in groups.values_mut() {
        versions.sort_by_key(|(version, _)| std::cmp::Reverse(rank(version)));
    }
    groups
}

/// Stable versions before beta before alpha, and newer before older.
fn rank(version: &str) -> (u8, u32, u32) {
    let text = version.strip_prefix('v').unwrap_or(version);
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let major = digits.parse().unwrap_or_default();
    let rest = &text[digits.len()..];
    let number = |prefix: &str| rest.strip_prefix(prefix).and_then(|minor| minor.parse().ok());
    match (number("beta"), number("alpha")) {
        _ if digits.is_empty() => (0, 0, 0),
        (Some(minor), _) => (2, major, minor),
        (_, Some(minor)) => (1, major, minor),
        _ if rest.is_empty() => (3, major, 0),
        _ => (0, 0, 0),
    }
}

fn group((name, versions): (&String, &Versions)) -> Value {
    let version = |version: &String| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    let all: Vec<_> = versions.iter().map(|(one, _)| version(one)).collect();
    json!({"name": name, "preferredVersion": all.first(), "versions": all})
}

fn resources(kinds: &Kinds, group: &str, version: &str) -> Option<Value> {
    let mut resources = Vec::new();
    let mut group_version = None;
    for resource in kinds.iter().filter(|one| one.group == group && one.version == version) {
        group_version = Some(resource.api_version());
        let mut entry = json!({
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": VERBS,
        });
        if !resource.short_names.is_empty() {
            entry["shortNames"] = json!(resource.short_names);
        }
        if !resource.categories.is_empty() {
            entry["categories"] = json!(resource.categories);
        }
        resources.push(entry);
        for sub in subresources(resource) {
            let mut entry = json!({
                "name": format!("{}/{}", resource.plural, sub.name),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": sub.kind,
                "verbs": sub.verbs,
            });
            if sub.group != resource.group || sub.version != resource.version {
                entry["group"] = json!(sub.group);
                entry["version"] = json!(sub.version);
            }
            resources.push(entry);
        }
    }
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version?,
        "resources": resources,
    }))
}

struct Subresource {
    name: &'static str,
    group: String,
    version: String,
    kind: String,
    verbs: &'static [&'static str],
}

fn subresources(resource: &Resource) -> Vec<Subresource> {
    let mut all = Vec::new();
    let own = |name, verbs| Subresource {
        name,
        group: resource.group.clone(),
        version: resource.version.clone(),
        kind: resource.kind.clone(),
        verbs,
    };
    let foreign = |name, group: &str, kind: &str, verbs| Subresource {
        name,
        group: group.to_owned(),
        version: "v1".to_owned(),
        kind: kind.to_owned(),
        verbs,
    };
    if resource.is("", "pods") {
        all.push(Subresource { kind: "Binding".to_owned(), ..own("binding", &["create"]) });
        all.push(foreign("eviction", "policy", "Eviction", &["create"]));
    }
    if resource.is("", "serviceaccounts") {
        all.push(foreign("token", "authentication.k8s.io", "TokenRequest", &["create"]));
    }
    if resource.is("", "namespaces") {
        all.push(own("finalize", &["update"]));
    }
    if resource.scale.is_some() {
        all.push(foreign("scale", "autoscaling", "Scale", &["get", "patch", "update"]));
    }
    if resource.status {
        all.push(own("status", &["get", "patch", "update"]));
    }
    all
}

fn aggregate(kinds: &Kinds, core: bool) -> Value {
    let mut items = Vec::new();
    for (name, versions) in groups(kinds).iter().filter(|(name, _)| name.is_empty() == core) {
        let mut described = Vec::new();
        for (version, resources) in versions {
            let resources: Vec<_> = resources.iter().map(|resource| aggregate_resource(resource)).collect();
            described.push(json!({"version": version, "freshness": "Current", "resources": resources}));
        }
        let metadata = if core { json!({"creationTimestamp": null}) } else { json!({"name": name}) };
        items.push(json!({"metadata": metadata, "versions": described}));
    }
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn aggregate_resource(resource: &Resource) -> Value {
    let gvk =
        |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": gvk(&resource.group, &resource.version, &resource.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": VERBS,
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    let subresources: Vec<_> = subresources(resource)
        .iter()
        .map(|sub| {
            json!({
                "subresource": sub.name,
                "responseKind": gvk(&sub.group, &sub.version, &sub.kind),
                "verbs": sub.verbs,
            })
        })
        .collect();
    if !subresources.is_empty() {
        entry["subresources"] = json!(subresources);
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stable_versions_come_before_beta_before_alpha() {
        let mut versions = vec!["v1alpha1", "v2", "v1beta2", "foo", "v1", "v1beta1", "v10"];
        versions.sort_by_key(|version| std::cmp::Reverse(rank(version)));
        assert_eq!(versions, ["v10", "v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "foo"]);
    }
}
