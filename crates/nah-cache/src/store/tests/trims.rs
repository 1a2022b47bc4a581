//! What is taken off objects before they are kept.

use nah_core::DynamicObject;

use super::*;

fn store_with(options: KindCacheOptions) -> Arc<Store> {
    let gvk = Arc::new(GroupVersionKind::gvk("", "v1", "Pod"));
    let store = Arc::new(Store::new(gvk, Arc::default(), &options, Common::new(16 << 20).0));
    store.add_scope(None);
    store
}

fn kept(store: &Store, key: &str) -> Value {
    let object = store.get(&key.parse().expect("a key")).expect("synced").expect("there");
    object.read(|json| serde_json::from_slice(json).expect("JSON")).expect("it is read back")
}

fn managed(key: &str) -> Value {
    with(pod(key, "1", 1), "/metadata/managedFields", json!([{"manager": "m"}]))
}

/// Drops the spec; panics, fails or meddles where the object says so.
fn moody(object: &mut DynamicObject) {
    match object.data["spec"]["mood"].as_str() {
        Some("panics") => panic!("a transform of the user's"),
        Some("renames") => object.metadata.name = Some("other".into()),
        Some("takes the uid") => object.metadata.uid = None,
        Some("nameless") => object.metadata.name = None,
        _ => _ = object.data.as_object_mut().map(|fields| fields.remove("spec")),
    }
}

#[test]
fn a_transform_on_the_decoded_object_drops_more() // B28
{
    let store = store_with(KindCacheOptions::default().trim(moody));
    list(&store, 1, &[on("n1", managed("a/x"))]);
    assert_eq!(kept(&store, "a/x"), pod("a/x", "1", 1));
    let object = store.get(&("a", "x").into()).expect("synced").expect("there");
    assert!(object.is_trimmed() && store.trims());
    put(&store, &on("n1", pod("a/x", "1", 2)));
    assert_eq!(kept(&store, "a/x"), pod("a/x", "1", 2));
    assert_eq!(store.transform_failures(), 0);
}

#[test]
fn a_transform_on_bytes_drops_more() // B28
{
    let cut = |json: &[u8]| {
        let mut value: Value = serde_json::from_slice(json)?;
        value.as_object_mut().ok_or("no object")?.retain(|field, _| field == "metadata");
        Ok(serde_json::to_vec(&value)?)
    };
    let store = store_with(KindCacheOptions::default().trim_bytes(cut));
    list(&store, 1, &[on("n1", managed("a/x"))]);
    assert_eq!(kept(&store, "a/x"), pod("a/x", "1", 1), "its kind is set again");
}

#[test]
fn a_transform_that_fails_leaves_the_object_as_it_came() // B28
{
    let moods = ["panics", "renames", "takes the uid", "nameless"];
    let store = store_with(KindCacheOptions::default().trim(moody));
    let pods = (0..).zip(moods).map(|(at, mood)| with(managed(&format!("a/{at}")), "/spec/mood", mood));
    list(&store, 1, &pods.collect::<Vec<_>>());
    for (at, mood) in (0..).zip(moods) {
        assert_eq!(
            kept(&store, &format!("a/{at}")),
            with(pod(&format!("a/{at}"), "1", 1), "/spec/mood", mood)
        );
    }
    assert_eq!(store.transform_failures(), 4);
    let object = store.get(&("a", "0").into()).expect("synced").expect("there");
    assert!(object.is_trimmed(), "what is kept of the kind is not to replace anything");
    let store = store_with(KindCacheOptions::default().trim_bytes(|_| Err("no".into())));
    list(&store, 1, &[pod("a/x", "1", 1)]);
    let store_of_nonsense = store_with(KindCacheOptions::default().trim_bytes(|_| Ok(b"[]".to_vec())));
    list(&store_of_nonsense, 1, &[pod("a/x", "1", 1)]);
    for store in [store, store_of_nonsense] {
        assert_eq!((kept(&store, "a/x"), store.transform_failures()), (pod("a/x", "1", 1), 1));
    }
}

#[test]
fn managed_fields_are_kept_where_they_are_asked_for() {
    let store = store_with(KindCacheOptions::default().keep_managed_fields());
    list(&store, 1, &[managed("a/x")]);
    assert_eq!(kept(&store, "a/x"), managed("a/x"));
    let object = store.get(&("a", "x").into()).expect("synced").expect("there");
    assert!(!object.is_trimmed() && !store.trims());
    let store = store_with(KindCacheOptions::default());
    list(&store, 1, &[managed("a/x")]);
    assert_eq!(kept(&store, "a/x"), pod("a/x", "1", 1));
    assert!(!store.trims(), "who sends an object without managedFields changes none");
}

#[test]
fn an_index_sees_what_is_kept() // B28
{
    let store = store_with(KindCacheOptions::default().trim(moody));
    index(&store, "spec.nodeName");
    list(&store, 1, &[on("n1", pod("a/x", "1", 1))]);
    assert_eq!(select(&store, ListOptions::default().matching_field("spec.nodeName", "n1")), [""; 0]);
    let came = crate::admit(store.gvk(), on("n1", managed("a/x")).to_string().into()).expect("a Pod");
    let trimmed = store.trimmed(&came).expect("it is read back");
    assert!(trimmed.is_trimmed() && !came.is_trimmed());
    let json: Value =
        trimmed.read(|json| serde_json::from_slice(json).expect("JSON")).expect("it is read back");
    assert_eq!(json, kept(&store, "a/x"));
}
