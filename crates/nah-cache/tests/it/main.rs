//! Tests of the cache through its public interface.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests are tests")]

mod connect;
mod controller;
mod factory;
mod informer;
mod memory;
mod real;
mod reflector;
mod rest_mapper;
mod script;
mod server;
mod words;
