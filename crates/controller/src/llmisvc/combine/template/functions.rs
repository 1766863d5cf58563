//! The functions that templates can call, and how values print.

use std::borrow::Cow;
use std::cmp::Ordering;

use llmd_api::names::child_name;
use llmd_api::serving::v1alpha2::ParallelismSpec;
use serde_json::{Value, json};

use super::evaluator::Datum;
use super::{Result, TemplateError};

mod kv_transfer;

/// Every function, in the order in which messages list them.
pub(super) const NAMES: &[&str] = &[
    "ChildName",
    "and",
    "eq",
    "ge",
    "gt",
    "html",
    "index",
    "kvTransferConfig",
    "kvTransferJson",
    "le",
    "len",
    "lt",
    "ne",
    "not",
    "or",
    "print",
    "printf",
    "println",
    "shutdownTimeout",
    "slice",
    "urlquery",
];

/// Seconds that a pod has to end when its template does not say.
const DEFAULT_GRACE_SECONDS: i64 = 60;

/// Seconds of the grace period that are kept for the end of the process itself.
const EXIT_SECONDS: i64 = 5;

/// Whether the function reads its arguments as a whole, and may copy them. What the others return is an argument, a
/// part of one, or a number.
pub(super) fn reads_all(name: &str) -> bool {
    !matches!(name, "and" | "index" | "len" | "not" | "or")
}

/// Calls a function. `and` and `or` get here when no argument decided alone.
///
/// The outcome is at most six times as large as the arguments, and a few hundred bytes: quoting makes six characters
/// of one, and nothing repeats an argument.
pub(super) fn call<'a>(name: &str, mut arguments: Vec<Datum<'a>>) -> Result<Datum<'a>> {
    let refuse =
        |message: &str| TemplateError::Function { function: name.to_owned(), message: message.to_owned() };
    let count = |range: std::ops::RangeInclusive<usize>, given: usize| {
        if range.contains(&given) {
            Ok(())
        } else {
            Err(refuse(&format!("wrong number of arguments: {given}")))
        }
    };
    let given = arguments.len();
    let value = match name {
        "and" | "or" => return arguments.pop().ok_or_else(|| refuse("arguments are missing")),
        "index" => {
            count(1..=usize::MAX, given)?;
            let start = std::mem::take(&mut arguments[0]);
            let item = arguments[1..].iter().try_fold(start, |value, key| index(&value, key));
            return item.map_err(|it| refuse(&it));
        }
        "not" => {
            count(1..=1, given)?;
            Value::Bool(!is_true(&arguments[0]))
        }
        "eq" => {
            count(2..=usize::MAX, given)?;
            Value::Bool(arguments[1..].iter().any(|it| equals(&arguments[0], it)))
        }
        "ne" => {
            count(2..=2, given)?;
            Value::Bool(!equals(&arguments[0], &arguments[1]))
        }
        "lt" | "le" | "gt" | "ge" => {
            count(2..=2, given)?;
            let order = compare(&arguments[0], &arguments[1])
                .ok_or_else(|| refuse("only two numbers or two texts can be compared"))?;
            Value::Bool(match name {
                "lt" => order == Ordering::Less,
                "le" => order != Ordering::Greater,
                "gt" => order == Ordering::Greater,
                _ => order != Ordering::Less,
            })
        }
        "len" => {
            count(1..=1, given)?;
            json!(match arguments[0].as_ref() {
                Value::Null => 0,
                Value::String(text) => text.len(),
                Value::Array(items) => items.len(),
                Value::Object(fields) => fields.len(),
                Value::Bool(_) | Value::Number(_) => return Err(refuse("the argument has no length")),
            })
        }
        "slice" => {
            count(1..=3, given)?;
            slice(&arguments).ok_or_else(|| refuse("the range is not inside the value"))?
        }
        "print" => Value::String(print_all(&arguments)),
        "println" => Value::String(arguments.iter().map(|it| print(it)).collect::<Vec<_>>().join(" ") + "\n"),
        "printf" => {
            count(1..=usize::MAX, given)?;
            let format = arguments[0].as_str().ok_or_else(|| refuse("the format is no text"))?;
            Value::String(printf(format, &arguments[1..]).map_err(|it| refuse(&it))?)
        }
        "html" => Value::String(escape_html(&print_all(&arguments))),
        "urlquery" => Value::String(escape_query(&print_all(&arguments))),
        "ChildName" => {
            count(2..=2, given)?;
            match (arguments[0].as_str(), arguments[1].as_str()) {
                (Some(parent), Some(suffix)) => Value::String(child_name(parent, suffix)),
                _ => return Err(refuse("both arguments must be texts")),
            }
        }
        "kvTransferConfig" => {
            count(1..=1, given)?;
            Value::String(kv_transfer::flag_for_shell(&arguments[0]).map_err(|it| refuse(&it))?)
        }
        "kvTransferJson" => {
            count(1..=usize::MAX, given)?;
            let others: Option<Vec<_>> = arguments[1..].iter().map(|it| it.as_str()).collect();
            let others = others.ok_or_else(|| refuse("connectors are named by texts"))?;
            Value::String(kv_transfer::json(&arguments[0], &others).map_err(|it| refuse(&it))?)
        }
        "shutdownTimeout" => {
            count(2..=2, given)?;
            let pre_stop =
                arguments[1].as_i64().ok_or_else(|| refuse("the second argument is no whole number"))?;
            Value::from(shutdown_timeout(&arguments[0], pre_stop))
        }
        _ => return Err(refuse("is no function")),
    };
    Ok(Cow::Owned(value))
}

