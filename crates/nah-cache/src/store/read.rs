//! What a store answers: gets, lists, and whether an object would be in them.

use std::any::TypeId;

use kube_core::Expression;
use nah_core::{Body, Object, ObjectKey, ResourceVersion, View};

use super::{Known, Store, known::Progress};
use crate::{
    CacheError, Explanation, Extract, Found, List, ListOptions,
    found::Form,
    index::{
        Rows,
        path::Path,
        plan::{Plan, Query},
    },
    list::Items,
    selector::selects,
};

impl Store {
    /// The object at `key`. The namespace of a cluster-scoped key is ignored.
    pub(crate) fn get(&self, key: &ObjectKey) -> Result<Option<Object>, CacheError> {
        match self.look_up(key, TypeId::of::<Object>())? {
            Some(Found::Object(object)) => Ok(Some(object)),
            Some(Found::Form(_)) | None => Ok(None),
        }
    }

    /// The object at `key` as the type of this id where it takes no decode, or else the object.
    ///
    /// What has been found so before is found without a lock.
    pub(crate) fn find(&self, key: &ObjectKey, form: TypeId) -> Result<Option<Found>, CacheError> {
        let is_wanted = |own: Form| ((*own).type_id() == form).then_some(own);
        match self.ready(key, form, is_wanted) {
            Some(shown) => Ok(Some(Found::Form(shown))),
            None => self.look_up(key, form),
        }
    }

    /// The same as `V`, where it has been found so before.
    pub(crate) fn shown<V: View>(&self, key: &ObjectKey) -> Option<V::Handle> {
        self.ready(key, TypeId::of::<V>(), V::of_form)
    }

    fn ready<T>(&self, key: &ObjectKey, form: TypeId, view: impl Fn(Form) -> Option<T>) -> Option<T> {
        let common = self.shelf.common.as_ref().filter(|_| is_form(form))?;
        common.front.get(self.shelf.epoch(), key, view)
    }

    /// The same as [`find`](Self::find), in the store itself.
    pub(crate) fn look_up(&self, key: &ObjectKey, form: TypeId) -> Result<Option<Found>, CacheError> {
        let known = self.known.read();
        let namespace = key.namespace();
        self.scope_of(&known, namespace.or(Some("")))?;
        let mut entry = known.get(key);
        if entry.is_none() && namespace.is_some() && known.cluster_scoped() {
            entry = known.get(&ObjectKey::cluster(key.name()));
        }
        let Some((entry, object)) = entry.and_then(|entry| Some((entry, entry.object()?))) else {
            return Ok(None);
        };
        if !is_form(form) {
            return Ok(Some(Found::Object(object)));
        }
        let Some(recalled) = entry.recall(form) else { return Ok(Some(Found::Object(object))) };
        entry.show();
        Ok(Some(Found::Form(recalled)))
    }

    pub(crate) fn list(&self, options: &ListOptions) -> Result<List, CacheError> {
        let (plan, version) = self.plan(options)?;
        Ok(List::new(plan.map(Plan::run).unwrap_or_else(Items::none), version))
    }

    /// Which index answers, and what it costs.
    pub(crate) fn explain(&self, options: &ListOptions) -> Result<Explanation, CacheError> {
        let (plan, _) = self.plan(options)?;
        Ok(plan.map(Plan::explain).unwrap_or_else(|| Explanation::nothing(self.size().0)))
    }

