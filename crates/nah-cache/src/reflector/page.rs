//! A list's body, split as it arrives into raw items and what stands around them. Pure.

use std::borrow::Cow;

use bytes::Bytes;
use nah_core::{ResourceVersion, json::Scan};
use serde::{Deserialize, de::IgnoredAny};

use super::failure::Failure;

/// etcd takes objects of up to 1.5 MiB.
pub(crate) const LONGEST: usize = 16 << 20;

/// Splits the body of a list. Items that arrived whole are parts of what arrived, not copies; what was given out is not
/// kept.
///
/// Most servers write the metadata before the items, so that the next page can be asked for while this one arrives.
/// The fields of a list of custom resources are in alphabetical order, items first.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    /// What has arrived, and how far it was looked at.
    arrived: Bytes,
    at: usize,
    place: Place,
    /// How far into the value at hand, and where it begins in what has arrived.
    value: Option<Scan>,
    start: usize,
    /// The value at hand, where it began in what arrived before.
    begun: Vec<u8>,
    kind: Option<String>,
    has_head: bool,
    has_items: bool,
}

/// What a list says of itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Head {
    /// Empty where a server gives none.
    pub(crate) version: ResourceVersion,
    /// Where the next page begins.
    pub(crate) next: Option<String>,
}

/// What a body is made of.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece<'a> {
    Head(Head),
    Item(&'a [u8]),
}

/// What may come next.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Place {
    #[default]
    Start,
    /// A key, or the end where nothing stood before.
    Fields,
    Key,
    Colon(Field),
    Value(Field),
    AfterValue,
    /// An item, or the end of them where there was none.
    Items,
    Item,
    AfterItem,
    End,
}

/// The fields that matter.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    Kind,
    Metadata,
    Items,
    Other,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta<'a> {
    #[serde(borrow)]
    resource_version: Option<Cow<'a, str>>,
    #[serde(rename = "continue")]
    next: Option<String>,
}

impl Splitter {
    /// Takes in what has arrived. What arrived before must have been taken out.
    pub(crate) fn push(&mut self, arrived: Bytes) {
        (self.arrived, self.at, self.start) = (arrived, 0, 0);
    }

    /// The next piece; none until more arrives.
    ///
    /// # Errors
    /// Where the body is no list.
    pub(crate) fn next(&mut self) -> Result<Option<Piece<'_>>, Failure> {
        while self.scan()? {
            match self.place {
                Place::Fields | Place::Key => {
                    let field = field(&read::<Cow<'_, str>>(self.text())?);
                    let again =
                        field == Field::Metadata && self.has_head || field == Field::Items && self.has_items;
                    if again {
                        return Err(Failure::other("list has the same field twice"));
                    }
                    self.place = Place::Colon(field);
                }
                Place::Value(Field::Metadata) => {
                    (self.place, self.has_head) = (Place::AfterValue, true);
                    let meta: Option<ListMeta<'_>> = read(self.text())?;
                    let version = meta.as_ref().and_then(|meta| meta.resource_version.as_deref());
                    let version = version.unwrap_or_default().into();
                    let next = meta.and_then(|meta| meta.next).filter(|next| !next.is_empty());
                    return Ok(Some(Piece::Head(Head { version, next })));
                }
                Place::Value(field) => {
                    self.place = Place::AfterValue;
                    match field {
                        Field::Kind => self.kind = read(self.text())?,
                        // Go writes an empty slice as null; only a body without the field is no list.
                        Field::Items if self.text() == b"null" => self.has_items = true,
                        Field::Items => return Err(Failure::other("list has items that are no list")),
                        _ => _ = read::<IgnoredAny>(self.text())?,
                    }
                }
                _ if self.text().is_empty() => return Err(Failure::other("list has a comma and no item")),
                _ => {
                    self.place = Place::AfterItem;
                    return Ok(Some(Piece::Item(self.text())));
                }
            }
        }
        Ok(None)
    }

    /// Ends the body.
    ///
    /// # Errors
    /// Where it is no list, or not the whole of one: an absence may only be concluded from a list that is whole.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        if self.place != Place::End {
            return Err(Failure::other("cannot read list: it ends in the middle"));
        }
        if !self.has_items {
            let kind = self.kind.as_deref().unwrap_or("something");
            return Err(Failure::other(format!("server answered a list with {kind} that has no items")));
        }
        Ok(())
    }

    /// How many bytes are held.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn held(&self) -> usize {
        self.begun.capacity()
    }

    /// Looks on, to the end of a key, a field's value or an item; false where that has not arrived.
    fn scan(&mut self) -> Result<bool, Failure> {
        if self.value.is_none() {
            self.begun.clear();
        }
        while let Some(byte) = self.arrived.get(self.at).copied() {
            if let Some(value) = &mut self.value {
                let Some(length) = value.end(&self.arrived[self.at..]) else { break };
                self.at += length;
                self.value = None;
                if !self.begun.is_empty() {
                    self.begun.extend_from_slice(&self.arrived[..self.at]);
                }
                return Ok(true);
            }
            if byte.is_ascii_whitespace() {
                self.at += 1;
                continue;
            }
            self.place = match (self.place, byte) {
                (Place::Start, b'{') => Place::Fields,
                (Place::Fields | Place::AfterValue, b'}') => Place::End,
                (Place::AfterValue, b',') => Place::Key,
                (Place::Colon(field), b':') => Place::Value(field),
                (Place::Value(Field::Items), b'[') => {
                    self.has_items = true;
                    Place::Items
                }
                (Place::Items | Place::AfterItem, b']') => Place::AfterValue,
                (Place::AfterItem, b',') => Place::Item,
                (Place::Fields | Place::Key, b'"') | (Place::Value(_) | Place::Items | Place::Item, _) => {
                    (self.value, self.start) = (Some(Scan::default()), self.at);
                    continue;
                }
                _ => {
                    let byte = byte.escape_ascii();
                    return Err(Failure::other(format!(
                        "cannot read list: there is a {byte} in the wrong place"
                    )));
                }
            };
            self.at += 1;
        }
        if self.value.is_some() {
            self.begun.extend_from_slice(&self.arrived[self.start..]);
            if self.begun.len() > LONGEST {
                return Err(Failure::other("list has an item without an end"));
            }
        }
        self.push(Bytes::new());
        Ok(false)
    }

    /// The value that was looked at to its end.
    fn text(&self) -> &[u8] {
        match self.begun.is_empty() {
            true => &self.arrived[self.start..self.at],
            false => &self.begun,
        }
    }
}

fn field(name: &str) -> Field {
    match name {
        "kind" => Field::Kind,
        "metadata" => Field::Metadata,
        "items" => Field::Items,
        _ => Field::Other,
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(text).map_err(|error| Failure::unreadable("list", error))
}

#[cfg(test)]
mod tests;
