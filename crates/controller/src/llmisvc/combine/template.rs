//! The template language of configs: the part of Go's `text/template` that a preset needs.
//!
//! Contract: `render` turns one text with `{{ … }}` actions into the text that the other implementation of this
//! controller gets, for any input without a panic and within the limits below. Supported: fields, literals,
//! parentheses, pipelines, `if`/`else if`/`else`, `with`, `range`, comments, trim markers and the functions of
//! [`functions`]. Not supported, and an error: variables, nested templates, `break`, `continue`.
//!
//! Two things differ from Go. A field of something absent is absent instead of an error, and absent prints as
//! nothing. Trim markers take spaces but no line breaks: upstream fills templates into JSON text, where a line
//! break is no white space, and presets count on that.

mod evaluator;
mod functions;
mod lexer;
mod parser;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::Value;

/// Longest template and longest outcome, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// Deepest nesting of blocks and parentheses.
const MAX_DEPTH: usize = 64;

/// Most actions evaluated in one text; `range` may repeat them.
const MAX_STEPS: usize = 1 << 16;

/// Most bytes of values that are copied or computed with in one text.
const MAX_COPIED: usize = 4 << 20;

/// What templates can see.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// What `.` and `$` mean at the start.
    pub root: Value,
    /// Every field name that exists, in lower case. An absent field with another name is a mistake.
    pub fields: BTreeSet<String>,
}

/// Why a text is no valid template, or cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    #[error("template syntax: {0}")]
    Syntax(String),
    #[error("unknown function {name:?}: known are {}", known.join(", "))]
    UnknownFunction { name: String, known: Vec<&'static str> },
    #[error("unknown field .{0}")]
    UnknownField(String),
    #[error("no entry with key {0:?}")]
    MissingKey(String),
    #[error("{function}: {message}")]
    Function { function: String, message: String },
    #[error("not supported in templates: {0}")]
    NotSupported(String),
    #[error("template {0}")]
    TooLarge(&'static str),
}

type Result<T, E = TemplateError> = std::result::Result<T, E>;

/// Whether a text has anything to fill in.
pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{{")
}

/// Fills in a template.
///
/// # Errors
/// When the text is no valid template, uses something unknown, or exceeds a limit.
pub(crate) fn render(text: &str, context: &Context) -> Result<String> {
    if text.len() > MAX_BYTES {
        return Err(TemplateError::TooLarge("is longer than 1 MiB"));
    }
    let blocks = parser::parse(lexer::lex(text)?)?;
    evaluator::evaluate(&blocks, context)
}
