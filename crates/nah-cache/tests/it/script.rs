//! An API server that says what a test tells it to, line by line, at the HTTP seam.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use futures::{StreamExt, channel::mpsc, stream::BoxStream};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use kube::client::Body;
use nah_cache::{CacheOptions, InformerFactory, informers};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

/// What the server answers.
pub(crate) enum Reply {
    Json(u16, Value),
    Text(u16, &'static str),
    /// A list as custom resources come: its fields in alphabetical order, items first.
    Sorted(Value),
    /// A body that comes bit by bit, as long as its sender lives.
    Stream(mpsc::UnboundedReceiver<Result<Bytes, std::io::Error>>),
    /// No answer, ever.
    Hang,
    /// The connection cannot be made.
    Refused,
}

/// The other end of a [`Reply::Stream`].
pub(crate) struct Lines(mpsc::UnboundedSender<Result<Bytes, std::io::Error>>);

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) encoding: Option<String>,
}

/// The server. Answers of lists and watches are queued by a test; a queue that is empty does not answer. Discovery
/// answers by itself.
#[derive(Clone)]
pub(crate) struct Script(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    lists: HashMap<String, VecDeque<Reply>>,
    watches: HashMap<String, VecDeque<Reply>>,
    others: HashMap<String, VecDeque<Reply>>,
    kinds: Vec<(String, &'static str, &'static str, bool)>,
    seen: Vec<Seen>,
    refuses: bool,
}

impl Reply {
    /// An open stream, and what feeds it.
    pub(crate) fn stream() -> (Lines, Self) {
        let (sender, receiver) = mpsc::unbounded();
        (Lines(sender), Self::Stream(receiver))
    }

    /// A complete list of ConfigMaps.
    pub(crate) fn list(version: &str, items: &[Value]) -> Self {
        Self::page(version, None, items)
    }

    pub(crate) fn page(version: &str, next: Option<&str>, items: &[Value]) -> Self {
        let metadata = json!({ "resourceVersion": version, "continue": next });
        Self::Json(200, json!({ "kind": "ConfigMapList", "metadata": metadata, "items": items }))
    }

    /// The same list, its items first.
    pub(crate) fn sorted(self) -> Self {
        match self {
            Self::Json(_, value) => Self::Sorted(value),
            other => other,
        }
    }

    pub(crate) fn status(code: u16, reason: &str) -> Self {
        Self::Json(code, status(code, reason))
    }
}

