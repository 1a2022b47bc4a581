//! Tests of nah-backend on the embedded API server, by its public interface.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bad_input;
mod callbacks;
mod causes;
mod crossing;
mod demo;
mod examples;
mod failures;
mod finalizer;
mod ground;
mod lifecycle;
mod ownership;
mod promises;
mod reads;
mod registrations;
mod shutdown;
mod storm;
mod triggers;
mod wait;
