//! One scope against a scripted server: what is asked, and what the cache makes of the answers.

mod health;
mod history;
mod lists;
mod ordinary;
mod scopes;
mod streams;
mod unreadable;
mod watches;

use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use nah_cache::{CacheFactoryExt, CacheOptions, Event, Informer, InformerFactory, ListOptions, Subscription};
use nah_core::ResourceVersion;

use crate::script::{Lines, Reply, Script, config_map, settle};

fn names<V: nah_core::View>(informer: &Informer<V>) -> Vec<String> {
    let list = informer.list(&ListOptions::default()).expect("a synced informer");
    list.handles().map(|object| format!("{}@{}", object.key().name(), version(object))).collect()
}

fn version(object: &nah_core::Object) -> &str {
    object.resource_version().map_or("", ResourceVersion::as_str)
}

/// A cache of ConfigMaps that has a and b, and watches from @10.
struct Watching {
    script: Script,
    factory: InformerFactory,
    informer: Informer<ConfigMap>,
    lines: Lines,
}

impl Watching {
    async fn new() -> Self {
        Self::with(CacheOptions::default()).await
    }

    async fn with(options: CacheOptions) -> Self {
        let script = Script::new();
        script.list(Reply::list("10", &[config_map("a", 1), config_map("b", 2)]));
        let lines = script.watching();
        let factory = script.factory(options);
        let informer = factory.informer::<ConfigMap>().unwrap();
        informer.wait_for_sync().await.unwrap();
        settle().await;
        Self { script, factory, informer, lines }
    }

    fn status(&self) -> nah_cache::InformerStatus {
        self.informer.status()
    }
}

/// Everything that a subscriber has been told by now.
fn told(subscription: &mut Subscription<ConfigMap>) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(Some(event)) = subscription.next().now_or_never() {
        told.push(match event.unwrap() {
            Event::Added { object, .. } => format!("+{}", object.metadata.name.as_deref().unwrap()),
            Event::Updated { new, .. } => format!("~{}", new.metadata.name.as_deref().unwrap()),
            Event::Deleted { key, tombstone: true, .. } => format!("-{} (tombstone)", key.name()),
            Event::Deleted { key, .. } => format!("-{}", key.name()),
            _ => "?".into(),
        });
    }
    told
}
