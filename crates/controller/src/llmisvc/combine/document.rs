//! A JSON document in which every leaf knows the layer that it comes from.
//!
//! Why: after merging, texts of configs are templates and texts of the service are not, and a user may ask which
//! layer gave a field. Not here: merging (`strategic_merge`) and filling in templates (`rendering`).

use std::collections::BTreeMap;

use serde_json::Value;

/// Position of a layer in the merge, lowest first.
pub(crate) type LayerIndex = usize;

/// One value of the document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Map(BTreeMap<String, Self>),
    List(Vec<Self>),
    /// A text, number, boolean or null.
    Leaf(Value, LayerIndex),
}

impl Node {
    /// A document that comes from one layer.
    pub(crate) fn new(value: Value, layer: LayerIndex) -> Self {
        match value {
            Value::Object(fields) => {
                Self::Map(fields.into_iter().map(|(key, it)| (key, Self::new(it, layer))).collect())
            }
            Value::Array(items) => Self::List(items.into_iter().map(|it| Self::new(it, layer)).collect()),
            leaf => Self::Leaf(leaf, layer),
        }
    }

    /// The plain document.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Map(fields) => {
                Value::Object(fields.iter().map(|(key, it)| (key.clone(), it.to_value())).collect())
            }
            Self::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Self::Leaf(value, _) => value.clone(),
        }
    }

    /// The value of a field, where this is an object and the field a leaf.
    pub(crate) fn leaf(&self, field: &str) -> Option<&Value> {
        match self {
            Self::Map(fields) => match fields.get(field)? {
                Self::Leaf(value, _) => Some(value),
                Self::Map(_) | Self::List(_) => None,
            },
            Self::List(_) | Self::Leaf(..) => None,
        }
    }
}
