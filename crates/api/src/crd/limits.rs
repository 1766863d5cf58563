//! What a schema says besides its types: lengths, patterns, ranges, defaults, rules and list semantics.
//!
//! These are the transforms that the wire types name in `#[schemars(transform = …)]`, beside the field they hold for.
//! Each function adds one statement, or the usual statements of one notion (a DNS label, a port), and leaves the
//! rest of the schema alone.

use schemars::Schema;
use serde_json::{Value, json};

/// Keyword that holds a default until the schema is complete: schemars writes Rust's defaults under the real one,
/// and those are not wanted in a CRD.
pub(crate) const DEFAULT: &str = "x-llmd-default";

const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const SUBDOMAIN_OR_EMPTY: &str = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const KIND: &str = "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$";
const TOKEN: &str = r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$";
const DURATION: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// Replaces one keyword.
pub(crate) fn set(keyword: &'static str, value: Value) -> impl FnMut(&mut Schema) {
    move |schema| {
        schema.insert(keyword.to_owned(), value.clone());
    }
}

/// Value that the API server fills in.
pub(crate) fn default(value: impl Into<Value>) -> impl FnMut(&mut Schema) {
    set(DEFAULT, value.into())
}

/// Fields that must be there, whatever Rust's defaults say.
pub(crate) fn required(fields: &'static [&'static str]) -> impl FnMut(&mut Schema) {
    set("required", json!(fields))
}

/// The allowed values.
pub(crate) fn one_of(values: &'static [&'static str]) -> impl FnMut(&mut Schema) {
    set("enum", json!(values))
}

/// A regular expression (RE2).
pub(crate) fn pattern(pattern: &'static str) -> impl FnMut(&mut Schema) {
    set("pattern", json!(pattern))
}

/// Bounds of a number, both inclusive.
pub(crate) fn between(least: i32, most: i32) -> impl FnMut(&mut Schema) {
    move |schema| {
        schema.insert("minimum".to_owned(), json!(least));
        schema.insert("maximum".to_owned(), json!(most));
    }
}

/// Lower bound of a number.
pub(crate) fn at_least(least: i32) -> impl FnMut(&mut Schema) {
    set("minimum", json!(least))
}

/// Bounds of a text's length, in characters.
pub(crate) fn length(least: u32, most: u32) -> impl FnMut(&mut Schema) {
    move |schema| {
        if least > 0 {
            schema.insert("minLength".to_owned(), json!(least));
        }
        schema.insert("maxLength".to_owned(), json!(most));
    }
}

/// Bounds of a list's length.
pub(crate) fn items(least: u32, most: u32) -> impl FnMut(&mut Schema) {
    move |schema| {
        if least > 0 {
            schema.insert("minItems".to_owned(), json!(least));
        }
        schema.insert("maxItems".to_owned(), json!(most));
    }
}

/// A CEL rule over `self`; several add up. The message is what the user reads.
pub(crate) fn rule<R: Into<String>, M: Into<String>>(
    rule: R,
    message: M,
) -> impl FnMut(&mut Schema) + use<R, M> {
    let (rule, message) = (rule.into(), message.into());
    move |schema| {
        let mut rules = schema.get("x-kubernetes-validations").cloned().unwrap_or_else(|| json!([]));
        if let Some(rules) = rules.as_array_mut() {
            rules.push(json!({ "rule": rule, "message": message }));
        }
        schema.insert("x-kubernetes-validations".to_owned(), rules);
    }
}

/// The schema of every value of a map.
pub(crate) fn values(schema: Value) -> impl FnMut(&mut Schema) {
    set("additionalProperties", schema)
}

/// A statement about each item of a list.
pub(crate) fn each(mut about: impl FnMut(&mut Schema)) -> impl FnMut(&mut Schema) {
    move |list| {
        if let Some(items) = list.get_mut("items")
            && let Ok(mut schema) = Schema::try_from(items.take())
        {
            about(&mut schema);
            *items = schema.to_value();
        }
    }
}

/// A list that appliers replace as a whole.
pub(crate) fn atomic(schema: &mut Schema) {
    set("x-kubernetes-list-type", json!("atomic"))(schema);
}

/// An object that appliers replace as a whole.
pub(crate) fn atomic_object(schema: &mut Schema) {
    set("x-kubernetes-map-type", json!("atomic"))(schema);
}

/// A list of different values, merged by value.
pub(crate) fn unique(schema: &mut Schema) {
    set("x-kubernetes-list-type", json!("set"))(schema);
}

/// A list of objects, merged by this field.
pub(crate) fn keyed_by(field: &'static str) -> impl FnMut(&mut Schema) {
    move |schema| {
        schema.insert("x-kubernetes-list-type".to_owned(), json!("map"));
        schema.insert("x-kubernetes-list-map-keys".to_owned(), json!([field]));
    }
}

/// Any JSON value, kept as it is.
pub(crate) fn anything(schema: &mut Schema) {
    *schema = Schema::default();
    set("x-kubernetes-preserve-unknown-fields", json!(true))(schema);
}

/// Any JSON object, kept as it is.
pub(crate) fn any_object(schema: &mut Schema) {
    anything(schema);
    set("type", json!("object"))(schema);
}

/// Name of an object.
pub(crate) fn object_name(schema: &mut Schema) {
    length(1, 253)(schema);
}

/// Name of a namespace: a DNS label.
pub(crate) fn namespace(schema: &mut Schema) {
    length(1, 63)(schema);
    pattern(LABEL)(schema);
}

/// A DNS subdomain, such as the name of a listener.
pub(crate) fn subdomain(schema: &mut Schema) {
    length(1, 253)(schema);
    pattern(SUBDOMAIN)(schema);
}

/// An API group; empty is the core group.
pub(crate) fn group(schema: &mut Schema) {
    length(0, 253)(schema);
    pattern(SUBDOMAIN_OR_EMPTY)(schema);
}

/// The kind of an object.
pub(crate) fn kind(schema: &mut Schema) {
    length(1, 63)(schema);
    pattern(KIND)(schema);
}

/// A TCP port.
pub(crate) fn port(schema: &mut Schema) {
    between(1, 65535)(schema);
}

/// Name of an HTTP header or query parameter.
pub(crate) fn header_name(schema: &mut Schema) {
    length(1, 256)(schema);
    pattern(TOKEN)(schema);
}

/// A duration as Gateway API writes it.
pub(crate) fn duration(schema: &mut Schema) {
    pattern(DURATION)(schema);
}

/// An HTTP method.
pub(crate) fn method(schema: &mut Schema) {
    one_of(&METHODS)(schema);
}

/// An HTTP method, or `*` for all.
pub(crate) fn method_or_any(schema: &mut Schema) {
    let all: Vec<&str> = METHODS.into_iter().chain(["*"]).collect();
    set("enum", json!(all))(schema);
}
