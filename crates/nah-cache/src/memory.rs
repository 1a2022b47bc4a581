//! What a kind costs in memory.

/// What a kind costs in memory, in bytes.
///
/// Counted by what lives: an object that the cache has no more, but that a list or a handle still has, is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KindMemory {
    /// The objects as they are kept: JSON, compressed where the kind is large enough.
    pub encoded: usize,
    /// Of these, what is not compressed: everything while the kind is small, later what has just come.
    pub plain: usize,
    /// The dictionaries that the kind is compressed with, two at most.
    pub dictionaries: usize,
    /// What is known of each object without a decode, and the order in which they stand. Label sets and owners are not in
    /// it: objects that have the same ones share them, over all kinds.
    pub entries: usize,
    /// The indexes, that of owners included, and the values that are remembered.
    pub indexes: usize,
    /// Decoded objects, which are kept within the factory's budget (estimated from the size of their JSON).
    pub hot: usize,
}
