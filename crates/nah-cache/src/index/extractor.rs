//! A named way to the values of an object.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use nah_core::{DecodeError, Labels, Misfit, Object, Outline, panics::quietly};
use parking_lot::Mutex;

use super::{Extract, ValuesOf, path::Path};
use crate::CacheError;

/// A named way to the values of an object, and how often it failed.
pub(crate) struct Extractor {
    pub(crate) field: Arc<str>,
    extract: Compiled,
    failures: AtomicU64,
    last_failure: Mutex<Option<String>>,
}

enum Compiled {
    Path(Path),
    Object(ValuesOf),
    Label(Arc<str>),
    Labels,
}

impl Extractor {
    pub(crate) fn new(field: &str, extract: Extract) -> Result<Self, CacheError> {
        let extract = match extract {
            Extract::Path(path) => {
                let path = Path::parse(&path)?;
                // What is in the head need not be looked for in the bytes.
                path.label().map(|label| Compiled::Label(label.into())).unwrap_or(Compiled::Path(path))
            }
            Extract::Object(extract) => Compiled::Object(extract),
            Extract::Label(label) => Compiled::Label(label.into()),
            Extract::Labels => Compiled::Labels,
        };
        Ok(Self { field: field.into(), extract, failures: AtomicU64::new(0), last_failure: Mutex::default() })
    }

    /// Whether the values are in the head of the object: they are then always the same, cost no decode, and need not
    /// be remembered.
    pub(crate) fn reads_head(&self) -> bool {
        matches!(self.extract, Compiled::Label(_) | Compiled::Labels)
    }

    /// The one label whose values these are.
    pub(crate) fn label(&self) -> Option<&str> {
        match &self.extract {
            Compiled::Label(label) => Some(label),
            _ => None,
        }
    }

    pub(crate) fn has_all_labels(&self) -> bool {
        matches!(self.extract, Compiled::Labels)
    }

    /// The values that are in the head.
    pub(crate) fn values_of_head<'a>(&self, labels: &'a Labels) -> Vec<Cow<'a, str>> {
        match &self.extract {
            Compiled::Label(label) => labels.get(label).map(Cow::Borrowed).into_iter().collect(),
            Compiled::Labels => labels.iter().map(|(label, value)| Cow::Owned(pair(label, value))).collect(),
            Compiled::Path(_) | Compiled::Object(_) => Vec::new(),
        }
    }

    /// Whether the values are read from the text of an object, and no code of users is asked.
    pub(crate) fn reads_text(&self) -> bool {
        matches!(self.extract, Compiled::Path(_))
    }

    /// The values of an object that arrives, sorted and without doubles, where they stand in its outline.
    pub(crate) fn values_in(&self, outline: &Outline<'_>) -> Option<Vec<String>> {
        match &self.extract {
            Compiled::Path(path) => path.values_in(outline),
            Compiled::Object(_) | Compiled::Label(_) | Compiled::Labels => None,
        }
    }

    /// The values of `object`, sorted and without doubles; or what went wrong, a panic of the extractor included,
    /// which is counted.
    pub(crate) fn values(&self, object: &Object) -> Result<Vec<String>, String> {
        self.try_values(object).inspect_err(|error| {
            self.failures.fetch_add(1, Relaxed);
            *self.last_failure.lock() = Some(format!("{}: {error}", object.key()));
        })
    }

    fn try_values(&self, object: &Object) -> Result<Vec<String>, String> {
        let extract = match &self.extract {
            Compiled::Path(path) => {
                let values = object.read(|json| path.values(json)).map_err(|error| error.to_string())?;
                return values.map_err(|error| Misfit::from(error).to_string());
            }
            Compiled::Label(_) | Compiled::Labels => {
                let mut values: Vec<_> =
                    self.values_of_head(object.labels()).into_iter().map(Cow::into_owned).collect();
                values.sort_unstable();
                return Ok(values);
            }
            Compiled::Object(extract) => extract,
        };
        // What an extractor leaves broken by a panic is its own: nothing of ours is borrowed mutably here.
        let values: Option<Result<_, DecodeError>> = quietly(|| extract(object));
        let mut values =
            values.ok_or_else(|| "extractor panicked".to_owned())?.map_err(|error| error.to_string())?;
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    /// How often it failed or panicked.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// The object that failed last, and why.
    pub(crate) fn last_failure(&self) -> Option<String> {
        self.last_failure.lock().clone()
    }
}

/// A label and its value as the index over all labels has them. Neither can hold an equals sign, so the pairs of one
/// label stand together: behind `label=`, before `label>`.
pub(crate) fn pair(label: &str, value: &str) -> String {
    [label, "=", value].concat()
}
