//! Changes that are built by hand.

use nah_core::{BadKey, Causes, Object};

use super::*;

/// A callback as a user would write it.
async fn reconcile(log: Log, change: Change<Pod>) -> Result<(), BoxError> {
    match change.object {
        Some(_) if change.causes.contains(Causes::TRIGGER) => log.note("looked"),
        Some(_) => log.note("changed"),
        None => log.note(format!("{} is gone", change.key)),
    }
    Ok(())
}

#[tokio::test]
async fn a_callback_is_tested_by_calling_it() {
    // E4, E6
    let log = Log::default();
    reconcile(log.clone(), Change::<Pod>::of(pod("a")).unwrap()).await.unwrap();
    reconcile(log.clone(), Change::<Pod>::of(pod("a")).unwrap().caused_by(Causes::TRIGGER)).await.unwrap();
    reconcile(log.clone(), Change::gone(("default", "a"))).await.unwrap();
    assert_eq!(log.take(), ["changed", "looked", "default/a is gone"]);
}

#[test]
fn has_the_kind_and_key_of_its_object() {
    let change = Change::<Pod>::of(Arc::new(pod("a"))).unwrap();
    assert_eq!((change.gvk.kind.as_str(), change.key.as_str()), ("Pod", "default/a"));
    assert_eq!((change.causes, change.failures, change.certain), (Causes::EVENT, 0, true));
    assert_eq!(Change::<Pod>::of(Pod::default()).unwrap_err(), BadKey::NoName);
}

#[test]
fn is_erased_and_decoded_again() {
    let mut change = Change::<Pod>::of(pod("a")).unwrap().caused_by(Causes::RESYNC);
    change.failures = 2;
    change.certain = false;
    change.waited = std::time::Duration::from_secs(3);
    change.last_known = Some(Object::from_typed(Arc::new(pod("a"))).unwrap());
    let back = change.clone().erase().unwrap().decode::<Pod>().unwrap();
    assert_eq!(back.waited, change.waited);
    assert_eq!(back.object, change.object);
    assert_eq!((back.key, back.causes, back.failures, back.certain), (change.key, Causes::RESYNC, 2, false));
    assert!(back.last_known.is_some());
}

#[test]
fn of_another_kind_is_an_error_that_names_it() {
    let error = change("a").decode::<ConfigMap>().unwrap_err();
    assert!(error.to_string().starts_with("cannot decode Pod default/a"), "{error}");
}

#[test]
fn prints_no_content() {
    let mut pod = pod("a");
    pod.metadata.annotations = Some([("password".to_owned(), "secret".to_owned())].into());
    let change = Change::<Pod>::of(pod).unwrap();
    assert_eq!(format!("{change:?}"), "Pod default/a {event}");
}
