//! How much of what is cached.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use kube_core::Selector;
use nah_core::{BoxError, DynamicObject, GroupVersionKind};

/// What a factory caches, and how much of it at a time.
///
/// By default every namespace, whatever its labels.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CacheOptions {
    /// The namespaces of namespaced kinds; none means all of them. Cluster-scoped kinds are cached whole.
    pub namespaces: Vec<String>,
    /// Only objects with these labels.
    pub labels: Selector,
    /// Of decoded objects that are kept for the next reader, over all kinds together: 64 MiB, and none at all at 0.
    pub hot_bytes: usize,
    /// How many lists are taken in at the same time, over all kinds together.
    pub concurrent_lists: usize,
    /// What differs for single kinds.
    pub kinds: HashMap<GroupVersionKind, KindCacheOptions>,
    /// How long to wait for the server.
    pub timeouts: Timeouts,
}

/// What differs for one kind; what is not set is as for every kind.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct KindCacheOptions {
    /// Instead of the factory's namespaces, which `add_namespace` and `remove_namespace` then do not touch.
    pub namespaces: Option<Vec<String>>,
    /// Instead of the factory's labels.
    pub labels: Option<Selector>,
    /// Only objects with these fields, as the API server selects them (`spec.nodeName=n1`).
    pub fields: String,
    /// Every list comes in pages of so many, the ones that the server could answer whole too.
    pub page_size: Option<u32>,
    /// Only metadata is asked for.
    pub metadata_only: bool,
    /// Whether `metadata.managedFields` is kept.
    pub keeps_managed_fields: bool,
    /// What else is taken off each object.
    pub transform: Option<Transform>,
    /// Whether decoded objects are kept out of the hot set.
    pub never_hot: bool,
}

/// What is taken off each object of a kind before it is kept.
///
/// It saves memory, it hides nothing: where it fails, panics, or changes which object it is (key, uid, version), the
/// object is kept as it came, because an object that is missing would look as if it were gone. That is counted in
/// `status()`. It runs once for each version of an object, on the task that takes it in, and under no lock.
#[derive(Clone)]
#[non_exhaustive]
#[doc(alias = "TransformFunc")]
pub enum Transform {
    /// JSON to JSON.
    Bytes(OnBytes),
    /// An edit of the decoded object: every object is decoded and encoded again.
    Object(OnObject),
}

type OnBytes = Arc<dyn Fn(&[u8]) -> Result<Vec<u8>, BoxError> + Send + Sync>;
type OnObject = Arc<dyn Fn(&mut DynamicObject) -> Result<(), BoxError> + Send + Sync>;

/// How long to wait for the server before a request counts as failed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Timeouts {
    /// Until an answer begins.
    pub answer: Duration,
    /// Between two pieces of a list.
    pub silence: Duration,
    /// Until a list is complete, all its pages together, or a stream has said what there is.
    pub list: Duration,
    /// Between two lines of a watch, bookmarks included, which most servers send once a minute. After that it is opened
    /// anew where it stopped.
    pub idle: Duration,
    /// Beyond the time at which the server said it would end a watch.
    pub overtime: Duration,
}

/// What of one kind is cached: the namespaces (none means all of them) and the selectors.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    pub(crate) namespaces: Vec<String>,
    pub(crate) labels: Selector,
    pub(crate) fields: String,
    pub(crate) metadata_only: bool,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            labels: Selector::default(),
            hot_bytes: 64 << 20,
            concurrent_lists: 8,
            kinds: HashMap::new(),
            timeouts: Timeouts::default(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            // kube-apiserver gives up after a minute itself.
            answer: Duration::from_secs(65),
            silence: Duration::from_secs(30),
            list: Duration::from_secs(600),
            idle: Duration::from_secs(180),
            overtime: Duration::from_secs(15),
        }
    }
}

impl CacheOptions {
    /// Caches only these namespaces (of namespaced kinds).
    #[must_use]
    pub fn namespaces<N: Into<String>>(mut self, namespaces: impl IntoIterator<Item = N>) -> Self {
        self.namespaces = namespaces.into_iter().map(Into::into).collect();
        self
    }

    /// Caches only objects with these labels.
    #[must_use]
    pub fn labels(mut self, labels: Selector) -> Self {
        self.labels = labels;
        self
    }

    /// Bounds the memory of decoded objects that are kept for the next reader; 0 keeps none, and every read decodes.
    ///
    /// What was read once is kept in a 32nd of it, 4 MiB at most, so a first walk over a list holds no more.
    #[must_use]
    pub fn hot_bytes(mut self, bytes: usize) -> Self {
        self.hot_bytes = bytes;
        self
    }

    /// Bounds how many lists are taken in at the same time; at least one is.
    #[must_use]
    pub fn concurrent_lists(mut self, lists: usize) -> Self {
        self.concurrent_lists = lists;
        self
    }

    /// Treats one kind otherwise.
    #[must_use]
    #[doc(alias = "ByObject")]
    pub fn kind(mut self, gvk: GroupVersionKind, options: KindCacheOptions) -> Self {
        self.kinds.insert(gvk, options);
        self
    }

    /// Waits longer, or less long.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// What of `gvk` is cached, when the factory's own namespaces are `namespaces` by now.
    pub(crate) fn scope(&self, gvk: &GroupVersionKind, namespaces: &[String]) -> Scope {
        let kind = self.kinds.get(gvk);
        let own = kind.and_then(|kind| kind.namespaces.clone());
        Scope {
            namespaces: own.unwrap_or_else(|| namespaces.to_vec()),
            labels: kind.and_then(|kind| kind.labels.clone()).unwrap_or_else(|| self.labels.clone()),
            fields: kind.map(|kind| kind.fields.clone()).unwrap_or_default(),
            metadata_only: kind.is_some_and(|kind| kind.metadata_only),
        }
    }
}