pub(crate) fn status(code: u16, reason: &str) -> Value {
    json!({ "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason })
}

/// A ConfigMap in the namespace `n`, whose uid is its name.
pub(crate) fn config_map(name: &str, version: u64) -> Value {
    object("n", name, name, version)
}

pub(crate) fn object(namespace: &str, name: &str, uid: &str, version: u64) -> Value {
    let metadata =
        json!({ "namespace": namespace, "name": name, "uid": uid, "resourceVersion": version.to_string() });
    json!({ "metadata": metadata, "data": { "version": version.to_string() } })
}

impl Lines {
    pub(crate) fn say(&self, line: &Value) {
        self.raw(&format!("{line}\n"));
    }

    pub(crate) fn raw(&self, text: &str) {
        self.0.unbounded_send(Ok(Bytes::from(text.to_owned()))).expect("somebody reads the stream");
    }

    pub(crate) fn event(&self, verb: &str, mut object: Value) {
        object["kind"] = json!("ConfigMap");
        object["apiVersion"] = json!("v1");
        self.say(&json!({ "type": verb, "object": object }));
    }

    pub(crate) fn bookmark(&self, version: u64, annotations: Value) {
        let metadata = json!({ "resourceVersion": version.to_string(), "annotations": annotations });
        self.event("BOOKMARK", json!({ "metadata": metadata }));
    }

    /// The end of the initial events of a WatchList.
    pub(crate) fn initial_end(&self, version: u64) {
        self.bookmark(version, json!({ "k8s.io/initial-events-end": "true" }));
    }

    pub(crate) fn error(&self, code: u16, reason: &str) {
        self.say(&json!({ "type": "ERROR", "object": status(code, reason) }));
    }

    /// Cuts the connection in the middle of it.
    pub(crate) fn cut(self) {
        let error = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "connection reset");
        self.0.unbounded_send(Err(error)).expect("somebody reads the stream");
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl Script {
    /// Serves ConfigMaps, and Nodes, which live in no namespace. WatchList is unknown here.
    pub(crate) fn new() -> Self {
        let script = Self::bare();
        script.serve("v1", "ConfigMap", "configmaps", true);
        script.serve("v1", "Node", "nodes", false);
        script
    }

    /// Serves nothing.
    pub(crate) fn bare() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn serve(&self, version: &str, kind: &'static str, plural: &'static str, namespaced: bool) {
        self.0.lock().kinds.push((version.to_owned(), kind, plural, namespaced));
    }

    pub(crate) fn deny(&self, kind: &str) {
        self.0.lock().kinds.retain(|(_, other, ..)| *other != kind);
    }

    /// Nobody is let in any more.
    pub(crate) fn refuse(&self) {
        self.0.lock().refuses = true;
    }

    /// The next list at `path` is answered by `reply`.
    pub(crate) fn list_at(&self, path: &str, reply: Reply) {
        self.0.lock().lists.entry(path.to_owned()).or_default().push_back(reply);
    }

    pub(crate) fn watch_at(&self, path: &str, reply: Reply) {
        self.0.lock().watches.entry(path.to_owned()).or_default().push_back(reply);
    }

    /// The next request of another sort at `path` is answered by `reply`.
    pub(crate) fn answer(&self, path: &str, reply: Reply) {
        self.0.lock().others.entry(path.to_owned()).or_default().push_back(reply);
    }

    pub(crate) fn list(&self, reply: Reply) {
        self.list_at(CONFIG_MAPS, reply);
    }

    pub(crate) fn watch(&self, reply: Reply) {
        self.watch_at(CONFIG_MAPS, reply);
    }

    /// The next watch, open.
    pub(crate) fn watching(&self) -> Lines {
        let (lines, reply) = Reply::stream();
        self.watch(reply);
        lines
    }

    pub(crate) fn client(&self) -> kube::Client {
        let script = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| script.clone().serve_one(request));
        kube::Client::new(service, "default")
    }

    /// A factory whose driver runs on a task of its own. It does not try WatchList unless `streaming`.
    pub(crate) fn factory(&self, options: CacheOptions) -> InformerFactory {
        let (factory, driver) = informers(self.client(), options);
        tokio::spawn(driver.run());
        factory
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.0.lock().seen.clone()
    }

    /// Lists, and watches that begin with what there is.
    pub(crate) fn lists(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.is_list()).collect()
    }

    pub(crate) fn watches(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.is_watch()).collect()
    }

    /// What the lists asked for.
    pub(crate) fn list_versions(&self) -> Vec<Option<String>> {
        self.lists().iter().map(|seen| seen.query.get("resourceVersion").cloned()).collect()
    }

    pub(crate) fn watch_versions(&self) -> Vec<Option<String>> {
        self.watches().iter().map(|seen| seen.query.get("resourceVersion").cloned()).collect()
    }

    async fn serve_one(self, request: Request<Body>) -> Result<Response<StreamBody<Chunks>>, Refused> {
        let uri = request.uri().clone();
        let query: BTreeMap<_, _> =
            form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let encoding = request.headers().get(http::header::ACCEPT_ENCODING);
        let encoding = encoding.map(|encoding| encoding.to_str().expect("a text").to_owned());
        let seen = Seen { at: Instant::now(), path: uri.path().to_owned(), query, encoding };
        let reply = {
            let mut state = self.0.lock();
            state.seen.push(seen.clone());
            state.reply(&seen)
        };
        match reply {
            Reply::Hang => std::future::pending().await,
            Reply::Refused => Err(Refused),
            Reply::Json(code, value) => Ok(respond(code, whole(body(&value)))),
            Reply::Sorted(value) => Ok(respond(200, whole(value.to_string()))),
            Reply::Text(code, text) => Ok(respond(code, whole(text.to_owned()))),
            Reply::Stream(chunks) => Ok(respond(200, chunks.map(|chunk| chunk.map(Frame::data)).boxed())),
        }
    }
}

