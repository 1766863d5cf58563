//! The Jinja environment that chat templates are written for.
//!
//! `transformers` sets Jinja2 up with trimmed blocks, loop controls, its own `tojson`, `raise_exception`,
//! `strftime_now` and a `generation` block tag that marks assistant text for training. The same is set up here; the
//! tag becomes a plain scope, since nothing here trains. No loader is installed: a template can include no file.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value, escape_formatter};

use super::{ChatTemplateError, python_json, python_methods};

/// An environment that holds the named templates, parsed.
pub(super) fn build(
    templates: Vec<(String, String)>,
    instructions: u64,
) -> Result<Environment<'static>, ChatTemplateError> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the standard delimiters are valid"));
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(instructions));
    environment.set_unknown_method_callback(python_methods::call);
    environment.set_formatter(|output, state, value| match python_float(value) {
        Some(text) => output.write_str(&text).map_err(Error::from),
        None => escape_formatter(output, state, value),
    });
    environment.add_filter("tojson", python_json::tojson);
    environment.add_test("sequence", is_sequence);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    for (name, text) in templates {
        environment
            .add_template_owned(name.clone(), without_generation_tags(&with_line_feeds(&text)))
            .map_err(|source| ChatTemplateError::Syntax { name, source: Box::new(source) })?;
    }
    Ok(environment)
}

/// The message of `raise_exception` when that is what ended the rendering.
pub(super) fn raised_message(error: &Error) -> Option<String> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(Raised(message)) = current.downcast_ref() {
            return Some(message.clone());
        }
        cause = current.source();
    }
    None
}

/// Travels as the source of the engine's error, so that the template's own words reach the client unchanged.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

fn raise_exception(message: &Value) -> Result<Value, Error> {
    let raised = Raised(message.to_string());
    Err(Error::new(ErrorKind::InvalidOperation, "raise_exception").with_source(raised))
}

/// The local time in C `strftime` notation.
fn strftime_now(format: &str) -> Result<String, Error> {
    jiff::fmt::strtime::format(format, &jiff::Zoned::now()).map_err(|error| {
        Error::new(ErrorKind::InvalidOperation, "strftime_now: bad format").with_source(error)
    })
}

/// Floats as Python prints them; `None` for any other value.
fn python_float(value: &Value) -> Option<String> {
    if value.kind() != ValueKind::Number || value.is_integer() {
        return None;
    }
    f64::try_from(value.clone()).ok().map(python_json::float_repr)
}

/// Jinja2's notion of a sequence: whatever has a length and can be indexed, texts and mappings too.
fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map)
}

/// Jinja2 reads any line ending as a line feed.
fn with_line_feeds(template: &str) -> String {
    template.replace("\r\n", "\n").replace('\r', "\n")
}

/// Turns `{% generation %}` ... `{% endgeneration %}` into a `with` block: the same scope, no effect. White-space
/// control (`{%-`) stays as written.
fn without_generation_tags(template: &str) -> String {
    let mut output = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start + 2);
        output.push_str(before);
        rest = tag;
        let Some(end) = tag.find("%}") else { break };
        let inner = &tag[..end];
        let replacement = match inner.trim_matches(['-', '+']).trim() {
            "generation" => "with",
            "endgeneration" => "endwith",
            _ => continue,
        };
        let name_start = inner.find(|c: char| c.is_ascii_alphabetic()).unwrap_or_default();
        let name_end = inner.rfind(|c: char| c.is_ascii_alphabetic()).map_or(0, |last| last + 1);
        output.extend([&inner[..name_start], replacement, &inner[name_end..]]);
        rest = &tag[end..];
    }
    output.push_str(rest);
    output
}
