//! Objects that scenarios make, and how they wait.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use http::Method;
use serde_json::{Value, json};

use crate::world::World;

/// A Pod, on a node that does not exist or on none.
pub(crate) fn pod(name: &str, node: Option<&str>) -> Value {
    let containers = json!([{ "name": "main", "image": "example.com/a" }]);
    let mut pod = json!({ "metadata": { "name": name }, "spec": { "containers": containers } });
    if let Some(node) = node {
        pod["spec"]["nodeName"] = json!(node);
    }
    pod
}

/// A Deployment.
pub(crate) fn deployment(name: &str, replicas: u32) -> Value {
    json!({ "metadata": { "name": name }, "spec": {
        "replicas": replicas,
        "selector": { "matchLabels": { "app": name } },
        "template": {
            "metadata": { "labels": { "app": name } },
            "spec": { "containers": [{ "name": "main", "image": "example.com/a" }] },
        },
    } })
}

/// A namespaced kind `Widget` with a schema and a status, in a group of its own.
pub(crate) struct CustomKind {
    pub(crate) group: String,
}

impl CustomKind {
    /// A group that no other scenario has.
    pub(crate) fn new(word: &str) -> Self {
        Self { group: format!("{word}.example.com") }
    }

    /// Defines a new one, and returns when it is served.
    pub(crate) async fn define(world: &World, word: &str) -> Result<Self> {
        let kind = Self::new(word);
        kind.create(world).await?;
        Ok(kind)
    }

    /// Creates the definition, and returns when the kind is served.
    pub(crate) async fn create(&self, world: &World) -> Result<()> {
        self.create_in(world, "Namespaced").await
    }

    /// Defines a new one whose objects have a spec of this schema.
    pub(crate) async fn define_with(world: &World, word: &str, spec: Value) -> Result<Self> {
        let kind = Self::new(word);
        kind.create_with(world, "Namespaced", spec).await?;
        Ok(kind)
    }

    /// As [`create`](Self::create), with its objects in this scope.
    pub(crate) async fn create_in(&self, world: &World, scope: &str) -> Result<()> {
        let spec = json!({ "type": "object", "properties": {
            "size": { "type": "integer", "maximum": 100 },
            "note": { "type": "string" },
        } });
        self.create_with(world, scope, spec).await
    }

    async fn create_with(&self, world: &World, scope: &str, spec: Value) -> Result<()> {
        let schema = json!({ "type": "object", "properties": {
            "spec": spec,
            "status": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
        } });
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("widgets.{}", self.group) },
            "spec": {
                "group": self.group,
                "scope": scope,
                "names": { "plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList" },
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": { "openAPIV3Schema": schema }, "subresources": { "status": {} },
                }],
            },
        });
        world.behind(Method::POST, DEFINITIONS, Some(definition)).await?.expect(201)?;
        // Of one without namespaces, too.
        let path = format!("/apis/{}/v1/widgets", self.group);
        eventually("the new kind is served", async || {
            Ok(world.behind(Method::GET, &path, None).await?.code == 200)
        })
        .await
    }

    /// Removes the definition, and its objects with it.
    pub(crate) async fn remove(&self, world: &World) -> Result<()> {
        let path = format!("{DEFINITIONS}/widgets.{}", self.group);
        world.behind(Method::DELETE, &path, None).await?.expect(200)?;
        Ok(())
    }

    /// The path of its collection in the scenario's namespace.
    pub(crate) fn path(&self, world: &World) -> String {
        format!("/apis/{}/v1/namespaces/{}/widgets", self.group, world.namespace)
    }

    pub(crate) fn object(&self, name: &str, spec: Value) -> Value {
        let version = format!("{}/v1", self.group);
        json!({ "apiVersion": version, "kind": "Widget", "metadata": { "name": name }, "spec": spec })
    }
}

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// Waits until something holds. The server is another process, so this is real time.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..400 {
        if holds().await? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    bail!("waited ten seconds, and it is not so: {what}")
}

/// What a callback or a handler tells the scenario, in order.
#[derive(Debug)]
pub(crate) struct Seen<T>(tokio::sync::mpsc::UnboundedReceiver<T>);

/// The callback's end of [`Seen`].
#[derive(Debug)]
pub(crate) struct Teller<T>(tokio::sync::mpsc::UnboundedSender<T>);

impl<T> Clone for Teller<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Teller<T> {
    pub(crate) fn tell(&self, what: T) {
        // After the end of a scenario nobody listens any more.
        let _ = self.0.send(what);
    }
}

impl<T: std::fmt::Debug> Seen<T> {
    pub(crate) fn new() -> (Teller<T>, Self) {
        let (tx, rx) = tokio::sync::mpsc::unbounded_channel();
        (Teller(tx), Self(rx))
    }

    /// These are told next, in this order.
    pub(crate) async fn are<E: std::fmt::Debug>(
        &mut self,
        expected: impl IntoIterator<Item = E>,
    ) -> Result<()>
    where
        T: PartialEq<E>,
    {
        for expected in expected {
            let told = self.next().await?;
            ensure!(told == expected, "{told:?}, not {expected:?}");
        }
        Ok(())
    }

    /// The next thing told, within twenty seconds.
    pub(crate) async fn next(&mut self) -> Result<T> {
        match tokio::time::timeout(Duration::from_secs(20), self.0.recv()).await {
            Ok(Some(told)) => Ok(told),
            Ok(None) => bail!("nobody is left to tell anything"),
            Err(_) => bail!("nothing was told in twenty seconds"),
        }
    }

    /// Takes what is told until something is as wanted.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&T) -> bool) -> Result<T> {
        loop {
            let told = self.next().await?;
            if wanted(&told) {
                return Ok(told);
            }
        }
    }

    /// Fails if anything is told within this time.
    pub(crate) async fn nothing_for(&mut self, time: Duration) -> Result<()> {
        match tokio::time::timeout(time, self.0.recv()).await {
            Ok(Some(told)) => bail!("{told:?} was told, and nothing was to be"),
            _ => Ok(()),
        }
    }

    /// Everything told so far.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}
