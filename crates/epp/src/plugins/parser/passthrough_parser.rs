//! `passthrough-parser`: routes any request without looking into its body.

use std::sync::Arc;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::{Extension, ParseError, ParsedBody, Parser};

/// See the module.
#[derive(Debug)]
pub struct PassthroughParser;

impl Parser for PassthroughParser {
    fn suffixes(&self) -> &'static [&'static str] {
        &[]
    }

    fn parse<'a>(&self, _suffix: &str, _body: &'a [u8]) -> Result<ParsedBody<'a>, ParseError> {
        Ok(ParsedBody::default())
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    build.no_parameters()?;
    Ok(Extension::Parser(Arc::new(PassthroughParser)))
}
