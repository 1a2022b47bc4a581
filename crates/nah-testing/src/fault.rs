//! Faults: what goes wrong, where, and how often. Values that can be printed, stored and played again.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::journal::Request;

/// One fault: an action, the requests that it hits, and how often.
///
/// A fault hits every request unless it is restricted ([`on`](Self::on), [`of`](Self::of), …), and once
/// unless it is told otherwise ([`times`](Self::times), [`always`](Self::always)). Its
/// [`Display`](fmt::Display) is JSON that [`FromStr`] reads again, so what a failing test prints can be
/// played once more.
///
/// ```
/// use nah_testing::Fault;
///
/// let fault = Fault::cut_after_events(3).on("watch").of("pods").times(2);
/// assert_eq!(fault.to_string().parse::<Fault>()?, fault);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fault {
    /// What goes wrong.
    pub action: Action,
    /// Only requests with this verb.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verb: Option<String>,
    /// Only requests for this resource: its plural, or `plural.group`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Only requests for this subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subresource: Option<String>,
    /// Only requests in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Only requests for the object of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many requests go free first.
    #[serde(default)]
    pub skip: u32,
    /// How many requests are hit; none for all.
    #[serde(default)]
    pub times: Option<u32>,
    /// Only requests that come this long after the fault was injected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Duration>,
    /// Only requests that come no longer than this after the fault was injected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Duration>,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Action {
    /// Answers an error instead of doing what was asked.
    Answer {
        /// The HTTP code.
        code: u16,
        /// The seconds of a Retry-After header.
        retry_after: Option<u64>,
    },
    /// Never answers.
    Hang,
    /// Waits before it does what was asked.
    Delay(Duration),
    /// Does what was asked, and answers late.
    DelayAnswer(Duration),
    /// Does what was asked, and drops the connection instead of answering.
    DropAnswer,
    /// Drops the connection without doing anything.
    Refuse,
    /// Breaks a watch off after so many lines.
    CutAfterEvents(u64),
    /// Ends a watch in good order after so many lines.
    EndAfterEvents(u64),
    /// Breaks any answer off after so many bytes, in the middle of a line too.
    CutAfterBytes(u64),
    /// Sends the line with this number (from 0) of a watch twice.
    Duplicate(u64),
    /// Ends a watch with an ERROR event after so many lines.
    ErrorEvent {
        /// How many lines come before.
        after: u64,
        /// The code of the status in the event.
        code: u16,
    },
    /// Spoils an object in the answer: every time it comes by its name, or the first one where no name is
    /// given.
    Corrupt {
        /// The object's name.
        name: Option<String>,
        /// How it is spoiled.
        how: Corruption,
    },
    /// Delivers each event of a watch so long after its change.
    Lag(Duration),
    /// Compresses each line of a watch as a gzip member of its own.
    GzipMembers,
    /// Forgets the history, then does what was asked.
    Compact,
    /// Forgets the last writes, then drops all connections.
    Forget(usize),
    /// Drops all connections.
    Restart,
}

/// How an object is spoiled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Corruption {
    /// The value at a path (`spec.replicas`) gets another type.
    WrongType(String),
    /// The metadata is missing.
    NoMetadata,
    /// The JSON ends in the middle.
    Truncated,
}

/// Faults that belong together, as they are injected one after the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Script(pub Vec<Fault>);

/// Names a fault that was injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FaultId(pub(crate) u64);

// === impl Fault ===

impl Fault {
    /// A fault that does `action` to the next request.
    pub fn new(action: Action) -> Self {
        Self {
            action,
            verb: None,
            resource: None,
            subresource: None,
            namespace: None,
            name: None,
            skip: 0,
            times: Some(1),
            after: None,
            until: None,
        }
    }

    /// Answers an HTTP code: 401, 403, 500, 503 …
    pub fn answer(code: u16) -> Self {
        Self::new(Action::Answer { code, retry_after: None })
    }

    /// Answers 429 with a Retry-After header.
    pub fn too_many_requests(retry_after: u64) -> Self {
        Self::new(Action::Answer { code: 429, retry_after: Some(retry_after) })
    }

    /// Answers HTTP 410: at a watch's start, at a list, or at a page of one.
    pub fn gone() -> Self {
        Self::answer(410)
    }

