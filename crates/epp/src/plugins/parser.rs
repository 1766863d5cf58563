//! Parsers of request bodies.

pub mod openai_parser;
pub mod passthrough_parser;
pub mod vllmhttp_parser;

use std::borrow::Cow;
use std::ops::Range;

use serde_json::value::RawValue;

use crate::plugin::ParseError;

/// Reads a JSON object into `T`, borrowing from `body`.
pub(crate) fn read_object<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, ParseError> {
    // A struct may also be read from an array, which no API here allows.
    if body.iter().find(|it| !it.is_ascii_whitespace()) != Some(&b'{') {
        return Err(ParseError::Json("expected a JSON object".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| ParseError::Json(error.to_string()))
}

/// The model's name and where it stands in `body`.
pub(crate) fn model<'a>(
    body: &[u8],
    raw: Option<&'a RawValue>,
) -> Result<(Cow<'a, str>, Range<usize>), ParseError> {
    let raw = raw.ok_or(ParseError::NoModel)?.get();
    let name = text(raw).filter(|name| !name.is_empty()).ok_or(ParseError::NoModel)?;
    // `raw` is a part of `body`, so the distance of their first bytes is its position.
    let start = raw.as_ptr().addr() - body.as_ptr().addr();
    Ok((name, start..start + raw.len()))
}

/// The string that `raw` is, if it is one.
pub(crate) fn text(raw: &str) -> Option<Cow<'_, str>> {
    match serde_json::from_str::<crate::request::json::Json<'_>>(raw) {
        Ok(crate::request::json::Json::Text(text)) => Some(text),
        _ => None,
    }
}
