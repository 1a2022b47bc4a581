//! A server that answers with what it made ready before: lists in pages, initial events, a watch that is fed on demand.
//! Its own process, so that what is measured is the client.

use std::{
    convert::Infallible,
    fmt,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kube_client::Client;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::mpsc::{Sender, channel},
    time::{Instant, sleep_until},
};
use tokio_stream::wrappers::ReceiverStream;

use crate::{config_maps, pods::Pods};

type Body = BoxBody<Bytes, Infallible>;

/// The seed of everything that is generated.
pub const SEED: u64 = 20_260_101;

/// What kind of objects a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Pods,
    ConfigMaps,
}

/// The answers of one kind, made ready.
#[derive(Debug)]
pub struct Canned {
    kind: Kind,
    count: usize,
    /// One text with all items, and where each ends: pages are slices of it.
    items: Bytes,
    ends: Vec<usize>,
    watches: tokio::sync::Mutex<Vec<Sender<Bytes>>>,
    pages: AtomicUsize,
    /// Whether a watch may begin with what there is.
    streaming: bool,
}

/// Serves `count` objects until the end of standard input; the first line of standard output is the URL.
///
/// Beside what a Kubernetes server answers: `/control/events?count=C&rate=R&from=V` sends C updates at R a second (as
/// fast as they are taken at 0), the first with version V; `/control/expire` ends every watch with 410.
pub async fn serve(kind: Kind, count: usize) -> Result<()> {
    // Whoever started it may be killed; the pipe ends with it.
    std::thread::spawn(|| {
        _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let canned = Arc::new(Canned::new(kind, count));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "http://{}", listener.local_addr()?)?;
    stdout.flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let canned = canned.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(canned.clone(), request));
            // A client that goes away is how each of them ends.
            _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pods => "pods",
            Self::ConfigMaps => "configmaps",
        })
    }
}

impl std::str::FromStr for Kind {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "pods" => Self::Pods,
            "configmaps" => Self::ConfigMaps,
            _ => bail!("there are no {name} here"),
        })
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Pods => "Pod",
            Self::ConfigMaps => "ConfigMap",
        }
    }

    /// The object of this number, of so many, without `apiVersion` and `kind`.
    pub fn object(self, number: usize, count: usize, version: usize) -> Value {
        match self {
            Self::Pods => Pods::new(SEED, count).pod(number, version),
            Self::ConfigMaps => config_maps::config_map(number, count, version),
        }
    }

    /// The line of a watch that tells of an object, given as a list has it.
    fn line(self, verb: &str, item: &[u8]) -> Bytes {
        let head = format!(r#"{{"type":"{verb}","object":{{"apiVersion":"v1","kind":"{}","#, self.name());
        [head.as_bytes(), &item[1..], b"}\n"].concat().into()
    }
}

impl Canned {
    /// Makes the answers for so many objects ready.
    pub fn new(kind: Kind, count: usize) -> Self {
        let (mut items, mut ends) = (Vec::new(), Vec::with_capacity(count));
        for number in 0..count {
            let separator: &[u8] = if number == 0 { b"" } else { b"," };
            items.extend_from_slice(separator);
            // A vector of bytes takes whatever is written into it.
            _ = serde_json::to_writer(&mut items, &kind.object(number, count, number + 1));
            ends.push(items.len());
        }
        items.shrink_to_fit();
        Self {
            kind,
            count,
            items: items.into(),
            ends,
            watches: tokio::sync::Mutex::default(),
            pages: AtomicUsize::new(0),
            streaming: false,
        }
    }

    /// The same, where a watch may begin with what there is (WatchList).
    #[must_use]
    pub fn streaming(self) -> Self {
        Self { streaming: true, ..self }
    }

    /// A client of it in this process, without a socket.
    pub fn client(self: Arc<Self>) -> Client {
        let service = tower::service_fn(move |request: Request<kube_client::client::Body>| {
            let canned = self.clone();
            async move { answer(canned, request).await }
        });
        Client::new(service, "default")
    }

    /// The text of items, with commas between them.
    fn text(&self, from: usize, to: usize) -> Bytes {
        let start = if from == 0 { 0 } else { self.ends[from - 1] + 1 };
        if from < to { self.items.slice(start..self.ends[to - 1]) } else { Bytes::new() }
    }

