//! Which index answers a query, and what is left to check.

use std::{ops::Range, sync::Arc};

use kube_core::Expression;
use nah_core::Object;

use super::{Explanation, Rows, extractor::pair, namespace_bounds};
use crate::{
    list::Items,
    selector::selects,
    store::{Built, Known, NAME, NAMESPACE},
};

/// The index that is built in beside the order of the keys.
const OWNER: &str = "metadata.ownerReferences.uid";

/// What is asked, with the names of indexes looked up.
#[derive(Default)]
pub(crate) struct Query<'a> {
    pub(crate) namespace: Option<&'a str>,
    /// Of `metadata.name`.
    pub(crate) name: Option<&'a str>,
    pub(crate) owner: Option<&'a str>,
    /// Number of the index, and the values, one of which is enough.
    pub(crate) fields: Vec<(usize, Vec<&'a str>)>,
    /// `metadata.name` or `metadata.namespace`, and the values, one of which is enough.
    pub(crate) keys: Vec<(&'a str, &'a [String])>,
    pub(crate) labels: Vec<Expression>,
    pub(crate) limit: Option<usize>,
}

/// The candidates, and what each must still fulfil. Shares what it needs with the store, so it runs under no lock.
pub(crate) struct Plan<'a> {
    source: Source<'a>,
    checks: Vec<Check<'a>>,
    limit: usize,
    objects: usize,
}

/// Where candidates come from.
struct Source<'a> {
    index: Option<Arc<str>>,
    candidates: Candidates,
    /// What holds of every candidate, and must be asked of those of another source.
    check: Option<Check<'a>>,
    /// The candidates are of all namespaces, whichever is asked for.
    everywhere: bool,
}

enum Candidates {
    /// Sorted by key.
    Sorted(Items),
    /// The objects of several values: not sorted, and perhaps in several.
    Several(Vec<Items>),
    /// The objects of the values of these ranks, so many.
    Spread(Rows, Range<usize>, usize),
}

