//! Lists and watches as HTTP requests. Pure.

use std::time::Duration;

use http::{Request, header};
use kube_client::client::Body;
use nah_core::{ApiResource, ResourceVersion};

use crate::{Mapping, options::Scope};

/// What every list and watch of one scope has in common.
pub(crate) struct Target<'a> {
    pub(crate) mapping: &'a Mapping,
    /// None is everywhere.
    pub(crate) namespace: Option<&'a str>,
    pub(crate) selectors: &'a Scope,
}

impl Target<'_> {
    /// A page of a list. A bound on the version goes with the first page only: the token of the next ones knows it.
    pub(crate) fn list(
        &self,
        version: Option<&ResourceVersion>,
        limit: Option<u32>,
        token: Option<&str>,
    ) -> http::Result<Request<Body>> {
        let mut query = self.query();
        if let Some(limit) = limit {
            query.append_pair("limit", &limit.to_string());
        }
        match (token, version) {
            (Some(token), _) => _ = query.append_pair("continue", token),
            (None, Some(version)) => not_older_than(&mut query, version),
            (None, None) => {}
        }
        Request::get(self.uri(query))
            .header(header::ACCEPT, self.accept("PartialObjectMetadataList"))
            .body(Body::empty())
    }

    /// A watch from `version`; with `initial`, one that begins with what is there.
    pub(crate) fn watch(
        &self,
        version: Option<&ResourceVersion>,
        initial: bool,
        timeout: Duration,
    ) -> http::Result<Request<Body>> {
        let mut query = self.query();
        query.append_pair("watch", "true").append_pair("allowWatchBookmarks", "true");
        query.append_pair("timeoutSeconds", &timeout.as_secs().to_string());
        let version = version.filter(|version| !version.as_str().is_empty());
        if initial {
            query
                .append_pair("sendInitialEvents", "true")
                .append_pair("resourceVersionMatch", "NotOlderThan");
        }
        if let Some(version) = version {
            query.append_pair("resourceVersion", version.as_str());
        }
        // A server that compresses watches (1.37 on) ends a gzip member an event, which few readers flush in time.
        Request::get(self.uri(query))
            .header(header::ACCEPT, self.accept("PartialObjectMetadata"))
            .header(header::ACCEPT_ENCODING, "identity")
            .body(Body::empty())
    }

    /// What is asked for. Where only metadata is wanted there is no second choice, which would be whole objects.
    fn accept(&self, metadata: &str) -> String {
        match self.selectors.metadata_only {
            true => format!("application/json;as={metadata};g=meta.k8s.io;v=v1"),
            false => "application/json".to_owned(),
        }
    }

    fn query(&self) -> form_urlencoded::Serializer<'static, String> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !self.selectors.labels.selects_all() {
            query.append_pair("labelSelector", &self.selectors.labels.to_string());
        }
        if !self.selectors.fields.is_empty() {
            query.append_pair("fieldSelector", &self.selectors.fields);
        }
        query
    }

    fn uri(&self, mut query: form_urlencoded::Serializer<'static, String>) -> String {
        let ApiResource { group, version, plural, .. } = &self.mapping.resource;
        let root = match group.is_empty() {
            true => format!("/api/{version}"),
            false => format!("/apis/{group}/{version}"),
        };
        let namespace =
            self.namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
        format!("{root}{namespace}/{plural}?{}", query.finish())
    }
}

fn not_older_than(query: &mut form_urlencoded::Serializer<'static, String>, version: &ResourceVersion) {
    query
        .append_pair("resourceVersion", version.as_str())
        .append_pair("resourceVersionMatch", "NotOlderThan");
}

#[cfg(test)]
mod tests {
    use kube_core::{Expression, Selector};
    use nah_core::GroupVersionKind;

    use super::*;

    fn mapping(group: &str, kind: &str, plural: &str) -> Mapping {
        let gvk = GroupVersionKind::gvk(group, "v1", kind);
        Mapping { resource: ApiResource::from_gvk_with_plural(&gvk, plural), namespaced: true }
    }

    fn uri(request: http::Result<Request<Body>>) -> String {
        request.unwrap().uri().to_string()
    }

    #[test]
    fn asks_for_the_version_on_the_first_page_only() // C1, C2
    {
        let (mapping, selectors) = (mapping("", "Pod", "pods"), Scope::default());
        let target = Target { mapping: &mapping, namespace: None, selectors: &selectors };
        let first = uri(target.list(Some(&"0".into()), Some(500), None));
        assert_eq!(first, "/api/v1/pods?limit=500&resourceVersion=0&resourceVersionMatch=NotOlderThan");
        assert_eq!(
            uri(target.list(None, Some(500), Some("a/b="))),
            "/api/v1/pods?limit=500&continue=a%2Fb%3D"
        );
        assert_eq!(uri(target.list(None, None, None)), "/api/v1/pods?");
    }

    #[test]
    fn watches_with_bookmarks_and_without_compression() // C7
    {
        let (mapping, selectors) = (mapping("apps", "Deployment", "deployments"), Scope::default());
        let target = Target { mapping: &mapping, namespace: Some("web"), selectors: &selectors };
        let request = target.watch(Some(&"7".into()), false, Duration::from_secs(311)).unwrap();
        assert_eq!(request.headers()[header::ACCEPT_ENCODING], "identity");
        assert_eq!(
            request.uri().to_string(),
            "/apis/apps/v1/namespaces/web/deployments\
             ?watch=true&allowWatchBookmarks=true&timeoutSeconds=311&resourceVersion=7"
        );
    }

    #[test]
    fn asks_for_initial_events_not_older_than_a_version() // C21
    {
        let (mapping, selectors) = (mapping("", "Pod", "pods"), Scope::default());
        let target = Target { mapping: &mapping, namespace: None, selectors: &selectors };
        let uri = uri(target.watch(Some(&"7".into()), true, Duration::from_secs(300)));
        assert!(uri.ends_with("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=7"));
    }

    #[test]
    fn sends_selectors_with_lists_and_watches() // C25
    {
        let mapping = mapping("", "Pod", "pods");
        let labels = Selector::from(Expression::Equal("app".into(), "web".into()));
        let selectors = Scope { labels, fields: "spec.nodeName=n1".into(), ..Scope::default() };
        let target = Target { mapping: &mapping, namespace: None, selectors: &selectors };
        let both = "labelSelector=app%3Dweb&fieldSelector=spec.nodeName%3Dn1";
        assert!(uri(target.list(None, Some(5), None)).contains(both));
        assert!(uri(target.list(None, Some(5), Some("t"))).contains(both));
        assert!(uri(target.watch(None, false, Duration::from_secs(300))).contains(both));
    }
}
