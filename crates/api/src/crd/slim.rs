//! The variant that fits into a client-side `kubectl apply`.
//!
//! Pod templates become open objects: the API server keeps them as they are, and what is made from them is validated
//! when it is made. All else keeps its schema and its rules.

use serde_json::{Map, Value, json};

use super::edits::{POD_TEMPLATES, TOKENIZER, at};

/// Opens the large subtrees.
pub(super) fn open(spec: &mut Value) {
    for path in POD_TEMPLATES.into_iter().chain([TOKENIZER]) {
        at(spec, path, open_object);
    }
}

fn open_object(keywords: &mut Map<String, Value>) {
    keywords.retain(|keyword, _| keyword == "description");
    keywords.insert("type".to_owned(), json!("object"));
    keywords.insert("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true));
}
