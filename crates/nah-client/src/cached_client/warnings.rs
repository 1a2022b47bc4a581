//! What the API server has warned of.

use std::collections::VecDeque;

use http::{HeaderMap, header};
use parking_lot::Mutex;

/// So many different ones are remembered; beyond it the oldest is forgotten, and logged again if it comes again.
const KEPT: usize = 256;

/// Each different text once.
#[derive(Debug, Default)]
pub(super) struct Warnings(Mutex<VecDeque<String>>);

impl Warnings {
    /// Takes in the warnings of an answer, and logs the new ones.
    pub(super) fn heard(&self, headers: &HeaderMap) {
        for text in headers.get_all(header::WARNING).iter().filter_map(|value| text(value.to_str().ok()?)) {
            let mut kept = self.0.lock();
            if kept.contains(&text) {
                continue;
            }
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back(text.clone());
            drop(kept);
            tracing::warn!(warning = text, "the API server warns");
        }
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().iter().cloned().collect()
    }
}

/// The text of `299 - "text"`, which may have a date after it; quotes and backslashes in it are escaped.
fn text(value: &str) -> Option<String> {
    let quoted = value.split_once('"')?.1;
    let mut text = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some(text),
            '\\' => text.push(characters.next()?),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::WARNING, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn remembers_each_text_once() {
        let warnings = Warnings::default();
        let values = [
            r#"299 - "unknown field \"spec.a\"""#,
            r#"299 - "v1 is \\ old" "Wed, 21 Oct 2015 07:28:00 GMT""#,
        ];
        warnings.heard(&headers(&values));
        warnings.heard(&headers(&values[..1]));
        assert_eq!(warnings.all(), [r#"unknown field "spec.a""#, r"v1 is \ old"]);
    }

    #[test]
    fn forgets_the_oldest_and_what_is_no_warning() {
        let warnings = Warnings::default();
        warnings.heard(&headers(&["299", "299 - \"open", ""]));
        assert!(warnings.all().is_empty());
        for n in 0..=KEPT {
            warnings.heard(&headers(&[&format!("299 - \"{n}\"")]));
        }
        assert_eq!(warnings.all().len(), KEPT);
        assert_eq!(warnings.all()[0], "1");
    }
}
