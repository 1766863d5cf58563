//! Which layer gave a field of the effective spec, and what it overrode.
//!
//! Paths are written as people read manifests: `template.containers[main].image`,
//! `spec.template.containers[name=main].env[HOME].value`, `router.route.http.spec.rules[0]`,
//! `annotations[example.com/key]`. Brackets hold a position, the value of the list's merge key, `field=value`, or
//! the key of a map. Pure; printing is up to the caller.

mod path;

#[cfg(test)]
mod tests;

use std::fmt;

use llmd_api::serving::status::AppliedConfig;
use serde_json::Value;

use self::path::{Segment, Step};
use super::document::{LayerIndex, Node};
use super::place::Place;
use super::{Effective, given};

/// How many existing keys an error lists.
const MAX_HINTS: usize = 12;

/// Who gave a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A preset or a baseRef.
    Config(AppliedConfig),
    /// The service's own spec.
    Service,
    /// The controller, after everything was combined.
    Controller,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(config) => write!(f, "{:?} {}/{}", config.source, config.namespace, config.name),
            Self::Service => f.write_str("the service"),
            Self::Controller => f.write_str("the controller"),
        }
    }
}

/// What one layer gives at a path, with its templates unfilled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    pub source: Source,
    pub value: Value,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The path in its full form.
    pub path: String,
    /// The value in the effective spec.
    pub value: Value,
    /// Who gave it. Of an object or list that several layers share, the highest of them.
    pub source: Source,
    /// What the layers below gave, highest first. Inside a list that is replaced as a whole, their lists.
    pub below: Vec<Contribution>,
}

/// Why a path cannot be explained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// The text is no path.
    #[error("{path:?} is no path: {message}")]
    Syntax { path: String, message: &'static str },
    /// The effective spec has no such field.
    #[error("no {missing} in {parent}; there is: {}", existing.join(", "))]
    Unknown { missing: String, parent: String, existing: Vec<String> },
}

/// Explains the value at `path`.
///
/// # Errors
/// When the text is no path, or the effective spec has nothing there.
pub fn explain(effective: &Effective, path: &str) -> Result<Explanation, ExplainError> {
    let segments = path::parse(path)?;
    let controller = effective.layers.len();
    let spec = Node::new(given(&effective.spec), controller);
    let steps = resolve(&spec, &segments)?;
    let value = lookup(&spec, &steps).map(Node::to_value).unwrap_or_default();
    let layer = lookup(&effective.merged, &steps)
        .filter(|it| given_equal(&it.to_value(), &value))
        .map_or(controller, highest_layer);
    let shared = &steps[..steps.iter().position(|it| matches!(it, Step::Index(_))).unwrap_or(steps.len())];
    let below = (effective.layers[..layer].iter().enumerate().rev())
        .filter_map(|(index, it)| {
            let value = lookup(&Node::new(it.given.clone(), index), shared)?.to_value();
            Some(Contribution { source: source(effective, index), value })
        })
        .collect();
    Ok(Explanation { path: path::join(&steps), value, source: source(effective, layer), below })
}

/// The typed spec has fields in another order and empty lists that the document has not.
fn given_equal(merged: &Value, value: &Value) -> bool {
    super::strategic_merge::given(merged.clone(), Place::SPEC).as_ref() == Some(value) || merged == value
}

fn source(effective: &Effective, layer: LayerIndex) -> Source {
    match effective.layers.get(layer) {
        Some(layer) => layer.config.clone().map_or(Source::Service, Source::Config),
        None => Source::Controller,
    }
}

fn highest_layer(node: &Node) -> LayerIndex {
    match node {
        Node::Leaf(_, layer) => *layer,
        Node::List(items) => items.iter().map(highest_layer).max().unwrap_or_default(),
        Node::Map(fields) => fields.values().map(highest_layer).max().unwrap_or_default(),
    }
}

/// Finds the segments of a path in the effective spec.
fn resolve(spec: &Node, segments: &[Segment]) -> Result<Vec<Step>, ExplainError> {
    let mut steps = Vec::new();
    let mut node = spec;
    let mut fields: Vec<&str> = Vec::new();
    for segment in segments {
        let place = fields.iter().fold(Place::SPEC, |place, it| place.child(it));
        let step = step(node, segment, place.merge_key());
        let found = step.as_ref().and_then(|it| Some((it, child(node, it)?)));
        let Some((step, inner)) = found else {
            return Err(unknown(node, segment, &steps, place.merge_key()));
        };
        if let (Step::Field(_), Segment::Field(name) | Segment::Selector { value: name, .. }) =
            (step, segment)
        {
            fields.push(name);
        }
        steps.push(step.clone());
        node = inner;
    }
    Ok(steps)
}

/// The step that a segment means at a node.
fn step(node: &Node, segment: &Segment, merge_key: Option<&str>) -> Option<Step> {
    match (node, segment) {
        (Node::Map(_), Segment::Field(name) | Segment::Selector { key: None, value: name }) => {
            Some(Step::Field(name.clone()))
        }
        (Node::List(items), Segment::Selector { key, value }) => {
            let key = key.as_deref().or(merge_key);
            let by_key = key.and_then(|key| items.iter().find(|it| has(it, key, value)).map(|it| (key, it)));
            let item = by_key.map(|(_, it)| it).or_else(|| items.get(value.parse::<usize>().ok()?))?;
            let position = items.iter().position(|it| std::ptr::eq(it, item))?;
            Some(match merge_key.and_then(|key| Some((key, item.leaf(key)?))) {
                Some((key, value)) => Step::Item { key: key.to_owned(), value: text(value) },
                None => Step::Index(position),
            })
        }
        _ => None,
    }
}

fn child<'n>(node: &'n Node, step: &Step) -> Option<&'n Node> {
    match (node, step) {
        (Node::Map(fields), Step::Field(name)) => fields.get(name),
        (Node::List(items), Step::Item { key, value }) => items.iter().find(|it| has(it, key, value)),
        (Node::List(items), Step::Index(index)) => items.get(*index),
        _ => None,
    }
}

fn lookup<'n>(node: &'n Node, steps: &[Step]) -> Option<&'n Node> {
    steps.iter().try_fold(node, child)
}

fn has(item: &Node, key: &str, value: &str) -> bool {
    item.leaf(key).is_some_and(|it| text(it) == value)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn unknown(node: &Node, segment: &Segment, steps: &[Step], merge_key: Option<&str>) -> ExplainError {
    let mut existing: Vec<String> = match node {
        Node::Map(fields) => fields.keys().cloned().collect(),
        Node::List(items) => (items.iter().enumerate())
            .map(|(index, it)| merge_key.and_then(|key| it.leaf(key)).map_or_else(|| index.to_string(), text))
            .collect(),
        Node::Leaf(value, _) => vec![format!("only the value {value}")],
    };
    let missing = segment.to_string();
    existing.sort_by_cached_key(|it| distance(it, segment.name()));
    existing.truncate(MAX_HINTS);
    ExplainError::Unknown { missing, parent: path::join(steps), existing }
}

/// Letters to change, add or remove to get from one word to another, whatever the case.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, letter) in left.to_lowercase().chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], above + 1);
        for (column, other) in right.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}
