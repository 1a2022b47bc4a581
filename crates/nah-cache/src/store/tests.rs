//! The store: what it takes in, what it shows, what it tells.

mod commits;
mod events;
mod indexes;
mod lag;
mod looks;
mod model;
mod packing;
mod plans;
mod queries;
mod reads;
mod stall;
mod trims;
mod turns;

use std::sync::Arc;

use futures_util::FutureExt as _;
use nah_core::{DecodeError, GroupVersionKind, Object, ObjectKey, Outline, ResourceVersion};
use serde_json::{Value, json};

use super::{Arrival, Common, Listed, Seen, Store};
use crate::{Event, Extract, KindCacheOptions, ListOptions, Subscription, options::Scope};

/// A store of Pods in all namespaces.
pub(crate) fn store() -> Arc<Store> {
    store_of(&[None])
}

/// A store of Pods of these scopes.
pub(crate) fn store_of(scopes: &[Option<&str>]) -> Arc<Store> {
    let store = scopeless(Scope::default());
    scopes.iter().for_each(|scope| store.add_scope(*scope));
    store
}

fn scopeless(scope: Scope) -> Arc<Store> {
    let gvk = Arc::new(GroupVersionKind::gvk("", "v1", "Pod"));
    Arc::new(Store::new(gvk, Arc::new(scope), &KindCacheOptions::default(), Common::new(16 << 20).0))
}

/// A Pod: `namespace/name`, uid and version; more of it by [`with`].
pub(crate) fn pod(key: &str, uid: &str, version: u64) -> Value {
    let key: ObjectKey = key.parse().expect("a key");
    let metadata = json!({"namespace": key.namespace(), "name": key.name(), "uid": uid,
        "resourceVersion": version.to_string()});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})
}

/// The same Pod with something set at a JSON pointer.
pub(crate) fn with(mut pod: Value, pointer: &str, value: impl Into<Value>) -> Value {
    let mut at = &mut pod;
    for field in pointer.split('/').skip(1) {
        at = &mut at[field];
    }
    *at = value.into();
    pod
}

/// The same Pod with labels, as `a=1,b=2`.
pub(crate) fn labelled(labels: &str, pod: Value) -> Value {
    let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
    let labels: serde_json::Map<_, _> =
        pairs.map(|(label, value)| (label.to_owned(), Value::from(value))).collect();
    with(pod, "/metadata/labels", labels)
}

pub(crate) fn on(node: &str, pod: Value) -> Value {
    with(pod, "/spec/nodeName", node)
}

fn admit(store: &Store, pod: &Value) -> Object {
    last(store, pod).object
}

fn arrived(store: &Store, pod: &Value) -> Arrival {
    taken(store, pod.to_string().as_bytes()).expect("a Pod")
}

fn last(store: &Store, pod: &Value) -> Arrival {
    store.admit_last(&Outline::read(&pod.to_string()).expect("a Pod")).expect("a Pod")
}

fn taken(store: &Store, json: &[u8]) -> Result<Arrival, DecodeError> {
    store.admit(&super::outline(store.gvk(), json)?)
}

pub(crate) fn list(store: &Store, version: u64, pods: &[Value]) -> super::Removed {
    list_in(store, None, version, pods)
}

pub(crate) fn list_in(store: &Store, scope: Option<&str>, version: u64, pods: &[Value]) -> super::Removed {
    let items = pods.iter().map(|pod| Listed::New(arrived(store, pod))).collect();
    store.replace(scope, items, ResourceVersion::from(version))
}

pub(crate) fn put(store: &Store, pod: &Value) -> super::Removed {
    store.apply(None, Seen::Upsert(arrived(store, pod)))
}

pub(crate) fn delete(store: &Store, pod: &Value) -> super::Removed {
    store.apply(None, Seen::Delete(last(store, pod)))
}

fn subscribe(store: &Arc<Store>) -> Subscription {
    Subscription::new(store.clone()).expect("not closed")
}

/// The events that are ready, as text: `+a` added initially, `+a later`, `a 1>2`, `-a@2`, `-a@2 tombstone`.
fn told(subscription: &mut Subscription) -> Vec<String> {
    ready(subscription).iter().map(text).collect()
}

fn ready(subscription: &mut Subscription) -> Vec<Event> {
    use futures_util::StreamExt as _;
    let mut events = Vec::new();
    while let Some(Some(event)) = subscription.next().now_or_never() {
        events.push(event.expect("a handle needs no decode"));
    }
    events
}

pub(crate) fn text(event: &Event) -> String {
    let version = |object: &Object| object.resource_version().map(ToString::to_string).unwrap_or_default();
    match event {
        Event::Added { object, initial: true } => format!("+{}@{}", object.key(), version(object)),
        Event::Added { object, initial: false } => format!("+{}@{} later", object.key(), version(object)),
        Event::Updated { old, new } => format!("{} {}>{}", new.key(), version(old), version(new)),
        Event::Deleted { key, last, tombstone: false } => format!("-{key}@{}", version(last)),
        Event::Deleted { key, last, tombstone: true } => format!("-{key}@{} tombstone", version(last)),
    }
}

pub(crate) fn keys(list: &crate::List) -> Vec<String> {
    list.handles().map(|object| object.key().to_string()).collect()
}

/// The keys of what `options` selects.
fn select(store: &Store, options: ListOptions) -> Vec<String> {
    keys(&store.list(&options).expect("an answer"))
}

fn index(store: &Arc<Store>, path: &str) {
    let build = store.add_index(path, Extract::Path(path.into())).expect("a new index");
    if let Some(mut build) = build {
        while !build.step(2) {}
    }
}
