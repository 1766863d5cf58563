//! The strategic merge of two layers, as Kubernetes defines it.
//!
//! Contract: objects merge field by field, lists of pod templates that have a merge key item by item, all other
//! lists are replaced. A layer gives only what differs from the zero value of its type, so it can never erase
//! ([`given`]). One thing is different from Kubernetes: where a layer gives one member of a one-of, the members
//! that lower layers gave go, because both together are invalid.

use std::collections::BTreeMap;

use serde_json::Value;

use super::document::Node;
use super::place::Place;

/// What a layer gives: the document without the values that cannot be told from absent ones in Kubernetes' types.
pub(crate) fn given(value: Value, place: Place<'_>) -> Option<Value> {
    match value {
        Value::Null if place.is_atomic() => Some(Value::Null),
        Value::Null => None,
        Value::Bool(false) if place.is_plain_boolean() => None,
        Value::Number(it) if place.is_plain_number() && it.as_i64() == Some(0) => None,
        Value::String(it) if place.is_plain_text() && it.is_empty() => None,
        Value::Array(items) => given_list(items, place),
        Value::Object(fields) => {
            let is_empty_map = fields.is_empty() && place.is_map();
            let fields = fields
                .into_iter()
                .filter_map(|(key, it)| given(it, place.child(&key)).map(|it| (key, it)))
                .collect();
            (!is_empty_map).then_some(Value::Object(fields))
        }
        leaf => Some(leaf),
    }
}

/// Lists outside pod templates are taken as they are, and so are texts and numbers in any list.
fn given_list(items: Vec<Value>, place: Place<'_>) -> Option<Value> {
    if items.is_empty() && !place.is_atomic() {
        return None;
    }
    let item = |it: Value| if it.is_object() && place.is_pod() { given(it, place) } else { Some(it) };
    Some(Value::Array(items.into_iter().filter_map(item).collect()))
}

/// Merges a higher layer into the lower ones.
pub(crate) fn merge(lower: &mut Node, higher: Node, place: Place<'_>) {
    match (lower, higher) {
        (Node::Map(lower), Node::Map(higher)) if !place.is_atomic() => merge_map(lower, higher, place),
        (Node::List(lower), Node::List(higher)) => match place.merge_key() {
            Some(key) => merge_list(lower, higher, key, place),
            None => *lower = higher,
        },
        (lower, higher) => *lower = higher,
    }
}

fn merge_map(lower: &mut BTreeMap<String, Node>, higher: BTreeMap<String, Node>, place: Place<'_>) {
    lower.retain(|old, _| higher.contains_key(old) || !higher.keys().any(|new| place.excludes(old, new)));
    for (field, value) in higher {
        match lower.get_mut(&field) {
            Some(old) => merge(old, value, place.child(&field)),
            None => drop(lower.insert(field, value)),
        }
    }
}

/// Items with equal keys merge. The order is Kubernetes': items of the higher layer keep their order, and an item
/// that only the lower one has comes before the first of them that it preceded there.
fn merge_list(lower: &mut Vec<Node>, higher: Vec<Node>, key: &str, place: Place<'_>) {
    let position = |items: &[Node], item: &Node| {
        item.leaf(key).and_then(|it| items.iter().position(|other| other.leaf(key) == Some(it)))
    };
    let mut old: Vec<Option<Node>> = lower.iter().cloned().map(Some).collect();
    let mut named: Vec<(Option<usize>, Node)> = Vec::with_capacity(higher.len());
    for item in higher {
        let same = named.iter_mut().find(|(_, it)| it.leaf(key).is_some() && it.leaf(key) == item.leaf(key));
        if let Some((_, same)) = same {
            merge(same, item, place);
            continue;
        }
        let index = position(lower, &item);
        let merged = match index.and_then(|it| old[it].take()) {
            Some(mut base) => {
                merge(&mut base, item, place);
                base
            }
            None => item,
        };
        named.push((index, merged));
    }
    let mut kept = old.into_iter().enumerate().filter_map(|(index, it)| Some((index, it?))).peekable();
    let mut all = Vec::with_capacity(named.len());
    for (index, item) in named {
        while let Some((_, before)) = kept.next_if(|(it, _)| index.is_some_and(|index| *it < index)) {
            all.push(before);
        }
        all.push(item);
    }
    all.extend(kept.map(|(_, it)| it));
    *lower = all;
}
