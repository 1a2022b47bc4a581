//! The server as its clients see it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod apply;
mod chores;
mod crd;
mod create;
mod delete;
mod discovery;
#[cfg(feature = "fake")]
mod fake;
mod fault;
mod history;
mod journal;
mod kube;
mod list;
mod listen;
mod patch;
mod shape;
mod support;
mod update;
mod watch;