pub(crate) const CONFIG_MAPS: &str = "/api/v1/configmaps";

impl Seen {
    fn is_object(&self) -> bool {
        let root = if self.path.starts_with("/apis/") { 3 } else { 2 };
        self.path.split('/').filter(|part| !part.is_empty()).count() > root
    }

    fn is_watch(&self) -> bool {
        self.is_object() && self.query.contains_key("watch") && !self.query.contains_key("sendInitialEvents")
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.query.contains_key("sendInitialEvents")
    }

    /// A look at the newest version.
    pub(crate) fn is_probe(&self) -> bool {
        let whole = self.query.contains_key("resourceVersion") || self.query.contains_key("continue");
        !whole && self.query.get("limit").is_some_and(|limit| limit == "1")
    }

    fn is_list(&self) -> bool {
        self.is_object() && !self.query.contains_key("watch") && !self.is_probe()
    }
}

impl State {
    fn reply(&mut self, seen: &Seen) -> Reply {
        if self.refuses {
            return Reply::Refused;
        }
        if let Some(reply) = self.others.get_mut(&seen.path).and_then(VecDeque::pop_front) {
            return reply;
        }
        if seen.is_probe() {
            return Reply::list("1000000", &[]);
        }
        let queue = match (seen.is_stream(), seen.is_watch(), seen.is_list()) {
            (true, ..) => match self.watches.get_mut(&format!("stream:{}", seen.path)) {
                Some(queue) => Some(queue),
                // A server that has never heard of it.
                None => return Reply::status(422, "Invalid"),
            },
            (_, true, _) => self.watches.get_mut(&seen.path),
            (_, _, true) => self.lists.get_mut(&seen.path),
            _ => return self.discovery(&seen.path),
        };
        queue.and_then(VecDeque::pop_front).unwrap_or(Reply::Hang)
    }

    /// As servers before aggregated discovery.
    fn discovery(&self, path: &str) -> Reply {
        match path {
            "/api" => return Reply::Json(200, json!({ "kind": "APIVersions", "versions": ["v1"] })),
            "/apis" => return Reply::Json(200, json!({ "kind": "APIGroupList", "groups": [] })),
            _ => {}
        }
        let version = path.trim_start_matches("/api/").trim_start_matches("/apis/");
        let served = self.kinds.iter().filter(|(other, ..)| other == version);
        let resources: Vec<_> = served
            .map(|(_, kind, plural, namespaced)| {
                json!({ "name": plural, "singularName": "", "kind": kind, "namespaced": namespaced,
                        "verbs": ["get", "list", "watch"] })
            })
            .collect();
        if resources.is_empty() {
            return Reply::Text(404, "404 page not found");
        }
        Reply::Json(
            200,
            json!({ "kind": "APIResourceList", "groupVersion": version, "resources": resources }),
        )
    }
}

type Chunks = BoxStream<'static, Result<Frame<Bytes>, std::io::Error>>;

#[derive(Debug)]
struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("connection refused")
    }
}

impl std::error::Error for Refused {}

/// As the server writes built-in kinds: what a list says of itself stands before its items.
fn body(value: &Value) -> String {
    match (value.get("metadata"), value.get("items")) {
        (Some(metadata), Some(items)) => {
            format!(r#"{{"kind":{},"metadata":{metadata},"items":{items}}}"#, value["kind"])
        }
        _ => value.to_string(),
    }
}

fn respond(code: u16, body: Chunks) -> Response<StreamBody<Chunks>> {
    let status = StatusCode::from_u16(code).expect("a status code");
    Response::builder().status(status).body(StreamBody::new(body)).expect("a response")
}

fn whole(text: String) -> Chunks {
    futures::stream::once(async { Ok(Frame::data(Bytes::from(text))) }).boxed()
}

/// Lets everything happen that does not wait for time.
pub(crate) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}
