//! Keys are `namespace/name`.

use nah_core::{BadKey, ObjectKey, ObjectMeta};
use proptest::prelude::*;

#[test]
fn is_namespace_and_name_or_a_name_alone() // A1
{
    let key = ObjectKey::new(Some("default"), "web");
    assert_eq!((key.namespace(), key.name(), key.as_str()), (Some("default"), "web", "default/web"));
    let node = ObjectKey::cluster("node-1");
    assert_eq!((node.namespace(), node.name(), node.as_str()), (None, "node-1", "node-1"));
    assert_eq!(ObjectKey::new(Some(""), "web"), ObjectKey::cluster("web"));
}

#[test]
fn refuses_three_parts_and_empty_parts() // A1
{
    let malformed = |text: &str| BadKey::Malformed(text.into());
    assert_eq!("a/b/c".parse::<ObjectKey>(), Err(malformed("a/b/c")));
    assert_eq!("/b".parse::<ObjectKey>(), Err(malformed("/b")));
    assert_eq!("a/".parse::<ObjectKey>(), Err(BadKey::NoName));
    assert_eq!("".parse::<ObjectKey>(), Err(BadKey::NoName));
    assert_eq!(ObjectKey::from(("a", "b/c")).check(), Err(malformed("a/b/c")));
    assert_eq!(malformed("a/b/c").to_string(), r#""a/b/c" is not namespace/name"#);
}

#[test]
fn of_an_object_without_a_name_is_an_error() {
    let meta = ObjectMeta { generate_name: Some("web-".into()), ..Default::default() };
    assert_eq!(ObjectKey::of(&meta), Err(BadKey::NoName));
}

#[test]
fn is_made_from_pairs_of_any_strings() {
    let owned = ObjectKey::from((String::from("a"), "b"));
    assert_eq!(owned, ObjectKey::from((&String::from("a"), &String::from("b"))));
    assert_eq!(ObjectKey::from(&owned), owned);
}

proptest! {
    #[test]
    fn survives_text_and_back(
        namespace in proptest::option::of("[a-z]([a-z0-9-]{0,8})"),
        name in "[a-z0-9.:-]{1,12}",
    ) {
        let key = ObjectKey::new(namespace.as_deref(), &name);
        prop_assert_eq!(key.to_string().parse::<ObjectKey>(), Ok(key.clone()));
        prop_assert_eq!((key.namespace(), key.name()), (namespace.as_deref(), &*name));
    }
}
