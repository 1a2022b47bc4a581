//! Tests of nah-backend on the embedded API server, by its public interface.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bad_input;
mod between;
mod blocked;
mod callbacks;
mod causes;
mod crossing;
mod demo;
mod events;
mod examples;
mod failures;
mod finalizer;
mod go_names;
mod ground;
mod guides;
mod kube_runtime;
mod leftovers;
mod lifecycle;
mod limits;
mod loop_model;
mod owner_reference;
mod ownership;
mod promises;
mod races;
mod reads;
mod real;
mod registrations;
mod rights;
mod runs;
mod secrets;
mod shutdown;
mod silence;
mod storm;
mod tokens;
mod triggers;
mod user_code;
mod wait;
