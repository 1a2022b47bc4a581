//! The spans that a run follows from.

use std::sync::Arc;

use tracing::{Id, Span};

/// More say nothing that the first do not, and a key that is asked for a million times has to stay small.
const MOST: usize = 4;

/// The spans of those who asked for a run: what its own span is linked to. The first four count.
#[derive(Clone, Debug, Default)]
pub struct Links(Option<Arc<[Link]>>);

#[derive(Clone, Debug)]
enum Link {
    /// Stays open until the run begins.
    Open(Span),
    /// May have ended by then, and then a subscriber is free to forget it.
    Gone(Id),
}

impl Links {
    /// The span that the caller is in. It stays open until the run begins: for what runs at once.
    pub fn current() -> Self {
        let span = Span::current();
        Self::one(span.id().is_some().then_some(Link::Open(span)))
    }

    /// The span that the caller is in, which may end before the run begins: for what runs after a delay.
    pub fn current_or_gone() -> Self {
        Self::one(Span::current().id().map(Link::Gone))
    }

    fn one(link: Option<Link>) -> Self {
        Self(link.map(|link| Arc::from([link])))
    }

    /// Takes in the spans of a newer request.
    pub fn merge(&mut self, newer: Self) {
        let Some(known) = &self.0 else { return *self = newer };
        if let Some(more) = newer.0
            && known.len() < MOST
        {
            self.0 = Some(known.iter().chain(&*more).take(MOST).cloned().collect());
        }
    }

    /// Counts the spans.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |links| links.len())
    }

    /// Whether there is no span.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes `span` follow from them.
    pub(crate) fn link(&self, span: &Span) {
        for link in self.0.iter().flat_map(|links| links.iter()) {
            match link {
                Link::Open(cause) => span.follows_from(cause),
                Link::Gone(cause) => span.follows_from(cause),
            };
        }
    }
}
