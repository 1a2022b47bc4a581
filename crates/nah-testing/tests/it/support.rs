//! A client of raw requests: what is asked and what is answered, to the letter.

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use kube_client::{Client, client::Body};
use nah_testing::ApiServer;
use serde_json::{Value, json};

/// A server and a client of it.
pub(crate) struct Ground {
    pub(crate) server: ApiServer,
    pub(crate) client: Client,
}

/// The lines of a watch.
pub(crate) struct Lines {
    body: Body,
    rest: Vec<u8>,
}

impl Ground {
    pub(crate) fn new() -> Self {
        Self::of(ApiServer::new())
    }

    pub(crate) fn of(server: ApiServer) -> Self {
        let client = server.client();
        Self { server, client }
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Response<Body> {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.client.send(request.body(Body::from(body)).unwrap()).await.unwrap()
    }

    pub(crate) async fn text(&self, path: &str) -> (StatusCode, String) {
        let response = self.send("GET", path, &[], Vec::new()).await;
        let code = response.status();
        (code, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let content_type = match (method, body.is_array()) {
            ("PATCH", true) => "application/json-patch+json",
            ("PATCH", false) => "application/merge-patch+json",
            _ => "application/json",
        };
        self.ask_with(method, path, &[(header::CONTENT_TYPE.as_str(), content_type)], body).await
    }

    pub(crate) async fn ask_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> (u16, Value) {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let response = self.send(method, path, headers, body).await;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes))))
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask("POST", path, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask("PUT", path, body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask("PATCH", path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (u16, Value) {
        self.ask("DELETE", path, Value::Null).await
    }

    pub(crate) async fn watch(&self, path: &str) -> Lines {
        let response = self.send("GET", path, &[], Vec::new()).await;
        assert_eq!(response.status(), 200, "{path}");
        Lines::of(response)
    }
}

impl Lines {
    pub(crate) fn of(response: Response<Body>) -> Self {
        Self { body: response.into_body(), rest: Vec::new() }
    }

    /// The next line as it came; none at the end; an error where the stream breaks.
    pub(crate) async fn line(&mut self) -> Option<Result<String, String>> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<_> = self.rest.drain(..=end).collect();
                return Some(Ok(String::from_utf8(line).unwrap().trim_end().to_owned()));
            }
            match self.body.frame().await {
                None if self.rest.is_empty() => return None,
                None => return Some(Ok(String::from_utf8(std::mem::take(&mut self.rest)).unwrap())),
                Some(Err(error)) => return Some(Err(error.to_string())),
                Some(Ok(frame)) => self.rest.extend_from_slice(frame.data_ref().unwrap()),
            }
        }
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Value {
        let line = self.line().await.expect("the watch ended").expect("the watch broke");
        serde_json::from_str(&line).unwrap()
    }

    /// The next event as `TYPE name@version`.
    pub(crate) async fn short(&mut self) -> String {
        short(&self.event().await)
    }

    /// What can be read without waiting.
    pub(crate) async fn drain(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Ok(event) = tokio::time::timeout(std::time::Duration::from_millis(1), self.event()).await {
            all.push(short(&event));
        }
        all
    }
}

fn short(event: &Value) -> String {
    let metadata = &event["object"]["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{} {}", text(&event["type"]), text(&metadata["name"]))
}

pub(crate) const MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";

pub(crate) fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}})
}

pub(crate) fn pod(name: &str, node: Option<&str>) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    if let Some(node) = node {
        pod["spec"]["nodeName"] = json!(node);
    }
    pod
}

pub(crate) fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": "x"}},
            "template": {
                "metadata": {"labels": {"app": "x"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
    })
}

pub(crate) fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}
