//! Criticality of models and adapters: fields in v1alpha1, annotations in v1alpha2.
//!
//! The annotations are KServe's, so objects that its own conversion wrote come back right.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{annotations, put, take};
use crate::meta::{LORA_CRITICALITIES, MODEL_CRITICALITY};

const MODEL: &str = "/spec/model";
const ADAPTERS: &str = "/spec/model/lora/adapters";
const FIELD: &str = "criticality";
const VALUES: [&str; 3] = ["Critical", "Standard", "Sheddable"];

/// Moves the fields into annotations.
pub(super) fn stash(object: &mut Value) {
    if let Some(Value::String(value)) = take(object, &format!("{MODEL}/{FIELD}")) {
        annotations::put(object, MODEL_CRITICALITY, value);
    }
    let adapters = object.pointer_mut(ADAPTERS).and_then(Value::as_array_mut);
    let values: BTreeMap<usize, Value> = adapters
        .into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(index, it)| Some((index, it.as_object_mut()?.remove(FIELD)?)))
        .collect();
    if !values.is_empty() {
        let values = values.into_iter().map(|(index, value)| (index.to_string(), value));
        annotations::put(object, LORA_CRITICALITIES, Value::Object(values.collect()).to_string());
    }
}

/// Moves the annotations into fields; text that is no criticality stays where it is.
pub(super) fn restore(object: &mut Value) {
    if object.pointer(MODEL).is_some_and(Value::is_object)
        && let Some(value) = annotations::take(object, MODEL_CRITICALITY)
    {
        if VALUES.contains(&value.as_str()) {
            put(object, &format!("{MODEL}/{FIELD}"), value.into());
        } else {
            annotations::put(object, MODEL_CRITICALITY, value);
        }
    }
    let Some(text) = annotations::take(object, LORA_CRITICALITIES) else { return };
    let Ok(values) = serde_json::from_str::<BTreeMap<usize, Value>>(&text) else {
        return annotations::put(object, LORA_CRITICALITIES, text);
    };
    for (index, value) in values {
        put(object, &format!("{ADAPTERS}/{index}/{FIELD}"), value);
    }
}