    /// How to answer, and the version that the answer is of; no plan where the conditions contradict each other.
    fn plan<'a>(
        &self,
        options: &'a ListOptions,
    ) -> Result<(Option<Plan<'a>>, Option<ResourceVersion>), CacheError> {
        let mut query = Query {
            namespace: options.namespace(),
            owner: options.owner(),
            labels: options.expressions(),
            limit: options.limit_of(),
            ..Query::default()
        };
        let known = self.known.read();
        if known.cluster_scoped() {
            query.namespace = None;
        }
        let mut nothing = false;
        for (field, value) in options.fields() {
            let (field, value) = (field.as_str(), value.as_str());
            match field {
                NAME => nothing |= query.name.replace(value).is_some_and(|other| other != value),
                NAMESPACE if known.cluster_scoped() => nothing |= !value.is_empty(),
                NAMESPACE if value.is_empty() => nothing = true,
                NAMESPACE => nothing |= query.namespace.replace(value).is_some_and(|other| other != value),
                _ => query.fields.push((self.index(&known, field)?, vec![value])),
            }
        }
        for (field, values) in options.field_sets() {
            match field.as_str() {
                NAMESPACE if known.cluster_scoped() => nothing |= !values.iter().any(String::is_empty),
                NAME | NAMESPACE => query.keys.push((field, values)),
                field => {
                    let values = values.iter().map(String::as_str).collect();
                    query.fields.push((self.index(&known, field)?, values));
                }
            }
        }
        let version = self.check_scope(&known, query.namespace)?;
        Ok(((!nothing).then(|| query.plan(&known)), version))
    }

    /// The values of an index that have an object.
    pub(crate) fn index_values(&self, field: &str) -> Result<Vec<String>, CacheError> {
        let known = self.known.read();
        let rows = known.indexes.get(self.index(&known, field)?).map(|index| index.rows.clone());
        drop(known);
        Ok(rows.as_ref().map(Rows::distinct).unwrap_or_default())
    }

    /// Whether `object` would be in the answer of `list(options)`, were it in the store.
    pub(crate) fn matches(&self, object: &Object, options: &ListOptions) -> Result<bool, CacheError> {
        let extractors = {
            let known = self.known.read();
            if known.closed {
                return Err(CacheError::Stopped);
            }
            known.extractors.clone()
        };
        let namespace = object.key().namespace();
        let mut matches = options.namespace().is_none_or(|wanted| namespace.is_none_or(|own| own == wanted))
            && options.owner().is_none_or(|uid| object.owners().iter().any(|owner| owner.uid == uid))
            && selects(&options.expressions(), object.labels());
        // Every field is looked at, so that a field without an index is an error whatever the others say.
        let one = options.fields().iter().map(|(field, value)| (field, std::slice::from_ref(value)));
        let any = options.field_sets().iter().map(|(field, values)| (field, values.as_slice()));
        for (field, wanted) in one.chain(any) {
            let wants = |own: &str| wanted.iter().any(|value| value == own);
            matches &= match field.as_str() {
                NAME => wants(object.key().name()),
                NAMESPACE => wants(namespace.unwrap_or_default()),
                field => {
                    let extractor = extractors.iter().find(|extractor| *extractor.field == *field);
                    let extractor = extractor.ok_or_else(|| self.no_index(field))?;
                    matches && self.values(extractor, object).iter().any(|own| wants(own))
                }
            };
        }
        Ok(matches)
    }

    /// Whether the cache holds objects of this namespace and these labels and fields.
    pub(crate) fn in_scope(&self, object: &Object) -> bool {
        let labels: Vec<Expression> = self.options.labels.clone().into_iter().collect();
        let mut fields = self.options.fields.split(',').filter(|term| !term.trim().is_empty());
        let within = self.within(&self.known.read(), object.key().namespace());
        within && selects(&labels, object.labels()) && fields.all(|term| field_selects(term, object))
    }

    /// Whether the cache holds objects of this namespace; none is the cluster scope, and no kind has objects in both.
    pub(crate) fn covers(&self, namespace: Option<&str>) -> bool {
        let known = self.known.read();
        let never = known.cluster_scoped() && namespace.is_some();
        !never && self.within(&known, namespace)
    }

    /// Whether no selector keeps objects out.
    pub(crate) fn is_whole(&self) -> bool {
        self.options.labels.selects_all() && self.options.fields.trim().is_empty()
    }

    fn within(&self, known: &Known, namespace: Option<&str>) -> bool {
        if !known.scopes.is_empty() {
            return known.scope(namespace.or(Some(""))).is_some();
        }
        // Not listed yet, so it may still turn out that the kind has no namespaces.
        let namespaces = &self.options.namespaces;
        namespace
            .is_none_or(|namespace| namespaces.is_empty() || namespaces.iter().any(|own| own == namespace))
    }

    fn index(&self, known: &Known, field: &str) -> Result<usize, CacheError> {
        if known.closed {
            return Err(CacheError::Stopped);
        }
        let at = known.indexes.iter().position(|index| *index.extractor.field == *field);
        let at = at.ok_or_else(|| self.no_index(field))?;
        if known.indexes.get(at).is_some_and(|index| index.whole) { Ok(at) } else { Err(self.not_synced()) }
    }

    fn no_index(&self, field: &str) -> CacheError {
        CacheError::NoIndex { gvk: (*self.gvk).clone(), index: field.to_owned() }
    }

    fn not_synced(&self) -> CacheError {
        CacheError::NotSynced { gvk: (*self.gvk).clone(), last_error: None }
    }

    /// That what is asked for is known: its version, or why it is not. None asks for all scopes, an empty namespace
    /// for the cluster scope.
    fn check_scope(
        &self,
        known: &Known,
        namespace: Option<&str>,
    ) -> Result<Option<ResourceVersion>, CacheError> {
        let one = self.scope_of(known, namespace)?;
        let only = known.scopes.values().next().filter(|_| known.scopes.len() == 1);
        let only = only.map(|progress| &**progress);
        Ok(one.or(only).and_then(|progress| progress.observed.clone()))
    }

    /// How far the one scope is that answers for what is asked for, where one does.
    fn scope_of<'a>(
        &self,
        known: &'a Known,
        namespace: Option<&str>,
    ) -> Result<Option<&'a Progress>, CacheError> {
        if known.closed {
            return Err(CacheError::Stopped);
        }
        let one = known.scope(namespace);
        let synced = match (one, namespace) {
            (Some(progress), _) => progress.synced,
            (None, Some(namespace)) if !known.scopes.is_empty() => {
                let (gvk, namespace) = ((*self.gvk).clone(), namespace.to_owned());
                return Err(CacheError::OutsideScope { gvk, namespace });
            }
            (None, _) => known.synced(),
        };
        if !synced {
            return Err(self.not_synced());
        }
        Ok(one)
    }
}