    fn page(&self, query: &Query) -> Response<Body> {
        self.pages.fetch_add(1, Relaxed);
        let from = query.number("continue").unwrap_or(0).min(self.count);
        let to = query.number("limit").map_or(self.count, |limit| (from + limit).min(self.count));
        let next = if to < self.count {
            format!(r#","continue":"{to}","remainingItemCount":{}"#, self.count - to)
        } else {
            String::new()
        };
        let head = format!(
            r#"{{"kind":"{}List","apiVersion":"v1","metadata":{{"resourceVersion":"{}"{next}}},"items":["#,
            self.kind.name(),
            self.count
        );
        let parts = [Bytes::from(head), self.text(from, to), Bytes::from_static(b"]}\n")];
        let length: usize = parts.iter().map(Bytes::len).sum();
        let mut response = response(StatusCode::OK, whole(parts));
        response.headers_mut().insert(http::header::CONTENT_LENGTH, length.into());
        response
    }

    /// A watch; with `initial`, one that begins with what there is.
    async fn watch(self: Arc<Self>, initial: bool) -> Response<Body> {
        let (sender, receiver) = channel(16);
        if !initial {
            self.watches.lock().await.push(sender);
        } else {
            tokio::spawn(async move {
                for from in (0..self.count).step_by(64) {
                    let mut lines = BytesMut::new();
                    for number in from..(from + 64).min(self.count) {
                        lines.extend_from_slice(&self.kind.line("ADDED", &self.text(number, number + 1)));
                    }
                    if sender.send(lines.freeze()).await.is_err() {
                        return;
                    }
                }
                let annotations = json!({"k8s.io/initial-events-end": "true"});
                let end = json!({"type": "BOOKMARK", "object": {"kind": self.kind.name(), "apiVersion": "v1",
                    "metadata": {"resourceVersion": self.count.to_string(), "annotations": annotations}}});
                _ = sender.send(format!("{end}\n").into()).await;
                self.watches.lock().await.push(sender);
            });
        }
        let frames = ReceiverStream::new(receiver).map(|line| Ok(Frame::data(line)));
        response(StatusCode::OK, BodyExt::boxed(StreamBody::new(frames)))
    }

    /// So many updates as lines of a watch, the first with this version.
    pub fn updates(&self, count: usize, from: usize) -> impl Iterator<Item = Bytes> + '_ {
        (0..count).map(move |number| {
            // A prime step goes through all objects before it comes to one again.
            let object = number.wrapping_mul(7919) % self.count;
            let object = self.kind.object(object, self.count, from + number);
            self.kind.line("MODIFIED", object.to_string().as_bytes())
        })
    }

    /// Sends a line to every watch.
    pub async fn tell(&self, line: Bytes) {
        for watch in self.watches.lock().await.iter() {
            _ = watch.send(line.clone()).await;
        }
    }

    /// How many pages were answered.
    pub fn pages(&self) -> usize {
        self.pages.load(Relaxed)
    }

    /// Sends updates at so many a second, as fast as they are taken at 0.
    async fn send(&self, count: usize, rate: usize, from: usize) {
        let begun = Instant::now();
        for (number, line) in self.updates(count, from).enumerate() {
            self.tell(line).await;
            if rate > 0 {
                sleep_until(begun + Duration::from_secs_f64(number as f64 / rate as f64)).await;
            }
        }
    }

    /// Ends every watch with 410.
    pub async fn expire(&self) {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410,
            "reason": "Expired", "message": "too old resource version"});
        let line = format!("{}\n", json!({"type": "ERROR", "object": status}));
        for watch in self.watches.lock().await.drain(..) {
            _ = watch.send(line.clone().into()).await;
        }
    }
}

/// The query of a request.
struct Query(Vec<(String, String)>);

impl Query {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.text(name)?.parse().ok()
    }

    fn is(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| matches!(value, "true" | "1"))
    }
}

async fn answer<B>(canned: Arc<Canned>, request: Request<B>) -> Result<Response<Body>, Infallible> {
    let query = request.uri().query().unwrap_or_default();
    let query = Query(form_urlencoded::parse(query.as_bytes()).into_owned().collect());
    let (path, objects) = (request.uri().path(), format!("/api/v1/{}", canned.kind));
    Ok(match path {
        "/api/v1" => json_response(
            StatusCode::OK,
            &json!({
                "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": [{
                    "name": canned.kind.to_string(), "singularName": "", "namespaced": true, "kind": canned.kind.name(),
                    "verbs": ["list", "watch"],
                }],
            }),
        ),
        "/control/events" => {
            let number = |name| query.number(name).unwrap_or_default();
            let (count, rate, from) = (number("count"), number("rate"), number("from"));
            tokio::spawn(async move { canned.send(count, rate, from).await });
            json_response(StatusCode::OK, &json!({}))
        }
        "/control/expire" => {
            canned.expire().await;
            json_response(StatusCode::OK, &json!({}))
        }
        path if path == objects && query.is("sendInitialEvents") && !canned.streaming => json_response(
            StatusCode::BAD_REQUEST,
            &json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 400, "reason": "BadRequest",
                "message": "sendInitialEvents is forbidden",
            }),
        ),
        path if path == objects && query.is("watch") => canned.watch(query.is("sendInitialEvents")).await,
        path if path == objects => canned.page(&query),
        _ => json_response(
            StatusCode::NOT_FOUND,
            &json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound",
                "message": "there is nothing",
            }),
        ),
    })
}

fn whole(parts: [Bytes; 3]) -> Body {
    BodyExt::boxed(StreamBody::new(stream::iter(parts.map(|part| Ok(Frame::data(part))))))
}

fn response(code: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

fn json_response(code: StatusCode, value: &Value) -> Response<Body> {
    response(code, Full::from(value.to_string()).boxed())
}

/// A server in a process of its own, ended when this is dropped.
#[derive(Debug)]
pub struct Server {
    pub url: String,
    child: std::process::Child,
}

impl Server {
    /// Starts this program as a server, and waits until everything is ready.
    pub fn start(kind: Kind, count: usize) -> Result<Self> {
        use std::{
            io::BufRead,
            process::{Command, Stdio},
        };
        let mut child = Command::new(std::env::current_exe()?)
            .args(["role", "serve", &kind.to_string(), &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        let stdout = child.stdout.take().context("server has no output")?;
        std::io::BufReader::new(stdout).read_line(&mut url)?;
        if url.is_empty() {
            bail!("the server did not start");
        }
        Ok(Self { url: url.trim().to_owned(), child })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
