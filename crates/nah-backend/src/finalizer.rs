//! A finalizer of ours on an object, a step at a time.

use nah_client::{OptionalExt as _, ReadWriteExt as _, Reader, Result, Writer};
use nah_core::{BadObject, Kind};

/// A finalizer of ours: it keeps an object from vanishing before we have cleaned up behind it.
///
/// A deletion that is seen while the operator is down is otherwise never seen at all, and a cache with selectors
/// cannot tell it from an object that left the selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finalizer(&'static str);

/// Where an object and our finalizer stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// It was just added: the change that this makes will call again.
    Added,
    /// It is there, and the object lives.
    Present,
    /// The object is going: clean up, then [`Finalizer::remove`].
    Cleanup,
    /// The object is going and is no longer ours to hold, or has gone already.
    Released,
}

impl Finalizer {
    /// A finalizer called `name`, qualified by a domain (`example.com/website`) as the API conventions ask.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// Adds the finalizer where the object lives and does not carry it, and tells what is to be done.
    ///
    /// # Errors
    /// Those of [`modify`](nah_client::ReadWriteExt::modify), but no `NotFound`: what is gone is released.
    pub async fn step<K: Kind, B: Reader + Writer + ?Sized>(&self, backend: &B, object: &K) -> Result<Step> {
        match self.stands(object) {
            Some(step) => Ok(step),
            None => {
                // `object` may be behind: what has it already does not get it twice, and what is going takes none.
                let mut step = Step::Added;
                let edit = |found: &mut K| {
                    step = self.stands(found).unwrap_or_else(|| {
                        found.meta_mut().finalizers.get_or_insert_default().push(self.0.into());
                        Step::Added
                    });
                };
                let there = self.edit(backend, object, edit).await?;
                Ok(if there { step } else { Step::Released })
            }
        }
    }

    /// Removes the finalizer; where it was the last one, the object vanishes. What is gone, or has been made anew
    /// under the same name, is left alone.
    ///
    /// # Errors
    /// Those of [`modify`](nah_client::ReadWriteExt::modify), but no `NotFound`.
    pub async fn remove<K: Kind, B: Reader + Writer + ?Sized>(&self, backend: &B, object: &K) -> Result<()> {
        let edit = |found: &mut K| {
            if self.is_on(found) {
                found.meta_mut().finalizers.iter_mut().for_each(|all| all.retain(|name| name != self.0));
            }
        };
        self.edit(backend, object, edit).await?;
        Ok(())
    }

    fn is_on<K: Kind>(&self, object: &K) -> bool {
        object.meta().finalizers.iter().flatten().any(|name| name == self.0)
    }

    /// Where the object stands; none where it lives and waits for the finalizer.
    fn stands<K: Kind>(&self, object: &K) -> Option<Step> {
        match (self.is_on(object), object.meta().deletion_timestamp.is_some()) {
            (true, true) => Some(Step::Cleanup),
            (true, false) => Some(Step::Present),
            (false, true) => Some(Step::Released),
            (false, false) => None,
        }
    }

    /// Edits exactly this object; false where there is none of that uid any more.
    async fn edit<K: Kind, B: Reader + Writer + ?Sized>(
        &self,
        backend: &B,
        object: &K,
        mut edit: impl FnMut(&mut K) + Send,
    ) -> Result<bool> {
        let (key, uid) = (object.key().map_err(BadObject::from)?, &object.meta().uid);
        let mut same = false;
        let edited = backend.modify::<K>(key, |found| {
            same = found.meta().uid == *uid;
            if same {
                edit(found);
            }
        });
        let found = edited.await.optional()?.is_some();
        Ok(found && same)
    }
}
