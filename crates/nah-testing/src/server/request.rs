//! A request, read: what is asked of which resource, and how the answer shall look.

use bytes::Bytes;
use http::{HeaderMap, Method, header, request::Parts};

use super::{shape::Shape, status::Status};

/// A request as the verbs need it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) verb: &'static str,
    pub(crate) target: Target,
    pub(crate) path: String,
    pub(crate) raw_query: String,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What the path names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) version: String,
    /// Empty where the path names no resource.
    pub(crate) resource: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

/// The parameters of a query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

// === impl Call ===

impl Call {
    pub(crate) fn read(parts: Parts, body: Bytes) -> Self {
        let path = parts.uri.path().to_owned();
        let raw_query = parts.uri.query().unwrap_or_default().to_owned();
        let query = Query::parse(&raw_query);
        let target = Target::parse(&path);
        let watches = query.flag("watch");
        let verb = match (&parts.method, &target.name) {
            (&Method::GET, None) if target.resource.is_empty() => "get",
            // Asked of one object by its path, the parameter means nothing.
            (&Method::GET, None) if watches => "watch",
            (&Method::GET | &Method::HEAD, Some(_)) => "get",
            (&Method::GET | &Method::HEAD, None) => "list",
            (&Method::POST, _) => "create",
            (&Method::PUT, _) => "update",
            (&Method::PATCH, _) => "patch",
            (&Method::DELETE, Some(_)) => "delete",
            (&Method::DELETE, None) => "deletecollection",
            _ => "options",
        };
        Self { verb, target, path, raw_query, query, headers: parts.headers, body }
    }

    pub(crate) fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The representation that the client asks for.
    ///
    /// # Errors
    /// 406 where it takes nothing that the server can write.
    pub(crate) fn shape(&self) -> Result<Shape, Status> {
        Shape::negotiate(self.header(header::ACCEPT), self.query.get("includeObject"))
    }

    /// Who writes, as managedFields name it.
    pub(crate) fn manager(&self) -> String {
        if let Some(manager) = self.query.get("fieldManager") {
            return manager.to_owned();
        }
        let agent = self.header(header::USER_AGENT).split('/').next().unwrap_or_default();
        if agent.is_empty() { "unknown".to_owned() } else { agent.to_owned() }
    }

    /// Whether this is a patch that applies.
    pub(crate) fn is_apply(&self) -> bool {
        let essence = self.header(header::CONTENT_TYPE).split(';').next().unwrap_or_default();
        self.verb == "patch" && essence.trim() == "application/apply-patch+yaml"
    }

    pub(crate) fn is_dry_run(&self) -> bool {
        self.query.get("dryRun") == Some("All")
    }
}

// === impl Target ===

impl Target {
    pub(crate) fn parse(path: &str) -> Self {
        let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
        let mut parts = parts.into_iter();
        let mut target = Self::default();
        match parts.next().as_deref() {
            Some("api") => {}
            Some("apis") => target.group = parts.next().unwrap_or_default(),
            _ => return target,
        }
        target.version = parts.next().unwrap_or_default();
        let rest: Vec<_> = parts.collect();
        let Some(first) = rest.first() else { return target };
        let nested = first == "namespaces"
            && rest.len() > 2
            && !(rest.len() == 3 && ["status", "finalize"].contains(&rest[2].as_str()));
        let rest = if nested {
            target.namespace = Some(rest[1].clone());
            &rest[2..]
        } else {
            &rest[..]
        };
        target.resource = rest[0].clone();
        target.name = rest.get(1).cloned();
        target.subresource = rest.get(2).map(|_| rest[2..].join("/"));
        target
    }
}

// === impl Query ===

impl Query {
    pub(crate) fn parse(query: &str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
                })
                .collect(),
        )
    }

    /// The value of a parameter that is there and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name)?;
        (!found.1.is_empty()).then_some(found.1.as_str())
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|(key, value)| key == name && ["", "1", "t", "true"].contains(&&*value.to_lowercase()))
    }

    /// A number.
    ///
    /// # Errors
    /// 400 where it is none.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Status> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let wrong = || Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"));
        let number: i64 = text.parse().map_err(|_| wrong())?;
        // A negative limit or timeout is none.
        Ok(u64::try_from(number).ok())
    }
}

/// Undoes percent encoding; what is not valid stays as it is.
fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = (byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(code) => {
                decoded.push(code);
                at += 3;
            }
            None => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str) -> (String, Option<String>, Option<String>, Option<String>) {
        let target = Target::parse(path);
        let group = if target.group.is_empty() { "core" } else { &target.group };
        (
            format!("{group}/{}/{}", target.version, target.resource),
            target.namespace,
            target.name,
            target.subresource,
        )
    }

    #[test]
    fn a_path_names_kind_namespace_object_and_subresource() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(target("/api/v1/pods"), ("core/v1/pods".into(), None, None, None));
        assert_eq!(target("/api/v1/namespaces/a"), ("core/v1/namespaces".into(), None, some("a"), None));
        assert_eq!(
            target("/api/v1/namespaces/a/status"),
            ("core/v1/namespaces".into(), None, some("a"), some("status"))
        );
        assert_eq!(target("/api/v1/namespaces/a/pods"), ("core/v1/pods".into(), some("a"), None, None));
        assert_eq!(
            target("/apis/apps/v1/namespaces/a/deployments/b/scale"),
            ("apps/v1/deployments".into(), some("a"), some("b"), some("scale"))
        );
        assert_eq!(target("/apis/apps/v1"), ("apps/v1/".into(), None, None, None));
    }

    #[test]
    fn a_query_is_decoded() {
        let query = Query::parse("labelSelector=a%20in+%28b%29&watch=1&limit=x&empty=");
        assert_eq!(query.get("labelSelector"), Some("a in (b)"));
        assert!(query.flag("watch"));
        assert!(query.number("limit").is_err());
        assert_eq!(query.get("empty"), None);
    }
}