    /// Never answers.
    pub fn hang() -> Self {
        Self::new(Action::Hang)
    }

    /// Waits before it does what was asked.
    pub fn delay(time: Duration) -> Self {
        Self::new(Action::Delay(time))
    }

    /// Does what was asked, and answers late: a watch tells of a write before its answer does.
    pub fn delay_answer(time: Duration) -> Self {
        Self::new(Action::DelayAnswer(time))
    }

    /// Does what was asked, and drops the connection instead of answering.
    pub fn drop_answer() -> Self {
        Self::new(Action::DropAnswer)
    }

    /// Drops the connection without doing anything.
    pub fn refuse() -> Self {
        Self::new(Action::Refuse)
    }

    /// Breaks a watch off after so many lines.
    pub fn cut_after_events(events: u64) -> Self {
        Self::new(Action::CutAfterEvents(events)).on("watch")
    }

    /// Ends a watch in good order after so many lines.
    pub fn end_after_events(events: u64) -> Self {
        Self::new(Action::EndAfterEvents(events)).on("watch")
    }

    /// Breaks an answer off after so many bytes.
    pub fn cut_after_bytes(bytes: u64) -> Self {
        Self::new(Action::CutAfterBytes(bytes))
    }

    /// Sends the line with this number (from 0) of a watch twice.
    pub fn duplicate(event: u64) -> Self {
        Self::new(Action::Duplicate(event)).on("watch")
    }

    /// Ends a watch with an ERROR event after so many lines.
    pub fn error_event(after: u64, code: u16) -> Self {
        Self::new(Action::ErrorEvent { after, code }).on("watch")
    }

    /// Spoils an object of an answer.
    pub fn corrupt(how: Corruption) -> Self {
        Self::new(Action::Corrupt { name: None, how })
    }

    /// Spoils the object of this name wherever the answer has it.
    pub fn corrupt_object(name: &str, how: Corruption) -> Self {
        Self::new(Action::Corrupt { name: Some(name.to_owned()), how })
    }

    /// Delivers each event of a watch so long after its change.
    pub fn lag(time: Duration) -> Self {
        Self::new(Action::Lag(time)).on("watch")
    }

    /// Compresses each line of a watch as a gzip member of its own.
    pub fn gzip_members() -> Self {
        Self::new(Action::GzipMembers).on("watch")
    }

    /// Restricts the fault to a verb.
    pub fn on(mut self, verb: &str) -> Self {
        self.verb = Some(verb.to_owned());
        self
    }

    /// Restricts the fault to a resource (`pods`, `deployments.apps`).
    pub fn of(mut self, resource: &str) -> Self {
        self.resource = Some(resource.to_owned());
        self
    }

    /// Restricts the fault to a subresource.
    pub fn of_subresource(mut self, subresource: &str) -> Self {
        self.subresource = Some(subresource.to_owned());
        self
    }

    /// Restricts the fault to a namespace.
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Restricts the fault to requests that name an object.
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Lets so many requests go free first.
    pub fn skip(mut self, requests: u32) -> Self {
        self.skip = requests;
        self
    }

    /// Hits so many requests.
    pub fn times(mut self, requests: u32) -> Self {
        self.times = Some(requests);
        self
    }

    /// Hits all requests.
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    /// Hits only requests that come this long after the fault was injected.
    pub fn after(mut self, time: Duration) -> Self {
        self.after = Some(time);
        self
    }

    /// Hits only requests that come no longer than this after the fault was injected.
    pub fn until(mut self, time: Duration) -> Self {
        self.until = Some(time);
        self
    }

    pub(crate) fn matches(&self, request: &Request) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let qualified = format!("{}.{}", request.resource, request.group);
        is(&self.verb, &request.verb)
            && (is(&self.resource, &request.resource) || is(&self.resource, &qualified))
            && is(&self.subresource, &request.subresource)
            && is(&self.namespace, &request.namespace)
            && is(&self.name, &request.name)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Fault {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}

// === impl Action ===

impl Action {
    /// Whether the request ends here, so that no other fault can hit it.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Answer { .. } | Self::Hang | Self::Refuse | Self::Restart | Self::Forget(_))
    }
}

// === impl Script ===

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Script {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}

impl FromIterator<Fault> for Script {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Self {
        Self(faults.into_iter().collect())
    }
}
