//! What happens in a history of the model.

use proptest::prelude::*;

use super::server::{Form, NAMES, Obj, Reply, Server, Spec};

/// A request of the client, about the object of an index, or about many.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Create(usize, Spec),
    /// With the version that the client read.
    Put(Obj, Spec),
    /// Without a version.
    Patch(usize, Spec),
    /// As `Patch`, answered without a spec.
    PatchMetadata(usize, Spec),
    Apply(usize, Spec),
    /// Answered by the whole object.
    Status(usize, u32),
    /// Answered by a kind of its own.
    Scale(usize, u32),
    /// Answered by a status that names nobody.
    Evict(usize),
    /// Takes the finalizers of the spec off.
    Finalize(usize),
    Delete(usize),
    DeleteAll,
    Get(usize),
    List,
}

#[derive(Clone, Debug)]
pub(super) enum Op {
    /// Sends a request in a version of the kind, or a dry run of it.
    Send {
        request: Wish,
        through: usize,
        dry: bool,
    },
    /// The server works on a request.
    Process(usize),
    /// The server works on a request, and a proxy gives up before it answers.
    Timeout(usize),
    /// The server refuses a request before it works on it.
    Refuse(usize),
    /// An answer arrives.
    Answer(usize),
    /// Nobody waits for an answer any more; the server may still work on the request.
    Drop(usize),
    /// Somebody else writes.
    Other(Wish),
    /// The next event, and whether the overlay hears of it at once.
    Step(usize, bool),
    Tell(usize),
    Bookmark(usize),
    List(usize, usize),
    Listed(usize, bool),
    /// A reader begins a list, and ends it.
    Begin(usize),
    End(usize),
    Restore(usize),
}

/// A request before anybody knows what is there.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    Put(usize, Spec),
    As(Request),
}

impl Request {
    /// The server works on it.
    pub(super) fn process(&self, server: &mut Server, through: usize) -> Reply {
        let whole = Form::Whole(through);
        match self {
            Request::Create(n, spec) => server.create(through, NAMES[*n], *spec),
            Request::Put(object, spec) => server.put(through, object, *spec),
            Request::Patch(n, spec) => server.patch(whole, NAMES[*n], *spec),
            Request::PatchMetadata(n, spec) => server.patch(Form::Metadata, NAMES[*n], *spec),
            Request::Apply(n, spec) => server.apply(through, NAMES[*n], *spec),
            Request::Status(n, data) => server.subresource(whole, NAMES[*n], *data),
            Request::Scale(n, data) => server.subresource(Form::Scale, NAMES[*n], *data),
            Request::Evict(n) => server.evict(NAMES[*n]),
            Request::Finalize(n) => server.finalize(through, NAMES[*n]),
            Request::Delete(n) => server.delete(through, NAMES[*n]),
            Request::DeleteAll => server.delete_all(through),
            Request::Get(n) => server.get(through, NAMES[*n]),
            Request::List => server.list(through),
        }
    }
}

fn spec() -> impl Strategy<Value = Spec> {
    let often = || prop::bool::weighted(0.8);
    (any::<bool>(), prop::bool::weighted(0.2), often(), any::<bool>(), 0..8u32)
        .prop_map(|(fin, spec_fin, scoped, picked, data)| Spec { fin, spec_fin, scoped, picked, data })
}

fn write() -> impl Strategy<Value = Wish> {
    let name = || 0..2usize;
    prop_oneof![
        4 => (name(), spec()).prop_map(|(n, s)| Wish::As(Request::Create(n, s))),
        4 => (name(), spec()).prop_map(|(n, s)| Wish::Put(n, s)),
        2 => (name(), spec()).prop_map(|(n, s)| Wish::As(Request::Patch(n, s))),
        1 => (name(), spec()).prop_map(|(n, s)| Wish::As(Request::PatchMetadata(n, s))),
        1 => (name(), spec()).prop_map(|(n, s)| Wish::As(Request::Apply(n, s))),
        1 => (name(), 0..8u32).prop_map(|(n, data)| Wish::As(Request::Status(n, data))),
        1 => (name(), 0..8u32).prop_map(|(n, data)| Wish::As(Request::Scale(n, data))),
        1 => name().prop_map(|n| Wish::As(Request::Evict(n))),
        1 => name().prop_map(|n| Wish::As(Request::Finalize(n))),
        4 => name().prop_map(|n| Wish::As(Request::Delete(n))),
        1 => Just(Wish::As(Request::DeleteAll)),
    ]
}

fn request() -> impl Strategy<Value = Wish> {
    prop_oneof![
        10 => write(),
        2 => (0..2usize).prop_map(|n| Wish::As(Request::Get(n))),
        1 => Just(Wish::As(Request::List)),
    ]
}

fn through() -> impl Strategy<Value = usize> {
    prop::bool::weighted(0.2).prop_map(usize::from)
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let index = || 0..12usize;
    let told = || prop::bool::weighted(0.8);
    prop_oneof![
        13 => (request(), through(), prop::bool::weighted(0.05))
            .prop_map(|(request, through, dry)| Op::Send { request, through, dry }),
        9 => index().prop_map(Op::Process),
        1 => index().prop_map(Op::Timeout),
        1 => index().prop_map(Op::Refuse),
        8 => index().prop_map(Op::Answer),
        1 => index().prop_map(Op::Drop),
        6 => write().prop_map(Op::Other),
        8 => (through(), told()).prop_map(|(kind, told)| Op::Step(kind, told)),
        1 => through().prop_map(Op::Tell),
        1 => through().prop_map(Op::Bookmark),
        2 => (through(), index()).prop_map(|(kind, at)| Op::List(kind, at)),
        2 => (through(), told()).prop_map(|(kind, told)| Op::Listed(kind, told)),
        2 => through().prop_map(Op::Begin),
        2 => index().prop_map(Op::End),
        1 => index().prop_map(Op::Restore),
    ]
}
