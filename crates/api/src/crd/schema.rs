//! From a Rust type to the structural schema that a CRD takes.
//!
//! schemars writes JSON Schema with references; a CRD wants one tree without references, nulls or Rust's defaults.
//! References are kept until [`core`](super::core) has had its say on each Kubernetes type by name.

use std::mem;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::{core, limits};

/// The schema of a type.
pub(super) fn of<T: JsonSchema>() -> Value {
    let mut root = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value();
    let mut definitions = match root.get_mut("$defs").map(Value::take) {
        Some(Value::Object(definitions)) => definitions,
        _ => Map::new(),
    };
    for (name, definition) in &mut definitions {
        core::complete(name, definition);
    }
    inline(&mut root, &definitions);
    for_each(&mut root, &mut structural);
    root
}

/// Visits a schema and every schema in it, inner ones first.
pub(super) fn for_each(schema: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    let Value::Object(keywords) = schema else { return };
    if let Some(Value::Object(properties)) = keywords.get_mut("properties") {
        properties.values_mut().for_each(|it| for_each(it, visit));
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(inner) = keywords.get_mut(keyword) {
            for_each(inner, visit);
        }
    }
    visit(keywords);
}

/// Puts the definition in place of each reference; what stands beside the reference wins.
fn inline(node: &mut Value, definitions: &Map<String, Value>) {
    match node {
        Value::Array(items) => items.iter_mut().for_each(|it| inline(it, definitions)),
        Value::Object(keywords) => {
            let target = keywords.remove("$ref").and_then(|it| it.as_str().map(str::to_owned));
            if let Some(definition) = target.and_then(|it| definitions.get(it.rsplit('/').next()?)) {
                overlay(node, definition.clone());
                return inline(node, definitions);
            }
            keywords.remove("$defs");
            keywords.values_mut().for_each(|it| inline(it, definitions));
        }
        _ => {}
    }
}

/// Adds what `below` has and `above` has not; objects are merged.
fn overlay(above: &mut Value, below: Value) {
    let (Value::Object(above), Value::Object(below)) = (above, below) else { return };
    for (key, value) in below {
        match above.get_mut(&key) {
            Some(present) => overlay(present, value),
            None => {
                above.insert(key, value);
            }
        }
    }
}

fn structural(keywords: &mut Map<String, Value>) {
    without_null(keywords);
    constants_as_enum(keywords);
    for keyword in ["$schema", "title", "nullable", "default"] {
        keywords.remove(keyword);
    }
    if let Some(default) = keywords.remove(limits::DEFAULT) {
        keywords.insert("default".to_owned(), default);
    }
    required(keywords);
    if let Some(Value::Object(properties)) = keywords.get_mut("properties") {
        properties.sort_keys();
    }
    if let Some(Value::String(text)) = keywords.get_mut("description") {
        *text = mem::take(text).split_whitespace().collect::<Vec<_>>().join(" ");
    }
}

/// Required fields in order, without those that the API server fills in.
fn required(keywords: &mut Map<String, Value>) {
    let has_default = |properties: &Value, field: &Value| {
        field.as_str().and_then(|it| properties.get(it)).is_some_and(|it| it.get("default").is_some())
    };
    let Some(Value::Array(mut fields)) = keywords.remove("required") else { return };
    let properties = keywords.get("properties").cloned().unwrap_or_default();
    fields.retain(|it| !has_default(&properties, it));
    fields.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    if !fields.is_empty() {
        keywords.insert("required".to_owned(), fields.into());
    }
}

/// `Option<T>` as plain `T`: absence is said by `required`, and the API server drops nulls on its own.
fn without_null(keywords: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = keywords.get_mut("type") {
        types.retain(|it| it != "null");
        if let [one] = types.as_mut_slice() {
            let one = one.take();
            keywords.insert("type".to_owned(), one);
        }
    }
    let is_null = |schema: &Value| schema.get("type").is_some_and(|it| it == "null");
    if let Some(Value::Array(choices)) = keywords.get_mut("anyOf")
        && choices.iter().any(is_null)
    {
        choices.retain(|it| !is_null(it));
        if let Some(mut chosen) = choices.pop() {
            keywords.remove("anyOf");
            for_each(&mut chosen, &mut structural);
            let mut whole = Value::Object(mem::take(keywords));
            overlay(&mut whole, chosen);
            if let Value::Object(whole) = whole {
                *keywords = whole;
            }
        }
    }
}

/// An enum with documented variants, which schemars writes as a choice of constants.
fn constants_as_enum(keywords: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = keywords.get("oneOf") else { return };
    let constants: Option<Vec<Value>> = choices.iter().map(|it| it.get("const").cloned()).collect();
    if let Some(constants) = constants {
        keywords.remove("oneOf");
        keywords.insert("type".to_owned(), "string".into());
        keywords.insert("enum".to_owned(), constants.into());
    }
}
