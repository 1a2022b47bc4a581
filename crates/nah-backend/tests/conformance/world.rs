//! What a scenario is given: a namespace of its own, clients, and a proxy to cut.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::{
    Client,
    client::{Body, ClientBuilder},
};
use nah_backend::{Backend, Builder, KubeBackend};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    ground::{Ground, User},
    proxy::Proxy,
    story::{Story, Telling},
};

/// The surroundings of one scenario.
pub(crate) struct World {
    pub(crate) ground: Arc<Ground>,
    /// Empty at first, and nobody else's.
    pub(crate) namespace: String,
    pub(crate) proxy: Proxy,
    /// What was asked through [`client`](Self::client).
    pub(crate) story: Story,
    /// An administrator's client, through the proxy, whose requests are told in the story.
    pub(crate) client: Client,
    /// An administrator's client past proxy and story: somebody else's hand.
    other: Mutex<Client>,
    /// The backends made, to be shut down at the end.
    backends: Mutex<Vec<KubeBackend>>,
}

impl World {
    pub(crate) async fn new(ground: Arc<Ground>, scenario: &str) -> Result<Self> {
        // The name of a namespace is a label, and has no more than 63 characters.
        let namespace: String = scenario.replace('_', "-").chars().take(60).collect();
        let namespace = namespace.trim_end_matches('-').to_owned();
        let proxy = Proxy::start(ground.address()?).await?;
        let story = Story::new(&namespace);
        let other = Mutex::new(Client::try_from(ground.config(User::Admin).await?)?);
        let client = told(&ground, &proxy, &story, User::Admin).await?;
        let world = Self { ground, namespace, proxy, story, client, other, backends: Mutex::default() };
        let body = json!({ "metadata": { "name": world.namespace } });
        world.behind(Method::POST, "/api/v1/namespaces", Some(body)).await?.expect(201)?;
        Ok(world)
    }

    /// Another user's client, likewise through proxy and story.
    pub(crate) async fn client_of(&self, user: User) -> Result<Client> {
        if user == User::Outsider {
            self.ground.refuse_outsider(&self.namespace);
        }
        told(&self.ground, &self.proxy, &self.story, user).await
    }

