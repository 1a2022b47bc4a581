//! Kinds to resources.

mod answers;

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use futures_core::future::BoxFuture;
use futures_util::{
    FutureExt,
    future::{Shared, WeakShared},
};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use kube_client::{Client, client::Body};
use kube_core::discovery::v2::ACCEPT_AGGREGATED_DISCOVERY_V2;
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

    /// Forgets what it knows.
    fn reset(&self);

    /// Forgets one kind, at whose path the server answered that nothing is served there: the next lookup asks anew. A
    /// kind is forgotten once a second at most, so that a server that says both is not asked at every request.
    ///
    /// The cache and the client do so by themselves, so that a CRD may go and come back with another plural or scope.
    fn forget(&self, gvk: &GroupVersionKind) {
        _ = gvk;
        self.reset();
    }
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

/// How long "not served" is believed, and "served" although it was denied.
const MISS: Duration = Duration::from_secs(1);

/// Asks the server: once for everything where it can tell in two answers (aggregated discovery), else for one group
/// version when it is needed. A kind that is not there is asked for again, at most once a second. Those who need the
/// same answer at the same time wait for one request, and a question that nobody answers holds up no other.
pub(crate) struct Discovery {
    /// None once the factory has been stopped, so that its connections can close.
    client: Mutex<Option<Client>>,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    mappings: Mappings,
    /// Group versions in which something was missing, and when.
    missed: HashMap<GroupVersion, Instant>,
    /// Kinds that were forgotten, and when.
    denied: HashMap<GroupVersionKind, Instant>,
    /// The server was asked for everything.
    whole: bool,
    /// Counts resets, so that an answer from before one is not kept.
    resets: u64,
    /// Questions that are under way.
    asking: HashMap<Question, WeakShared<Asking>>,
}

type Mappings = HashMap<GroupVersionKind, Mapping>;

type GroupVersion = (String, String);

/// None asks for everything.
type Question = Option<GroupVersion>;

type Source = Arc<dyn std::error::Error + Send + Sync>;

type Asking = BoxFuture<'static, Result<Arc<Mappings>, Source>>;

// === impl Discovery ===

impl Discovery {
    pub(crate) fn new(client: Client) -> Self {
        Self { client: Mutex::new(Some(client)), known: Arc::default() }
    }

    /// The client of the factory.
    ///
    /// # Errors
    /// [`CacheError::Stopped`] once it was let go of.
    pub(crate) fn client(&self) -> Result<Client, CacheError> {
        self.client.lock().clone().ok_or(CacheError::Stopped)
    }

    /// Lets go of the client. What is known stays so.
    pub(crate) fn disconnect(&self) {
        let client = self.client.lock().take();
        drop(client);
    }

    /// Has the next lookup ask the server, although it was asked a moment ago.
    pub(crate) fn ask_again(&self, gvk: &GroupVersionKind) {
        self.known.lock().missed.remove(&group_version(gvk));
    }

    pub(crate) async fn lookup(&self, gvk: &GroupVersionKind) -> Result<Mapping, CacheError> {
        if let Some(mapping) = self.recall(gvk) {
            return Ok(mapping);
        }
        let client = self.client()?;
        let cannot = |source| CacheError::Discovery { gvk: gvk.clone(), source };
        let whole = self.known.lock().whole;
        if !whole && let Some(mapping) = self.ask(&client, None).await.map_err(cannot)?.get(gvk) {
            return Ok(mapping.clone());
        }
        // What the aggregated answer lacks may be newer than it, or of a group that was not reachable just then.
        let group_version = group_version(gvk);
        let unknown = || CacheError::UnknownKind { gvk: gvk.clone() };
        let missed = self.known.lock().missed.get(&group_version).copied();
        if missed.is_some_and(is_recent) {
            return Err(unknown());
        }
        if let Some(mapping) = self.ask(&client, Some(group_version.clone())).await.map_err(cannot)?.get(gvk)
        {
            return Ok(mapping.clone());
        }
        let mut known = self.known.lock();
        known.missed.retain(|_, missed| is_recent(*missed));
        known.missed.insert(group_version, Instant::now());
        Err(unknown())
    }

