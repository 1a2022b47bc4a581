//! What to select, and what was selected.

mod items;
mod overlaid;
mod patched;

use std::{fmt, marker::PhantomData, sync::Arc};

use kube_core::{Expression, Selector};
use nah_core::{DecodeError, Object, ObjectKey, ResourceVersion, View};

use crate::{CacheError, Index, selector};
pub(crate) use items::Items;
pub use overlaid::Overlaid;

/// What to select. By value: it is small, and a future can keep it.
///
/// Every restriction must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    namespace: Option<String>,
    labels: Selector,
    fields: Vec<(String, String)>,
    sets: Vec<(String, Vec<String>)>,
    owner: Option<String>,
    limit: Option<usize>,
    after: Option<ResourceVersion>,
    metadata_only: bool,
}

/// A consistent snapshot, sorted by key, shared with the store: taking one costs the same for ten and a million.
#[derive(Clone)]
#[doc(alias = "ObjectList")]
pub struct List<V = Object> {
    items: Items,
    version: Option<ResourceVersion>,
    unsure: Option<Arc<[ObjectKey]>>,
    view: PhantomData<fn() -> V>,
}

/// The items of a list, one after the other.
pub struct IntoIter<V> {
    list: List<V>,
    at: usize,
}

// === impl ListOptions ===

impl ListOptions {
    /// Only objects of this namespace; an empty one is all of them. Ignored for cluster-scoped kinds.
    #[must_use]
    #[doc(alias = "InNamespace")]
    #[doc(alias = "Namespace")]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into()).filter(|namespace| !namespace.is_empty());
        self
    }

    /// Only objects with all of these labels, in addition to the selector that is set.
    #[must_use]
    #[doc(alias = "MatchingLabels")]
    pub fn matching_labels<K: Into<String>, V: Into<String>>(
        mut self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let pairs = pairs.into_iter().map(|(key, value)| Expression::Equal(key.into(), value.into()));
        self.labels.extend(pairs);
        self
    }

    /// Only objects that `labels` selects, instead of the selector that was set.
    ///
    /// kube's `LabelSelector` and expressions convert; for a text there is [`matching_text`](Self::matching_text).
    #[must_use]
    #[doc(alias = "MatchingLabelsSelector")]
    pub fn matching(self, labels: Selector) -> Self {
        Self { labels, ..self }
    }

    /// As [`matching`](Self::matching), from a text such as `app=web,tier in (a, b),!legacy`.
    ///
    /// # Errors
    /// [`CacheError::Selector`], which names the text, where it does not parse.
    #[doc(alias = "HasLabels")]
    pub fn matching_text(self, labels: &str) -> Result<Self, CacheError> {
        Ok(self.matching(selector::parse(labels)?))
    }

    /// Only objects with `value` among the values of the index `field`.
    ///
    /// `metadata.name` and `metadata.namespace` are built in.
    #[must_use]
    #[doc(alias = "MatchingFields")]
    #[doc(alias = "MatchingFieldsSelector")]
    #[doc(alias = "FieldSelector")]
    pub fn matching_field(mut self, field: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.push((field.into(), value.into()));
        self
    }

    /// As [`matching_field`](Self::matching_field) for each pair.
    #[must_use]
    pub fn matching_fields<F: Into<String>, V: Into<String>>(
        mut self,
        pairs: impl IntoIterator<Item = (F, V)>,
    ) -> Self {
        self.fields.extend(pairs.into_iter().map(|(field, value)| (field.into(), value.into())));
        self
    }

    /// As [`matching_field`](Self::matching_field), by the index itself: no name to misspell, no other kind to ask.
    #[must_use]
    #[doc(alias = "ByIndex")]
    #[doc(alias = "IndexKeys")]
    pub fn by<K>(self, index: &Index<K>, value: impl Into<String>) -> Self {
        self.matching_field(index.name(), value)
    }

    /// Only objects with any of `values` among the values of the index `field`; with none given, no object.
    ///
    /// For cached reads: the API selects a field by one value, so live reads refuse several.
    #[must_use]
    pub fn matching_field_in<V: Into<String>>(
        mut self,
        field: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let mut values: Vec<String> = values.into_iter().map(Into::into).collect();
        values.sort_unstable();
        values.dedup();
        match values.len() {
            1 => self.fields.extend(values.pop().map(|only| (field.into(), only))),
            _ => self.sets.push((field.into(), values)),
        }
        self
    }

    /// As [`matching_field_in`](Self::matching_field_in), by the index itself.
    #[must_use]
    pub fn by_any<K, V: Into<String>>(self, index: &Index<K>, values: impl IntoIterator<Item = V>) -> Self {
        self.matching_field_in(index.name(), values)
    }

    /// Only objects that the object of this uid owns. Cached reads alone know owners: live ones filter afterwards.
    #[must_use]
    pub fn owned_by(mut self, owner_uid: &str) -> Self {
        self.owner = Some(owner_uid.into());
        self
    }

    /// At most `n` objects, after all filters; 0 is all of them.
    #[must_use]
    #[doc(alias = "Limit")]
    pub fn limit(mut self, n: usize) -> Self {
        self.limit = Some(n).filter(|n| *n > 0);
        self
    }

    /// A live watch tells of what comes after this version; without one it begins with what is there. Lists ignore it.
    #[must_use]
    #[doc(alias = "Raw")]
    pub fn after(self, version: impl Into<ResourceVersion>) -> Self {
        Self { after: Some(version.into()), ..self }
    }

    /// A live list or watch asks for metadata alone (`PartialObjectMetadata`). A cached list holds what the cache holds.
    #[must_use]
    pub fn metadata_only(self) -> Self {
        Self { metadata_only: true, ..self }
    }

    /// Whether a live list or watch asks for metadata alone.
    pub fn is_metadata_only(&self) -> bool {
        self.metadata_only
    }

    /// The version after which a live watch begins.
    pub fn version(&self) -> Option<&ResourceVersion> {
        self.after.as_ref()
    }

    /// The namespace asked for; none is all of them.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The label selector.
    pub fn labels(&self) -> &Selector {
        &self.labels
    }

    /// The fields asked for, with their values.
    pub fn fields(&self) -> &[(String, String)] {
        &self.fields
    }

    /// The fields asked for any of several values, which are sorted; those of one value are among
    /// [`fields`](Self::fields).
    pub fn field_sets(&self) -> &[(String, Vec<String>)] {
        &self.sets
    }

    /// The uid of the owner asked for.
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// How many objects at most; none is all of them.
    pub fn limit_of(&self) -> Option<usize> {
        self.limit
    }

    /// The label selector as the API takes it; none where everything is selected.
    pub fn label_selector(&self) -> Option<String> {
        (!self.labels.selects_all()).then(|| self.labels.to_string())
    }

    /// The fields as the API takes them; none where none is asked for. The API has no sets.
    pub fn field_selector(&self) -> Option<String> {
        let term = |(field, value): &(String, String)| format!("{field}={}", escaped(value));
        let fields: Vec<_> = self.fields.iter().map(term).collect();
        (!fields.is_empty()).then(|| fields.join(","))
    }

    /// The label selector's expressions; empty where everything is selected.
    pub(crate) fn expressions(&self) -> Vec<Expression> {
        if self.labels.selects_all() { Vec::new() } else { self.labels.clone().into_iter().collect() }
    }
}

