//! What a subscriber costs that does not read.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use nah_core::{Body, DecodeError, Head};

use super::*;
use crate::{store::known::Extractors, subscription::Backlog};

/// An object that is counted for as long as anybody holds it.
struct Counted {
    head: Head,
    alive: Arc<AtomicUsize>,
}

impl Body for Counted {
    fn head(&self) -> &Head {
        &self.head
    }

    fn json(&self) -> Result<Cow<'_, [u8]>, DecodeError> {
        // No two versions read alike.
        let version = self.head.resource_version.as_ref().expect("a version");
        Ok(Cow::Borrowed(version.as_str().as_bytes()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Relaxed);
    }
}

/// Makes objects, and knows how many are held.
struct Maker {
    model: Head,
    alive: Arc<AtomicUsize>,
}

impl Maker {
    fn new(store: &Store) -> Self {
        Self { model: admit(store, &pod("a/x", "u", 1)).head().clone(), alive: Arc::default() }
    }

    fn make(&self, key: &str, uid: &str, version: u64) -> Arrival {
        self.alive.fetch_add(1, Relaxed);
        let mut head = self.model.clone();
        head.key = ("a", key).into();
        head.uid = Some(uid.into());
        head.resource_version = Some(ResourceVersion::from(version));
        let object = Object::new(Counted { head, alive: self.alive.clone() });
        Arrival { object, values: None, extractors: Extractors::default() }
    }

    fn alive(&self) -> usize {
        self.alive.load(Relaxed)
    }

    fn list(&self, store: &Store, keys: std::ops::Range<usize>, version: u64) {
        let items = keys.map(|n| Listed::New(self.make(&n.to_string(), &n.to_string(), version))).collect();
        store.replace(None, items, ResourceVersion::from(version));
    }
}

/// What hash tables and trees round up to.
const SLACK: usize = 64;

fn waiting(events: &Subscription) -> usize {
    Backlog::len(events.backlog()).0
}

#[test]
fn a_reader_that_stands_still_while_a_million_objects_come_change_and_go() // B11, B12, Q49
{
    const KNOWN: usize = 200;
    const AT_ONCE: usize = 20_000;
    let store = store();
    let maker = Maker::new(&store);
    maker.list(&store, 0..KNOWN, 1);
    let (mut knows, mut other) = (subscribe(&store), subscribe(&store));
    assert_eq!((ready(&mut knows).len(), ready(&mut other).len()), (KNOWN, KNOWN));
    // One has been told of everything there was, one of nothing; neither reads any more.
    let ignorant = subscribe(&store);
    let mut version = 1;
    for round in 0..50 {
        let keys = KNOWN + round * AT_ONCE..KNOWN + (round + 1) * AT_ONCE;
        // They come, and what there was goes.
        maker.list(&store, keys.clone(), version + 1);
        assert!(waiting(&knows) <= KNOWN + AT_ONCE && waiting(&ignorant) <= AT_ONCE + SLACK);
        // They change, every fourth by a list and every fourth by an event (in a debug build all would take long).
        let item = |n: usize| match n % 4 {
            0 => Listed::New(maker.make(&n.to_string(), &n.to_string(), version + 2)),
            _ => Listed::Same(("a", n.to_string()).into()),
        };
        store.replace(None, keys.clone().map(item).collect(), ResourceVersion::from(version + 2));
        for n in keys.clone().filter(|n| n % 4 == 2) {
            store.apply(None, Seen::Upsert(maker.make(&n.to_string(), &n.to_string(), version + 3)));
        }
        // What is there is held once, by all together; of what is known, the last state seen is held too.
        assert_eq!(ready(&mut other).len(), AT_ONCE + if round == 0 { KNOWN } else { 0 });
        assert!(maker.alive() <= AT_ONCE + KNOWN + SLACK, "{}", maker.alive());
        // They go.
        maker.list(&store, 0..0, version + 4);
        assert_eq!(ready(&mut other).len(), AT_ONCE);
        assert_eq!((waiting(&knows), waiting(&ignorant)), (KNOWN, 0));
        assert!(maker.alive() <= KNOWN + SLACK, "{}", maker.alive());
        version += 4;
    }
    // What it was shown is gone, each told once; what came and went it never hears of.
    let ended = ready(&mut knows);
    assert!(ended.iter().all(|event| matches!(event, Event::Deleted { tombstone: true, .. })));
    assert_eq!(ended.len(), KNOWN);
    drop((ended, ignorant));
    assert_eq!(maker.alive(), 0);
    let (keys, room) = Backlog::len(knows.backlog());
    assert!(keys == 0 && room <= 2048, "a backlog that was long once does not stay large: {room}");
}

#[test]
fn a_reader_that_stands_still_in_the_midst_of_its_first_objects() // B12, B13
{
    let store = store();
    let maker = Maker::new(&store);
    maker.list(&store, 0..5000, 1);
    let mut events = subscribe(&store);
    let shown = 100;
    for _ in 0..shown {
        use futures_util::StreamExt as _;
        events.next().now_or_never().expect("ready");
    }
    for version in 2..12 {
        maker.list(&store, 0..5000, version);
        assert!(maker.alive() <= 5000 + 2 * shown + SLACK, "{}", maker.alive());
    }
    maker.list(&store, 0..0, 20);
    assert!(maker.alive() <= 2 * shown + SLACK, "{}", maker.alive());
    let ends = ready(&mut events);
    assert_eq!(ends.len(), shown);
    assert!(ends.iter().all(|event| matches!(event, Event::Deleted { .. })));
}

#[test]
fn a_reader_that_stands_still_in_the_midst_of_a_second_look() // B12, B25
{
    let store = store();
    let maker = Maker::new(&store);
    maker.list(&store, 0..1000, 1);
    let mut events = subscribe(&store);
    ready(&mut events);
    events.resync();
    for version in 2..12 {
        maker.list(&store, 0..1000, version);
        assert!(maker.alive() <= 2000 + SLACK, "{}", maker.alive());
    }
    maker.list(&store, 0..0, 20);
    // Of each that is known: the state that was shown, and the last one.
    assert!(maker.alive() <= 2000 + SLACK, "{}", maker.alive());
    assert_eq!(ready(&mut events).len(), 1000);
    assert_eq!(maker.alive(), 0);
}
