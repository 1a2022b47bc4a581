//! A callback tested with no server, no queue and no clock: a change made by hand, and a fake that records writes.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::PartialObjectMeta;
use nah_backend::{
    Reader, Writer,
    client::{Result, Verb},
    core::{Causes, ObjectMeta},
    prelude::*,
    watch::Requeue,
};
use nah_testing::Fake;

/// The code under test asks for no more than it uses.
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

pub(crate) async fn run() -> anyhow::Result<()> {
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some("c".into()),
            namespace: Some("default".into()),
            ..Default::default()
        },
        ..Default::default()
    };
    let fake = Fake::new();
    let change = Change::of(map.clone())?;

    let outcome = stamp(&fake, change.clone()).await?;
    assert_eq!(outcome, Requeue(Duration::from_secs(60)));
    stamp(&fake, change).await?;
    let verbs: Vec<_> = fake.writes().iter().map(|write| write.verb).collect();
    assert_eq!(verbs, [Verb::Create, Verb::Update]);

    // A trigger that finds nothing: no write.
    let gone = Change::<ConfigMap>::gone(("default", "c")).caused_by(Causes::TRIGGER);
    stamp(&fake, gone).await?;
    assert_eq!(fake.writes().len(), 2);

    // A Secret is no ConfigMap, though it would parse as one.
    let secret = Secret {
        metadata: ObjectMeta { name: Some("s".into()), ..Default::default() },
        ..Default::default()
    };
    let secret = Object::from_typed(Arc::new(secret))?;
    println!(
        "{}",
        secret.decode::<ConfigMap>().err().ok_or_else(|| anyhow::anyhow!("read as another kind"))?
    );
    // An object of which only the metadata is known would empty the rest.
    let partial = fake.update(&PartialObjectMeta::<ConfigMap>::default()).await;
    println!("{}", partial.err().ok_or_else(|| anyhow::anyhow!("sent as a whole one"))?);
    Ok(())
}

#[allow(dead_code)] // A test calls `run`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    run().await
}
