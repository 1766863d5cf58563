//! From body bytes to a request type, with an error that names the field.

use std::fmt::Display;

use serde::de::DeserializeOwned;

/// Why a body is not a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidBody {
    /// Path of the offending field such as `messages[0].role`; `None` when the body is not JSON at all.
    pub param: Option<String>,
    /// What is wrong, for the client.
    pub message: String,
}

/// Reads a request from JSON.
///
/// # Errors
/// [`InvalidBody`] when the bytes are not JSON, not UTF-8, or a field has the wrong type.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, InvalidBody> {
    let text = str::from_utf8(body).map_err(whole_body)?;
    // A sequence would be read as the fields in order of declaration.
    if !text.trim_start().starts_with('{') {
        return Err(whole_body("expected a JSON object"));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let request = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let cause = error.into_inner();
        if path == "." || !cause.is_data() {
            return whole_body(cause);
        }
        InvalidBody { message: format!("field {path:?} is not valid: {cause}"), param: Some(path) }
    })?;
    reader.end().map_err(whole_body)?;
    Ok(request)
}

fn whole_body(cause: impl Display) -> InvalidBody {
    InvalidBody { param: None, message: format!("the request body is not valid: {cause}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai::chat::ChatCompletionRequest;
    use crate::openai::sampling::SamplingFields;

    #[track_caller]
    fn check(body: &[u8], param: Option<&str>, part: &str) {
        let error = parse::<SamplingFields>(body).unwrap_err();
        assert_eq!(error.param.as_deref(), param, "{error:?}");
        assert!(error.message.contains(part), "{error:?}");
    }

    #[test]
    fn errors_name_the_field() {
        check(br#"{"temperature":"hot"}"#, Some("temperature"), "invalid type: string \"hot\"");
        check(br#"{"stop":[1]}"#, Some("stop"), "a string or a list of strings");
        check(br#"{"logit_bias":{"5":"x"}}"#, Some("logit_bias.5"), "invalid type");
    }

    #[test]
    fn errors_outside_a_field_name_none() {
        check(b"", None, "expected a JSON object");
        check(b"[]", None, "expected a JSON object");
        check(b"{", None, "EOF");
        check(b"{} x", None, "trailing characters");
        check(b"{\"user\":\"\xff\xfe\"}", None, "invalid utf-8");
    }

    #[test]
    fn unknown_fields_and_nulls_are_absent_fields() {
        let fields: SamplingFields = parse(br#"{"stop":null,"seed":null,"frobnicate":{"a":[1]}}"#).unwrap();
        assert_eq!(fields, SamplingFields::default());
    }

    #[test]
    fn a_missing_field_is_named() {
        let error = parse::<ChatCompletionRequest>(b"{}").unwrap_err();
        assert!(error.message.contains("missing field `messages`"), "{error:?}");
    }
}
