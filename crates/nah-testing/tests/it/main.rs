//! The server as its clients see it.

mod answers;
mod chores;
mod crd;
mod create;
mod delete;
mod discovery;
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
