//! What a handler has been told, folded into what it must believe.

use std::collections::{BTreeMap, HashMap};

use nah_cache::Event;
use nah_core::Object;

/// uid and version by key.
pub(crate) type Rows = BTreeMap<String, (String, String)>;

/// A handler's belief, and what in its history was wrong.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    pub(crate) rows: Rows,
    /// How often the end of a uid was told.
    pub(crate) ended: HashMap<String, u32>,
    /// Objects may come back and versions go down: a selector was left and met again, or a backup was restored.
    pub(crate) lenient: bool,
    pub(crate) wrong: Vec<String>,
}

pub(crate) fn row(object: &Object) -> (String, String) {
    let uid = object.uid().map_or("", |uid| uid.as_str()).to_owned();
    (uid, object.resource_version().map_or("", |version| version.as_str()).to_owned())
}

impl Folded {
    pub(crate) fn take(&mut self, event: Event) {
        let key = event.key().to_string();
        match &event {
            Event::Added { object, .. } => {
                let new = row(object);
                if let Some(before) = self.rows.insert(key.clone(), new.clone()) {
                    self.wrong.push(format!("{key} added as {new:?} beside {before:?}"));
                }
                if self.ended.contains_key(&new.0) && !self.lenient {
                    self.wrong.push(format!("{key} added as {new:?} after its end"));
                }
            }
            Event::Updated { old, new, .. } => {
                let (old, new) = (row(old), row(new));
                let before = self.rows.insert(key.clone(), new.clone());
                if before.as_ref() != Some(&old) || old.0 != new.0 {
                    self.wrong.push(format!("{key} updated from {old:?} to {new:?}, but it was {before:?}"));
                }
                let number = |row: &(String, String)| row.1.parse::<u64>().unwrap_or_default();
                if number(&new) <= number(&old) && !self.lenient {
                    self.wrong.push(format!("{key} updated from {old:?} back to {new:?}"));
                }
            }
            Event::Deleted { last, .. } => {
                let (uid, _) = row(last);
                let before = self.rows.remove(&key);
                if before.as_ref().map(|row| &row.0) != Some(&uid) {
                    self.wrong.push(format!("{key} of {uid} deleted, but it was {before:?}"));
                }
                let ends = self.ended.entry(uid.clone()).or_default();
                *ends += 1;
                if *ends > 1 && !self.lenient {
                    self.wrong.push(format!("{key} of {uid} ended {ends} times"));
                }
            }
            _ => self.wrong.push(format!("{key}: an event of another sort")),
        }
    }

    /// A namespace has left the cache: what is in it is not gone, and nobody is told.
    pub(crate) fn forget(&mut self, namespace: &str) {
        let prefix = format!("{namespace}/");
        self.rows.retain(|key, _| !key.starts_with(&prefix));
    }
}
