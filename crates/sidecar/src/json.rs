//! Edits members of a JSON object inside its text.
//!
//! A request passes through the sidecar with a handful of members changed. Parsing it into a tree and printing
//! it again would reorder keys, lose digits of large numbers and cost time with the size of the prompt, so the
//! object is scanned once for where its members stand and the new text is put together from slices of the old.
//!
//! Guarantees: bytes outside the edited members come out as they went in; of a repeated key the last one counts
//! (as in every engine) and the others go when the key is edited; the text is checked to be UTF-8 and JSON.
//!
//! Not here: what is edited (`connector`, `client_body`, `usage`).

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer as _};
use serde_json::value::RawValue;

#[cfg(test)]
mod tests;

/// Members one object may have; real requests have some dozens. Bounds the memory of a scan.
const MAX_MEMBERS: usize = 4096;

/// A JSON object's text with the places of its members.
#[derive(Debug)]
pub struct Object<'a> {
    text: &'a [u8],
    /// First byte after the opening brace.
    body: usize,
    members: Vec<Member<'a>>,
}

#[derive(Debug)]
struct Member<'a> {
    key: Cow<'a, str>,
    value: &'a str,
    /// From the quote that opens the key to the end of the value.
    whole: Range<usize>,
    /// Where the value starts.
    value_start: usize,
}

/// One change of an object.
#[derive(Debug, Clone, Copy)]
pub enum Edit<'e> {
    /// Gives the member this JSON text as its value, where the member stands or else at the end.
    Set(&'e str, &'e str),
    /// Takes the member out.
    Remove(&'e str),
}

impl Edit<'_> {
    const fn key(&self) -> &str {
        match self {
            Self::Set(key, _) | Self::Remove(key) => key,
        }
    }
}

impl<'a> Object<'a> {
    /// Finds the members of the object that `text` holds, whitespace around it allowed.
    ///
    /// # Errors
    /// When the text is not UTF-8, not JSON, not an object, or has more than 4096 members.
    pub fn parse(text: &'a [u8]) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let pairs = deserializer.deserialize_map(Pairs)?;
        deserializer.end()?;
        let body = text.iter().position(|&it| it == b'{').map_or(0, |it| it + 1);
        let mut end = body;
        let members = pairs
            .into_iter()
            .map(|(key, value)| {
                // The value borrows from `text`, so the distance of the two pointers is its place in it.
                let value_start = value.get().as_ptr() as usize - text.as_ptr() as usize;
                // Only a comma and whitespace stand between two members, so the first quote opens the key.
                let start = end + memchr::memchr(b'"', &text[end..value_start]).unwrap_or(0);
                end = value_start + value.get().len();
                Member { key, value: value.get(), whole: start..end, value_start }
            })
            .collect();
        Ok(Self { text, body, members })
    }

    /// The JSON text of a member's value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.members.iter().rfind(|it| it.key == key).map(|it| it.value)
    }

    /// Whether the object has the member.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The object's text after `edits`, which name different keys.
    #[must_use]
    pub fn edited(&self, edits: &[Edit<'_>]) -> Vec<u8> {
        let growth: usize = edits
            .iter()
            .map(|it| if let Edit::Set(key, json) = it { key.len() + json.len() + 4 } else { 0 })
            .sum();
        let mut out = Vec::with_capacity(self.text.len() + growth);
        out.extend_from_slice(&self.text[..self.body]);
        let mut is_empty = true;
        for (index, member) in self.members.iter().enumerate() {
            let edit = edits.iter().find(|it| it.key() == member.key);
            let is_last_of_key = || !self.members[index + 1..].iter().any(|it| it.key == member.key);
            let value = match edit {
                None => member.value,
                Some(Edit::Set(_, json)) if is_last_of_key() => json,
                Some(Edit::Set(..) | Edit::Remove(_)) => continue,
            };
            out.extend_from_slice(self.space_before(index, is_empty));
            out.extend_from_slice(&self.text[member.whole.start..member.value_start]);
            out.extend_from_slice(value.as_bytes());
            is_empty = false;
        }
        for edit in edits {
            if let Edit::Set(key, json) = edit
                && !self.has(key)
            {
                let comma = if is_empty { "" } else { "," };
                out.extend_from_slice(format!("{comma}\"{key}\":{json}").as_bytes());
                is_empty = false;
            }
        }
        out.extend_from_slice(&self.text[self.end_of_members()..]);
        out
    }

    /// What separates the member from what is before it: the object's own separator, without a comma when the
    /// member has become the first.
    fn space_before(&self, index: usize, becomes_first: bool) -> &'a [u8] {
        match index.checked_sub(1) {
            Some(previous) if !becomes_first => {
                &self.text[self.members[previous].whole.end..self.members[index].whole.start]
            }
            _ => &self.text[self.body..self.members[0].whole.start],
        }
    }

    fn end_of_members(&self) -> usize {
        self.members.last().map_or(self.body, |it| it.whole.end)
    }
}

/// Edits an object that stands inside others: `path` names the members that lead to it from `json`.
///
/// Returns the new text of `json`, or `None` when there is no object at the end of the path or `change` has
/// nothing to change there.
pub fn edit_nested(
    json: &str,
    path: &[&str],
    change: &dyn Fn(&Object<'_>) -> Option<Vec<u8>>,
) -> Option<String> {
    let object = Object::parse(json.as_bytes()).ok()?;
    let edited = match path {
        [] => change(&object)?,
        [key, rest @ ..] => {
            let inner = edit_nested(object.get(key)?, rest, change)?;
            object.edited(&[Edit::Set(key, &inner)])
        }
    };
    String::from_utf8(edited).ok()
}

/// Collects an object's members as text.
struct Pairs;

/// A key that borrows from the text unless it has escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some((Key(key), value)) = map.next_entry()? {
            if pairs.len() == MAX_MEMBERS {
                return Err(A::Error::custom(format_args!("more than {MAX_MEMBERS} members in one object")));
            }
            pairs.push((key, value));
        }
        Ok(pairs)
    }
}
