//! Kinds whose objects are kept without much of what came, and what is kept of them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use nah_core::{BoxError, GroupVersionKind};
use proptest::prelude::*;
use serde_json::Value;

use super::super::{Common, Store, with};
use crate::{KindCacheOptions, options::Scope};

/// On what a transform works, if there is one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trimming {
    Nothing,
    Bytes,
    Object,
}

/// What a transform does to an object, told by the object's version.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Idles,
    DropsSpec,
    DropsLabels,
    DropsNode,
    /// These leave an object as it came.
    Fails,
    Panics,
    Meddles,
}

/// Where the transforms of a store went wrong.
pub(super) type Failures = Arc<AtomicU64>;

pub(super) fn trimming() -> impl Strategy<Value = Trimming> {
    prop_oneof![Just(Trimming::Nothing), Just(Trimming::Bytes), Just(Trimming::Object)]
}

impl Trimming {
    /// A store of Pods of all namespaces.
    pub(super) fn store(self) -> (Arc<Store>, Failures) {
        let (failures, options) = (Failures::default(), KindCacheOptions::default());
        let counter = failures.clone();
        let options = match self {
            Self::Nothing => options,
            Self::Bytes => options.trim_bytes(move |json| {
                let mut value = serde_json::from_slice(json)?;
                trim(&mut value, &counter)?;
                // Its kind is set again.
                value.as_object_mut().ok_or("no object")?.remove("kind");
                Ok(serde_json::to_vec(&value)?)
            }),
            Self::Object => options.trim(move |object| {
                let mut value = serde_json::to_value(&*object).expect("an object is JSON");
                // This one has no way to say that it fails.
                trim(&mut value, &counter).expect("no failure");
                *object = serde_json::from_value(value).expect("it is still an object");
            }),
        };
        let gvk = Arc::new(GroupVersionKind::gvk("", "v1", "Pod"));
        let store = Arc::new(Store::new(gvk, Arc::new(Scope::default()), &options, Common::new(16 << 20).0));
        store.add_scope(None);
        (store, failures)
    }

    /// What is kept of an object.
    pub(super) fn kept(self, came: &Value) -> Value {
        let mut kept = came.clone();
        if !matches!(self, Self::Nothing) {
            mood(came).drop_from(&mut kept);
        }
        kept
    }

    pub(super) fn trims(self) -> bool {
        !matches!(self, Self::Nothing)
    }
}

impl Mood {
    fn drop_from(self, object: &mut Value) {
        let (at, field) = match self {
            Self::DropsSpec => (Some(object), "spec"),
            Self::DropsLabels => (object.get_mut("metadata"), "labels"),
            Self::DropsNode => (object.get_mut("spec"), "nodeName"),
            Self::Idles | Self::Fails | Self::Panics | Self::Meddles => (None, ""),
        };
        at.and_then(Value::as_object_mut).map(|fields| fields.remove(field));
    }
}

fn mood(object: &Value) -> Mood {
    let version = object["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse().ok());
    match version.unwrap_or(0_u64) % 7 {
        1 => Mood::DropsSpec,
        2 => Mood::DropsLabels,
        3 => Mood::DropsNode,
        4 => Mood::Fails,
        5 => Mood::Panics,
        6 => Mood::Meddles,
        _ => Mood::Idles,
    }
}

fn trim(object: &mut Value, failures: &AtomicU64) -> Result<(), BoxError> {
    let mood = mood(object);
    mood.drop_from(object);
    if matches!(mood, Mood::Fails | Mood::Panics | Mood::Meddles) {
        failures.fetch_add(1, Relaxed);
    }
    match mood {
        Mood::Fails => Err("no".into()),
        Mood::Panics => panic!("a transform of the user's"),
        Mood::Meddles => {
            *object = with(object.take(), "/metadata/uid", "another");
            Ok(())
        }
        _ => Ok(()),
    }
}
