//! Chooses the parser of a request by its path.

use std::sync::Arc;

use crate::director::Rejection;
use crate::plugin::{ParsedBody, Parser};

/// Parsers in order of registration.
#[derive(Debug)]
pub(super) struct Parsers {
    /// Each suffix with its parser, longest first.
    by_suffix: Vec<(&'static str, Arc<dyn Parser>)>,
    /// Takes what no other claims.
    fallback: Option<Arc<dyn Parser>>,
}

impl Parsers {
    pub(super) fn new(parsers: Vec<Arc<dyn Parser>>) -> Self {
        let mut by_suffix = Vec::new();
        let mut fallback = None;
        for parser in parsers {
            by_suffix.extend(parser.suffixes().iter().map(|&suffix| (suffix, Arc::clone(&parser))));
            if parser.suffixes().is_empty() {
                fallback = Some(parser);
            }
        }
        by_suffix.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        Self { by_suffix, fallback }
    }

    /// Reads `body` with the parser that claims the longest suffix of `path`.
    pub(super) fn parse<'a>(&self, path: &str, body: &'a [u8]) -> Result<ParsedBody<'a>, Rejection> {
        let claimed = self.by_suffix.iter().find(|(suffix, _)| {
            path.strip_suffix(suffix).is_some_and(|before| before.is_empty() || before.ends_with('/'))
        });
        match (claimed, &self.fallback) {
            (Some((suffix, parser)), _) => Ok(parser.parse(suffix, body)?),
            (None, Some(parser)) => Ok(parser.parse("", body)?),
            (None, None) => {
                Err(Rejection::bad_request(&format!("no parser registered matching path suffix for: {path}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::parser::openai_parser::OpenaiParser;
    use crate::plugins::parser::passthrough_parser::PassthroughParser;

    #[test]
    fn the_longest_suffix_wins_and_the_rest_falls_through() {
        let parsers = Parsers::new(vec![Arc::new(OpenaiParser), Arc::new(PassthroughParser)]);
        let body = br#"{"model":"m","prompt":"p"}"#;
        assert!(parsers.parse("/v1/completions", body).unwrap().model.is_some());
        let error = parsers.parse("/v1/chat/completions", body).unwrap_err();
        assert_eq!(
            error.message,
            "BadRequest - invalid chat completions request: must have valid messages field"
        );
        assert!(parsers.parse("/v1/other", body).unwrap().model.is_none());
        assert!(parsers.parse("/v1/precompletions", body).unwrap().model.is_none());
    }

    #[test]
    fn without_a_fallback_unknown_paths_are_refused() {
        let error = Parsers::new(vec![Arc::new(OpenaiParser)]).parse("/v1/other", b"").unwrap_err();
        assert_eq!(error.status, 400);
        assert_eq!(error.message, "BadRequest - no parser registered matching path suffix for: /v1/other");
    }
}