    fn recall(&self, gvk: &GroupVersionKind) -> Option<Mapping> {
        self.known.lock().mappings.get(gvk).cloned()
    }

    /// The answer to `question`, which whoever waits for it shares.
    fn ask(&self, client: &Client, question: Question) -> Shared<Asking> {
        let mut known = self.known.lock();
        if let Some(asking) = known.asking.get(&question).and_then(WeakShared::upgrade) {
            return asking;
        }
        let (all, client, resets) = (self.known.clone(), client.clone(), known.resets);
        let asked = question.clone();
        let asking = async move {
            let answer = match &asked {
                Some((group, version)) => ask_for_one(&client, group, version).await,
                None => ask_for_everything(&client).await,
            };
            let mut known = all.lock();
            // After a reset what is under way is no business of this one.
            if known.resets == resets {
                known.asking.remove(&asked);
                if let Ok(found) = &answer {
                    known.learn(&asked, found);
                }
            }
            answer.map(Arc::new)
        };
        let asking = asking.boxed().shared();
        if let Some(weak) = asking.downgrade() {
            known.asking.insert(question, weak);
        }
        asking
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

    fn forget(&self, gvk: &GroupVersionKind) {
        let mut known = self.known.lock();
        known.denied.retain(|_, denied| is_recent(*denied));
        if !known.denied.contains_key(gvk) && known.mappings.remove(gvk).is_some() {
            known.denied.insert(gvk.clone(), Instant::now());
        }
    }
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").finish_non_exhaustive()
    }
}

// === impl Known ===

impl Known {
    /// Takes in an answer: what it lacks of what was asked for is not there any more.
    fn learn(&mut self, question: &Question, found: &Mappings) {
        match question {
            Some(asked) => self.mappings.retain(|gvk, _| group_version(gvk) != *asked),
            None => self.whole = true,
        }
        self.mappings.extend(found.iter().map(|(gvk, mapping)| (gvk.clone(), mapping.clone())));
    }
}

fn group_version(gvk: &GroupVersionKind) -> GroupVersion {
    (gvk.group.clone(), gvk.version.clone())
}

fn is_recent(at: Instant) -> bool {
    at.elapsed() < MISS
}

/// Aggregated discovery. Another answer than that is as good as none: then single group versions are asked for.
async fn ask_for_everything(client: &Client) -> Result<Mappings, Source> {
    let mut found = Mappings::new();
    for path in ["/api", "/apis"] {
        let (code, body) = get(client, path, ACCEPT_AGGREGATED_DISCOVERY_V2).await?;
        if code.is_success() {
            found.extend(answers::everything(&body).map_err(|error| no_kubernetes(path, &error))?);
        }
    }
    Ok(found)
}

/// One group version; nothing where it is not served.
async fn ask_for_one(client: &Client, group: &str, version: &str) -> Result<Mappings, Source> {
    let path = match group.is_empty() {
        true => format!("/api/{version}"),
        false => format!("/apis/{group}/{version}"),
    };
    let (code, body) = get(client, &path, "application/json").await?;
    match code {
        StatusCode::NOT_FOUND => Ok(Mappings::new()),
        code if code.is_success() => {
            answers::one(group, version, &body).map_err(|error| no_kubernetes(&path, &error))
        }
        code => Err(Arc::new(std::io::Error::other(format!("server answered {code} to {path}")))),
    }
}

fn no_kubernetes(path: &str, error: &serde_json::Error) -> Source {
    Arc::new(std::io::Error::other(format!("server at {path} speaks no Kubernetes: {error}")))
}

async fn get(client: &Client, path: &str, accept: &str) -> Result<(StatusCode, bytes::Bytes), Source> {
    let answer = async {
        let request = Request::get(path).header(header::ACCEPT, accept).body(Body::empty());
        let request = request.map_err(|error| Arc::new(error) as Source)?;
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
