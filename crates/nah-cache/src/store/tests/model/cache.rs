//! A server, and a store that takes in what it says, a list in stages.

use std::{collections::BTreeMap, sync::Arc};

use nah_core::{ObjectKey, ResourceVersion};
use serde_json::Value;

use super::super::{Listed, Store, arrived, labelled, on, pod, with};
use crate::store::difference::{News, Next, Placed};

/// A server: what is there, and how the next version and uid are called.
#[derive(Default)]
pub(super) struct Server {
    pub(super) objects: BTreeMap<String, Value>,
    pub(super) version: u64,
}

impl Server {
    pub(super) fn key(key: u8) -> String {
        format!("{}/{}", ["a", "a-b", "b"][key as usize % 3], key)
    }

    pub(super) fn put(&mut self, key: u8, node: u8) -> Value {
        self.version += 1;
        let key = Self::key(key);
        let fresh = format!("u{}", self.version);
        let uid = self
            .objects
            .get(&key)
            .map_or(fresh, |old| old["metadata"]["uid"].as_str().expect("a uid").to_owned());
        let object = on(&format!("n{node}"), pod(&key, &uid, self.version));
        let object = labelled(&format!("zone=z{node}"), with(object, "/spec/made", self.version));
        self.objects.insert(key, object.clone());
        object
    }

    pub(super) fn change(&mut self, changes: Vec<(u8, Option<u8>)>) {
        for (key, node) in changes {
            match node {
                Some(node) => _ = self.put(key, node),
                None => _ = self.delete(key),
            }
        }
    }

    pub(super) fn delete(&mut self, key: u8) -> Option<Value> {
        let object = self.objects.remove(&Self::key(key))?;
        self.version += 1;
        Some(with(object, "/metadata/resourceVersion", self.version.to_string()))
    }
}

/// A list that is being taken in, and what the server had then.
pub(super) enum Taking {
    Built(Next, BTreeMap<String, Value>),
    /// It can be read.
    There(News),
}

/// The store, and what of the server can be read there.
pub(super) struct Cache {
    pub(super) store: Arc<Store>,
    pub(super) shown: BTreeMap<String, Value>,
    pub(super) taking: Option<Taking>,
}

impl Cache {
    /// Compares what the server has now with what is held, and builds what there will be to read.
    pub(super) fn begin(&mut self, server: &Server, anew: bool) {
        self.finish();
        let store = &self.store;
        let item = |object: &Value| {
            let text = |field: &str| object["metadata"][field].as_str().expect("a text");
            let key = ObjectKey::from((text("namespace"), text("name")));
            match !anew && store.holds(&key, Some(text("uid")), Some(text("resourceVersion"))) {
                true => Listed::Same(key),
                false => Listed::New(arrived(store, object)),
            }
        };
        let items: Vec<_> = server.objects.values().map(item).collect();
        let difference = store.compare("".into(), items, ResourceVersion::from(server.version));
        let next = store.build(difference).expect("nothing is closed");
        self.taking = Some(Taking::Built(next, server.objects.clone()));
    }

    /// One thing more of a list that is being taken in.
    pub(super) fn go(&mut self) {
        self.taking = match self.taking.take() {
            Some(Taking::Built(next, then)) => match self.store.put_in_place(next) {
                Placed::There(news) => {
                    self.shown = then;
                    Some(Taking::There(news))
                }
                Placed::Stale(next) => self.store.build(next.again()).map(|next| Taking::Built(next, then)),
                Placed::Unwanted(_) => panic!("nothing is closed"),
            },
            Some(Taking::There(news)) => {
                self.store.tell(news);
                None
            }
            None => None,
        };
    }

    /// Before anybody else has a turn.
    pub(super) fn finish(&mut self) {
        while self.taking.is_some() {
            self.go();
        }
    }

    pub(super) fn relist(&mut self, server: &Server, anew: bool) {
        self.begin(server, anew);
        self.finish();
    }
}
