//! A JSON value that borrows its strings from the text.
//!
//! Used for the parts of a body whose shape clients vary (messages, prompts): reading them into a lenient tree
//! lets the engine, which owns the schema, be the one to refuse what is wrong.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

/// Any JSON value. Only what routing reads is kept of numbers.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Json<'a> {
    /// `null`, or a field that is not there.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// A number; `Some` when it could be a token id.
    Number(Option<u32>),
    /// A non-empty array of nothing but token ids, kept small because prompts of this kind are long.
    Tokens(Vec<u32>),
    /// A string.
    Text(Cow<'a, str>),
    /// Any other array.
    Array(Vec<Self>),
    /// An object in its own order.
    Object(Vec<(Cow<'a, str>, Self)>),
}

impl<'a> Json<'a> {
    /// The last member called `name`, when this is an object.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => {
                members.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
            }
            Self::Null
            | Self::Bool(_)
            | Self::Number(_)
            | Self::Tokens(_)
            | Self::Text(_)
            | Self::Array(_) => None,
        }
    }

    /// The string, when this is one.
    #[must_use]
    pub const fn as_text(&self) -> Option<&Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null
            | Self::Bool(_)
            | Self::Number(_)
            | Self::Tokens(_)
            | Self::Array(_)
            | Self::Object(_) => None,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(u32::try_from(value).ok()))
    }

    fn visit_i64<E>(self, _value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(None))
    }

    fn visit_f64<E>(self, _value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number(None))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut tokens = Vec::new();
        let first_other = loop {
            match items.next_element()? {
                Some(Json::Number(Some(id))) => tokens.push(id),
                other => break other,
            }
        };
        if first_other.is_none() && !tokens.is_empty() {
            return Ok(Json::Tokens(tokens));
        }
        let mut array: Vec<_> = tokens.into_iter().map(|id| Json::Number(Some(id))).collect();
        array.extend(first_other);
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json<'de>, A::Error> {
        let mut object = Vec::new();
        while let Some((Key(key), value)) = entries.next_entry()? {
            object.push((key, value));
        }
        Ok(Json::Object(object))
    }
}

/// An object key, borrowed when it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Json::deserialize(deserializer)? {
            Json::Text(text) => Ok(Self(text)),
            _ => Err(serde::de::Error::custom("object keys are strings")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borrows_strings_without_escapes_only() {
        let json: Json<'_> = serde_json::from_str(r#"{"plain":"abc","escaped":"a\nb"}"#).unwrap();
        assert!(matches!(json.member("plain"), Some(Json::Text(Cow::Borrowed("abc")))));
        assert!(matches!(json.member("escaped"), Some(Json::Text(Cow::Owned(text))) if text == "a\nb"));
    }

    #[test]
    fn arrays_of_token_ids_are_kept_small() {
        let json = |text| serde_json::from_str::<Json<'_>>(text).unwrap();
        assert_eq!(json("[1, 2]"), Json::Tokens(vec![1, 2]));
        assert_eq!(json("[]"), Json::Array(vec![]));
        let mixed = vec![Json::Number(Some(1)), Json::Number(None), Json::Number(Some(2))];
        assert_eq!(json("[1, -1, 2]"), Json::Array(mixed));
    }

    #[test]
    fn keeps_every_shape() {
        let json: Json<'_> = serde_json::from_str(r#"[null, true, 7, -7, 1.5, 4294967296, {}, []]"#).unwrap();
        let expected = vec![
            Json::Null,
            Json::Bool(true),
            Json::Number(Some(7)),
            Json::Number(None),
            Json::Number(None),
            Json::Number(None),
            Json::Object(vec![]),
            Json::Array(vec![]),
        ];
        assert_eq!(json, Json::Array(expected));
    }
}
