//! The spelling rules of vLLM's parser that clap does not have, as a rewrite of the words before it.
//!
//! - `_` and `-` are the same in option names.
//! - `--no-x` is `--x=false`.
//! - `-tp 2` and its like are long options with one dash.
//! - `--a.b.c v` sets a key inside the JSON value of `--a`, and `--a.b+ v` appends to a list there.

use std::ffi::OsString;

use indexmap::IndexMap;
use serde_json::{Map, Value};

/// Short forms of more than one letter.
const SHORT: [(&str, &str); 17] = [
    ("-tp", "--tensor-parallel-size"),
    ("-pp", "--pipeline-parallel-size"),
    ("-dp", "--data-parallel-size"),
    ("-dpa", "--data-parallel-address"),
    ("-dpb", "--data-parallel-backend"),
    ("-dpe", "--data-parallel-external-lb"),
    ("-dph", "--data-parallel-hybrid-lb"),
    ("-dpl", "--data-parallel-size-local"),
    ("-dpn", "--data-parallel-rank"),
    ("-dpp", "--data-parallel-rpc-port"),
    ("-dpr", "--data-parallel-start-rank"),
    ("-dcp", "--decode-context-parallel-size"),
    ("-sc", "--speculative-config"),
    ("-cc", "--compilation-config"),
    ("-ac", "--attention-config"),
    ("-q", "--quantization"),
    ("-O", "--optimization-level"),
];

/// Rewrites the words of a command line; the program's name stays first.
pub(super) fn words(args: Vec<OsString>) -> Vec<OsString> {
    let mut output = Vec::with_capacity(args.len());
    let mut objects: IndexMap<String, Value> = IndexMap::new();
    let mut args = args.into_iter().peekable();
    while let Some(arg) = args.next() {
        let word = match arg.into_string() {
            Ok(word) if word == "--" => {
                output.push(word.into());
                output.extend(args);
                break;
            }
            Ok(word) => option(&word).unwrap_or(word),
            Err(not_unicode) => {
                output.push(not_unicode);
                continue;
            }
        };
        let Some((name, path, value)) = dotted(&word) else {
            output.push(word.into());
            continue;
        };
        let value = value.or_else(|| args.next().map(|it| it.to_string_lossy().into_owned()));
        set(
            objects.entry(name).or_insert_with(|| Value::Object(Map::new())),
            &path,
            &value.unwrap_or_default(),
        );
    }
    merge(&mut output, objects);
    output
}

/// The usual spelling of an option; `None` for other words.
fn option(word: &str) -> Option<String> {
    if let Some((_, long)) = SHORT.iter().find(|(short, _)| *short == word) {
        return Some((*long).to_owned());
    }
    if let Some(level) = word.strip_prefix("-O").filter(|it| it.bytes().all(|it| it.is_ascii_digit())) {
        return Some(format!("--optimization-level={level}"));
    }
    let name_and_rest = word.strip_prefix("--")?;
    let end = name_and_rest.find(['=', '.']).unwrap_or(name_and_rest.len());
    let (name, rest) = name_and_rest.split_at(end);
    let name = name.replace('_', "-");
    match name.strip_prefix("no-") {
        Some(negated) if rest.is_empty() => Some(format!("--{negated}=false")),
        _ => Some(format!("--{name}{rest}")),
    }
}

/// Splits `--name.path=value`; the name keeps its dashes.
fn dotted(word: &str) -> Option<(String, String, Option<String>)> {
    let (name, rest) = word.strip_prefix("--")?.split_once('.').filter(|(name, _)| !name.contains('='))?;
    let (path, value) = match rest.split_once('=') {
        Some((path, value)) => (path, Some(value.to_owned())),
        None => (rest, None),
    };
    Some((format!("--{name}"), path.to_owned(), value))
}

/// Sets `path` inside `object` to `text`, which is JSON or else a string.
fn set(object: &mut Value, path: &str, text: &str) {
    let (path, appends) = match path.strip_suffix('+') {
        Some(path) => (path, true),
        None => (path, false),
    };
    let mut place = object;
    for key in path.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[key];
    }
    if !appends {
        *place = json_or_text(text);
        return;
    }
    let more = text.split(',').map(json_or_text);
    match place {
        Value::Array(list) => list.extend(more),
        _ => *place = Value::Array(more.collect()),
    }
}

fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

/// Adds each collected object as the value of its option, over the JSON given for the option itself.
fn merge(output: &mut Vec<OsString>, objects: IndexMap<String, Value>) {
    for (name, keys) in objects {
        let mut object = whole_value(output, &name).unwrap_or_default();
        if let Value::Object(keys) = keys {
            object.extend(keys);
        }
        output.push(format!("{name}={}", Value::Object(object)).into());
    }
}

fn whole_value(words: &[OsString], name: &str) -> Option<Map<String, Value>> {
    let at = words
        .iter()
        .rposition(|it| it.to_str().is_some_and(|it| it == name || it.starts_with(&format!("{name}="))))?;
    let word = words[at].to_str()?;
    let text = word.split_once('=').map(|it| it.1).or_else(|| words.get(at + 1)?.to_str())?;
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(args: &[&str], expected: &[&str]) {
        let words = words(args.iter().map(OsString::from).collect());
        assert_eq!(words, expected.iter().map(OsString::from).collect::<Vec<_>>());
    }

    #[test]
    fn underscores_are_dashes_in_names_alone() {
        check(&["--max_model_len=a_b", "--x_y", "c_d"], &["--max-model-len=a_b", "--x-y", "c_d"]);
    }

    #[test]
    fn negated_switches_are_false() {
        check(&["--no-enable_prefix_caching"], &["--enable-prefix-caching=false"]);
    }

    #[test]
    fn short_forms_become_long() {
        check(&["-tp", "2", "-O3"], &["--tensor-parallel-size", "2", "--optimization-level=3"]);
    }

    #[test]
    fn dotted_keys_become_one_object() {
        check(
            &["--kv-transfer-config.kv_connector", "NixlConnector", "--kv_transfer_config.extra.port=5"],
            &[r#"--kv-transfer-config={"kv_connector":"NixlConnector","extra":{"port":5}}"#],
        );
        check(&["--a.b+", "x", "--a.b+=y,1"], &[r#"--a={"b":["x","y",1]}"#]);
        check(
            &["--a", r#"{"b":1,"c":2}"#, "--a.b", "3"],
            &["--a", r#"{"b":1,"c":2}"#, r#"--a={"b":3,"c":2}"#],
        );
    }

    #[test]
    fn values_with_dots_are_no_keys() {
        check(&["--host=127.0.0.1", "--port", "1.5"], &["--host=127.0.0.1", "--port", "1.5"]);
    }

    #[test]
    fn words_behind_two_dashes_stay() {
        check(&["--", "--a_b"], &["--", "--a_b"]);
    }
}
