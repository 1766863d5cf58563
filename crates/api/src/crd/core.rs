//! What Kubernetes' own types lack in the generated Rust: merge semantics, defaults and the form of quantities.
//!
//! Descriptions of these types are left out: five pod templates in two versions would make the object larger than
//! etcd takes, and `kubectl explain pod.spec` tells the same.

use serde_json::{Map, Value, json};

use super::schema::for_each;
use crate::pod_merge;

const KUBERNETES: &str = "io.k8s.";
const QUANTITY: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";
const CONDITION_TYPE: &str = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$";

/// Objects that appliers replace as a whole.
const ATOMIC_OBJECTS: [&str; 15] = [
    "ConfigMapEnvSource",
    "ConfigMapKeySelector",
    "ConfigMapProjection",
    "ConfigMapVolumeSource",
    "FileKeySelector",
    "LabelSelector",
    "LocalObjectReference",
    "NodeSelector",
    "NodeSelectorTerm",
    "ObjectFieldSelector",
    "ResourceFieldSelector",
    "SecretEnvSource",
    "SecretKeySelector",
    "SecretProjection",
    "TypedLocalObjectReference",
];

/// Completes the definition of one Kubernetes type; leaves other types alone.
pub(super) fn complete(name: &str, definition: &mut Value) {
    let Some(kind) = name.strip_prefix(KUBERNETES).and_then(|it| it.rsplit('.').next()) else { return };
    for_each(definition, &mut |keywords| {
        keywords.remove("description");
        if keywords.get("type").is_some_and(|it| it == "array") {
            keywords.insert("x-kubernetes-list-type".to_owned(), "atomic".into());
        }
    });
    let Value::Object(keywords) = definition else { return };
    if kind == "ObjectMeta" {
        template_metadata(keywords);
    }
    if ATOMIC_OBJECTS.contains(&kind) {
        keywords.insert("x-kubernetes-map-type".to_owned(), "atomic".into());
    }
    for (about, field, more) in additions() {
        if about == kind {
            extend(property(keywords, field), more);
        }
    }
    merge_lists(keywords);
    match kind {
        "Quantity" => extend(keywords, int_or_string(json!({ "pattern": QUANTITY }))),
        "IntOrString" => extend(keywords, int_or_string(json!({}))),
        _ => {}
    }
}

/// Metadata inside a spec is that of a template: only what its objects take over.
fn template_metadata(keywords: &mut Map<String, Value>) {
    if let Some(Value::Object(properties)) = keywords.get_mut("properties") {
        properties.retain(|field, _| field == "labels" || field == "annotations");
    }
}

/// Which lists merge item by item, and by which fields.
fn merge_lists(keywords: &mut Map<String, Value>) {
    let Some(Value::Object(properties)) = keywords.get_mut("properties") else { return };
    for (field, schema) in properties {
        if let Some(keys) = pod_merge::apply_keys(field)
            && let Value::Object(schema) = schema
        {
            let more = json!({
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": keys,
            });
            extend(schema, more);
        }
    }
}

/// Type, field, and what to add to the field's schema.
fn additions() -> Vec<(&'static str, &'static str, Value)> {
    let default = |value: Value| json!({ super::limits::DEFAULT: value });
    let empty = || default(json!(""));
    vec![
        ("AzureDiskVolumeSource", "fsType", default(json!("ext4"))),
        ("AzureDiskVolumeSource", "readOnly", default(json!(false))),
        ("ConfigMapEnvSource", "name", empty()),
        ("ConfigMapKeySelector", "name", empty()),
        ("ConfigMapProjection", "name", empty()),
        ("ConfigMapVolumeSource", "name", empty()),
        ("ContainerPort", "protocol", default(json!("TCP"))),
        ("ContainerRestartRuleOnExitCodes", "values", json!({ "x-kubernetes-list-type": "set" })),
        ("FileKeySelector", "optional", default(json!(false))),
        ("GRPCAction", "service", empty()),
        ("ISCSIVolumeSource", "iscsiInterface", default(json!("default"))),
        ("LocalObjectReference", "name", empty()),
        ("PodSpec", "nodeSelector", json!({ "x-kubernetes-map-type": "atomic" })),
        ("RBDVolumeSource", "keyring", default(json!("/etc/ceph/keyring"))),
        ("RBDVolumeSource", "pool", default(json!("rbd"))),
        ("RBDVolumeSource", "user", default(json!("admin"))),
        ("ScaleIOVolumeSource", "fsType", default(json!("xfs"))),
        ("ScaleIOVolumeSource", "storageMode", default(json!("ThinProvisioned"))),
        ("SecretEnvSource", "name", empty()),
        ("SecretKeySelector", "name", empty()),
        ("SecretProjection", "name", empty()),
        ("Condition", "type", json!({ "maxLength": 316, "pattern": CONDITION_TYPE })),
        ("Condition", "status", json!({ "enum": ["True", "False", "Unknown"] })),
        ("Condition", "message", json!({ "maxLength": 32768 })),
        ("Condition", "observedGeneration", json!({ "minimum": 0 })),
        (
            "Condition",
            "reason",
            json!({ "minLength": 1, "maxLength": 1024, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$" }),
        ),
    ]
}

fn int_or_string(mut more: Value) -> Value {
    if let Value::Object(more) = &mut more {
        more.insert("anyOf".to_owned(), json!([{ "type": "integer" }, { "type": "string" }]));
    }
    more
}

fn property<'a>(keywords: &'a mut Map<String, Value>, field: &str) -> &'a mut Map<String, Value> {
    let schema =
        keywords.get_mut("properties").and_then(|it| it.get_mut(field)).and_then(Value::as_object_mut);
    schema.expect("the table names fields of the Kubernetes types this crate is built with")
}

fn extend(keywords: &mut Map<String, Value>, more: Value) {
    if let Value::Object(more) = more {
        keywords.extend(more);
    }
}