/// A value as a term of a field selector has it: no value may read as another term.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

// === impl List ===

impl<V: View> List<V> {
    /// A list of these objects, sorted by key, without a version.
    pub fn from_objects(mut objects: Vec<Object>) -> Self {
        objects.sort_by(|a, b| a.key().cmp(b.key()));
        Self::new(Items::Picked(objects.into()), None)
    }

    pub(crate) fn new(items: Items, version: Option<ResourceVersion>) -> Self {
        Self { items, version, unsure: None, view: PhantomData }
    }

    /// The same list as one of `version`.
    #[must_use]
    pub fn with_version(self, version: Option<ResourceVersion>) -> Self {
        Self { version, ..self }
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where a watch may begin to miss nothing of what follows this list; none over several scopes.
    pub fn resource_version(&self) -> Option<&ResourceVersion> {
        self.version.as_ref()
    }

    /// The same list, read as `W`.
    pub fn typed<W: View>(self) -> List<W> {
        List { items: self.items, version: self.version, unsure: self.unsure, view: PhantomData }
    }

    /// What decodes; what does not is left out here, and reported by [`iter`](Self::iter). For those who would
    /// rather miss one bad object than stand still: one `?` over `iter` blinds a reader to a whole kind.
    pub fn decoded(&self) -> impl Iterator<Item = V::Handle> + '_ {
        self.iter().flatten()
    }

    /// Every object, without a decode.
    #[doc(alias = "ListKeys")]
    pub fn handles(&self) -> impl ExactSizeIterator<Item = &Object> + '_ {
        self.items.iter()
    }

    /// Every object, read as `V`.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<V::Handle, DecodeError>> + '_ {
        self.items.iter().map(V::view)
    }
}

impl<V: View> IntoIterator for List<V> {
    type Item = Result<V::Handle, DecodeError>;
    type IntoIter = IntoIter<V>;

    fn into_iter(self) -> IntoIter<V> {
        IntoIter { list: self, at: 0 }
    }
}

impl<V> fmt::Debug for List<V> {
    /// Kinds and keys only: objects hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.items.iter()).finish()
    }
}

// === impl IntoIter ===

impl<V: View> Iterator for IntoIter<V> {
    type Item = Result<V::Handle, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let object = self.list.items.at(self.at)?;
        self.at += 1;
        Some(V::view(object))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.list.len().saturating_sub(self.at);
        (left, Some(left))
    }
}

impl<V: View> ExactSizeIterator for IntoIter<V> {}

impl<V> fmt::Debug for IntoIter<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter").field("at", &self.at).finish_non_exhaustive()
    }
}
