//! Tests of nah-core by its public interface.

mod causes;
mod key;
mod kind;
mod labels;
mod object;
mod version;
