//! The benches of nah, a file a claim, and what they stand on.
#![allow(missing_docs, reason = "nobody outside the benches reads it")]

pub mod config_maps;
pub mod pods;
pub mod process;
pub mod server;
pub mod targets;
