//! `tojson` as Python's `json.dumps(ensure_ascii=False)` writes it.
//!
//! Models are trained on tool definitions in exactly this form: `", "` and `": "` between items, keys in their order,
//! no escaping for HTML or of non-ASCII text, floats as Python prints them (`1e-05`).

use std::fmt::Write;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};

/// Nesting beyond this is refused, so that a template cannot exhaust the stack.
const MAX_DEPTH: usize = 200;

/// The longest indentation step that is taken.
const MAX_INDENT: usize = 64;

/// The template filter, with the parameters of `transformers`' own:
/// `tojson(ensure_ascii=false, indent=none, separators=none, sort_keys=false)`.
#[expect(clippy::needless_pass_by_value, reason = "the signature by which minijinja passes arguments")]
pub(super) fn tojson(
    value: &Value,
    ensure_ascii: Option<bool>,
    indent: Option<Value>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let named = |name: &str| kwargs.get::<Option<Value>>(name).map(|value| value.filter(|v| !v.is_none()));
    let indent = indent.filter(|value| !value.is_none()).or(named("indent")?);
    let indent = indent.map(|value| indent_text(&value)).transpose()?;
    let (item_separator, key_separator) = match named("separators")? {
        Some(pair) => (pair.get_item_by_index(0)?.to_string(), pair.get_item_by_index(1)?.to_string()),
        None => ((if indent.is_some() { "," } else { ", " }).to_owned(), ": ".to_owned()),
    };
    let style = Style {
        ensure_ascii: ensure_ascii.or(kwargs.get("ensure_ascii")?).unwrap_or(false),
        sort_keys: kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        indent,
        item_separator,
        key_separator,
    };
    kwargs.assert_all_used()?;
    let mut output = String::new();
    style.write(&mut output, value, 0)?;
    Ok(output)
}

/// A float as Python's `repr`: the shortest digits that read back the same, in scientific notation below 1e-4 and
/// from 1e16 on.
pub(super) fn float_repr(value: f64) -> String {
    if !value.is_finite() {
        return (if value.is_nan() {
            "nan"
        } else if value > 0.0 {
            "inf"
        } else {
            "-inf"
        })
        .to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if value != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = value.to_string();
    if plain.contains('.') { plain } else { plain + ".0" }
}

/// What one indentation step is: a number of spaces, or the text itself.
fn indent_text(value: &Value) -> Result<String, Error> {
    let text = match value.as_str() {
        Some(text) => text.to_owned(),
        None => " ".repeat(usize::try_from(i64::try_from(value.clone())?).unwrap_or(0).min(MAX_INDENT + 1)),
    };
    if text.len() > MAX_INDENT {
        return Err(bad(format!("tojson: indent is limited to {MAX_INDENT}")));
    }
    Ok(text)
}

/// How the JSON is laid out.
struct Style {
    ensure_ascii: bool,
    sort_keys: bool,
    /// One step of indentation; `None` writes all on one line.
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
}

impl Style {
    fn write(&self, output: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(bad("tojson: the value is nested too deeply".to_owned()));
        }
        match value.kind() {
            ValueKind::None => output.push_str("null"),
            ValueKind::Bool => output.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => output.push_str(&number(value)?),
            ValueKind::String => self.write_string(output, value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.write_items(output, ['[', ']'], depth, &items, |output, item| {
                    self.write(output, item, depth + 1)
                })?;
            }
            ValueKind::Map => {
                self.write_items(output, ['{', '}'], depth, &self.members(value)?, |output, (key, item)| {
                    self.write_string(output, key);
                    output.push_str(&self.key_separator);
                    self.write(output, item, depth + 1)
                })?;
            }
            kind => return Err(bad(format!("tojson: a value of type {kind} is not JSON serializable"))),
        }
        Ok(())
    }

    /// The members of a map with their keys as Python converts them.
    fn members(&self, map: &Value) -> Result<Vec<(String, Value)>, Error> {
        let mut members = Vec::new();
        for key in map.try_iter()? {
            let name = match key.kind() {
                ValueKind::String => key.to_string(),
                ValueKind::None => "null".to_owned(),
                ValueKind::Bool => (if key.is_true() { "true" } else { "false" }).to_owned(),
                ValueKind::Number => number(&key)?,
                kind => return Err(bad(format!("tojson: a key of type {kind} is not JSON serializable"))),
            };
            members.push((name, map.get_item(&key)?));
        }
        if self.sort_keys {
            members.sort_by(|(left, _), (right, _)| left.cmp(right));
        }
        Ok(members)
    }

    /// Writes a bracketed list; `depth` is that of the list itself.
    fn write_items<T>(
        &self,
        output: &mut String,
        [open, close]: [char; 2],
        depth: usize,
        items: &[T],
        write_item: impl Fn(&mut String, &T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        output.push(open);
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                output.push_str(&self.item_separator);
            }
            self.break_line(output, depth + 1);
            write_item(output, item)?;
        }
        if !items.is_empty() {
            self.break_line(output, depth);
        }
        output.push(close);
        Ok(())
    }

    fn break_line(&self, output: &mut String, depth: usize) {
        if let Some(indent) = &self.indent {
            output.push('\n');
            output.extend(std::iter::repeat_n(indent.as_str(), depth));
        }
    }

    fn write_string(&self, output: &mut String, text: &str) {
        output.push('"');
        for character in text.chars() {
            match character {
                '"' => output.push_str("\\\""),
                '\\' => output.push_str("\\\\"),
                '\n' => output.push_str("\\n"),
                '\r' => output.push_str("\\r"),
                '\t' => output.push_str("\\t"),
                '\u{8}' => output.push_str("\\b"),
                '\u{c}' => output.push_str("\\f"),
                control if control < ' ' => push_escaped(output, control),
                other if self.ensure_ascii && !(' '..='~').contains(&other) => push_escaped(output, other),
                plain => output.push(plain),
            }
        }
        output.push('"');
    }
}

/// `\uXXXX`, as a surrogate pair where needed.
fn push_escaped(output: &mut String, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        write!(output, "\\u{unit:04x}").expect("writing to a string cannot fail");
    }
}

fn number(value: &Value) -> Result<String, Error> {
    if value.is_integer() {
        return Ok(value.to_string());
    }
    let float = f64::try_from(value.clone())?;
    Ok(match float_repr(float).as_str() {
        "nan" => "NaN".to_owned(),
        "inf" => "Infinity".to_owned(),
        "-inf" => "-Infinity".to_owned(),
        finite => finite.to_owned(),
    })
}

fn bad(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}