/// Whether it is a decoded form that is asked for: a handle of the object itself is none.
fn is_form(form: TypeId) -> bool {
    form != TypeId::of::<Object>()
}

/// Fields that every kind answers without an index.
pub(crate) const NAME: &str = "metadata.name";
pub(crate) const NAMESPACE: &str = "metadata.namespace";

/// Whether an index asks for what is built in: then there is nothing to add.
pub(super) fn built_in(field: &str, extract: &Extract) -> bool {
    matches!(extract, Extract::Path(path) if path == field) && is_reserved(field)
}

/// Whether an index is over labels, under the name that such an index has.
pub(super) fn is_over_labels(field: &str, extract: &Extract) -> bool {
    match extract {
        Extract::Labels => field == Extract::LABELS,
        Extract::Label(label) => field == Extract::label_field(label),
        Extract::Path(_) | Extract::Object(_) => false,
    }
}

pub(super) fn is_reserved(field: &str) -> bool {
    field == NAME || field == NAMESPACE
}

/// Whether a term of a field selector holds: equality or its opposite; a field that is not there is the empty text.
fn field_selects(term: &str, object: &Object) -> bool {
    let Some((path, value)) = term.split_once('=') else { return true };
    let (path, wanted) = path.strip_suffix('!').map_or((path, true), |path| (path, false));
    let (path, value) = (path.trim(), value.trim_start_matches('=').trim());
    let values = Path::parse(path).ok().and_then(|path| object.read(|json| path.values(json)).ok()?.ok());
    let equal = match values.as_deref().unwrap_or_default() {
        [] => value.is_empty(),
        values => values.iter().any(|other| other == value),
    };
    equal == wanted
}