/// Whether [`method`] knows the name.
pub(super) fn is_method(name: &str) -> bool {
    matches!(name, "GetSize" | "IsDataParallel" | "IsPipelineParallel")
}

/// What a Go method of this name returns for an object.
pub(super) fn method(object: &Value, name: &str) -> Option<Value> {
    let parallelism = || serde_json::from_value::<ParallelismSpec>(object.clone()).unwrap_or_default();
    match name {
        "GetSize" => Some(parallelism().size().map_or(Value::Null, Value::from)),
        "IsDataParallel" => Some(Value::Bool(parallelism().is_data_parallel())),
        "IsPipelineParallel" => Some(Value::Bool(parallelism().is_pipeline_parallel())),
        _ => None,
    }
}

/// Go's idea of truth: everything but absent, `false`, zero and empty.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(it) => *it,
        Value::Number(it) => it.as_f64() != Some(0.0),
        Value::String(it) => !it.is_empty(),
        Value::Array(it) => !it.is_empty(),
        // An empty object stands for a pointer to a struct, which is true.
        Value::Object(_) => true,
    }
}

/// How a value appears in the text. Absent is nothing.
pub(super) fn print(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(it) => it.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(print).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let mut entries: Vec<_> = fields.iter().map(|(key, it)| format!("{key}:{}", print(it))).collect();
            entries.sort_unstable();
            format!("map[{}]", entries.join(" "))
        }
    }
}

/// The beginning of how a value appears, for messages.
pub(super) fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = print(value);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Arguments in a row, with a space between two neighbours that are no texts.
fn print_all(arguments: &[Datum<'_>]) -> String {
    let mut text = String::new();
    for (index, argument) in arguments.iter().enumerate() {
        if index > 0 && !argument.is_string() && !arguments[index - 1].is_string() {
            text.push(' ');
        }
        text.push_str(&print(argument));
    }
    text
}

/// Absent equals the zero value of whatever it is compared with.
fn equals(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, other) | (other, Value::Null) => !is_true(other),
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        _ => left == right,
    }
}

fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::String(_), Value::Null) => Some(left.as_str()?.cmp("")),
        (Value::Null, Value::String(_)) => Some("".cmp(right.as_str()?)),
        _ => number(left)?.partial_cmp(&number(right)?),
    }
}

fn number(value: &Value) -> Option<f64> {
    if value.is_null() { Some(0.0) } else { value.as_f64() }
}

/// The item of a list or a map; absent keys of maps are absent.
fn index<'a>(value: &Datum<'a>, key: &Value) -> Result<Datum<'a>, String> {
    match value {
        Cow::Borrowed(value) => item(value, key).map(Cow::Borrowed),
        Cow::Owned(value) => item(value, key).cloned().map(Cow::Owned),
    }
    .ok_or_else(|| format!("{} has no item {}", kind(value), shown(key)))
}

fn item<'v>(value: &'v Value, key: &Value) -> Option<&'v Value> {
    static ABSENT: Value = Value::Null;
    match (value, key) {
        (Value::Null, _) => Some(&ABSENT),
        (Value::Object(fields), Value::String(key)) => Some(fields.get(key).unwrap_or(&ABSENT)),
        (Value::Array(items), Value::Number(key)) => {
            items.get(key.as_u64().and_then(|it| usize::try_from(it).ok())?)
        }
        _ => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "the list",
        Value::Object(_) => "the map",
    }
}

fn slice(arguments: &[Datum<'_>]) -> Option<Value> {
    let bound = |position: usize, default: usize| {
        arguments.get(position).map_or(Some(default), |it| usize::try_from(it.as_u64()?).ok())
    };
    match arguments[0].as_ref() {
        Value::String(text) => Some(Value::String(text.get(bound(1, 0)?..bound(2, text.len())?)?.to_owned())),
        Value::Array(items) => Some(Value::Array(items.get(bound(1, 0)?..bound(2, items.len())?)?.to_vec())),
        _ => None,
    }
}

/// The verbs `%s`, `%v`, `%d`, `%t`, `%q` and `%%`, without flags or widths.
fn printf(format: &str, arguments: &[Datum<'_>]) -> Result<String, String> {
    let mut text = String::new();
    let mut arguments = arguments.iter();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        let verb = characters.next().ok_or("the format ends with %")?;
        if verb == '%' {
            text.push('%');
            continue;
        }
        let argument = arguments.next().ok_or("arguments are missing")?;
        match verb {
            's' | 'v' | 'd' | 't' => text.push_str(&print(argument)),
            'q' => text.push_str(&Value::String(print(argument)).to_string()),
            _ => return Err(format!("%{verb} is not supported")),
        }
    }
    arguments.next().map_or(Ok(text), |_| Err("too many arguments".to_owned()))
}

fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\0' => escaped.push('\u{FFFD}'),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            it => escaped.push(it),
        }
    }
    escaped
}

fn escape_query(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => escaped.push('+'),
            b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            it if it.is_ascii_alphanumeric() => escaped.push(char::from(it)),
            it => escaped.push_str(&format!("%{it:02X}")),
        }
    }
    escaped
}

/// Seconds that the engine may drain: what is left of the pod's grace period after its preStop hook.
fn shutdown_timeout(pod: &Value, pre_stop_seconds: i64) -> i64 {
    let grace = pod["terminationGracePeriodSeconds"].as_i64().unwrap_or(DEFAULT_GRACE_SECONDS);
    grace.saturating_sub(pre_stop_seconds).saturating_sub(grace.min(EXIT_SECONDS)).max(0)
}
