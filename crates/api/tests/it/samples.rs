//! Upstream services and presets, read into the types and written again.

use llmd_api::serving::v1alpha2::{LLMInferenceService, LLMInferenceServiceConfig};
use serde_json::Value;

use crate::upstream;

#[test]
fn every_upstream_sample_comes_back_as_it_was() {
    for folder in ["samples/llmisvc", "samples/presets"] {
        let Some(folder) = upstream::path(folder) else { return };
        let mut seen = 0;
        for file in upstream::files(&folder) {
            for document in upstream::documents(&file) {
                let Some(again) = through_types(&document) else { continue };
                assert_eq!(without_empty(again), without_empty(known(document)), "{}", file.display());
                seen += 1;
            }
        }
        assert!(seen > 5, "{seen} objects in {}", folder.display());
    }
}

/// Without `spec.workload`: one sample has it, no version of the API does, and API servers drop it.
fn known(mut document: Value) -> Value {
    if let Some(spec) = document["spec"].as_object_mut() {
        spec.remove("workload");
    }
    document
}

/// `None` for objects of other kinds that a sample brings along.
fn through_types(document: &Value) -> Option<Value> {
    let text = document.to_string();
    match document["kind"].as_str()? {
        "LLMInferenceService" => {
            let read: LLMInferenceService = serde_json::from_str(&text).unwrap();
            Some(serde_json::to_value(read).unwrap())
        }
        "LLMInferenceServiceConfig" => {
            let read: LLMInferenceServiceConfig = serde_json::from_str(&text).unwrap();
            Some(serde_json::to_value(read).unwrap())
        }
        _ => None,
    }
}

/// Without nulls and empty lists: absence means the same. Quantities may be numbers
/// in YAML and are texts in the types.
fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().map(|(name, it)| (name, without_empty(it)));
            let kept = kept.filter(|(_, it)| !it.is_null() && *it != Value::Array(vec![]));
            Value::Object(kept.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_empty).collect()),
        Value::Number(number) => Value::String(number.to_string()),
        other => other,
    }
}
