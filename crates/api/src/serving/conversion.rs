//! `v1alpha1` to `v1alpha2` and back, without loss.
//!
//! Objects are converted as JSON, so what the types do not know passes through. What the other version has no place
//! for travels in an annotation and returns to its place on the way back, unless the place is gone by then; an edit
//! of a field that both versions have always wins. Metadata other than annotations is left alone, as the API server
//! demands.
//!
//! An annotation is text that any client may write, and the API server does not validate what a conversion gives
//! it. So only known fields are restored, and only when they have the shape of their type.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use thiserror::Error;

use super::kv_cache::KvCacheOffloadingSpec;
use super::model::ConfidentialSpec;
use crate::inference::pool_v1::InferencePoolSpec;
use crate::meta::{V1ALPHA1_FIELDS, V1ALPHA2_FIELDS};

mod annotations;
mod criticality;
mod pool;

const KINDS: [&str; 2] = ["LLMInferenceService", "LLMInferenceServiceConfig"];
const V1ALPHA1: &str = "serving.kserve.io/v1alpha1";
const V1ALPHA2: &str = "serving.kserve.io/v1alpha2";

/// Fields that only v1alpha2 has, as JSON pointers, each with the check of its shape.
const ONLY_IN_V1ALPHA2: [(&str, Check); 3] = [
    ("/spec/kvCacheOffloading", is::<KvCacheOffloadingSpec>),
    ("/spec/prefill/kvCacheOffloading", is::<KvCacheOffloadingSpec>),
    ("/spec/model/confidential", is::<ConfidentialSpec>),
];
const POOL: &str = "/spec/router/scheduler/pool/spec";

type Check = fn(&Value) -> Result<(), serde_json::Error>;

/// Why an object cannot be converted.
#[derive(Debug, Error)]
pub enum ConversionError {
    /// Another kind than the two of this group.
    #[error("kind {kind:?} has no conversion: expected LLMInferenceService or LLMInferenceServiceConfig")]
    UnknownKind {
        /// Kind of the object, empty when it has none.
        kind: String,
    },
    /// Neither of the two versions.
    #[error("version {version:?} has no conversion: expected {V1ALPHA1} or {V1ALPHA2}")]
    UnknownVersion {
        /// `apiVersion` of the object, or the one asked for.
        version: String,
    },
    /// The annotation with v1alpha2's fields was changed to something else.
    #[error(
        "annotation {V1ALPHA2_FIELDS} does not hold what a conversion wrote ({field}): {source}; remove it"
    )]
    Annotation {
        /// JSON pointer of the field, or empty for the annotation as a whole.
        field: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl ConversionError {
    /// A stable label for metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownKind { .. } => "unknown_kind",
            Self::UnknownVersion { .. } => "unknown_version",
            Self::Annotation { .. } => "annotation",
        }
    }
}

/// The object in the version asked for (`serving.kserve.io/v1alpha1` or `…/v1alpha2`).
///
/// # Errors
/// See [`ConversionError`]. Objects of `v1alpha2` always convert.
pub fn convert(mut object: Value, desired_api_version: &str) -> Result<Value, ConversionError> {
    let kind = object["kind"].as_str().unwrap_or_default();
    if !KINDS.contains(&kind) {
        return Err(ConversionError::UnknownKind { kind: kind.to_owned() });
    }
    let from = object["apiVersion"].as_str().unwrap_or_default().to_owned();
    match (from.as_str(), desired_api_version) {
        (V1ALPHA2, V1ALPHA1) => to_v1alpha1(&mut object),
        (V1ALPHA1, V1ALPHA2) => to_v1alpha2(&mut object)?,
        (V1ALPHA1, V1ALPHA1) | (V1ALPHA2, V1ALPHA2) => {}
        (V1ALPHA1 | V1ALPHA2, other) | (other, _) => {
            return Err(ConversionError::UnknownVersion { version: other.to_owned() });
        }
    }
    object["apiVersion"] = desired_api_version.into();
    Ok(object)
}

fn to_v1alpha1(object: &mut Value) {
    let mut stash = Map::new();
    for (field, _) in ONLY_IN_V1ALPHA2 {
        if let Some(value) = take(object, field) {
            stash.insert(field.to_owned(), value);
        }
    }
    let original = annotations::take(object, V1ALPHA1_FIELDS).and_then(|it| serde_json::from_str(&it).ok());
    if let Some(spec) = object.pointer_mut(POOL) {
        let alpha = pool::to_v1alpha2(spec, original.as_ref());
        if pool::to_v1(&alpha, None) != *spec {
            stash.insert(POOL.to_owned(), spec.take());
        }
        *spec = alpha;
    }
    criticality::restore(object);
    if !stash.is_empty() {
        annotations::put(object, V1ALPHA2_FIELDS, Value::Object(stash).to_string());
    }
}

fn to_v1alpha2(object: &mut Value) -> Result<(), ConversionError> {
    let mut stash = stashed(object)?;
    criticality::stash(object);
    if let Some(spec) = object.pointer_mut(POOL) {
        let v1 = pool::to_v1(spec, stash.remove(POOL).as_ref());
        let lossy = pool::to_v1alpha2(&v1, None) != *spec;
        let alpha = std::mem::replace(spec, v1);
        if lossy {
            annotations::put(object, V1ALPHA1_FIELDS, alpha.to_string());
        }
    }
    for (field, _) in ONLY_IN_V1ALPHA2 {
        if let Some(value) = stash.remove(field) {
            put(object, field, value);
        }
    }
    Ok(())
}

/// What the way to v1alpha1 put aside, checked; the annotation is removed.
fn stashed(object: &mut Value) -> Result<Map<String, Value>, ConversionError> {
    let Some(text) = annotations::take(object, V1ALPHA2_FIELDS) else { return Ok(Map::new()) };
    let wrong = |field: &str| {
        let field = field.to_owned();
        move |source| ConversionError::Annotation { field, source }
    };
    let stash: Map<String, Value> = serde_json::from_str(&text).map_err(wrong(""))?;
    for (field, check) in ONLY_IN_V1ALPHA2.into_iter().chain([(POOL, is::<InferencePoolSpec> as Check)]) {
        stash.get(field).map_or(Ok(()), check).map_err(wrong(field))?;
    }
    Ok(stash)
}

fn is<T: DeserializeOwned>(value: &Value) -> Result<(), serde_json::Error> {
    serde_json::from_value::<T>(value.clone()).map(drop)
}

/// Takes a field out of the object it stands in.
fn take(object: &mut Value, pointer: &str) -> Option<Value> {
    let (parent, field) = pointer.rsplit_once('/')?;
    object.pointer_mut(parent)?.as_object_mut()?.remove(field)
}

/// Puts a field back, when the object it stood in is still there.
fn put(object: &mut Value, pointer: &str, value: Value) {
    if let Some((parent, field)) = pointer.rsplit_once('/')
        && let Some(Value::Object(parent)) = object.pointer_mut(parent)
    {
        parent.entry(field).or_insert(value);
    }
}

#[cfg(test)]
mod tests;
