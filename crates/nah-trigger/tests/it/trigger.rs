//! The trait that a backend is asked by.

use std::{error::Error, sync::Arc};

use k8s_openapi::api::core::v1::Pod;
use nah_core::{BadKey, GroupVersionKind, Kind, ObjectKey};
use nah_trigger::{Trigger, TriggerError, TriggerExt};
use parking_lot::Mutex;

use super::*;

#[derive(Default)]
struct Recorder(Mutex<Vec<(String, ObjectKey, Duration)>>);

impl Trigger for Recorder {
    fn trigger_for_kind(
        &self,
        gvk: &GroupVersionKind,
        key: &ObjectKey,
        delay: Duration,
    ) -> Result<(), TriggerError> {
        key.check().map_err(|source| TriggerError::Key { gvk: gvk.clone(), source })?;
        self.0.lock().push((gvk.kind.clone(), key.clone(), delay));
        Ok(())
    }

    fn cancel_for_kind(&self, _: &GroupVersionKind, key: &ObjectKey) -> Result<bool, TriggerError> {
        Ok(self.0.lock().iter().any(|(_, known, _)| known == key))
    }
}

#[test]
fn the_typed_methods_work_on_every_trigger() {
    let recorder = Arc::new(Recorder::default());
    recorder.trigger::<Pod>(("default", "a"), seconds(1)).unwrap();
    let dynamic: Arc<dyn Trigger> = recorder.clone();
    dynamic.trigger::<Pod>(&ObjectKey::cluster("b"), Duration::ZERO).unwrap();
    assert!(dynamic.cancel::<Pod>(("default", "a")).unwrap());
    let seen = recorder.0.lock();
    let expected = [
        ("Pod".to_owned(), ObjectKey::from(("default", "a")), seconds(1)),
        ("Pod".to_owned(), ObjectKey::cluster("b"), Duration::ZERO),
    ];
    assert_eq!(*seen, expected);
}

#[test]
fn errors_name_the_kind_the_key_and_what_is_wrong() {
    // D19, Q20, Q21
    let gvk = GroupVersionKind::clone(&Pod::kind_of());
    let key = ObjectKey::from(("default", "a"));
    let text = |error: TriggerError| error.to_string();
    assert_eq!(text(TriggerError::Stopped), "backend has stopped");
    assert_eq!(text(TriggerError::NoCallback { gvk: gvk.clone() }), "no callback is registered for Pod");
    let outside = TriggerError::OutsideScope { gvk, key };
    assert_eq!(text(outside), "default/a lies outside the namespaces cached for Pod");
}

#[test]
fn a_key_that_no_object_can_have_is_an_error() {
    let recorder = Recorder::default();
    let error = recorder.trigger::<Pod>(("a", "b/c"), Duration::ZERO).unwrap_err();
    assert_eq!(error.to_string(), r#"cannot trigger Pod: "a/b/c" is not namespace/name"#);
    let source = error.source().and_then(|source| source.downcast_ref());
    assert_eq!(source, Some(&BadKey::Malformed("a/b/c".into())));
    let error = recorder.trigger::<Pod>(("a", ""), Duration::ZERO).unwrap_err();
    assert!(matches!(error, TriggerError::Key { source: BadKey::NoName, .. }));
}
