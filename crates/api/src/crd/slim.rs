//! The variant that fits into a client-side `kubectl apply`.
//!
//! Pod templates, claims and the autoscaler's behaviour become open objects without a description: the API server
//! keeps them as they are and the objects made from them are validated when they are created. Fields of the spec
//! itself, the route and the pool keep their schema and their rules.

use serde_json::{Map, Value, json};

use super::edits::{POD_TEMPLATES, TOKENIZER, at};

/// Opens the large subtrees.
pub(super) fn open(spec: &mut Value) {
    for path in POD_TEMPLATES.into_iter().chain([TOKENIZER]) {
        at(spec, path, open_object);
    }
}

fn open_object(keywords: &mut Map<String, Value>) {
    *keywords = Map::from_iter([
        ("type".to_owned(), json!("object")),
        ("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true)),
    ]);
}
