//! Nothing of an object's body and no token is logged, at any level below trace.

use std::{
    collections::BTreeMap,
    fmt::{Debug, Write as _},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Client, Config, CustomResource, CustomResourceExt as _,
    api::{DynamicObject, Patch, PatchParams},
};
use nah_backend::{
    Builder, KubeBackend,
    cache::Event,
    client::{Error, Write, Written},
    core::{DecodeError, PartialObjectMeta},
    prelude::*,
};
use nah_testing::{ApiServer, Corruption, Fault};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::{
    Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
};

/// Stands in every body.
const BODY: &str = "hush-body";
/// Is the user's token.
const TOKEN: &str = "hush-token";

/// Everything that is logged at debug or above, by whomever.
#[derive(Clone, Default)]
struct Everything(Arc<Mutex<String>>);

impl Visit for Everything {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0.lock(), " {field}={value:?}");
    }
}

impl Subscriber for Everything {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::DEBUG
    }
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let _ = write!(self.0.lock(), "\n{}", span.metadata().name());
        span.record(&mut self.clone());
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let _ = write!(self.0.lock(), "\n{} {}", event.metadata().level(), event.metadata().target());
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Its definition lets everything in, this type does not.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Widget", namespaced)]
struct WidgetSpec {
    #[schemars(with = "serde_json::Value")]
    size: u32,
}

fn definition() -> serde_json::Value {
    let mut crd = serde_json::to_value(Widget::crd()).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] =
        json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    crd
}

fn widget(name: &str) -> serde_json::Value {
    json!({ "apiVersion": "example.com/v1", "kind": "Widget",
            "metadata": { "name": name, "namespace": "default" }, "spec": { "size": BODY } })
}

fn secret(name: &str) -> Secret {
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "default", "annotations": { "note": BODY } },
        "stringData": { "password": BODY }, "type": "Opaque",
    }))
    .unwrap()
}

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "default" }, "data": { "k": BODY }
    }))
    .unwrap()
}

fn register(backend: &KubeBackend) {
    backend.watcher("secrets", |_: Change<Secret>| async { Ok(()) }).unwrap();
    // What fails here fails for what the cache and the server say.
    let at = backend.clone();
    let widgets = move |change: Change| {
        let at = at.clone();
        async move {
            at.get::<Widget>(&change.key).await?;
            Ok(())
        }
    };
    backend.watcher_for_kind(&Widget::kind_of(), "widgets", widgets).unwrap();
    let typed = backend.informer::<Widget>().unwrap();
    typed.add_event_handler(|_: Event<Widget>| {}).unwrap();
    backend.index_field("size", |widget: &Widget| [widget.spec.size.to_string()]).unwrap();
    let at = backend.clone();
    let maps = move |change: Change<ConfigMap>| {
        let at = at.clone();
        async move {
            if let Some(map) = change.object {
                let stale = ConfigMap { data: None, ..(*map).clone() };
                at.update(&stale).await?;
            }
            Ok(())
        }
    };
    backend.watcher("maps", maps).unwrap();
    backend.index_path::<ConfigMap>("data.k").unwrap();
}

