//! Program 4: a unit test of a callback, no server, no cluster, no runtime features. This one runs.
use futures_core::future::BoxFuture;
use k8s_openapi::api::core::v1::ConfigMap;
use nah_backend::{
    cache::List,
    client::{Reader, Result, Verb, Write, Writer, Written},
    core::{Causes, Object, ObjectMeta},
    prelude::*,
    watch::Requeue,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// The code under test: asks for no more than it uses.
async fn stamp(api: &(impl Reader + Writer + ?Sized), change: Change<ConfigMap>) -> Result<Requeue> {
    if let Some(map) = change.object {
        let mut map = ConfigMap::clone(&map);
        map.data.get_or_insert_default().insert("seen".into(), "yes".into());
        match api.get::<ConfigMap>(&change.key).await.optional()? {
            Some(_) => api.update(&map).await?,
            None => api.create(&map).await?,
        };
    }
    Ok(Requeue(Duration::from_secs(60)))
}

/// A fake in forty lines; nah-testing ships it.
#[derive(Default)]
struct Fake {
    objects: Mutex<BTreeMap<ObjectKey, Object>>,
    writes: Mutex<Vec<Write>>,
}
impl Reader for Fake {
    fn lookup(&self, _: &GroupVersionKind, key: &ObjectKey) -> Result<Option<Object>> {
        Ok(self.objects.lock().unwrap().get(key).cloned())
    }
    fn select(&self, _: &GroupVersionKind, _: &ListOptions) -> Result<List> {
        Ok(List::from_objects(self.objects.lock().unwrap().values().cloned().collect()))
    }
    fn ready(&self, _: &GroupVersionKind) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
    fn fetch(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> BoxFuture<'_, Result<Option<Object>>> {
        let found = self.lookup(gvk, key);
        Box::pin(async { found })
    }
    fn fetch_list(&self, gvk: &GroupVersionKind, options: ListOptions) -> BoxFuture<'_, Result<List>> {
        let found = self.select(gvk, &options);
        Box::pin(async { found })
    }
}
impl Writer for Fake {
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Written>> {
        let sent: ConfigMap = serde_json::from_slice(&write.body).unwrap();
        self.writes.lock().unwrap().push(write);
        Box::pin(async { Ok(Written::Object(Object::from_typed(Arc::new(sent))?)) })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some("c".into()),
            namespace: Some("default".into()),
            ..Default::default()
        },
        ..Default::default()
    };
    let fake = Fake::default();
    let change = Change::of(map.clone()).unwrap();
    assert_eq!(stamp(&fake, change.clone()).await.unwrap(), Requeue(Duration::from_secs(60)));
    assert_eq!(fake.writes.lock().unwrap()[0].verb, Verb::Create);

    fake.objects.lock().unwrap().insert(change.key.clone(), Object::from_typed(Arc::new(map)).unwrap());
    stamp(&fake, change).await.unwrap();
    assert_eq!(fake.writes.lock().unwrap()[1].verb, Verb::Update);

    // gone, by a trigger: no write
    let gone = Change::<ConfigMap>::gone(("default", "c")).caused_by(Causes::TRIGGER);
    stamp(&fake, gone).await.unwrap();
    assert_eq!(fake.writes.lock().unwrap().len(), 2);

    // a Secret is not a ConfigMap, though it would parse as one
    let secret = k8s_openapi::api::core::v1::Secret {
        metadata: ObjectMeta { name: Some("s".into()), ..Default::default() },
        ..Default::default()
    };
    let secret = Object::from_typed(Arc::new(secret)).unwrap();
    println!("{}", secret.decode::<ConfigMap>().unwrap_err());
    assert!(fake.update(&kube::core::PartialObjectMeta::<ConfigMap>::default()).await.is_err());
    println!("ok");
}
