//! An EndpointPickerConfig as a document: read, changed in places, written.
//!
//! Configurations of any version pass through here, so nothing beyond the parts that are named is understood or
//! checked. A plugin is known by its name, or by its type where it has no name.

use serde_json::{Map, Value};

/// One plugin: `type`, perhaps `name` and `parameters`.
pub(crate) type Plugin = Map<String, Value>;

/// Plugin that reads the engines' metrics.
pub(crate) const METRICS_SOURCE: &str = "metrics-data-source";

/// The document in `text`; `None` when it is no YAML mapping.
pub(crate) fn read(text: &str) -> Option<Value> {
    serde_saphyr::from_str::<Value>(text).ok().filter(Value::is_object)
}

/// The document as YAML.
pub(crate) fn write(document: &Value) -> String {
    serde_saphyr::to_string(document).expect("a document of strings, numbers, lists and maps is YAML")
}

/// The declared plugins.
pub(crate) fn plugins(document: &Value) -> impl Iterator<Item = &Plugin> {
    document.get("plugins").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

/// The declared plugins, to be changed.
pub(crate) fn plugins_mut(document: &mut Value) -> impl Iterator<Item = &mut Plugin> {
    let plugins = document.get_mut("plugins").and_then(Value::as_array_mut);
    plugins.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// The first plugin of this type.
pub(crate) fn plugin_mut<'a>(document: &'a mut Value, type_: &str) -> Option<&'a mut Plugin> {
    plugins_mut(document).find(|it| is_type(it, type_))
}

/// The first plugin of this type, declared at the end of the list where there is none.
pub(crate) fn ensure_plugin<'a>(document: &'a mut Value, type_: &str) -> Option<&'a mut Plugin> {
    if !has_plugin(document, type_) {
        insert_plugin(document, usize::MAX, type_);
    }
    plugin_mut(document, type_)
}

/// Declares a plugin without parameters at this position of the list, or at its end.
pub(crate) fn insert_plugin(document: &mut Value, position: usize, type_: &str) {
    let Some(document) = document.as_object_mut() else { return };
    let plugins = document.entry("plugins").or_insert_with(|| Value::Array(Vec::new()));
    if plugins.is_null() {
        *plugins = Value::Array(Vec::new());
    }
    if let Some(plugins) = plugins.as_array_mut() {
        plugins.insert(position.min(plugins.len()), serde_json::json!({ "type": type_ }));
    }
}

/// Position of the first plugin of this type in the list.
pub(crate) fn position(document: &Value, type_: &str) -> Option<usize> {
    let plugins = document.get("plugins").and_then(Value::as_array)?;
    plugins.iter().position(|it| it.as_object().is_some_and(|it| is_type(it, type_)))
}

/// Whether a plugin of this type is declared.
pub(crate) fn has_plugin(document: &Value, type_: &str) -> bool {
    plugins(document).any(|it| is_type(it, type_))
}

/// Removes every plugin of this type; references to it stay.
pub(crate) fn remove_plugin(document: &mut Value, type_: &str) {
    if let Some(plugins) = document.get_mut("plugins").and_then(Value::as_array_mut) {
        plugins.retain(|it| !it.as_object().is_some_and(|it| is_type(it, type_)));
    }
}

/// Whether the plugin is of this type.
pub(crate) fn is_type(plugin: &Plugin, type_: &str) -> bool {
    plugin.get("type").and_then(Value::as_str) == Some(type_)
}

/// What references call the plugin.
pub(crate) fn identity(plugin: &Plugin) -> Option<&str> {
    plugin.get("name").or_else(|| plugin.get("type")).and_then(Value::as_str)
}

/// The plugin's parameters, made where there are none.
pub(crate) fn parameters_mut(plugin: &mut Plugin) -> Option<&mut Map<String, Value>> {
    let parameters = plugin.entry("parameters").or_insert(Value::Null);
    if parameters.is_null() {
        *parameters = Value::Object(Map::new());
    }
    parameters.as_object_mut()
}

/// Removes a parameter, and the parameters when it was the only one.
pub(crate) fn take_parameter(plugin: &mut Plugin, name: &str) -> Option<Value> {
    let parameters = plugin.get_mut("parameters")?.as_object_mut()?;
    let taken = parameters.shift_remove(name);
    if parameters.is_empty() && taken.is_some() {
        plugin.shift_remove("parameters");
    }
    taken
}

/// The plugins of type `from` become of type `to`, and so does what is named or refers by that type. Where `to` is
/// declared already, it takes the place of `from`.
pub(crate) fn rename_type(document: &mut Value, from: &str, to: &str) {
    if !has_plugin(document, from) {
        return;
    }
    let is_there = plugins(document).any(|it| identity(it) == Some(to));
    if is_there && let Some(plugins) = document.get_mut("plugins").and_then(Value::as_array_mut) {
        plugins
            .retain(|it| !it.as_object().is_some_and(|it| is_type(it, from) && identity(it) == Some(from)));
    }
    for plugin in plugins_mut(document).filter(|it| is_type(it, from)) {
        plugin.insert("type".to_owned(), to.into());
        if plugin.get("name").and_then(Value::as_str) == Some(from) {
            plugin.insert("name".to_owned(), to.into());
        }
    }
    rename_references(document, from, to);
}

/// References to `from`, at whatever depth, become references to `to`; a list that would then name it twice keeps
/// the first.
pub(crate) fn rename_references(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::Array(items) => {
            let is_renamed = items.iter().any(|it| refers_to(it, from));
            items.iter_mut().for_each(|it| rename_references(it, from, to));
            if is_renamed {
                let mut n_seen = 0;
                items.retain(|it| {
                    n_seen += usize::from(refers_to(it, to));
                    !refers_to(it, to) || n_seen == 1
                });
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                if key == REFERENCE && field.as_str() == Some(from) {
                    *field = to.into();
                } else {
                    rename_references(field, from, to);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

const REFERENCE: &str = "pluginRef";

fn refers_to(item: &Value, name: &str) -> bool {
    item.get(REFERENCE).and_then(Value::as_str) == Some(name)
}