/// Writes, errors, conflicts, bad bytes, restarts; and what each says of itself.
async fn session(server: &ApiServer, backend: &KubeBackend) -> Vec<String> {
    let mut said = Vec::new();
    backend.start().await.unwrap();
    let made = backend.create(&secret("a")).await.unwrap();
    said.push(format!("{:?}", backend.create(&secret("a")).await.unwrap_err()));
    backend.modify::<Secret>(("default", "a"), |secret| secret.immutable = Some(false)).await.unwrap();
    said.push(format!("{:?}", backend.update(&*made).await.unwrap_err()));
    let patch = Patch::Merge(json!({ "stringData": { "password": BODY } }));
    backend.patch::<Secret>(("default", "a"), &patch, &PatchParams::default()).await.unwrap();
    // Somebody else has said otherwise.
    let apply = backend.apply(&Secret { immutable: Some(true), ..secret("a") }, "me").await;
    said.push(format!("{:?}", apply.unwrap_err()));
    let write = Write::new(nah_backend::client::Verb::Update, &*made, None).unwrap();
    said.push(format!("{write:?} {:?}", backend.write(write.clone()).await.unwrap_err()));

    for name in ["m1", "m2"] {
        let map = backend.create(&map(name)).await.unwrap();
        said.push(format!("{:?}", Written::Object(Object::from_typed(map).unwrap())));
    }
    // Unknown outcomes, repeats, refusals, and a server that breaks.
    for fault in [
        Fault::drop_answer().on("patch"),
        Fault::answer(500).on("create"),
        Fault::too_many_requests(0).on("update"),
        Fault::answer(503).on("get"),
        Fault::corrupt(Corruption::WrongType("metadata.uid".into())).on("get"),
        Fault::corrupt(Corruption::Truncated).on("watch"),
        // Of this kind: whose watch is opened first after a cut is not fixed.
        Fault::corrupt_object("m1", Corruption::WrongType("metadata.labels".into()))
            .on("watch")
            .of("configmaps"),
        Fault::error_event(0, 500).on("watch"),
        Fault::cut_after_bytes(700).on("list"),
    ] {
        server.inject(fault.times(2));
        let patch = Patch::Merge(json!({ "data": { "k": BODY, "n": said.len().to_string() } }));
        for done in [
            backend.patch::<ConfigMap>(("default", "m1"), &patch, &PatchParams::default()).await.map(drop),
            backend.create(&map(&format!("m{}", said.len() + 3))).await.map(drop),
            backend.get_live::<ConfigMap>(("default", "m2")).await.map(drop),
            backend.list_live::<ConfigMap>(ListOptions::default()).await.map(drop),
        ] {
            said.extend(done.err().map(|error| format!("{error} {error:?}")));
        }
        server.cut_watches("");
        tokio::time::sleep(Duration::from_secs(120)).await;
        server.clear_faults();
    }
    // The typed reader cannot read it, and neither can the handler and the index.
    server.create(&widget("w")).unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let error = backend.get::<Widget>(("default", "w")).await.unwrap_err();
    assert!(matches!(&error, Error::Decode(DecodeError { .. }) | Error::Cache(_)), "{error:?}");
    let mut chain: &dyn std::error::Error = &error;
    while let Some(source) = chain.source() {
        said.push(format!("{source} {source:?}"));
        chain = source;
    }
    said.push(format!("{error} {error:?}"));
    let written: DynamicObject = serde_json::from_value(widget("w2")).unwrap();
    backend.create(&written).await.unwrap();

    let gvk = Secret::kind_of();
    let handle = backend.get_for_kind(&gvk, ("default", "a")).await.unwrap();
    said.push(format!("{handle:?} {:?}", handle.decode::<PartialObjectMeta<Secret>>().map(drop)));
    said.push(format!("{:?}", backend.list::<Secret>(ListOptions::default()).await.unwrap()));
    said.push(format!("{:?}", backend.status()));
    said.push(format!("{backend:?}"));
    backend.delete(&*made).await.unwrap();
    said.push(format!("{:?}", backend.get::<Secret>(("default", "a")).await.unwrap_err()));
    server.restart();
    tokio::time::sleep(Duration::from_secs(60)).await;
    backend.shutdown(Duration::from_secs(5)).await;
    said
}

