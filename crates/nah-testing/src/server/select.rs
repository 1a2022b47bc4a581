//! Label and field selectors.

use serde_json::Value;

use super::names::{LABEL_VALUE, NAME_PART};

/// What a list or a watch is restricted to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<Term>,
}

/// One requirement on a label.
#[derive(Clone, Debug, PartialEq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq)]
enum Operator {
    Exists,
    Missing,
    In(Vec<String>),
    NotIn(Vec<String>),
    Greater(i64),
    Less(i64),
}

/// One comparison of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Term {
    pub(crate) field: String,
    pub(crate) value: String,
    equal: bool,
}

// === impl Selector ===

impl Selector {
    /// Reads both selectors.
    ///
    /// # Errors
    /// A sentence that says what does not parse.
    pub(crate) fn parse(labels: &str, fields: &str) -> Result<Self, String> {
        Ok(Self { labels: parse_labels(labels)?, fields: parse_fields(fields)? })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn terms(&self) -> &[Term] {
        &self.fields
    }

    /// Whether an object is selected; `field` reads a field of it.
    pub(crate) fn matches(&self, object: &Value, field: impl Fn(&str) -> String) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|requirement| requirement.matches(labels))
            && self.fields.iter().all(|term| (field(&term.field) == term.value) == term.equal)
    }
}

// === impl Requirement ===

impl Requirement {
    fn matches(&self, labels: &Value) -> bool {
        let value = labels.get(&self.key).and_then(Value::as_str);
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.operator {
            Operator::Exists => value.is_some(),
            Operator::Missing => value.is_none(),
            Operator::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Operator::NotIn(values) => !value.is_some_and(|value| values.iter().any(|one| one == value)),
            Operator::Greater(than) => number().is_some_and(|number| number > *than),
            Operator::Less(than) => number().is_some_and(|number| number < *than),
        }
    }
}

/// Splits at commas that are not inside parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_i32, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    split(text).into_iter().map(|part| parse_requirement(part.trim())).collect()
}

fn parse_requirement(part: &str) -> Result<Requirement, String> {
    let make = |key: &str, operator| {
        let key = key.trim();
        if is_label_key(key) {
            return Ok(Requirement { key: key.to_owned(), operator });
        }
        Err(format!("unable to parse requirement: <nil>: Invalid value: {key:?}: {NAME_PART}"))
    };
    if let Some(key) = part.strip_prefix('!') {
        return make(key, Operator::Missing);
    }
    if let Some(open) = part.find('(') {
        let (head, set) = part.split_at(open);
        let Some(set) = set[1..].trim_end().strip_suffix(')') else {
            return Err("unable to parse requirement: found '', expected: ',' or ')'".to_owned());
        };
        let values = set.split(',').map(|value| label_value(value.trim())).collect::<Result<Vec<_>, _>>()?;
        let mut words = head.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => make(key, Operator::In(values)),
            (Some(key), Some("notin"), None) => make(key, Operator::NotIn(values)),
            _ => Err(format!("unable to parse requirement: found {part:?}, expected: in, notin")),
        };
    }
    for sign in ["!=", "==", "=", ">", "<"] {
        let Some((key, value)) = part.split_once(sign) else { continue };
        let value = value.trim();
        let number = || {
            value.parse().map_err(|_| {
                format!("unable to parse requirement: for 'Gt', 'Lt' operators, {value:?} must be an integer")
            })
        };
        return match sign {
            "!=" => make(key, Operator::NotIn(vec![label_value(value)?])),
            ">" => make(key, Operator::Greater(number()?)),
            "<" => make(key, Operator::Less(number()?)),
            _ => make(key, Operator::In(vec![label_value(value)?])),
        };
    }
    if let Some(second) = part.split_whitespace().nth(1) {
        return Err(format!(
            "unable to parse requirement: found '{second}', expected: in, notin, =, ==, !=, gt, lt"
        ));
    }
    make(part, Operator::Exists)
}

fn label_value(value: &str) -> Result<String, String> {
    if let Some(second) = value.split_whitespace().nth(1) {
        return Err(format!("found '{second}', expected: ',' or 'end of string'"));
    }
    if is_label_value(value) {
        return Ok(value.to_owned());
    }
    Err(format!("unable to parse requirement: values[0]: Invalid value: {value:?}: {LABEL_VALUE}"))
}

/// Whether `value` may be the value of a label.
pub(crate) fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_qualified_part(value)
}

/// Whether `key` may be the key of a label or an annotation: a name, with or without a domain before a slash.
pub(crate) fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((domain, name)) => super::names::subdomain(domain).is_none() && is_qualified_part(name),
        None => is_qualified_part(key),
    }
}

fn is_qualified_part(text: &str) -> bool {
    let ends = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
    text.len() <= 63
        && ends(text.chars().next())
        && ends(text.chars().next_back())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
}

fn parse_fields(text: &str) -> Result<Vec<Term>, String> {
    let mut terms = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let found = ["!=", "==", "="].iter().find_map(|sign| Some((*sign, part.split_once(sign)?)));
        let Some((sign, (field, value))) = found else {
            return Err(format!("invalid selector: '{text}'; can't understand '{part}'"));
        };
        terms.push(Term {
            field: field.trim().to_owned(),
            value: value.trim().to_owned(),
            equal: sign != "!=",
        });
    }
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selects(labels: &str, object: Value) -> bool {
        let object = json!({"metadata": {"labels": object}});
        Selector::parse(labels, "").unwrap().matches(&object, |_| String::new())
    }

    #[test]
    fn a_label_selector_knows_every_operator() {
        assert!(selects("a=1,b!=2", json!({"a": "1"})));
        assert!(selects("a==1", json!({"a": "1"})));
        assert!(!selects("b!=2", json!({"b": "2"})));
        assert!(selects("a in (1, 2),!c", json!({"a": "2"})));
        assert!(selects("a notin (1,2)", json!({})));
        assert!(!selects("a notin (1,2)", json!({"a": "1"})));
        assert!(selects("a", json!({"a": ""})));
        assert!(!selects("!a", json!({"a": ""})));
        assert!(selects("a>3", json!({"a": "4"})));
        assert!(!selects("a<3", json!({"a": "x"})));
        assert!(selects("example.com/a=b", json!({"example.com/a": "b"})));
    }

    #[test]
    fn a_label_selector_that_does_not_parse_says_so() {
        for wrong in ["a in (b", "a b c", "a=b=c d", "in (a)", "=", "a in", "-x=1"] {
            assert!(Selector::parse(wrong, "").is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_field_selector_compares_for_equal_and_unequal() {
        let selector = Selector::parse("", "metadata.name=a,status.phase!=Running").unwrap();
        let field = |phase: &'static str| {
            move |name: &str| if name == "metadata.name" { "a".to_owned() } else { phase.to_owned() }
        };
        assert!(selector.matches(&json!({}), field("Pending")));
        assert!(!selector.matches(&json!({}), field("Running")));
        assert!(Selector::parse("", "metadata.name").is_err());
    }
}
