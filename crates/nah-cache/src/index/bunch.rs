//! The objects of one value, in the order of their keys.

use std::{ops::Range, slice, sync::Arc};

use nah_core::{Object, ObjectKey};

use super::namespace_bounds;
use crate::{list::Items, store::Spine};

/// Up to how many objects are copied when one of them changes.
const FEW: usize = if cfg!(test) { 4 } else { 64 };

/// The objects of one value of an index. Most values have a few, and they take little more than a handle each; a change
/// among many copies a chunk of them, where somebody lists them, too.
#[derive(Clone)]
pub(crate) enum Bunch {
    One(Object),
    Few(Arc<[Object]>),
    Many(Spine<Object>),
}

impl Bunch {
    /// From objects in the order of their keys; none where there are none.
    pub(crate) fn from_sorted(objects: &[&Object]) -> Option<Self> {
        let all = || objects.iter().copied().cloned();
        match objects {
            [] => None,
            [only] => Some(Self::One(Object::clone(only))),
            few if few.len() <= FEW => Some(Self::Few(all().collect())),
            _ => Some(Self::Many(Spine::from_sorted(all()))),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Many(objects) => objects.len(),
            Self::One(_) | Self::Few(_) => self.in_place().len(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Object> + '_ {
        let many = match self {
            Self::Many(objects) => Some(objects),
            Self::One(_) | Self::Few(_) => None,
        };
        self.in_place().iter().chain(many.into_iter().flat_map(Spine::iter))
    }

    pub(crate) fn has(&self, key: &ObjectKey) -> bool {
        match self {
            Self::Many(objects) => objects.get(|object| object.key().cmp(key)).is_some(),
            Self::One(_) | Self::Few(_) => self.place(key.as_str()).is_ok(),
        }
    }

    /// Those in `namespace`, where one is given.
    pub(crate) fn items(&self, namespace: Option<&str>) -> Items {
        match (self, namespace) {
            (Self::Few(objects), None) => Items::Picked(objects.clone()),
            (Self::Many(objects), _) => Items::Objects(objects.clone(), self.ranks(namespace)),
            _ => Items::Picked(self.in_place().get(self.ranks(namespace)).unwrap_or_default().into()),
        }
    }

    /// Puts `object` in place of an older state of it; whether there was one.
    pub(crate) fn put(&mut self, object: Object) -> bool {
        if let Self::Many(objects) = self {
            let key = object.key().clone();
            return objects.put(object, |other| other.key().cmp(&key)).is_some();
        }
        let place = self.place(object.key().as_str());
        match (&mut *self, place) {
            (Self::One(own), Ok(_)) => *own = object,
            (Self::Few(objects), Ok(at)) => Arc::make_mut(objects)[at] = object,
            (_, Ok(at) | Err(at)) => {
                let (before, behind) = self.in_place().split_at(at);
                let all: Vec<_> = before.iter().chain([&object]).chain(behind).collect();
                *self = Self::from_sorted(&all).unwrap_or(Self::One(object));
            }
        }
        place.is_ok()
    }

    /// Takes the object of `key` out; whether none is left. One that is not there changes nothing.
    pub(crate) fn take(&mut self, key: &str) -> bool {
        if let Self::Many(objects) = self {
            objects.take(|object| object.key().as_str().cmp(key));
            if objects.len() <= FEW / 2 {
                let all: Vec<_> = objects.iter().collect();
                let fewer = Self::from_sorted(&all);
                return fewer.map(|fewer| *self = fewer).is_none();
            }
            return false;
        }
        let Ok(at) = self.place(key) else { return false };
        let (before, behind) = self.in_place().split_at(at);
        let all: Vec<_> = before.iter().chain(behind.iter().skip(1)).collect();
        let fewer = Self::from_sorted(&all);
        fewer.map(|fewer| *self = fewer).is_none()
    }

    /// In memory, beside itself; what objects take is not counted.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Few(objects) => size_of_val(&**objects) + 2 * size_of::<usize>(),
            Self::Many(objects) => objects.bytes(),
        }
    }

    /// The bytes of `other` that are not shared with this.
    #[cfg(test)]
    pub(crate) fn bytes_apart(&self, other: &Self) -> usize {
        match (self, other) {
            (Self::Many(own), Self::Many(other)) => own.bytes_apart(other),
            (Self::Few(own), Self::Few(other)) if Arc::ptr_eq(own, other) => 0,
            _ => other.bytes(),
        }
    }

    /// Those that are not many.
    fn in_place(&self) -> &[Object] {
        match self {
            Self::One(object) => slice::from_ref(object),
            Self::Few(objects) => objects,
            Self::Many(_) => &[],
        }
    }

    /// Where the object of `key` is among those that are not many, or would be.
    fn place(&self, key: &str) -> Result<usize, usize> {
        self.in_place().binary_search_by(|object| object.key().as_str().cmp(key))
    }

    /// The ranks of those in `namespace`, where one is given.
    fn ranks(&self, namespace: Option<&str>) -> Range<usize> {
        let Some(namespace) = namespace else { return 0..self.len() };
        let (from, to) = namespace_bounds(namespace);
        let rank = |bound: &str| match self {
            Self::Many(objects) => objects.rank(|object| object.key().as_str().cmp(bound)),
            Self::One(_) | Self::Few(_) => self.place(bound).unwrap_or_else(|at| at),
        };
        rank(&from)..rank(&to)
    }
}
