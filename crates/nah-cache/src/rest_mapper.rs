//! Kinds to resources.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use futures_core::future::BoxFuture;
use futures_util::FutureExt;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube_client::client::Body;
use kube_core::discovery::v2::{ACCEPT_AGGREGATED_DISCOVERY_V2, APIGroupDiscoveryList};
use nah_core::{ApiResource, GroupVersionKind};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::CacheError;

/// Kind to resource, by discovery: the cache needs it to list, so it lives here and not with the client.
pub trait RestMapper: Send + Sync {
    /// The resource that serves `gvk`, in exactly this version.
    ///
    /// # Errors
    /// [`CacheError::UnknownKind`] where the server does not serve it, [`CacheError::Discovery`] where it does not say.
    #[doc(alias = "RESTMapping")]
    #[doc(alias = "KindFor")]
    #[doc(alias = "ResourceFor")]
    fn mapping(&self, gvk: &GroupVersionKind) -> BoxFuture<'_, Result<Mapping, CacheError>>;

    /// Forgets what it knows: a miss and a CRD's change do so by themselves.
    fn reset(&self);
}

/// Where a kind is served.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[doc(alias = "IsObjectNamespaced")]
pub struct Mapping {
    /// Group, version, kind and plural.
    pub resource: ApiResource,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// Discovery is small: a server that needs longer is as good as unreachable.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long "not served" is believed.
const MISS: Duration = Duration::from_secs(1);

/// Asks the server: once for everything where it can tell in two answers (aggregated discovery), else for one group
/// version when it is needed. A kind that is not there is asked for again, at most once a second.
pub(crate) struct Discovery {
    /// None once the factory has been stopped, so that its connections can close.
    client: Mutex<Option<kube_client::Client>>,
    known: Mutex<Known>,
    /// One who asks for everything; the others wait for the answer.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    mappings: HashMap<GroupVersionKind, Mapping>,
    /// Group versions in which something was missing, and when.
    missed: HashMap<(String, String), Instant>,
    /// The server was asked for everything.
    whole: bool,
    /// Counts resets, so that an answer from before one is not kept.
    resets: u64,
}

type Source = Arc<dyn std::error::Error + Send + Sync>;

impl Discovery {
    pub(crate) fn new(client: kube_client::Client) -> Self {
        let client = Mutex::new(Some(client));
        Self { client, known: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// The client of the factory.
    ///
    /// # Errors
    /// [`CacheError::Stopped`] once it was let go of.
    pub(crate) fn client(&self) -> Result<kube_client::Client, CacheError> {
        self.client.lock().clone().ok_or(CacheError::Stopped)
    }

    /// Lets go of the client. What is known stays so.
    pub(crate) fn disconnect(&self) {
        let client = self.client.lock().take();
        drop(client);
    }

    /// Forgets one kind, whose resource the server denied.
    pub(crate) fn forget(&self, gvk: &GroupVersionKind) {
        self.known.lock().mappings.remove(gvk);
    }

    /// Has the next lookup ask the server, although it was asked a moment ago.
    pub(crate) fn ask_again(&self, gvk: &GroupVersionKind) {
        self.known.lock().missed.remove(&(gvk.group.clone(), gvk.version.clone()));
    }

    pub(crate) async fn lookup(&self, gvk: &GroupVersionKind) -> Result<Mapping, CacheError> {
        if let Some(mapping) = self.recall(gvk) {
            return Ok(mapping);
        }
        drop(self.client()?);
        {
            let _asking = self.asking.lock().await;
            if let Some(mapping) = self.recall(gvk) {
                return Ok(mapping);
            }
            if !self.known.lock().whole {
                self.ask_for_everything().await.map_err(|source| self.cannot(gvk, source))?;
            }
        }
        if let Some(mapping) = self.recall(gvk) {
            return Ok(mapping);
        }
        // What the aggregated answer lacks may be newer than it, or of a group that was not reachable just then.
        let group_version = (gvk.group.clone(), gvk.version.clone());
        let unknown = || CacheError::UnknownKind { gvk: gvk.clone() };
        let missed = self.known.lock().missed.get(&group_version).copied();
        if missed.is_some_and(|missed| missed.elapsed() < MISS) {
            return Err(unknown());
        }
        let asked = self.ask_for_one(gvk).await.map_err(|source| self.cannot(gvk, source))?;
        let mut known = self.known.lock();
        match known.mappings.get(gvk) {
            Some(mapping) if asked => Ok(mapping.clone()),
            _ => {
                known.missed.insert(group_version, Instant::now());
                Err(unknown())
            }
        }
    }

    fn recall(&self, gvk: &GroupVersionKind) -> Option<Mapping> {
        self.known.lock().mappings.get(gvk).cloned()
    }

    fn cannot(&self, gvk: &GroupVersionKind, source: Source) -> CacheError {
        CacheError::Discovery { gvk: gvk.clone(), source }
    }

    /// Aggregated discovery. Another answer than that is as good as none: then single group versions are asked for.
    async fn ask_for_everything(&self) -> Result<(), Source> {
        let resets = self.known.lock().resets;
        let mut found = Vec::new();
        for path in ["/api", "/apis"] {
            let (code, body) = self.get(path, ACCEPT_AGGREGATED_DISCOVERY_V2).await?;
            if !code.is_success() {
                continue;
            }
            // An APIGroupList or APIVersions of an older server has no items.
            match serde_json::from_slice::<APIGroupDiscoveryList>(&body) {
                Ok(list) => found.extend(list.items.into_iter().flat_map(aggregated)),
                Err(error) => {
                    let text = format!("server at {path} speaks no Kubernetes: {error}");
                    return Err(Arc::new(std::io::Error::other(text)));
                }
            }
        }
        let mut known = self.known.lock();
        if known.resets == resets {
            known.mappings.extend(found);
            known.whole = true;
        }
        Ok(())
    }

    /// One group version; false where it is not served.
    async fn ask_for_one(&self, gvk: &GroupVersionKind) -> Result<bool, Source> {
        let path = match gvk.group.is_empty() {
            true => format!("/api/{}", gvk.version),
            false => format!("/apis/{}/{}", gvk.group, gvk.version),
        };
        let (code, body) = self.get(&path, "application/json").await?;
        if code == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        if !code.is_success() {
            return Err(Arc::new(std::io::Error::other(format!("server answered {code} to {path}"))));
        }
        let list: APIResourceList = serde_json::from_slice(&body).map_err(|error| {
            Arc::new(std::io::Error::other(format!("server at {path} speaks no Kubernetes: {error}")))
                as Source
        })?;
        let mut known = self.known.lock();
        for resource in list.resources.into_iter().filter(|resource| !resource.name.contains('/')) {
            let gvk = GroupVersionKind::gvk(&gvk.group, &gvk.version, &resource.kind);
            let api = ApiResource::from_gvk_with_plural(&gvk, &resource.name);
            keep(
                &mut known.mappings,
                gvk,
                Mapping { resource: api, namespaced: resource.namespaced },
                &resource.verbs,
            );
        }
        Ok(true)
    }

    async fn get(&self, path: &str, accept: &str) -> Result<(StatusCode, bytes::Bytes), Source> {
        let answer = async {
            let request = Request::get(path).header(header::ACCEPT, accept).body(Body::empty());
            let request = request.map_err(|error| Arc::new(error) as Source)?;
            let client = self.client().map_err(|error| Arc::new(error) as Source)?;
            let response = client.send(request).await.map_err(|error| Arc::new(error) as Source)?;
            let code = response.status();
            let body = response.into_body().collect().await;
            let body = body.map_err(|error| Arc::new(std::io::Error::other(error.to_string())) as Source)?;
            Ok((code, body.to_bytes()))
        };
        match timeout(PATIENCE, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(Arc::new(std::io::Error::other("server does not answer"))),
        }
    }
}

impl RestMapper for Discovery {
    fn mapping(&self, gvk: &GroupVersionKind) -> BoxFuture<'_, Result<Mapping, CacheError>> {
        let gvk = gvk.clone();
        async move { self.lookup(&gvk).await }.boxed()
    }

    fn reset(&self) {
        let mut known = self.known.lock();
        let resets = known.resets + 1;
        *known = Known { resets, ..Known::default() };
    }
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").finish_non_exhaustive()
    }
}

fn aggregated(group: kube_core::discovery::v2::APIGroupDiscovery) -> Vec<(GroupVersionKind, Mapping)> {
    let name = group.metadata.and_then(|meta| meta.name).unwrap_or_default();
    let mut found = HashMap::new();
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
            let api = ApiResource::from_gvk_with_plural(&gvk, &plural);
            let namespaced = resource.scope.as_deref() == Some("Namespaced");
            keep(&mut found, gvk, Mapping { resource: api, namespaced }, &resource.verbs);
        }
    }
    found.into_iter().collect()
}

/// The first resource of a kind that can be listed; a kind may be served by several (reviews, `bindings`).
fn keep(
    mappings: &mut HashMap<GroupVersionKind, Mapping>,
    gvk: GroupVersionKind,
    mapping: Mapping,
    verbs: &[String],
) {
    let listable = verbs.iter().any(|verb| verb == "list");
    match listable {
        true => _ = mappings.insert(gvk, mapping),
        false => _ = mappings.entry(gvk).or_insert(mapping),
    }
}
