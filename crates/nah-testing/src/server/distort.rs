//! Faults at work on the bytes of an answer.

use std::{collections::VecDeque, io::Write, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};

use super::status::Status;
use crate::fault::{Action, Corruption};

/// What happens to the bytes of one answer.
#[derive(Debug, Default)]
pub(crate) struct Distort {
    actions: Vec<Action>,
    lines: u64,
    bytes: u64,
    has_corrupted: bool,
}

/// What is sent in place of a line.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    Send(Bytes),
    /// The connection breaks.
    Cut,
    /// The stream ends in good order.
    End,
}

// === impl Distort ===

impl Distort {
    pub(crate) fn new(actions: Vec<Action>) -> Self {
        Self { actions, ..Self::default() }
    }

    pub(crate) fn lag(&self) -> Option<Duration> {
        self.actions.iter().find_map(|action| match action {
            Action::Lag(time) => Some(*time),
            _ => None,
        })
    }

    pub(crate) fn is_gzipped(&self) -> bool {
        self.actions.contains(&Action::GzipMembers)
    }

    /// What is done before the first line: a stream may end before it begins.
    pub(crate) fn before_first(&self, steps: &mut VecDeque<Step>) {
        self.end(steps);
    }

    /// What is sent of a watch's line.
    pub(crate) fn line(&mut self, line: Vec<u8>, steps: &mut VecDeque<Step>) {
        let number = self.lines;
        self.lines += 1;
        let line = self.corrupt_line(line);
        let copies = if self.actions.contains(&Action::Duplicate(number)) { 2 } else { 1 };
        for _ in 0..copies {
            let line = if self.is_gzipped() { gzip_member(&line) } else { line.clone() };
            if !self.send(line, steps) {
                return;
            }
        }
        self.end(steps);
    }

    /// What is sent of an answer that is no stream.
    pub(crate) fn body(&mut self, body: Vec<u8>) -> VecDeque<Step> {
        let mut steps = VecDeque::new();
        let body = self.corrupt_body(body);
        self.send(body, &mut steps);
        steps
    }

    /// Whether an answer that is no stream is changed at all.
    pub(crate) fn touches_bodies(&self) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::Corrupt { .. } | Action::CutAfterBytes(_)))
    }

    fn end(&self, steps: &mut VecDeque<Step>) {
        for action in &self.actions {
            match action {
                Action::CutAfterEvents(events) if *events == self.lines => return steps.push_back(Step::Cut),
                Action::EndAfterEvents(events) if *events == self.lines => return steps.push_back(Step::End),
                Action::ErrorEvent { after, code } if *after == self.lines => {
                    let event = json!({"type": "ERROR", "object": Status::of_code(*code).to_json()});
                    steps.push_back(Step::Send(format!("{event}\n").into()));
                    return steps.push_back(Step::End);
                }
                _ => {}
            }
        }
    }

    /// Sends what a limit of bytes lets through; whether that was all.
    fn send(&mut self, mut bytes: Vec<u8>, steps: &mut VecDeque<Step>) -> bool {
        let limit = self.actions.iter().find_map(|action| match action {
            Action::CutAfterBytes(bytes) => Some(*bytes),
            _ => None,
        });
        let left = limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.bytes));
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let whole = length <= left;
        if !whole {
            bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        self.bytes += length;
        if !bytes.is_empty() {
            steps.push_back(Step::Send(bytes.into()));
        }
        if !whole {
            steps.push_back(Step::Cut);
        }
        whole
    }

    fn corrupt_line(&mut self, line: Vec<u8>) -> Vec<u8> {
        let Some(mut event) = self.parse(&line) else { return line };
        let name = event["object"]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        match self.corruption_of(&name) {
            None => line,
            Some(Corruption::Truncated) => {
                let mut half = line[..line.len() / 2].to_vec();
                half.push(b'\n');
                half
            }
            Some(how) => {
                spoil(&mut event["object"], &how);
                format!("{event}\n").into_bytes()
            }
        }
    }

    fn corrupt_body(&mut self, body: Vec<u8>) -> Vec<u8> {
        let Some(mut value) = self.parse(&body) else { return body };
        let mut objects = match value.get_mut("items").and_then(Value::as_array_mut) {
            Some(items) => items.iter_mut().collect(),
            None => vec![&mut value],
        };
        let mut truncates = false;
        for object in &mut objects {
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            match self.corruption_of(&name) {
                None => {}
                Some(Corruption::Truncated) => truncates = true,
                Some(how) => spoil(object, &how),
            }
        }
        if truncates {
            return body[..body.len() / 2].to_vec();
        }
        value.to_string().into_bytes()
    }

    /// The JSON of what is to be spoiled, if anything is.
    fn parse(&self, bytes: &[u8]) -> Option<Value> {
        let corrupts = self.actions.iter().any(|action| matches!(action, Action::Corrupt { .. }));
        if corrupts { serde_json::from_slice(bytes).ok() } else { None }
    }

    fn corruption_of(&mut self, found: &str) -> Option<Corruption> {
        let has_corrupted = self.has_corrupted;
        let how = self.actions.iter().find_map(|action| match action {
            Action::Corrupt { name: Some(name), how } if name == found => Some(how.clone()),
            Action::Corrupt { name: None, how } if !has_corrupted && !found.is_empty() => Some(how.clone()),
            _ => None,
        })?;
        self.has_corrupted = true;
        Some(how)
    }
}

fn spoil(object: &mut Value, how: &Corruption) {
    match how {
        Corruption::NoMetadata => {
            object.as_object_mut().map(|members| members.remove("metadata"));
        }
        Corruption::WrongType(path) => {
            let mut found = object;
            for part in path.split('.').filter(|part| !part.is_empty()) {
                let next = match part.parse::<usize>() {
                    Ok(at) if found.is_array() => found.get_mut(at),
                    _ if found.is_object() || found.is_null() => Some(&mut found[part]),
                    _ => None,
                };
                let Some(next) = next else { return };
                found = next;
            }
            // A map where there was anything else, and a text where there was a map or nothing.
            *found = if found.is_object() || found.is_null() {
                json!("spoiled")
            } else {
                json!({"spoiled": true})
            };
        }
        Corruption::Truncated => {}
    }
}

/// Compresses at the cost that a server on loopback can afford.
pub(crate) fn gzip_member(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}
