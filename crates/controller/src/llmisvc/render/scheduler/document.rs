//! An EndpointPickerConfig as a document: read, changed in places, written.
//!
//! Configurations of any version pass through here, so nothing beyond the parts that are named is understood or
//! checked.

use serde_json::{Map, Value};

/// Plugin that reads the engines' metrics.
pub(super) const METRICS_SOURCE: &str = "metrics-data-source";

/// The document in `text`; `None` when it is no YAML mapping.
pub(super) fn read(text: &str) -> Option<Value> {
    serde_saphyr::from_str::<Value>(text).ok().filter(Value::is_object)
}

/// The document as YAML.
pub(super) fn write(document: &Value) -> String {
    serde_saphyr::to_string(document).expect("a document of strings, numbers, lists and maps is YAML")
}

/// The plugins with their types, names and parameters.
pub(super) fn plugins(document: &Value) -> impl Iterator<Item = &Map<String, Value>> {
    document.get("plugins").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

/// Whether a plugin of this type is declared.
pub(super) fn has_plugin(document: &Value, type_: &str) -> bool {
    plugins(document).any(|it| is_type(it, type_))
}

/// Removes every plugin of this type; references to it stay.
pub(super) fn remove_plugin(document: &mut Value, type_: &str) {
    if let Some(plugins) = document.get_mut("plugins").and_then(Value::as_array_mut) {
        plugins.retain(|it| !it.as_object().is_some_and(|it| is_type(it, type_)));
    }
}

pub(super) fn is_type(plugin: &Map<String, Value>, type_: &str) -> bool {
    plugin.get("type").and_then(Value::as_str) == Some(type_)
}