    /// The path of a namespaced collection of the core group, or with a name that of an object.
    pub(crate) fn path(&self, collection: &str) -> String {
        format!("/api/v1/namespaces/{}/{collection}", self.namespace)
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer> {
        send(&self.client, Method::GET, path, None, &[]).await
    }

    pub(crate) async fn get_as(&self, path: &str, accept: &str) -> Result<Answer> {
        send(&self.client, Method::GET, path, None, &[("accept", accept)]).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Result<Answer> {
        send(&self.client, Method::POST, path, Some(body), &[]).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Result<Answer> {
        send(&self.client, Method::PUT, path, Some(body), &[]).await
    }

    /// A merge patch.
    pub(crate) async fn patch(&self, path: &str, body: Value) -> Result<Answer> {
        self.patch_as(path, body, "application/json").await
    }

    /// A merge patch whose answer is asked for in another form.
    pub(crate) async fn patch_as(&self, path: &str, body: Value, accept: &str) -> Result<Answer> {
        let headers = [("content-type", "application/merge-patch+json"), ("accept", accept)];
        send(&self.client, Method::PATCH, path, Some(body), &headers).await
    }

    /// Applies as a manager; `options` are further parameters, as `force=true`.
    pub(crate) async fn apply(
        &self,
        path: &str,
        manager: &str,
        options: &str,
        body: Value,
    ) -> Result<Answer> {
        let headers = [("content-type", "application/apply-patch+yaml")];
        let path = format!("{path}?fieldManager={manager}&{options}");
        send(&self.client, Method::PATCH, path.trim_end_matches('&'), Some(body), &headers).await
    }

    pub(crate) async fn delete(&self, path: &str, options: Option<Value>) -> Result<Answer> {
        send(&self.client, Method::DELETE, path, options, &[]).await
    }

    /// A request by somebody else: past the proxy, and not in the story.
    pub(crate) async fn behind(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer> {
        let merge = [("content-type", "application/merge-patch+json")];
        let headers: &[_] = if method == Method::PATCH { &merge } else { &[] };
        let client = self.other.lock().clone();
        send(&client, method, path, body, headers).await
    }

    /// Creates an object of the core group in the scenario's namespace, as somebody else.
    pub(crate) async fn behind_create(&self, collection: &str, body: Value) -> Result<Answer> {
        self.behind(Method::POST, &self.path(collection), Some(body)).await?.expect(201)
    }

    /// Merges into an object of the core group in the scenario's namespace, as somebody else.
    pub(crate) async fn behind_patch(&self, path: &str, body: Value) -> Result<Answer> {
        self.behind(Method::PATCH, &self.path(path), Some(body)).await?.expect(200)
    }

    /// Deletes an object of the core group in the scenario's namespace, as somebody else.
    pub(crate) async fn behind_delete(&self, path: &str) -> Result<Answer> {
        self.behind(Method::DELETE, &self.path(path), None).await?.expect(200)
    }

    /// A backend whose cache is the scenario's namespace, not started.
    pub(crate) fn backend(&self) -> KubeBackend {
        self.backend_of(self.client.clone(), |builder| builder)
    }

    /// A backend of the scenario's namespace on a client, with more options.
    pub(crate) fn backend_of(&self, client: Client, with: impl FnOnce(Builder) -> Builder) -> KubeBackend {
        let backend = with(KubeBackend::with_client(client).namespaces([self.namespace.clone()])).build();
        self.backends.lock().push(backend.clone());
        backend
    }

    /// Ends what the scenario has left running.
    pub(crate) async fn close(&self) {
        let backends = std::mem::take(&mut *self.backends.lock());
        for backend in backends {
            backend.shutdown(Duration::ZERO).await;
        }
    }

    /// Ends the server with all its connections, and starts it again.
    pub(crate) async fn restart_server(&self) -> Result<()> {
        self.ground.restart().await?;
        self.connect_anew().await
    }

    /// Makes every version but the newest too old; the connections end too.
    pub(crate) async fn forget_history(&self) -> Result<()> {
        self.ground.forget_history().await?;
        self.connect_anew().await
    }

    /// Keeps what is stored; the connections end.
    pub(crate) async fn backup(&self) -> Result<()> {
        self.ground.backup().await?;
        self.connect_anew().await
    }

    /// Goes back to the last backup; the connections end too.
    pub(crate) async fn restore(&self) -> Result<()> {
        self.ground.restore().await?;
        self.connect_anew().await
    }

    /// A request on a connection that the server has just closed would fail.
    async fn connect_anew(&self) -> Result<()> {
        let client = Client::try_from(self.ground.config(User::Admin).await?)?;
        *self.other.lock() = client;
        Ok(())
    }

    /// Gives the outsider every right to a collection in the scenario's namespace.
    pub(crate) async fn allow(&self, collection: &str) -> Result<()> {
        self.ground.allow(self, collection).await
    }

    /// Takes it away again.
    pub(crate) async fn forbid(&self, collection: &str) -> Result<()> {
        self.ground.forbid(self, collection).await
    }

    /// A ConfigMap of the scenario's namespace, created.
    pub(crate) async fn config_map(&self, name: &str) -> Result<Answer> {
        let body = json!({ "metadata": { "name": name }, "data": { "k": "v" } });
        self.post(&self.path("configmaps"), body).await?.expect(201)
    }

    /// A ConfigMap with a finalizer, created.
    pub(crate) async fn held_config_map(&self, name: &str) -> Result<Answer> {
        let metadata = json!({ "name": name, "finalizers": ["example.com/hold"] });
        self.post(&self.path("configmaps"), json!({ "metadata": metadata })).await?.expect(201)
    }

    /// Opens a watch on a path that says `watch=true`.
    pub(crate) async fn watch(&self, path: &str) -> Result<Events> {
        self.watch_as(path, "application/json").await
    }

    /// Opens a watch whose objects are asked for in another form.
    pub(crate) async fn watch_as(&self, path: &str, accept: &str) -> Result<Events> {
        let request = Request::get(path).header("accept", accept).body(Body::empty())?;
        let answer = self.client.send(request).await?;
        ensure!(answer.status().is_success(), "the watch was answered {}", answer.status());
        Ok(Events { body: answer.into_body(), buffer: Vec::new() })
    }
}

async fn told(ground: &Ground, proxy: &Proxy, story: &Story, user: User) -> Result<Client> {
    let mut config = ground.config(user).await?;
    let scheme = config.cluster_url.scheme_str().unwrap_or("http").to_owned();
    config.cluster_url = format!("{scheme}://{}", proxy.address()).parse()?;
    Ok(ClientBuilder::try_from(config)?.with_layer(&Telling(story.clone())).build())
}

async fn send(
    client: &Client,
    method: Method,
    path: &str,
    body: Option<Value>,
    headers: &[(&str, &str)],
) -> Result<Answer> {
    let mut request = Request::builder().method(method.clone()).uri(path);
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = body.map_or(Body::empty(), |body| Body::from(body.to_string().into_bytes()));
    let answer = client.send(request.body(body)?).await.with_context(|| format!("{method} {path}"))?;
    let (code, content) = (answer.status().as_u16(), answer.headers().get("content-type").cloned());
    let text = answer.into_body().collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&text).into_owned();
    let content = content.and_then(|it| it.to_str().ok().map(str::to_owned)).unwrap_or_default();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(Answer { asked: format!("{method} {path}"), code, content, text, body })
}

/// The server's answer to a request.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    asked: String,
    pub(crate) code: u16,
    pub(crate) content: String,
    pub(crate) text: String,
    /// Null, where it is no JSON.
    pub(crate) body: Value,
}

impl Answer {
    /// The answer, if it has this code.
    pub(crate) fn expect(self, code: u16) -> Result<Self> {
        ensure!(self.code == code, "{} was answered {}, not {code}: {}", self.asked, self.code, self.text);
        Ok(self)
    }

    /// The answer, if the value at a path is this one; null is what is absent.
    pub(crate) fn with(self, pointer: &str, value: Value) -> Result<Self> {
        let found = self.at(pointer);
        ensure!(
            *found == value,
            "{}: {pointer} is {found}, not {value}; all of it: {}",
            self.asked,
            self.text
        );
        Ok(self)
    }

    /// The value at a JSON pointer, null if there is none.
    pub(crate) fn at(&self, pointer: &str) -> &Value {
        self.body.pointer(pointer).unwrap_or(&Value::Null)
    }

    pub(crate) fn version(&self) -> Result<u64> {
        version(&self.body)
    }

    pub(crate) fn uid(&self) -> Result<String> {
        Ok(self.at("/metadata/uid").as_str().context("no uid")?.to_owned())
    }
}

/// The version of an object or a list.
pub(crate) fn version(object: &Value) -> Result<u64> {
    let text = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    Ok(text.with_context(|| format!("no version in {object}"))?.parse()?)
}

/// A watch, as it comes.
pub(crate) struct Events {
    body: Body,
    buffer: Vec<u8>,
}

impl Events {
    /// The next event's type and object.
    pub(crate) async fn next(&mut self) -> Result<(String, Value)> {
        match tokio::time::timeout(Duration::from_secs(20), self.line()).await {
            Ok(Ok(Some(event))) => {
                let kind = event["type"].as_str().context("an event without a type")?.to_owned();
                Ok((kind, event["object"].clone()))
            }
            Ok(Ok(None)) => bail!("the watch ended"),
            Ok(Err(error)) => Err(error),
            Err(_) => bail!("no event in 20 s"),
        }
    }

    /// The next event that is no bookmark.
    pub(crate) async fn change(&mut self) -> Result<(String, Value)> {
        loop {
            let event = self.next().await?;
            if event.0 != "BOOKMARK" {
                return Ok(event);
            }
        }
    }

    async fn line(&mut self) -> Result<Option<Value>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            match self.body.frame().await {
                Some(frame) => self.buffer.extend(frame?.into_data().unwrap_or_default()),
                None => return Ok(None),
            }
        }
    }
}
