//! The pool's spec: the Inference Extension's `v1alpha2` in our v1alpha1, its `v1` in our v1alpha2.
//!
//! Either form has things the other has not: defaults that are spelled out, several ports, an application protocol.
//! So each direction may be given the spec that the object had in the other form before. When that spec still says
//! the same, it is taken as it was; when the user has edited the one, only what it cannot say is taken from the other.

use serde_json::{Map, Value, json};

use crate::inference::versions::ENDPOINT_PICKER_PORT;

/// From the `v1` form; `before` is the `v1alpha2` form that this object was written in.
pub(super) fn to_v1alpha2(v1: &Value, before: Option<&Value>) -> Value {
    if let Some(before) = before.filter(|it| plain_v1(it) == *v1) {
        return before.clone();
    }
    plain_v1alpha2(v1)
}

/// From the `v1alpha2` form; `before` is the `v1` form that this object was stored in.
pub(super) fn to_v1(alpha: &Value, before: Option<&Value>) -> Value {
    let Some(before) = before else { return plain_v1(alpha) };
    if plain_v1alpha2(before) == *alpha {
        return before.clone();
    }
    let mut spec = plain_v1(alpha);
    add_missing(&mut spec, before);
    add_further_ports(&mut spec, before);
    spec
}

fn plain_v1alpha2(v1: &Value) -> Value {
    let mut spec = Map::new();
    copy(v1.pointer("/selector/matchLabels"), &mut spec, "selector");
    copy(v1.pointer("/targetPorts/0/number"), &mut spec, "targetPortNumber");
    if let Some(picker) = v1.get("endpointPickerRef") {
        let mut extension = Map::new();
        for field in ["group", "kind", "name"] {
            copy(picker.get(field), &mut extension, field);
        }
        copy(picker.pointer("/port/number"), &mut extension, "portNumber");
        let mode = picker.get("failureMode").cloned().unwrap_or_else(|| "FailClose".into());
        extension.insert("failureMode".to_owned(), mode);
        spec.insert("extensionRef".to_owned(), extension.into());
    }
    spec.into()
}

fn plain_v1(alpha: &Value) -> Value {
    let mut spec = Map::new();
    if let Some(labels) = alpha.get("selector") {
        spec.insert("selector".to_owned(), json!({ "matchLabels": labels }));
    }
    if let Some(number) = alpha.get("targetPortNumber") {
        spec.insert("targetPorts".to_owned(), json!([{ "number": number }]));
    }
    if let Some(extension) = alpha.get("extensionRef") {
        let or = |field: &str, default: Value| extension.get(field).cloned().unwrap_or(default);
        let mut picker = Map::new();
        copy(extension.get("group"), &mut picker, "group");
        picker.insert("kind".to_owned(), or("kind", "Service".into()));
        copy(extension.get("name"), &mut picker, "name");
        let is_service = picker["kind"] == "Service";
        let port =
            extension.get("portNumber").cloned().or_else(|| is_service.then(|| ENDPOINT_PICKER_PORT.into()));
        if let Some(number) = port {
            picker.insert("port".to_owned(), json!({ "number": number }));
        }
        picker.insert("failureMode".to_owned(), or("failureMode", "FailClose".into()));
        spec.insert("endpointPickerRef".to_owned(), picker.into());
    }
    spec.into()
}

/// Top-level fields of `v1` that `v1alpha2` has no counterpart of.
fn add_missing(spec: &mut Value, before: &Value) {
    const SHARED: [&str; 3] = ["selector", "targetPorts", "endpointPickerRef"];
    if let (Value::Object(spec), Value::Object(before)) = (spec, before) {
        for (field, value) in before.iter().filter(|(field, _)| !SHARED.contains(&field.as_str())) {
            spec.insert(field.clone(), value.clone());
        }
    }
}

/// Ports after the first, unless one of them has become the first.
fn add_further_ports(spec: &mut Value, before: &Value) {
    if let (Some(Value::Array(ports)), Some(Value::Array(before))) =
        (spec.get_mut("targetPorts"), before.get("targetPorts"))
    {
        let first = ports.first().cloned();
        ports.extend(before.iter().skip(1).filter(|it| Some(*it) != first.as_ref()).cloned());
    }
}

fn copy(value: Option<&Value>, into: &mut Map<String, Value>, field: &str) {
    if let Some(value) = value {
        into.insert(field.to_owned(), value.clone());
    }
}
