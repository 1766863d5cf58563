//! Where a model folder keeps its chat templates.
//!
//! In order: `chat_template.jinja`, `chat_template.json`, the key `chat_template` of `tokenizer_config.json` (one text
//! or a list of named ones); the first that exists is the default. `additional_chat_templates/NAME.jinja` adds named
//! ones.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::config::{ConfigError, read_object, read_text};

/// The template used unless a more special one fits.
pub(super) const DEFAULT: &str = "default";
/// The template for requests with tools.
pub(super) const TOOL_USE: &str = "tool_use";
/// The template for requests with documents.
pub(super) const RAG: &str = "rag";

/// All templates of a folder as (name, text); empty when it has none.
pub(super) fn find(dir: &Path, config: &Map<String, Value>) -> Result<Vec<(String, String)>, ConfigError> {
    let mut templates = if let Some(text) = read_text(&dir.join("chat_template.jinja"))? {
        vec![(DEFAULT.to_owned(), text)]
    } else if let Some(file) = read_object(&dir.join("chat_template.json"))? {
        named(file.get("chat_template"))
    } else {
        named(config.get("chat_template"))
    };
    templates.extend(additional(&dir.join("additional_chat_templates"))?);
    Ok(templates)
}

/// The template a `--chat-template` flag stands for: the content of that file, or the value itself when no such file
/// exists and it cannot be a path.
pub(super) fn read_override(file_or_text: &str) -> Result<String, ConfigError> {
    let path = PathBuf::from(file_or_text);
    match read_text(&path) {
        Ok(Some(text)) => Ok(text),
        _ if file_or_text.contains(['{', '\n']) => Ok(file_or_text.to_owned()),
        Ok(None) => Err(ConfigError::Read { path, source: std::io::ErrorKind::NotFound.into() }),
        Err(error) => Err(error),
    }
}

/// One text, or a list of `{name, template}`.
fn named(value: Option<&Value>) -> Vec<(String, String)> {
    let text = |value: &Value, key| Some(value.get(key)?.as_str()?.to_owned());
    match value {
        Some(Value::String(template)) => vec![(DEFAULT.to_owned(), template.clone())],
        Some(Value::Array(entries)) => {
            let pairs = entries.iter().map(|entry| Some((text(entry, "name")?, text(entry, "template")?)));
            pairs.flatten().collect()
        }
        _ => Vec::new(),
    }
}

/// The `.jinja` files of a folder, by file name, in name order; none when the folder does not exist.
fn additional(dir: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let failed = |source| ConfigError::Read { path: dir.to_owned(), source };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries.collect::<Result<Vec<_>, _>>().map_err(failed)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut templates = Vec::new();
    for path in entries.into_iter().map(|entry| entry.path()) {
        let name = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
        if path.extension().is_some_and(|extension| extension == "jinja")
            && let (Some(name), Some(text)) = (name, read_text(&path)?)
        {
            templates.push((name, text));
        }
    }
    templates.sort();
    Ok(templates)
}
