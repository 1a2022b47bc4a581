//! How a query is answered, and how an index is.

use std::fmt;

/// Which index answers a query, and what it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The index that names the candidates: one that was added, by its name, or one that is built in
    /// (`metadata.name`, `metadata.namespace`, `metadata.ownerReferences.uid`). None where all objects are looked at.
    pub index: Option<String>,
    /// How many objects are looked at.
    pub candidates: usize,
    /// What each of them is asked, in this order.
    pub checks: Vec<String>,
    /// How many objects the answer has.
    pub selected: usize,
    /// How many objects the kind has.
    pub objects: usize,
}

/// How an index is, for people and machines.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IndexStatus {
    /// The name of the index.
    pub field: String,
    /// Every object has been asked for its values; until then a query by it is not answered.
    pub whole: bool,
    /// How many values have an object.
    pub values: usize,
    /// How many pairs of a value and an object there are.
    pub rows: usize,
    /// What they take in memory, in bytes; the objects are shared with the store.
    pub bytes: usize,
    /// How often the extractor failed or panicked: each time an object that is in no bucket.
    pub failures: u64,
    /// The object that it failed for last, and why.
    pub last_failure: Option<String>,
}

impl Explanation {
    /// Of conditions that contradict each other, among so many objects.
    pub(crate) fn nothing(objects: usize) -> Self {
        Self { index: None, candidates: 0, checks: Vec::new(), selected: 0, objects }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, candidates, checks, selected, objects } = self;
        match index {
            Some(index) => write!(f, "by {index:?}")?,
            None => f.write_str("without an index")?,
        }
        write!(f, ": {candidates} of {objects} objects looked at")?;
        if !checks.is_empty() {
            write!(f, ", asked for {}", checks.join(", "))?;
        }
        write!(f, "; {selected} selected")
    }
}
