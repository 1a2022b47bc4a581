//! A unit test of reconciling code: no server, no cache, no cluster. `cargo run --example fake --features fake`

use k8s_openapi::api::core::v1::ConfigMap;
use nah_client::{Error, OptionalExt, Reader, ReaderExt, Result, Verb, Writer, WriterExt};
use nah_core::{ObjectKey, ObjectMeta};
use nah_testing::Fake;

/// The code under test: asks for no more than it uses.
async fn stamp(api: &(impl Reader + Writer + ?Sized), key: &ObjectKey) -> Result<()> {
    let Some(found) = api.get::<ConfigMap>(key).await.optional()? else {
        let metadata = ObjectMeta {
            namespace: key.namespace().map(Into::into),
            name: Some(key.name().into()),
            ..ObjectMeta::default()
        };
        api.create(&ConfigMap { metadata, ..ConfigMap::default() }).await?;
        return Ok(());
    };
    let mut map = ConfigMap::clone(&found);
    map.data.get_or_insert_default().insert("seen".into(), "yes".into());
    api.update(&map).await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (fake, key) = (Fake::new(), ObjectKey::from(("default", "colours")));

    stamp(&fake, &key).await?;
    assert_eq!(fake.take_writes()[0].verb, Verb::Create);

    stamp(&fake, &key).await?;
    assert_eq!(fake.take_writes()[0].verb, Verb::Update);
    let map = fake.get::<ConfigMap>(&key).await?;
    assert_eq!(map.data.as_ref().map(|data| &*data["seen"]), Some("yes"));

    // The server says no.
    fake.refuse(|write| (write.verb == Verb::Update).then_some(Error::MetadataOnly));
    assert!(stamp(&fake, &key).await.is_err());
    Ok(())
}
