//! Label selectors: read from text, and asked about labels.

use std::collections::BTreeSet;

use kube_core::{Expression, Selector};
use nah_core::Labels;

use crate::CacheError;

/// Reads a selector as `kubectl -l` takes it: `app=web,tier!=db,env in (a, b),!legacy,owner`. An empty text selects
/// everything.
pub(crate) fn parse(text: &str) -> Result<Selector, CacheError> {
    let bad = || CacheError::Selector(format!("{text:?}"));
    if text.trim().is_empty() {
        return Ok(Selector::default());
    }
    requirements(text).map(|requirement| expression(requirement.trim()).ok_or_else(bad)).collect()
}

/// Whether every expression holds for `labels`.
pub(crate) fn selects(expressions: &[Expression], labels: &Labels) -> bool {
    expressions.iter().all(|expression| match expression {
        Expression::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
        Expression::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
        Expression::Exists(key) => labels.get(key).is_some(),
        Expression::DoesNotExist(key) => labels.get(key).is_none(),
        Expression::Equal(key, value) => labels.get(key) == Some(value),
        Expression::NotEqual(key, value) => labels.get(key) != Some(value),
    })
}

/// The parts between commas that stand outside parentheses.
fn requirements(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
}

fn expression(text: &str) -> Option<Expression> {
    if let Some(key) = text.strip_prefix('!') {
        return Some(Expression::DoesNotExist(key_of(key)?));
    }
    if let Some((key, value)) = text.split_once("!=") {
        return Some(Expression::NotEqual(key_of(key)?, value_of(value)?));
    }
    if let Some((key, value)) = text.split_once('=') {
        return Some(Expression::Equal(key_of(key)?, value_of(value.strip_prefix('=').unwrap_or(value))?));
    }
    let Some((key, set)) = text.split_once(char::is_whitespace) else {
        return Some(Expression::Exists(key_of(text)?));
    };
    let (operator, values) = set.trim_start().split_once('(')?;
    let values = values.strip_suffix(')')?.split(',').map(value_of).collect::<Option<BTreeSet<_>>>()?;
    match operator.trim_end() {
        "in" => Some(Expression::In(key_of(key)?, values)),
        "notin" => Some(Expression::NotIn(key_of(key)?, values)),
        _ => None,
    }
}

fn key_of(text: &str) -> Option<String> {
    let key = text.trim();
    (!key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c)))
        .then(|| key.to_owned())
}

fn value_of(text: &str) -> Option<String> {
    let value = text.trim();
    value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    //! Texts that parse, texts that do not, and what they select.

    use super::{parse, selects};

    fn check(text: &str, selected: bool) {
        let labels = [("app", "web"), ("tier", "front"), ("example.com/x", "1")].into_iter().collect();
        let expressions: Vec<_> = parse(text).unwrap_or_else(|error| panic!("{error}")).into_iter().collect();
        assert_eq!(selects(&expressions, &labels), selected, "{text}");
    }

    #[test]
    fn every_operator_selects() {
        // F10
        for text in [
            "",
            "app=web",
            "app==web",
            "app = web",
            "app",
            "!legacy",
            "tier!=back",
            "other!=x",
            "app in (api, web)",
            "tier notin (back)",
            "other notin (x)",
            "app=web,tier in (front,back),!legacy",
            "example.com/x=1",
        ] {
            check(text, true);
        }
        for text in [
            "app=api",
            "legacy",
            "!app",
            "app!=web",
            "app in (api)",
            "app notin (web)",
            "app=web,tier=back",
            "other in (x)",
        ] {
            check(text, false);
        }
    }

    #[test]
    fn a_text_that_does_not_parse_is_named() {
        for text in [
            "=web",
            "app in web",
            "app in (web",
            "a b",
            "app=web,",
            "app>1",
            "app within (x)",
            "!",
            "a=b=c",
            "app(x)",
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
