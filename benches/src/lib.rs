//! The benches of nah, a file a claim.
