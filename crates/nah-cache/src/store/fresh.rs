//! Objects that have just come, and are kept as they came until those who wait for them have read them.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

use super::entry::Entry;

/// How many bytes of objects, over all kinds, are not compressed yet because somebody is about to be told of them.
const LIMIT: usize = 2 << 20;

/// The objects of late, of all kinds, that somebody is about to be told of: whoever decodes one finds its text as it
/// came, so that nothing is compressed and decompressed only to be told.
#[derive(Default)]
pub(crate) struct Fresh(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    /// With their sizes.
    entries: VecDeque<(Weak<Entry>, usize)>,
    bytes: usize,
}

impl Fresh {
    /// Leaves `entry` as it came, and compresses those for which there is no room any more. Of those that have been
    /// replaced meanwhile nothing is left to do.
    pub(crate) fn push(&self, entry: &Arc<Entry>) {
        let mut old = Vec::new();
        {
            let mut queue = self.0.lock();
            queue.bytes += entry.size();
            queue.entries.push_back((Arc::downgrade(entry), entry.size()));
            while queue.bytes > LIMIT
                && let Some((oldest, bytes)) = queue.entries.pop_front()
            {
                queue.bytes -= bytes;
                old.extend(oldest.upgrade());
            }
        }
        for entry in old {
            entry.pack();
        }
    }
}

impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fresh").field("bytes", &self.0.lock().bytes).finish_non_exhaustive()
    }
}
