//! The objects of each value of an index.

use std::{
    borrow::{Borrow, Cow},
    hash::Hash,
    ops::Range,
    sync::Arc,
};

use nah_core::{Object, ObjectKey};

use super::bunch::Bunch;
use crate::{list::Items, store::Spine};

type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

/// The objects of each value, and the values sorted: a value's objects are sorted by key and shared by everyone who lists
/// them, each takes a handle and no more, and a value without objects leaves nothing behind.
///
/// A clone is a snapshot. A change copies what it is in where a snapshot has it too, a chunk at most, however many
/// objects a value has.
#[derive(Clone, Default)]
pub(crate) struct Rows {
    buckets: Spine<Bucket>,
    /// How many pairs of a value and an object there are, and how long the texts of the values are together.
    rows: usize,
    text_bytes: usize,
}

/// A value and its objects.
#[derive(Clone)]
struct Bucket {
    value: Arc<str>,
    objects: Bunch,
}

// === impl Rows ===

impl Rows {
    /// From values and their objects, the objects in the order of their keys.
    pub(crate) fn from_keyed<'a, V: Hash + Eq + Borrow<str> + Into<Arc<str>>>(
        pairs: impl Iterator<Item = (V, &'a Object)>,
    ) -> Self {
        let mut found = HashMap::<V, Vec<&Object>>::default();
        for (value, object) in pairs {
            let objects = found.entry(value).or_default();
            // An object may name one owner twice.
            if objects.last().is_none_or(|last| last.key() != object.key()) {
                objects.push(object);
            }
        }
        let rows = found.values().map(Vec::len).sum();
        let mut buckets: Vec<_> = found
            .into_iter()
            .filter_map(|(value, objects)| {
                Some(Bucket { value: value.into(), objects: Bunch::from_sorted(&objects)? })
            })
            .collect();
        buckets.sort_unstable_by(|a, b| a.value.cmp(&b.value));
        let text_bytes = buckets.iter().map(|bucket| text_size(&bucket.value)).sum();
        Self { buckets: Spine::from_sorted(buckets), rows, text_bytes }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// How many values have an object.
    pub(crate) fn values(&self) -> usize {
        self.buckets.len()
    }

    /// What the rows and the texts of their values take, in bytes; not the objects.
    pub(crate) fn bytes(&self) -> usize {
        let objects = self.buckets.iter().map(|bucket| bucket.objects.bytes());
        self.buckets.bytes() + self.text_bytes + objects.sum::<usize>()
    }

    /// The bytes of `other` that are not shared with this.
    #[cfg(test)]
    pub(crate) fn bytes_apart(&self, other: &Self) -> usize {
        let objects = other.buckets.iter().map(|Bucket { value, objects }| match self.bucket(value) {
            Some(own) => own.objects.bytes_apart(objects),
            None => objects.bytes(),
        });
        self.buckets.bytes_apart(&other.buckets) + objects.sum::<usize>()
    }

    /// Puts `object` under `value`, in place of an older state of it.
    pub(crate) fn put(&mut self, value: Arc<str>, object: Object) {
        match self.buckets.get_mut(|bucket| (*bucket.value).cmp(&value)) {
            Some(bucket) => self.rows += usize::from(!bucket.objects.put(object)),
            None => {
                self.rows += 1;
                self.text_bytes += text_size(&value);
                let bucket = Bucket { value: value.clone(), objects: Bunch::One(object) };
                self.buckets.put(bucket, |bucket| (*bucket.value).cmp(&value));
            }
        }
    }

    pub(crate) fn take(&mut self, value: &str, key: &ObjectKey) {
        // What is not there must not cost a copy.
        if !self.has(value, key) {
            return;
        }
        self.rows -= 1;
        let order = |bucket: &Bucket| (*bucket.value).cmp(value);
        let emptied = self.buckets.get_mut(order).is_some_and(|bucket| bucket.objects.take(key.as_str()));
        if emptied && let Some(bucket) = self.buckets.take(order) {
            self.text_bytes -= text_size(&bucket.value);
        }
    }

    /// Moves an object from the values that it had to those that it has; `before` is none of what it had.
    pub(crate) fn shift(
        &mut self,
        key: &ObjectKey,
        before: &[Cow<'_, str>],
        now: &[Cow<'_, str>],
        object: Option<&Object>,
    ) {
        for value in before.iter().filter(|value| !now.contains(value)) {
            self.take(value, key);
        }
        for value in now {
            let Some(object) = object else { continue };
            let text = self.text(value).unwrap_or_else(|| Arc::from(&**value));
            self.put(text, object.clone());
        }
    }

    /// The text of a value, which everybody shares who remembers it, if it has an object.
    pub(crate) fn text(&self, value: &str) -> Option<Arc<str>> {
        self.bucket(value).map(|bucket| bucket.value.clone())
    }

    /// Every value that has an object, sorted.
    pub(crate) fn distinct(&self) -> Vec<String> {
        self.buckets.iter().map(|bucket| bucket.value.as_ref().to_owned()).collect()
    }

    /// The objects of `value`, of those in `namespace` where one is given.
    pub(crate) fn items(&self, value: &str, namespace: Option<&str>) -> Items {
        self.bucket(value).map_or_else(Items::none, |bucket| bucket.objects.items(namespace))
    }

    /// The ranks of the values from `from` on and before `to`.
    pub(crate) fn between(&self, from: &str, to: &str) -> Range<usize> {
        let rank = |bound: &str| self.buckets.rank(|bucket| (*bucket.value).cmp(bound));
        rank(from)..rank(to)
    }

    /// How many pairs the values of these ranks have.
    pub(crate) fn count(&self, values: Range<usize>) -> usize {
        self.buckets.range(values).map(|bucket| bucket.objects.len()).sum()
    }

    /// The objects of the values of these ranks, one value after the other.
    pub(crate) fn spread(&self, values: Range<usize>) -> impl Iterator<Item = &Object> + '_ {
        self.buckets.range(values).flat_map(|bucket| bucket.objects.iter())
    }

    /// Whether an object of `key` stands under `value`.
    pub(crate) fn has(&self, value: &str, key: &ObjectKey) -> bool {
        self.bucket(value).is_some_and(|bucket| bucket.objects.has(key))
    }

    fn bucket(&self, value: &str) -> Option<&Bucket> {
        self.buckets.get(|bucket| (*bucket.value).cmp(value))
    }
}

/// The keys between which the objects of a namespace stand: `0` is what follows `/`.
pub(crate) fn namespace_bounds(namespace: &str) -> (String, String) {
    (format!("{namespace}/"), format!("{namespace}0"))
}

/// A text behind an `Arc`: with its two counts.
fn text_size(text: &str) -> usize {
    text.len() + 2 * size_of::<usize>()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use nah_core::GroupVersionKind;
    use proptest::prelude::*;

    use super::*;

    type Model = BTreeMap<(String, String), usize>;

    fn object(key: u8, version: usize) -> Object {
        let (namespace, name) = (key % 3, key / 3);
        let json = format!(
            r#"{{"metadata":{{"namespace":"{namespace}","name":"{name}","resourceVersion":"{version}"}}}}"#
        );
        Object::from_json(&GroupVersionKind::gvk("", "v1", "Pod"), json.into_bytes()).expect("a Pod")
    }

    fn shown(items: &Items) -> Vec<(String, String)> {
        let version = |object: &Object| object.resource_version().expect("it has one").to_string();
        items.iter().map(|object| (object.key().to_string(), version(object))).collect()
    }

    /// What the model has of a value, in a namespace where one is given.
    fn expected(model: &Model, value: &str, namespace: Option<&str>) -> Vec<(String, String)> {
        let within = |key: &str| namespace.is_none_or(|namespace| key.starts_with(&format!("{namespace}/")));
        let of_value = model.iter().filter(|((own, key), _)| own == value && within(key));
        of_value.map(|((_, key), version)| (key.clone(), version.to_string())).collect()
    }

    proptest! {
        #[test]
        fn rows_are_a_sorted_map_and_their_clones_stay_as_they_were(
            steps in prop::collection::vec((0..4_u8, 0..24_u8, 0..5_u8), 0..150),
            filled in any::<bool>(),
        ) // A7
        {
            let text = |value: u8| format!("v{value}");
            let mut model = Model::new();
            let mut rows = Rows::default();
            let all: Vec<_> = (0..24).map(|key| object(key, 1)).collect();
            if filled {
                let mut sorted: Vec<_> = all.iter().collect();
                sorted.sort_by_key(|object| object.key().clone());
                rows = Rows::from_keyed(sorted.iter().map(|object| ("v0".to_owned(), *object)));
                model.extend(all.iter().map(|object| (("v0".to_owned(), object.key().to_string()), 1)));
            }
            let mut clones = Vec::new();
            for (version, (value, key, what)) in steps.into_iter().enumerate() {
                let (value, object) = (text(value), object(key, version));
                match what {
                    0 | 1 => {
                        rows.take(&value, object.key());
                        model.remove(&(value, object.key().to_string()));
                    }
                    2 | 3 => {
                        rows.put(value.as_str().into(), object.clone());
                        model.insert((value, object.key().to_string()), version);
                    }
                    _ => clones.push((rows.clone(), model.clone())),
                }
            }
            clones.push((rows, model));
            for (rows, model) in clones {
                let values: BTreeSet<_> = model.keys().map(|(value, _)| value.clone()).collect();
                prop_assert_eq!(rows.distinct(), values.into_iter().collect::<Vec<_>>());
                prop_assert_eq!(rows.len(), model.len());
                prop_assert_eq!(rows.count(rows.between("v1", "v3")), rows.spread(rows.between("v1", "v3")).count());
                for value in (0..4).map(text) {
                    for namespace in [None, Some("0"), Some("1"), Some("2"), Some("3")] {
                        let items = rows.items(&value, namespace);
                        prop_assert_eq!(shown(&items), expected(&model, &value, namespace));
                        prop_assert_eq!(items.len(), expected(&model, &value, namespace).len());
                    }
                    for key in (0..24).map(|key| object(key, 0).key().clone()) {
                        prop_assert_eq!(rows.has(&value, &key), model.contains_key(&(value.clone(), key.to_string())));
                    }
                }
            }
        }
    }
}