enum Check<'a> {
    Namespace(&'a str),
    Namespaces(&'a [String]),
    Names(&'a [String]),
    Field(Arc<str>, Rows, Vec<&'a str>),
    Owner(&'a str),
    Label(Expression),
}

impl<'a> Query<'a> {
    /// The plan with the fewest candidates: the smallest source is walked, and each of its objects is looked up in
    /// the others.
    pub(crate) fn plan(self, known: &Known) -> Plan<'a> {
        let mut plan = Plan {
            source: self.built_in(known),
            checks: Vec::new(),
            limit: self.limit.unwrap_or(usize::MAX),
            objects: known.objects.len(),
        };
        if let Some(uid) = self.owner {
            let found = known.owners.items(uid, self.namespace);
            plan.offer(Source::of(OWNER.into(), Candidates::Sorted(found), Check::Owner(uid)));
        }
        for (field, values) in self.keys {
            let (candidates, check) = match field {
                NAME => {
                    let found = values.iter().map(|name| named(known, self.namespace, name));
                    (found.collect(), Check::Names(values))
                }
                _ => {
                    let ranks = values.iter().map(|namespace| known.ranks(Some(namespace)));
                    let found = ranks.map(|ranks| Items::Objects(known.objects.clone(), ranks));
                    (found.collect(), Check::Namespaces(values))
                }
            };
            let everywhere = field != NAME;
            let candidates = Candidates::Several(candidates);
            plan.offer(Source { everywhere, ..Source::of(field.into(), candidates, check) });
        }
        for (at, values) in self.fields {
            let Some(Built { extractor, rows, .. }) = known.indexes.get(at) else { continue };
            let field = &extractor.field;
            let found = Candidates::of(values.iter().map(|value| rows.items(value, self.namespace)));
            let check = Check::Field(field.clone(), rows.clone(), values);
            plan.offer(Source::of(field.clone(), found, check));
        }
        for expression in self.labels {
            match by_label(known, self.namespace, &expression) {
                Some((index, found)) => {
                    let everywhere = matches!(expression, Expression::Exists(_));
                    let check = Check::Label(expression);
                    let source = Source::of(index.extractor.field.clone(), found, check);
                    plan.offer(Source { everywhere, ..source });
                }
                None => plan.checks.push(Check::Label(expression)),
            }
        }
        if let Some(namespace) = self.namespace.filter(|_| plan.source.everywhere) {
            plan.checks.push(Check::Namespace(namespace));
        }
        plan
    }

    /// What there is without an index that was added.
    fn built_in(&self, known: &Known) -> Source<'a> {
        let index = match (self.name, self.namespace) {
            (Some(_), _) => Some(NAME.into()),
            (None, Some(_)) => Some(NAMESPACE.into()),
            (None, None) => None,
        };
        let items = match self.name {
            Some(name) => named(known, self.namespace, name),
            None => Items::Objects(known.objects.clone(), known.ranks(self.namespace)),
        };
        Source { index, candidates: Candidates::Sorted(items), check: None, everywhere: false }
    }
}

impl<'a> Plan<'a> {
    /// Takes `source` if it has fewer candidates; what is given up or not taken becomes a check. Those that have the
    /// one name asked for are few, so they stay, and no check asks for the name again.
    fn offer(&mut self, source: Source<'a>) {
        let named = self.source.check.is_none() && self.source.index.as_deref() == Some(NAME);
        let left = if !named && source.candidates.len() < self.source.candidates.len() {
            std::mem::replace(&mut self.source, source)
        } else {
            source
        };
        self.checks.extend(left.check);
    }

    /// How many objects are looked at.
    pub(crate) fn candidates(&self) -> usize {
        self.source.candidates.len()
    }

    pub(crate) fn run(self) -> Items {
        let passes = |object: &&Object| self.checks.iter().all(|check| check.passes(object));
        match self.source.candidates {
            Candidates::Sorted(items) if self.checks.is_empty() => items.truncated(self.limit),
            Candidates::Sorted(items) => {
                Items::Picked(items.iter().filter(passes).take(self.limit).cloned().collect())
            }
            Candidates::Several(items) => {
                sorted(items.iter().flat_map(Items::iter).filter(passes).cloned().collect(), self.limit)
            }
            Candidates::Spread(rows, values, _) => {
                sorted(rows.spread(values).filter(passes).cloned().collect(), self.limit)
            }
        }
    }

    /// Runs, to tell how it went.
    pub(crate) fn explain(self) -> Explanation {
        Explanation {
            index: self.source.index.as_deref().map(str::to_owned),
            candidates: self.candidates(),
            checks: self.checks.iter().map(Check::subject).collect(),
            objects: self.objects,
            selected: self.run().len(),
        }
    }
}

impl<'a> Source<'a> {
    fn of(index: Arc<str>, candidates: Candidates, check: Check<'a>) -> Self {
        Self { index: Some(index), candidates, check: Some(check), everywhere: false }
    }
}

impl Candidates {
    /// The objects of one value, which are sorted; or of several.
    fn of(found: impl Iterator<Item = Items>) -> Self {
        let mut found: Vec<_> = found.collect();
        match (found.len(), found.pop()) {
            (1, Some(only)) => Self::Sorted(only),
            (_, last) => {
                found.extend(last);
                Self::Several(found)
            }
        }
    }

    fn spread(rows: &Rows, values: Range<usize>) -> Self {
        Self::Spread(rows.clone(), values.clone(), rows.count(values))
    }

    fn len(&self) -> usize {
        match self {
            Self::Sorted(items) => items.len(),
            Self::Several(items) => items.iter().map(Items::len).sum(),
            Self::Spread(.., len) => *len,
        }
    }
}

impl Check<'_> {
    fn passes(&self, object: &Object) -> bool {
        match self {
            Self::Namespace(namespace) => object.key().namespace() == Some(namespace),
            Self::Namespaces(namespaces) => {
                namespaces.iter().any(|one| object.key().namespace() == Some(one))
            }
            Self::Names(names) => names.iter().any(|name| object.key().name() == name),
            Self::Field(_, rows, values) => values.iter().any(|value| rows.has(value, object.key())),
            Self::Owner(uid) => object.owners().iter().any(|owner| owner.uid == *uid),
            Self::Label(expression) => selects(std::slice::from_ref(expression), object.labels()),
        }
    }

    /// What is asked, without the values that are asked for.
    fn subject(&self) -> String {
        match self {
            Self::Namespace(_) | Self::Namespaces(_) => NAMESPACE.into(),
            Self::Names(_) => NAME.into(),
            Self::Field(field, ..) => field.as_ref().to_owned(),
            Self::Owner(_) => OWNER.into(),
            Self::Label(
                Expression::Equal(label, _)
                | Expression::NotEqual(label, _)
                | Expression::In(label, _)
                | Expression::NotIn(label, _)
                | Expression::Exists(label)
                | Expression::DoesNotExist(label),
            ) => crate::Extract::label_field(label),
        }
    }
}

/// The index over labels that knows the objects of an expression, and those. There is none for what
/// an object must *not* have: that is true of most of them.
fn by_label<'k>(
    known: &'k Known,
    namespace: Option<&str>,
    expression: &Expression,
) -> Option<(&'k Built, Candidates)> {
    let (label, values): (_, Vec<&String>) = match expression {
        Expression::Equal(label, value) => (label, vec![value]),
        Expression::In(label, values) => (label, values.iter().collect()),
        Expression::Exists(label) => (label, Vec::new()),
        Expression::NotEqual(..) | Expression::NotIn(..) | Expression::DoesNotExist(_) => return None,
    };
    let whole = || known.indexes.iter().filter(|index| index.whole);
    let own = whole().find(|index| index.extractor.label() == Some(label));
    let index = own.or_else(|| whole().find(|index| index.extractor.has_all_labels()))?;
    let rows = &index.rows;
    let found = match (expression, own) {
        (Expression::Exists(_), Some(_)) => Candidates::spread(rows, 0..rows.values()),
        (Expression::Exists(_), None) => {
            Candidates::spread(rows, rows.between(&pair(label, ""), &format!("{label}>")))
        }
        (_, Some(_)) => Candidates::of(values.iter().map(|value| rows.items(value, namespace))),
        (_, None) => Candidates::of(values.iter().map(|value| rows.items(&pair(label, value), namespace))),
    };
    Some((index, found))
}

/// Objects that come in no order, and perhaps twice.
fn sorted(mut found: Vec<Object>, limit: usize) -> Items {
    found.sort_unstable_by(|a, b| a.key().cmp(b.key()));
    found.dedup_by(|a, b| a.key() == b.key());
    found.truncate(limit);
    Items::Picked(found.into())
}

/// The objects of this name. Over all namespaces it leaps from one to the next, so it needs no index of its own.
fn named(known: &Known, namespace: Option<&str>, name: &str) -> Items {
    let objects = &known.objects;
    let find = |key: &str| objects.get(|object| object.key().as_str().cmp(key)).cloned();
    let mut found: Vec<Object> = Vec::new();
    if let Some(namespace) = namespace {
        found.extend(find(&format!("{namespace}/{name}")));
        return Items::Picked(found.into());
    }
    let mut next = objects.at(0);
    while let Some(object) = next {
        let Some(namespace) = object.key().namespace() else {
            found.extend(find(name));
            break;
        };
        found.extend(find(&format!("{namespace}/{name}")));
        let (_, behind) = namespace_bounds(namespace);
        next = objects.at(objects.rank(|object| object.key().as_str().cmp(&behind)));
    }
    Items::Picked(Arc::from(found))
}
