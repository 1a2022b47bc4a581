//! What the overlay promises, one fact a test, and on a model.

mod answers;
mod facts;
mod model;
