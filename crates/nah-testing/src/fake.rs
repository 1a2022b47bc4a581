//! A reader and writer in memory, for the unit test of a callback: no server, no cache, no clock.

mod objects;

use std::{fmt, sync::Arc};

use futures_core::future::BoxFuture;
use nah_cache::{List, ListOptions};
use nah_client::{Error, Reader, Result, Write, Writer, Written};
use nah_core::{BadObject, GroupVersionKind, Kind, Object, ObjectKey, Payload};
use parking_lot::Mutex;
use serde_json::Value;

use self::objects::Objects;

/// A reader and writer in memory. A handle: clones share everything.
///
/// It records every [`Write`] and applies it as the API server would, as far as a callback can tell: names, versions,
/// uids, conflicts, `NotFound`, `AlreadyExists`, finalizers, the status as a part of its own. It knows no schema, no
/// defaults, and no kinds: server-side apply and strategic merges merge objects and replace lists. For the rest there
/// is [`ApiServer`](crate::ApiServer).
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use nah_client::{Reader, ReaderExt, ReadWriteExt, Result, Verb, Writer};
/// use nah_testing::Fake;
///
/// /// The code under test asks for no more than it uses.
/// async fn paint(api: &(impl Reader + Writer + ?Sized), colour: &str) -> Result<()> {
///     api.modify::<ConfigMap>(("default", "colours"), |map| {
///         map.data.get_or_insert_default().insert("sky".into(), colour.into());
///     })
///     .await?;
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
/// let map: ConfigMap =
///     serde_json::from_value(serde_json::json!({"metadata": {"name": "colours", "namespace": "default"}}))?;
/// let fake = Fake::new().with(map)?;
///
/// paint(&fake, "blue").await?;
/// paint(&fake, "blue").await?; // It is blue: nothing to write.
///
/// assert_eq!(fake.writes().len(), 1);
/// assert_eq!(fake.writes()[0].verb, Verb::JsonPatch);
/// let map = fake.get::<ConfigMap>(("default", "colours")).await?;
/// assert_eq!(map.data.as_ref().map(|data| &*data["sky"]), Some("blue"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: Objects,
    writes: Vec<Write>,
    refusal: Option<Arc<Refusal>>,
    indexes: Vec<(String, Arc<Extract>)>,
}

type Refusal = dyn Fn(&Write) -> Option<Error> + Send + Sync;
type Extract = dyn Fn(&Object) -> Vec<String> + Send + Sync;

// === impl Fake ===

impl Fake {
    /// A fake that holds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Holds this object too, as it is: version, uid and status are set where they are missing, and nothing is recorded.
    ///
    /// # Errors
    /// [`BadObject`] where it has no name or no kind.
    pub fn with(self, object: impl Payload) -> Result<Self> {
        let gvk = object.gvk().map_err(BadObject::from)?;
        let key = object.key().map_err(BadObject::from)?;
        let value = serde_json::to_value(&object)
            .map_err(|error| nah_core::DecodeError::new(Arc::new(gvk.clone()), key.clone(), error))?;
        self.0.lock().objects.seed(&gvk, &key, value);
        Ok(self)
    }

    /// Answers `get` and `list` by this index as a cache with it would. Fields without one are read as paths
    /// (`spec.nodeName`).
    #[must_use]
    pub fn with_index<K: Kind>(
        self,
        field: &str,
        values: impl Fn(&K) -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        let extract =
            move |object: &Object| object.decode::<K>().map(|object| values(&object)).unwrap_or_default();
        self.0.lock().indexes.push((field.into(), Arc::new(extract)));
        self
    }

    /// Asks `refuse` of every write from now on: an error is its answer, and it does nothing.
    pub fn refuse(&self, refuse: impl Fn(&Write) -> Option<Error> + Send + Sync + 'static) {
        self.0.lock().refusal = Some(Arc::new(refuse));
    }

    /// Every write so far, those that failed among them.
    pub fn writes(&self) -> Vec<Write> {
        self.0.lock().writes.clone()
    }

    /// Every write since the last call.
    pub fn take_writes(&self) -> Vec<Write> {
        std::mem::take(&mut self.0.lock().writes)
    }

    fn find(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> Result<Option<Object>> {
        key.check().map_err(|source| Error::Key { gvk: gvk.clone(), key: key.to_string(), source })?;
        let state = self.0.lock();
        Ok(state.objects.get(gvk, key).map(|value| object(gvk, value)).transpose()?)
    }

    fn all(&self, gvk: &GroupVersionKind, options: &ListOptions) -> Result<List> {
        let (indexes, values, version) = {
            let state = self.0.lock();
            (state.indexes.clone(), state.objects.select(gvk, options), state.objects.version())
        };
        let mut selected = Vec::new();
        for value in values {
            let found = object(gvk, &value)?;
            let has = |field: &String, wanted: &String| match indexes.iter().find(|(name, _)| name == field) {
                Some((_, extract)) => extract(&found).contains(wanted),
                None => at(&value, field).is_some_and(|value| value == wanted.as_str()),
            };
            let one = options.fields().iter().all(|(field, wanted)| has(field, wanted));
            let any = options
                .field_sets()
                .iter()
                .all(|(field, values)| values.iter().any(|wanted| has(field, wanted)));
            if one && any {
                selected.push(found);
            }
        }
        selected.truncate(options.limit_of().unwrap_or(usize::MAX));
        Ok(List::from_objects(selected).with_version(Some(version.into())))
    }
}

impl Reader for Fake {
    fn lookup(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> Result<Option<Object>> {
        self.find(gvk, key)
    }

    fn select(&self, gvk: &GroupVersionKind, options: &ListOptions) -> Result<List> {
        self.all(gvk, options)
    }

    fn ready(&self, _: &GroupVersionKind) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn fetch(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> BoxFuture<'_, Result<Option<Object>>> {
        let found = self.find(gvk, key);
        Box::pin(async { found })
    }

    fn fetch_list(&self, gvk: &GroupVersionKind, options: ListOptions) -> BoxFuture<'_, Result<List>> {
        let found = self.all(gvk, &options);
        Box::pin(async { found })
    }
}

impl Writer for Fake {
    /// Happens when it is polled: a future that is dropped before that writes nothing.
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Written>> {
        Box::pin(async move {
            let refusal = {
                let mut state = self.0.lock();
                state.writes.push(write.clone());
                state.refusal.clone()
            };
            // The test's own code, so not under the lock.
            if let Some(error) = refusal.and_then(|refuse| refuse(&write)) {
                return Err(error);
            }
            self.0.lock().objects.write(&write)
        })
    }
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fake").field("writes", &self.0.lock().writes).finish_non_exhaustive()
    }
}

fn object(gvk: &GroupVersionKind, value: &Value) -> std::result::Result<Object, nah_core::DecodeError> {
    Object::from_json(gvk, value.to_string().into_bytes())
}

fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, field| value.get(field))
}
