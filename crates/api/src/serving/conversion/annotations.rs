//! Annotations of an object that is JSON.

use serde_json::{Map, Value};

/// Takes one out; the map goes with the last.
pub(super) fn take(object: &mut Value, key: &str) -> Option<String> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    let annotations = metadata.get_mut("annotations")?.as_object_mut()?;
    let value = annotations.remove(key)?;
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    value.as_str().map(str::to_owned)
}

/// Sets one.
pub(super) fn put(object: &mut Value, key: &str, value: String) {
    let metadata = entry(object, "metadata");
    let annotations = metadata.and_then(|it| entry(it, "annotations")).and_then(Value::as_object_mut);
    if let Some(annotations) = annotations {
        annotations.insert(key.to_owned(), value.into());
    }
}

fn entry<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    let value = object.as_object_mut()?.entry(field).or_insert_with(|| Value::Object(Map::new()));
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    Some(value)
}
