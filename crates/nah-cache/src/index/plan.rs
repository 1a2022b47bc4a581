//! Which index answers a query, and what is left to check.

use std::sync::Arc;

use kube_core::Expression;
use nah_core::Object;

use super::{Rows, has, range};
use crate::{
    list::Items,
    selector::selects,
    store::{Known, Slot},
};

/// What is asked, with the names of indexes looked up.
#[derive(Default)]
pub(crate) struct Query<'a> {
    pub(crate) namespace: Option<&'a str>,
    /// Of `metadata.name`.
    pub(crate) name: Option<&'a str>,
    pub(crate) owner: Option<&'a str>,
    /// Number of the index, and value.
    pub(crate) fields: Vec<(usize, &'a str)>,
    pub(crate) labels: Vec<Expression>,
    pub(crate) limit: Option<usize>,
}

/// The candidates, and what each must still fulfil. Shares what it needs with the store, so it runs under no lock.
pub(crate) struct Plan<'a> {
    candidates: Items,
    checks: Vec<Check<'a>>,
    limit: usize,
}

enum Check<'a> {
    Field(Rows, &'a str),
    Owner(&'a str),
    Labels(Vec<Expression>),
}

impl<'a> Query<'a> {
    /// The plan with the fewest candidates. Every source is a range within the namespace, so none needs a check of it.
    pub(crate) fn plan(self, known: &Known) -> Plan<'a> {
        let namespace = self.namespace;
        let mut checks = Vec::new();
        let mut best = match self.name {
            Some(name) => named(known, namespace, name),
            None => Items::Objects(known.objects.clone(), known.ranks(namespace)),
        };
        let mut replaced = None;
        let mut offer = |items: Items, check: Check<'a>| {
            // What has a name is few already.
            if self.name.is_none() && items.len() < best.len() {
                best = items;
                checks.extend(replaced.replace(check));
            } else {
                checks.push(check);
            }
        };
        if let Some(uid) = self.owner {
            let ranks = range(&known.owners, uid, namespace);
            offer(Items::Rows(known.owners.clone(), ranks), Check::Owner(uid));
        }
        for (at, value) in self.fields {
            let Some(index) = known.indexes.get(at) else { continue };
            let ranks = range(&index.rows, value, namespace);
            offer(Items::Rows(index.rows.clone(), ranks), Check::Field(index.rows.clone(), value));
        }
        if !self.labels.is_empty() {
            checks.push(Check::Labels(self.labels));
        }
        Plan { candidates: best, checks, limit: self.limit.unwrap_or(usize::MAX) }
    }
}

impl Plan<'_> {
    /// How many objects are looked at.
    #[cfg(test)]
    pub(crate) fn candidates(&self) -> usize {
        self.candidates.len()
    }

    pub(crate) fn run(self) -> Items {
        if self.checks.is_empty() {
            return self.candidates.truncated(self.limit);
        }
        let passes = |object: &&Object| self.checks.iter().all(|check| check.passes(object));
        Items::Picked(self.candidates.iter().filter(passes).take(self.limit).cloned().collect())
    }
}

impl Check<'_> {
    fn passes(&self, object: &Object) -> bool {
        match self {
            Self::Field(rows, value) => has(rows, value, object.key()),
            Self::Owner(uid) => object.owners().iter().any(|owner| owner.uid == *uid),
            Self::Labels(expressions) => selects(expressions, object.labels()),
        }
    }
}

/// The objects of this name. Over all namespaces it leaps from one to the next, so it needs no index of its own.
fn named(known: &Known, namespace: Option<&str>, name: &str) -> Items {
    let objects = &known.objects;
    let find = |key: &str| objects.get(|slot: &Slot| slot.key.as_str().cmp(key));
    let mut found: Vec<Object> = Vec::new();
    if let Some(namespace) = namespace {
        found.extend(find(&format!("{namespace}/{name}")).map(|slot| slot.object.clone()));
        return Items::Picked(found.into());
    }
    let mut next = objects.at(0);
    while let Some(slot) = next {
        let Some(namespace) = slot.key.namespace() else {
            found.extend(find(name).map(|slot| slot.object.clone()));
            break;
        };
        found.extend(find(&format!("{namespace}/{name}")).map(|slot| slot.object.clone()));
        let (_, behind) = super::namespace_bounds(namespace);
        next = objects.at(objects.rank(|slot| slot.key.as_str().cmp(&behind)));
    }
    Items::Picked(Arc::from(found))
}
