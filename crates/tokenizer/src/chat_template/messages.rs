//! Chat messages in the form that templates are written for.
//!
//! Clients may write the same message in several ways; templates know one. Content takes the form the template reads
//! (see [`super::content`]), members that are null are left out (many templates would print them), the arguments of
//! tool calls become objects (the API has them as JSON text), and reasoning is given under each of the names in use.

use serde_json::{Map, Value};

use super::ChatTemplateError;
use super::content::Accepts;

/// Names for an assistant's reasoning; the first that is set fills the others.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// Copies the messages into the template's form.
pub(super) fn prepare(messages: &[Value], accepts: Accepts) -> Result<Vec<Value>, ChatTemplateError> {
    let prepared = messages.iter().enumerate().map(|(index, message)| {
        let failed = |problem| ChatTemplateError::Message(format!("messages[{index}]{problem}"));
        let mut message =
            message.as_object().cloned().ok_or_else(|| failed(" must be an object".to_owned()))?;
        if !message.get("role").is_some_and(Value::is_string) {
            return Err(failed(".role must be a string".to_owned()));
        }
        message.retain(|_, value| !value.is_null());
        let content = message.get("content").unwrap_or(&Value::Null);
        let content =
            content_for(content, accepts).map_err(|problem| failed(format!(".content{problem}")))?;
        message.insert("content".to_owned(), content);
        parse_arguments(&mut message).map_err(failed)?;
        alias_reasoning(&mut message);
        Ok(Value::Object(message))
    });
    prepared.collect()
}

/// The content in a form the template reads: as it is where that is one, else converted.
fn content_for(content: &Value, accepts: Accepts) -> Result<Value, String> {
    match content {
        Value::Null if accepts.string => Ok(Value::from("")),
        Value::Null => Ok(Value::Array(Vec::new())),
        Value::String(_) if accepts.string => Ok(content.clone()),
        Value::String(text) => Ok(serde_json::json!([{"type": "text", "text": text}])),
        Value::Array(parts) if accepts.parts => Ok(Value::Array(parts.iter().map(typed_part).collect())),
        Value::Array(parts) => {
            let texts = parts.iter().enumerate().map(|(index, part)| {
                part_text(part)
                    .ok_or_else(|| format!("[{index}] is not a text part, and this model takes text only"))
            });
            Ok(Value::from(texts.collect::<Result<Vec<_>, _>>()?.join("\n")))
        }
        _ => Err(" must be a string, a list of parts or null".to_owned()),
    }
}

/// A bare string in a list of parts stands for a text part.
fn typed_part(part: &Value) -> Value {
    match part {
        Value::String(text) => serde_json::json!({"type": "text", "text": text}),
        other => other.clone(),
    }
}

/// The text of a part that is one (`text`, and the names that the Responses API and refusals use).
fn part_text(part: &Value) -> Option<&str> {
    if let Value::String(text) = part {
        return Some(text);
    }
    match part.get("type")?.as_str()? {
        "text" | "input_text" | "output_text" => part.get("text")?.as_str(),
        "refusal" => part.get("refusal")?.as_str(),
        "thinking" => part.get("thinking")?.as_str(),
        _ => None,
    }
}

/// Parses `tool_calls[].function.arguments`; absent or empty arguments are an empty object.
fn parse_arguments(message: &mut Map<String, Value>) -> Result<(), String> {
    let Some(calls) = message.get_mut("tool_calls").and_then(Value::as_array_mut) else { return Ok(()) };
    for (index, call) in calls.iter_mut().enumerate() {
        let Some(function) = call.get_mut("function").and_then(Value::as_object_mut) else { continue };
        let arguments = function.entry("arguments").or_insert(Value::Null);
        *arguments = match arguments.take() {
            Value::Null => Value::Object(Map::new()),
            Value::String(text) if text.is_empty() => Value::Object(Map::new()),
            Value::String(text) => serde_json::from_str(&text).map_err(|error| {
                format!(".tool_calls[{index}].function.arguments is not valid JSON: {error}")
            })?,
            parsed => parsed,
        };
    }
    Ok(())
}

fn alias_reasoning(message: &mut Map<String, Value>) {
    let Some(reasoning) = REASONING.iter().find_map(|name| message.get(*name).cloned()) else { return };
    for name in REASONING {
        message.entry(name).or_insert_with(|| reasoning.clone());
    }
}