impl KindCacheOptions {
    /// Caches only these namespaces of the kind; none means all of them.
    #[must_use]
    pub fn namespaces<N: Into<String>>(mut self, namespaces: impl IntoIterator<Item = N>) -> Self {
        self.namespaces = Some(namespaces.into_iter().map(Into::into).collect());
        self
    }

    /// Caches only objects with these labels.
    #[must_use]
    pub fn labels(mut self, labels: Selector) -> Self {
        self.labels = Some(labels);
        self
    }

    /// Caches only objects with these fields (`spec.nodeName=n1,status.phase!=Failed`).
    #[must_use]
    #[doc(alias = "FieldSelector")]
    #[doc(alias = "Field")]
    pub fn fields(mut self, fields: impl Into<String>) -> Self {
        self.fields = fields.into();
        self
    }

    /// Caches metadata alone: the server sends nothing else, so that no body of a Secret is ever here. Heads, labels,
    /// owners and `PartialObjectMeta<K>` are read as ever; to read one as a whole `K` is a
    /// [`DecodeError`](nah_core::DecodeError). Live reads get whole objects.
    #[must_use]
    pub fn metadata_only(mut self) -> Self {
        self.metadata_only = true;
        self
    }

    /// Lists the kind in pages of so many, always.
    #[must_use]
    pub fn page_size(mut self, objects: u32) -> Self {
        self.page_size = Some(objects);
        self
    }

    /// Keeps `metadata.managedFields`, which are dropped otherwise.
    #[must_use]
    pub fn keep_managed_fields(self) -> Self {
        Self { keeps_managed_fields: true, ..self }
    }

    /// Drops more of each object, by an edit of its decoded form.
    ///
    /// Objects of the kind are then marked ([`Object::is_trimmed`](nah_core::Object::is_trimmed)), and a client refuses
    /// to replace them. What is dropped is found by no index and no selector either.
    #[must_use]
    #[doc(alias = "SetTransform")]
    #[doc(alias = "DefaultTransform")]
    pub fn trim(self, edit: impl Fn(&mut DynamicObject) + Send + Sync + 'static) -> Self {
        let edit = move |object: &mut DynamicObject| {
            edit(object);
            Ok(())
        };
        Self { transform: Some(Transform::Object(Arc::new(edit))), ..self }
    }

    /// As [`trim`](Self::trim), from JSON to JSON.
    #[must_use]
    pub fn trim_bytes(
        self,
        transform: impl Fn(&[u8]) -> Result<Vec<u8>, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self { transform: Some(Transform::Bytes(Arc::new(transform))), ..self }
    }

    /// Keeps no decoded object of the kind for the next reader: nothing of a Secret stays in memory in the clear for
    /// longer than somebody holds it, but for the encoded form.
    #[must_use]
    pub fn never_hot(self) -> Self {
        Self { never_hot: true, ..self }
    }
}

impl Timeouts {
    /// Waits so long until an answer begins.
    #[must_use]
    pub fn answer(mut self, wait: Duration) -> Self {
        self.answer = wait;
        self
    }

    /// Waits so long between two pieces of a list.
    #[must_use]
    pub fn silence(mut self, wait: Duration) -> Self {
        self.silence = wait;
        self
    }

    /// Waits so long for a whole list.
    #[must_use]
    pub fn list(mut self, wait: Duration) -> Self {
        self.list = wait;
        self
    }

    /// Waits so long for the next line of a watch.
    #[must_use]
    pub fn idle(mut self, wait: Duration) -> Self {
        self.idle = wait;
        self
    }

    /// Waits so long for a watch to end after the server should have ended it.
    #[must_use]
    pub fn overtime(mut self, wait: Duration) -> Self {
        self.overtime = wait;
        self
    }
}

impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes(_) => "Bytes(..)",
            Self::Object(_) => "Object(..)",
        })
    }
}

impl Scope {
    /// The one namespace that the field selector names; its objects have a URL of their own.
    pub(crate) fn selected_namespace(&self) -> Option<&str> {
        let terms = self.fields.split(',').filter_map(|term| term.split_once('='));
        let mut named = terms.filter(|(field, _)| *field == "metadata.namespace");
        let (_, namespace) = named.next()?;
        let namespace = namespace.trim_start_matches('=');
        (!namespace.is_empty()).then_some(namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_namespace_of_a_field_selector() // C27
    {
        let namespace = |fields: &str| {
            let scope = Scope { fields: fields.into(), ..Scope::default() };
            scope.selected_namespace().map(str::to_owned)
        };
        assert_eq!(namespace("metadata.namespace=a"), Some("a".into()));
        assert_eq!(namespace("spec.nodeName=n,metadata.namespace==a"), Some("a".into()));
        assert_eq!(namespace("metadata.namespace!=a"), None);
        assert_eq!(namespace("spec.nodeName=a"), None);
        assert_eq!(namespace(""), None);
    }

    #[test]
    fn takes_a_kinds_own_options_over_the_factorys() {
        let pod = GroupVersionKind::gvk("", "v1", "Pod");
        let options = CacheOptions::default()
            .namespaces(["a"])
            .kind(pod.clone(), KindCacheOptions::default().namespaces(["b"]).fields("spec.nodeName=n"));
        assert_eq!(options.scope(&pod, &options.namespaces).namespaces, ["b"]);
        assert_eq!(options.scope(&pod, &options.namespaces).fields, "spec.nodeName=n");
        let node = GroupVersionKind::gvk("", "v1", "Node");
        assert_eq!(options.scope(&node, &options.namespaces).namespaces, ["a"]);
    }
}
