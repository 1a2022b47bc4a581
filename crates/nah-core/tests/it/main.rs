//! Tests of nah-core by its public interface.

#![allow(clippy::unwrap_used)]

mod causes;
mod key;
mod kind;
mod labels;
mod object;
mod version;