#[tokio::test(start_paused = true)]
async fn no_body_is_logged_and_no_error_tells_one() {
    let everything = Everything::default();
    let _default = crate::ground::listen(everything.clone());
    let server = ApiServer::new();
    server.create(&definition()).unwrap();
    let backend = KubeBackend::with_client(server.client()).build();
    register(&backend);
    let said = session(&server, &backend).await;
    let log = std::mem::take(&mut *everything.0.lock());
    // It is no silence for want of something to say.
    let mut counts = BTreeMap::new();
    for expected in [
        "cannot decode Widget default/w at spec.size: invalid type: string, expected u32",
        "object has no index values",
        "handler is not told",
        "callback failed",
        "asking again",
        "cannot list or watch",
        "keeping the last good state",
        "will retry",
    ] {
        *counts.entry(expected).or_insert(0) += log.matches(expected).count();
    }
    assert!(counts.values().all(|count| *count > 0), "{counts:?}\n{log}");
    assert!(said.len() > 15, "{said:#?}");
    for text in log.lines().chain(said.iter().map(String::as_str)) {
        // As it is, and as base64.
        for mark in [BODY, "aHVzaC1ib2R5"] {
            assert!(!text.contains(mark), "{mark} in: {text}");
        }
    }
}

#[tokio::test]
async fn no_token_is_logged_by_all_of_the_stack_below_us() {
    // Our own client, and kube's, which says more.
    on_a_connection(|config| KubeBackend::builder(config).unwrap(), &["connecting to", "asking again"]).await;
    let kubes = |config| KubeBackend::with_client(Client::try_from(config).unwrap());
    on_a_connection(kubes, &["connecting to", "requesting", "failed with"]).await;
}

async fn on_a_connection(connect: impl FnOnce(Config) -> Builder, expected: &[&str]) {
    let everything = Everything::default();
    let _default = crate::ground::listen(everything.clone());
    let server = ApiServer::new();
    let listening = server.listen().await.unwrap();
    let mut config = Config::new(listening.url().parse().unwrap());
    config.auth_info.token = Some(TOKEN.to_owned().into());
    let backend = connect(config).build();
    backend.informer::<Secret>().unwrap();
    backend.start().await.unwrap();
    let made = backend.create(&secret("a")).await.unwrap();
    server.inject(Fault::too_many_requests(0).on("update"));
    backend.update(&Secret { immutable: Some(false), ..(*made).clone() }).await.unwrap();
    backend.update(&*made).await.unwrap_err();
    server.inject(Fault::answer(500).on("create"));
    backend.create(&secret("b")).await.unwrap_err();
    server.restart();
    backend.get_live::<Secret>(("default", "a")).await.unwrap();
    let shown = format!("{backend:?} {:?} {:?}", backend.client().default_namespace(), backend.status());
    backend.shutdown(Duration::from_secs(5)).await;
    let log = std::mem::take(&mut *everything.0.lock());
    for expected in expected {
        assert!(log.contains(expected), "no {expected} in {log}");
    }
    for text in log.lines().chain([shown.as_str()]) {
        for mark in [BODY, TOKEN, "aHVzaC1ib2R5"] {
            assert!(!text.contains(mark), "{mark} in: {text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_holds_an_object_does_not_show_its_body() {
    let server = ApiServer::new();
    let backend = KubeBackend::with_client(server.client()).build();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let say = tell.clone();
    let maps = move |change: Change<ConfigMap>| {
        let _ = tell.send(format!("{change:?}"));
        async { Ok(()) }
    };
    backend.watcher("maps", maps).unwrap();
    let informer = backend.informer::<ConfigMap>().unwrap();
    let handler =
        informer.add_event_handler(move |event: Event<ConfigMap>| drop(say.send(format!("{event:?}"))));
    let handler = handler.unwrap();
    backend.start().await.unwrap();
    backend.create(&map("m")).await.unwrap();
    backend.modify::<ConfigMap>(("default", "m"), |map| drop(map.data.take())).await.unwrap();
    backend.delete_by_key::<ConfigMap>(("default", "m")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let list = backend.list::<ConfigMap>(ListOptions::default()).await.unwrap();
    let mut texts = vec![format!("{informer:?} {handler:?} {list:?} {:?}", list.clone().into_iter())];
    while let Ok(text) = told.try_recv() {
        texts.push(text);
    }
    assert!(texts.len() > 3, "{texts:?}");
    for text in texts {
        assert!(!text.contains(BODY), "{text}");
    }
}
