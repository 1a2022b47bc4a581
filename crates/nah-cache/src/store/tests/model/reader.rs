//! Subscribers of each sort, and what they make of what they are told.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, mpsc},
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use nah_core::{Object, ResourceVersion};
use proptest::prelude::*;

use super::super::{Store, subscribe};
use crate::{Event, Filtered, HandlerOptions, HandlerRegistration, Subscription, handler::attach};

/// How somebody is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    Stream,
    Filtered,
    Handler,
    FilteredHandler,
}

/// A subscriber, and what it makes of what it is told.
pub(super) struct Reader {
    pub(super) events: Events,
    /// Only what passes is shown: an object may then begin and end more than once.
    pub(super) filtered: bool,
    pub(super) view: BTreeMap<String, (String, String)>,
    pub(super) ended: HashSet<String>,
    pub(super) shown: HashSet<String>,
}

pub(super) type Passes = fn(&Object) -> bool;

pub(super) enum Events {
    Stream(Subscription),
    Filtered(Box<Filtered<Object, Passes>>),
    Handler(HandlerRegistration, BoxFuture<'static, ()>, mpsc::Receiver<Event>),
}

/// Two of three versions.
pub(super) fn passes(object: &Object) -> bool {
    object.resource_version().and_then(ResourceVersion::number).is_some_and(|number| number % 3 != 0)
}

impl Events {
    fn new(store: &Arc<Store>, how: How) -> Self {
        let handled = |options: HandlerOptions| {
            let (told, heard) = mpsc::channel();
            let (registration, task) =
                attach(subscribe(store), options, move |event| told.send(event).expect("the test reads"));
            Self::Handler(registration, task.boxed(), heard)
        };
        match how {
            How::Stream => Self::Stream(subscribe(store)),
            How::Filtered => Self::Filtered(Box::new(subscribe(store).filtered(passes))),
            How::Handler => handled(HandlerOptions::default()),
            How::FilteredHandler => handled(HandlerOptions::default().filter(passes)),
        }
    }

    fn next(&mut self) -> Option<Event> {
        match self {
            Self::Stream(events) => events.next().now_or_never()??.ok(),
            Self::Filtered(events) => events.next().now_or_never()??.ok(),
            Self::Handler(_, task, heard) => heard.try_recv().ok().or_else(|| {
                // As many turns as it takes: a handler that has had its turn wakes itself.
                (0..3).for_each(|_| _ = task.as_mut().now_or_never());
                heard.try_recv().ok()
            }),
        }
    }

    pub(super) fn has_synced(&self) -> bool {
        match self {
            Self::Stream(events) => events.has_synced(),
            Self::Filtered(events) => events.has_synced(),
            Self::Handler(registration, ..) => registration.has_synced(),
        }
    }

    pub(super) fn look_again(&self) {
        match self {
            Self::Stream(events) => events.resync(),
            Self::Filtered(events) => events.resync(),
            Self::Handler(registration, ..) => registration.resync(),
        }
    }
}

impl Reader {
    pub(super) fn new(store: &Arc<Store>, how: How) -> Self {
        let filtered = matches!(how, How::Filtered | How::FilteredHandler);
        let (ended, shown) = (HashSet::new(), HashSet::new());
        Self { events: Events::new(store, how), filtered, view: BTreeMap::new(), ended, shown }
    }

    /// Reads up to `n` events and checks each against what was told before.
    pub(super) fn read(&mut self, n: usize) -> Result<(), TestCaseError> {
        for _ in 0..n {
            let Some(event) = self.events.next() else { break };
            let key = event.key().to_string();
            let state = identity(event.object());
            match event {
                Event::Added { object, .. } => {
                    prop_assert!(!self.filtered || passes(&object));
                    let fresh = self.shown.insert(state.0.clone());
                    prop_assert!(fresh || self.filtered, "a uid begins once");
                    prop_assert_eq!(self.view.insert(key, state), None, "what is added was not there");
                }
                Event::Updated { old, .. } => {
                    prop_assert_eq!(&identity(&old).0, &state.0);
                    prop_assert!(version(&identity(&old)) <= version(&state), "nothing older follows");
                    prop_assert_eq!(
                        self.view.insert(key, state),
                        Some(identity(&old)),
                        "old is what was seen last"
                    );
                }
                Event::Deleted { last, .. } => {
                    let uid = identity(&last).0;
                    prop_assert_eq!(
                        self.view.remove(&key).map(|seen| seen.0),
                        Some(uid.clone()),
                        "what ends was shown"
                    );
                    let once = self.ended.insert(uid);
                    prop_assert!(once || self.filtered, "an end is told once");
                }
            }
        }
        Ok(())
    }
}

fn version(state: &(String, String)) -> u64 {
    state.1.parse().expect("a number")
}

pub(super) fn identity(object: &Object) -> (String, String) {
    let uid = object.uid().map(ToString::to_string).expect("a uid");
    (uid, object.resource_version().map(ToString::to_string).expect("a version"))
}
