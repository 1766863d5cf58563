//! `--config FILE`: options in a YAML file, put before those that were typed, so that the typed ones win.

use std::ffi::OsString;
use std::fs;

use clap::Error;
use clap::error::ErrorKind;
use serde_json::{Map, Value};

/// Replaces `--config FILE` by the file's options, behind the subcommand and the model.
pub(super) fn insert(words: Vec<OsString>) -> Result<Vec<OsString>, Error> {
    let mut words = words;
    let Some(at) =
        words.iter().position(|it| it == "--config" || it.to_string_lossy().starts_with("--config="))
    else {
        return Ok(words);
    };
    let word = words.remove(at).to_string_lossy().into_owned();
    let path = match word.split_once('=') {
        Some((_, path)) => path.to_owned(),
        None if at < words.len() => words.remove(at).to_string_lossy().into_owned(),
        None => return Err(failed("--config needs a file")),
    };
    let text = fs::read_to_string(&path).map_err(|error| failed(&format!("cannot read {path}: {error}")))?;
    let options = options(&text).map_err(|problem| failed(&format!("{path}: {problem}")))?;
    let at = super::additional::first_flag(&words);
    words.splice(at..at, options);
    Ok(words)
}

fn failed(message: &str) -> Error {
    Error::raw(ErrorKind::InvalidValue, format!("{message}\n"))
}

/// The words that a file of option names and values stands for.
fn options(yaml: &str) -> Result<Vec<OsString>, String> {
    let options: Map<String, Value> = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
    Ok(options.into_iter().flat_map(|(name, value)| option(&name, value)).map(OsString::from).collect())
}

fn option(name: &str, value: Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Bool(is_on) => vec![format!("--{name}={is_on}")],
        Value::Array(values) => {
            std::iter::once(format!("--{name}")).chain(values.into_iter().map(text)).collect()
        }
        value @ (Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            vec![format!("--{name}={}", text(value))]
        }
    }
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_becomes_words() {
        let yaml = "port: 12\nmodel: m\nenable_prefix_caching: false\nserved-model-name: [a, b]\nseed: null\nkv-transfer-config:\n  kv_connector: NixlConnector\n";
        let expected = [
            "--port=12",
            "--model=m",
            "--enable_prefix_caching=false",
            "--served-model-name",
            "a",
            "b",
            r#"--kv-transfer-config={"kv_connector":"NixlConnector"}"#,
        ];
        assert_eq!(options(yaml).unwrap(), expected.map(OsString::from));
        assert!(options("- a list").is_err());
    }

    #[test]
    fn the_options_go_before_the_typed_ones() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "port: 1").unwrap();
        let config = format!("--config={}", file.path().display());
        let words = ["vllm", "serve", "m", "--port", "2", &config].map(OsString::from);
        let expected = ["vllm", "serve", "m", "--port=1", "--port", "2"].map(OsString::from);
        assert_eq!(insert(words.to_vec()).unwrap(), expected);
    }

    #[test]
    fn a_missing_file_is_named() {
        let words = ["vllm", "serve", "--config", "/nowhere.yaml"].map(OsString::from);
        assert!(insert(words.to_vec()).unwrap_err().to_string().contains("cannot read /nowhere.yaml"));
    }
}
