//! What many objects say in the same words: label sets and owners, kept once.

use std::{collections::HashSet, fmt, hash::Hash, sync::Arc};

use nah_core::{Head, Labels, Owner};
use parking_lot::Mutex;

/// How many words there may be before those that nobody uses are looked for.
const FEW: usize = 256;

/// The label sets and owners of the objects of a factory: the Pods of a ReplicaSet have the same ones.
#[derive(Default)]
pub(crate) struct Words {
    labels: Mutex<Set<Labels>>,
    owners: Mutex<Set<Arc<[Owner]>>>,
}

struct Set<T> {
    words: HashSet<T, foldhash::fast::RandomState>,
    /// When to look for those that nobody uses.
    sweep_at: usize,
}

/// What is used as long as somebody else has it, too.
trait Word: Hash + Eq + Clone {
    fn is_used(&self) -> bool;
}

impl Words {
    /// Lets `head` say in the words of others what others say.
    pub(crate) fn share(&self, head: &mut Head) {
        if !head.labels.is_empty() {
            self.labels.lock().share(&mut head.labels);
        }
        if !head.owners.is_empty() {
            self.owners.lock().share(&mut head.owners);
        }
    }

    /// Forgets what nobody says any more.
    pub(crate) fn sweep(&self) {
        self.labels.lock().sweep();
        self.owners.lock().sweep();
    }
}

impl<T: Word> Set<T> {
    fn share(&mut self, word: &mut T) {
        if let Some(known) = self.words.get(word) {
            known.clone_into(word);
            return;
        }
        if self.words.len() >= self.sweep_at {
            self.sweep();
        }
        self.words.insert(word.clone());
    }

    fn sweep(&mut self) {
        self.words.retain(Word::is_used);
        self.sweep_at = 2 * self.words.len() + FEW;
        self.words.shrink_to(self.sweep_at);
    }
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self { words: HashSet::default(), sweep_at: FEW }
    }
}

impl Word for Labels {
    fn is_used(&self) -> bool {
        self.is_shared()
    }
}

impl Word for Arc<[Owner]> {
    fn is_used(&self) -> bool {
        Arc::strong_count(self) > 1
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (labels, owners) = (self.labels.lock().words.len(), self.owners.lock().words.len());
        f.debug_struct("Words").field("labels", &labels).field("owners", &owners).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nah_core::{GroupVersionKind, Head};

    use super::{FEW, Words};

    fn head(app: usize) -> Head {
        let json = format!(
            r#"{{"metadata":{{"name":"x","labels":{{"app":"{app}"}},"ownerReferences":[{{"apiVersion":"v1",
            "kind":"K","name":"{app}","uid":"u{app}"}}]}}}}"#
        );
        Head::peek(&Arc::new(GroupVersionKind::gvk("", "v1", "Pod")), json.as_bytes()).expect("a head")
    }

    fn shared(words: &Words, app: usize) -> Head {
        let mut head = head(app);
        words.share(&mut head);
        head
    }

    #[test]
    fn what_is_said_alike_is_kept_once() {
        let words = Words::default();
        let (one, other) = (shared(&words, 1), shared(&words, 1));
        assert!(Arc::ptr_eq(&one.owners, &other.owners));
        assert_eq!((one.labels.get("app"), &one.labels), (Some("1"), &other.labels));
        assert_ne!(shared(&words, 2).labels, one.labels);
    }

    #[test]
    fn no_word_outlives_who_says_it() {
        let words = Words::default();
        let kept: Vec<_> = (0..10).map(|app| shared(&words, app)).collect();
        (0..100_000).for_each(|app| drop(shared(&words, app)));
        assert!(words.labels.lock().words.len() <= 2 * kept.len() + FEW);
        words.sweep();
        assert_eq!((words.labels.lock().words.len(), words.owners.lock().words.len()), (10, 10));
        drop(kept);
        words.sweep();
        assert!(words.labels.lock().words.is_empty() && words.owners.lock().words.is_empty());
    }
}
