//! `vllmhttp-parser`: vLLM's token-in, token-out API.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::{Extension, ParseError, ParsedBody, Parser};
use crate::plugins::parser::{model, read_object, text};
use crate::request::Prompt;

#[derive(Debug, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_salt: Option<&'a RawValue>,
    token_ids: Option<Vec<u32>>,
}

/// See the module.
#[derive(Debug)]
pub struct VllmhttpParser;

impl Parser for VllmhttpParser {
    fn suffixes(&self) -> &'static [&'static str] {
        &["inference/v1/generate"]
    }

    fn parse<'a>(&self, _suffix: &str, body: &'a [u8]) -> Result<ParsedBody<'a>, ParseError> {
        let fields: Body<'a> = read_object(body)?;
        let model = model(body, fields.model)?;
        let tokens = fields.token_ids.ok_or(ParseError::Field { api: "generate", field: "token_ids" })?;
        let mut prompt = Prompt::default();
        prompt.push_tokens(&tokens);
        let cache_salt = fields.cache_salt.and_then(|raw| text(raw.get())).unwrap_or(Cow::Borrowed(""));
        Ok(ParsedBody { model: Some(model), cache_salt, prompt })
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    build.no_parameters()?;
    Ok(Extension::Parser(Arc::new(VllmhttpParser)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_ids_are_required() {
        let parse = |body: &'static str| VllmhttpParser.parse("inference/v1/generate", body.as_bytes());
        assert_eq!(parse(r#"{"model":"m","token_ids":[1,2,3]}"#).unwrap().prompt.n_tokens(), 3);
        let error = parse(r#"{"model":"m"}"#).unwrap_err().to_string();
        assert_eq!(error, "invalid generate request: must have token_ids field");
    }
}
