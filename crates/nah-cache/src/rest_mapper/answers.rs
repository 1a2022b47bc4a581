//! What the answers of discovery say. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube_core::discovery::v2::{APIGroupDiscovery, APIGroupDiscoveryList};
use nah_core::{ApiResource, GroupVersionKind};

use super::{Mapping, Mappings};

/// What aggregated discovery says. An `APIGroupList` or `APIVersions` of an older server has no items.
pub(super) fn everything(body: &[u8]) -> Result<Mappings, serde_json::Error> {
    let list: APIGroupDiscoveryList = serde_json::from_slice(body)?;
    let mut found = Mappings::new();
    list.items.into_iter().for_each(|group| aggregated(&mut found, group));
    Ok(found)
}

/// What the document of one group version says.
pub(super) fn one(group: &str, version: &str, body: &[u8]) -> Result<Mappings, serde_json::Error> {
    let list: APIResourceList = serde_json::from_slice(body)?;
    let mut found = Mappings::new();
    for resource in list.resources.into_iter().filter(|resource| !resource.name.contains('/')) {
        let gvk = GroupVersionKind::gvk(group, version, &resource.kind);
        keep(&mut found, gvk, &resource.name, resource.namespaced, &resource.verbs);
    }
    Ok(found)
}

fn aggregated(found: &mut Mappings, group: APIGroupDiscovery) {
    let name = group.metadata.and_then(|meta| meta.name).unwrap_or_default();
    for version in group.versions {
        // What the server calls stale it could not ask for itself.
        if version.freshness.as_deref() == Some("Stale") {
            continue;
        }
        let Some(version_name) = version.version else { continue };
        for resource in version.resources {
            let (Some(plural), Some(kind)) =
                (resource.resource, resource.response_kind.and_then(|kind| kind.kind))
            else {
                continue;
            };
            let gvk = GroupVersionKind::gvk(&name, &version_name, &kind);
            let namespaced = resource.scope.as_deref() == Some("Namespaced");
            keep(found, gvk, &plural, namespaced, &resource.verbs);
        }
    }
}

/// A resource of the kind that can be listed, if there is one; a kind may be served by several (reviews, `bindings`).
fn keep(found: &mut Mappings, gvk: GroupVersionKind, plural: &str, namespaced: bool, verbs: &[String]) {
    let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
    let mapping = Mapping { resource, namespaced };
    match verbs.iter().any(|verb| verb == "list") {
        true => _ = found.insert(gvk, mapping),
        false => _ = found.entry(gvk).or_insert(mapping),
    }
}
