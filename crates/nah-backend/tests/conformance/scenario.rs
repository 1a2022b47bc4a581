//! A scenario: a fact about the whole, and how it is shown.

use anyhow::Result;
use futures::future::LocalBoxFuture;

use crate::world::World;

/// One fact, shown in a namespace of its own.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) module: &'static str,
    pub(crate) name: &'static str,
    /// The numbers of `docs/behaviours.md` that it proves.
    pub(crate) cites: &'static str,
    pub(crate) kind: Flavour,
    pub(crate) run: for<'a> fn(&'a World) -> LocalBoxFuture<'a, Result<()>>,
}

/// How a scenario stands to others, and what of its requests is compared between the grounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// One request after the other: their order is the same on every ground.
    Ordered,
    /// Several requests under way at once: which ones there were is the same, their order and number is not.
    Loose,
    /// Cuts or holds its own connections and asks as often as that takes: nothing compared.
    Faulty,
    /// Disturbs the server, so that nothing else may run beside it, and asks as often as that takes: nothing compared.
    Alone,
}

/// Every scenario.
pub(crate) fn all() -> Vec<Scenario> {
    [
        crate::answers::scenarios(),
        crate::applies::scenarios(),
        crate::usage::scenarios(),
        crate::reads::scenarios(),
        crate::writes::scenarios(),
        crate::verbs::scenarios(),
        crate::subresources::scenarios(),
        crate::callbacks::scenarios(),
        crate::faults::scenarios(),
        crate::lifecycle::scenarios(),
        crate::runs::scenarios(),
        crate::whole::scenarios(),
    ]
    .concat()
}

/// The table of a module: `name => "A1, B2",` with its flavour in parentheses where it is not `Ordered`.
macro_rules! scenarios {
    (@flavour) => { $crate::scenario::Flavour::Ordered };
    (@flavour $flavour:ident) => { $crate::scenario::Flavour::$flavour };
    ($($name:ident => $cites:literal $(($flavour:ident))?),* $(,)?) => {
        /// The scenarios of this module.
        pub(crate) fn scenarios() -> Vec<$crate::scenario::Scenario> {
            vec![$($crate::scenario::Scenario {
                module: module_path!(),
                name: stringify!($name),
                cites: $cites,
                kind: $crate::scenario::scenarios!(@flavour $($flavour)?),
                run: |world| Box::pin($name(world)),
            }),*]
        }
    };
}
pub(crate) use scenarios;
