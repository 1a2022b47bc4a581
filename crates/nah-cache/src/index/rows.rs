//! The objects of each value of an index.

use std::{
    borrow::{Borrow, Cow},
    cmp::Ordering,
    collections::HashMap,
    hash::Hash,
    ops::Range,
    sync::Arc,
};

use nah_core::{Object, ObjectKey};

use crate::store::Spine;

/// The objects of each value: one sorted sequence of pairs, so that a value's objects are a range of it, sorted by
/// key and shared by everyone who lists them, and an emptied bucket leaves nothing behind.
///
/// A clone is a snapshot. A change copies the chunk that it is in where a snapshot has it too, and no more, however
/// many objects a value has.
#[derive(Clone, Default)]
pub(crate) struct Rows {
    rows: Spine<Row>,
    /// How many values there are, and how long their texts are together: each is held once.
    values: usize,
    text_bytes: usize,
}

/// An object under one of its values.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) value: Arc<str>,
    pub(crate) object: Object,
}

// === impl Rows ===

impl Rows {
    /// From values and their objects, the objects in the order of their keys.
    pub(crate) fn from_keyed<'a, V: Hash + Eq + Borrow<str> + Into<Arc<str>>>(
        pairs: impl Iterator<Item = (V, &'a Object)>,
    ) -> Self {
        let mut buckets = HashMap::<V, Vec<&Object>>::new();
        for (value, object) in pairs {
            let bucket = buckets.entry(value).or_default();
            // An object may name one owner twice.
            if bucket.last().is_none_or(|last| last.key() != object.key()) {
                bucket.push(object);
            }
        }
        let mut buckets: Vec<(Arc<str>, _)> =
            buckets.into_iter().map(|(value, objects)| (value.into(), objects)).collect();
        buckets.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let (values, text_bytes) = (buckets.len(), buckets.iter().map(|(value, _)| text_size(value)).sum());
        let rows = buckets.into_iter().flat_map(|(value, objects)| {
            objects.into_iter().map(move |object| Row { value: value.clone(), object: object.clone() })
        });
        Self { rows: Spine::from_sorted(rows), values, text_bytes }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// How many values have an object.
    pub(crate) fn values(&self) -> usize {
        self.values
    }

    /// What the rows and the texts of their values take, in bytes; not the objects.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.bytes() + self.text_bytes
    }

    /// The bytes of `other` that are not shared with this.
    #[cfg(test)]
    pub(crate) fn bytes_apart(&self, other: &Self) -> usize {
        self.rows.bytes_apart(&other.rows)
    }

    pub(crate) fn at(&self, rank: usize) -> Option<&Row> {
        self.rows.at(rank)
    }

    pub(crate) fn iter(&self, ranks: Range<usize>) -> crate::store::SpineIter<'_, Row> {
        self.rows.range(ranks)
    }

    /// Puts `object` under `value`, in place of an older state of it.
    pub(crate) fn put(&mut self, value: Arc<str>, object: Object) {
        let row = Row { value: value.clone(), object };
        let key = row.object.key().clone();
        if self.rows.put(row, |row| row.order(&value, key.as_str())).is_none() && !self.has_two(&value) {
            self.values += 1;
            self.text_bytes += text_size(&value);
        }
    }

    pub(crate) fn take(&mut self, value: &str, key: &str) {
        let Some(row) = self.rows.take(|row| row.order(value, key)) else { return };
        if self.text(value).is_none() {
            self.values -= 1;
            self.text_bytes -= text_size(&row.value);
        }
    }

    /// Moves an object from the values that it had to those that it has; `before` is none of what it had.
    pub(crate) fn shift(
        &mut self,
        key: &str,
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

    /// The one text of a value that all its rows share, if it has any.
    pub(crate) fn text(&self, value: &str) -> Option<Arc<str>> {
        let first = self.rows.at(self.rows.rank(|row| row.order(value, "")));
        first.filter(|row| *row.value == *value).map(|row| row.value.clone())
    }

    fn has_two(&self, value: &str) -> bool {
        let first = self.rows.rank(|row| row.order(value, ""));
        self.rows.at(first + 1).is_some_and(|row| *row.value == *value)
    }

    /// Every value that has an object, sorted. Leaps from one to the next.
    pub(crate) fn distinct(&self) -> Vec<String> {
        let (mut values, mut at) = (Vec::with_capacity(self.values), 0);
        while let Some(row) = self.rows.at(at) {
            at = self.behind(&row.value);
            values.push(row.value.as_ref().to_owned());
        }
        values
    }

    /// The ranks of the objects of `value`, of those in `namespace` where one is given.
    pub(crate) fn range(&self, value: &str, namespace: Option<&str>) -> Range<usize> {
        let start = |key: &str| self.rows.rank(|row| row.order(value, key));
        match namespace {
            Some(namespace) => {
                let (from, to) = namespace_bounds(namespace);
                start(&from)..start(&to)
            }
            None => start("")..self.behind(value),
        }
    }

    /// The ranks of the objects of the values from `from` on and before `to`.
    pub(crate) fn between(&self, from: &str, to: &str) -> Range<usize> {
        let start = |value: &str| self.rows.rank(|row| row.order(value, ""));
        start(from)..start(to)
    }

    /// Whether an object of `key` stands under `value`.
    pub(crate) fn has(&self, value: &str, key: &ObjectKey) -> bool {
        self.rows.get(|row| row.order(value, key.as_str())).is_some()
    }

    /// How many rows stand before the next value.
    fn behind(&self, value: &str) -> usize {
        self.rows.rank(|row| if *row.value <= *value { Ordering::Less } else { Ordering::Greater })
    }
}

// === impl Row ===

impl Row {
    /// How this row stands to the one of `value` and `key`.
    fn order(&self, value: &str, key: &str) -> Ordering {
        (*self.value).cmp(value).then_with(|| self.object.key().as_str().cmp(key))
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
