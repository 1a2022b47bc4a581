//! Kinds known at run time: a composer that owns, lists and edits objects of any of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Client, Resource as _};
use nah_backend::{
    KubeBackend,
    cache::Subscription,
    core::{BoxError, DynamicObject},
    prelude::*,
    watch::Registration,
};
use serde_json::json;
use tokio::sync::mpsc;

mod ground;

struct Composer {
    backend: Arc<dyn Backend>,
    owner: GroupVersionKind,
    kinds: Mutex<HashMap<GroupVersionKind, Registration>>,
}

impl Composer {
    /// Every change of an object of `gvk` triggers its owners, its deletion included.
    fn own(&self, gvk: GroupVersionKind) -> Result<(), BoxError> {
        let (trigger, owner) = (self.backend.trigger_handle(), self.owner.clone());
        let registration = self.backend.watcher_for_kind(&gvk, "composer", move |change| {
            let (trigger, owner) = (trigger.clone(), owner.clone());
            async move {
                let Some(object) = change.object.or(change.last_known) else { return Ok(()) };
                for of in object.owners().iter().filter(|of| of.gvk.kind == owner.kind) {
                    let key = ObjectKey::new(change.key.namespace(), &of.name);
                    trigger.trigger_for_kind(&owner, &key, Duration::ZERO)?;
                }
                Ok(())
            }
        })?;
        self.kinds.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(gvk, registration);
        Ok(())
    }

    fn disown(&self, gvk: &GroupVersionKind) {
        let registration = self.kinds.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(gvk);
        if let Some(registration) = registration {
            registration.unregister();
        }
    }

    /// Deletes what an owner left behind; finds it by an index that every kind has.
    async fn collect(&self, gvk: &GroupVersionKind, owner_uid: &str) -> Result<usize, BoxError> {
        let orphans = self.backend.list_for_kind(gvk, ListOptions::default().owned_by(owner_uid)).await?;
        for object in orphans.handles() {
            self.backend.delete_for_kind(gvk, object.key(), &Default::default()).await?;
        }
        Ok(orphans.len())
    }

    async fn paint(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> Result<(), BoxError> {
        let mut object = DynamicObject::clone(&*self.backend.get_for_kind(gvk, key).await?.dynamic()?);
        object.data["data"]["color"] = "green".into();
        self.backend.update(&object).await?;
        Ok(())
    }

    /// Many kinds, each a stream of handles.
    fn changes(&self, kinds: &[GroupVersionKind]) -> Result<Vec<Subscription>, BoxError> {
        kinds.iter().map(|gvk| Ok(self.backend.informer_for_kind(gvk)?.subscribe()?)).collect()
    }
}

async fn compose(backend: KubeBackend) -> Result<(), BoxError> {
    let secret = GroupVersionKind::gvk("", "v1", "Secret");
    let composer = Composer {
        backend: Arc::new(backend.clone()),
        owner: (*ConfigMap::kind_of()).clone(),
        kinds: Mutex::default(),
    };
    let (told, mut all_told) = mpsc::unbounded_channel();
    backend.watcher("owner", move |change: Change<ConfigMap>| {
        let sent = told.send((change.key, change.causes));
        async move { Ok(sent?) }
    })?;
    composer.own(secret.clone())?;
    backend.start().await?;
    let _changes = composer.changes(&[secret.clone(), composer.owner.clone()])?;

    let owner: ConfigMap =
        serde_json::from_value(json!({ "metadata": { "name": "dynamic", "namespace": "default" } }))?;
    let owner = backend.create(&owner).await?;
    let child: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "dynamic", "namespace": "default", "ownerReferences": [owner.controller_owner_ref(&())] },
    }))?;
    backend.create(&child).await?;
    loop {
        let (key, causes) = all_told.recv().await.ok_or("the backend has stopped")?;
        if key.name() == "dynamic" && causes.contains(nah_backend::core::Causes::TRIGGER) {
            println!("{key} was triggered by what it owns");
            break;
        }
    }

    composer.paint(&composer.owner, &("default", "dynamic").into()).await?;
    let painted = backend.get::<ConfigMap>(("default", "dynamic")).await?;
    println!("painted: {:?}", painted.data);

    composer.disown(&secret);
    let uid = owner.meta().uid.as_deref().ok_or("no uid")?;
    println!("collected {} Secrets", composer.collect(&secret, uid).await?);
    backend.delete(&*owner).await?;
    Ok(())
}

pub(crate) async fn run(client: Client) -> anyhow::Result<()> {
    let backend = KubeBackend::with_client(client).build();
    compose(backend.clone()).await.map_err(anyhow::Error::from_boxed)?;
    backend.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

#[allow(dead_code)] // A test calls `run`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    run(ground::client().await?).await
}
