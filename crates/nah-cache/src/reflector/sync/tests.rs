//! The state machine by tables, and against a small model of an API server.

use super::*;

mod histories;
mod lists;
mod model;
mod streams;
mod watches;

/// An item of a list, with its version.
#[derive(Clone, Debug, PartialEq)]
struct Thing(ObjectKey, u64);

impl Item for Thing {
    fn key(&self) -> &ObjectKey {
        &self.0
    }
}

fn thing(name: &str, version: u64) -> Thing {
    Thing(ObjectKey::from(("n", name)), version)
}

/// A stream that ended in good order.
const ENDED: Input<Thing> = Input::Ended { spoiled: false };

const T0: Duration = Duration::ZERO;

/// A scope, and what it was told last to do.
struct Scope {
    sync: Sync<Thing>,
    now: Duration,
    effect: Option<Effect<Thing>>,
    failed: Option<String>,
}

impl Scope {
    fn new(streaming: bool) -> Self {
        let sync = Sync::new(Rules { streaming, page: None });
        Self { sync, now: T0, effect: None, failed: None }
    }

    fn say(&mut self, input: Input<Thing>) -> Next {
        let step = self.sync.step(self.now, 0.0, input);
        self.effect = step.effect;
        self.failed = match step.mood {
            Some(Mood::Failed(failure)) => Some(failure.message),
            _ => None,
        };
        step.next
    }

    fn page(&mut self, items: Vec<Thing>, version: &str, next: Option<&str>) -> Next {
        self.say(Input::Page { items, version: version.into(), next: next.map(Into::into), compared: false })
    }

    fn event(&mut self, version: &str) -> Next {
        let change = Change::Upsert(thing("a", version.parse().unwrap()));
        self.say(Input::Event { change, added: false, version: Some(version.into()) })
    }

    fn bookmark(&mut self, version: &str, initial_end: bool) -> Next {
        self.say(Input::Bookmark { version: version.into(), initial_end })
    }

    fn after(&mut self, seconds: u64) -> &mut Self {
        self.now += Duration::from_secs(seconds);
        self
    }

    /// Listed at `version` and watching.
    fn watching(version: &str) -> Self {
        let mut scope = Self::new(false);
        scope.say(Input::Start);
        scope.page(vec![thing("a", 1)], version, None);
        assert_eq!(scope.say(Input::Opened), Next::Read);
        scope
    }
}

fn failure(reason: Reason) -> Failure {
    Failure { reason, ..Failure::other("no") }
}

fn list(version: Option<&str>, limit: Option<u32>) -> Next {
    Next::List { version: version.map(Into::into), limit, token: None }
}

fn open(version: &str) -> Next {
    Next::Open { version: Some(version.into()), initial: false, timeout: Duration::from_secs(300) }
}

fn stream(version: Option<&str>) -> Next {
    Next::Open { version: version.map(Into::into), initial: true, timeout: Duration::from_secs(300) }
}

fn wait(millis: u64) -> Next {
    Next::Wait(Duration::from_millis(millis))
}
