//! An InferencePool and its endpoint picker, as their cluster's metadata carries them.

use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::picker::Picker;

/// A pool and who picks among its endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pool {
    /// API group: the same name may stand for a pool in each of two.
    pub group: String,
    pub namespace: String,
    pub name: String,
    /// Without one nobody says where requests go, so none goes anywhere.
    pub picker: Option<Picker>,
}

/// Where the picker listens when the pool does not say.
const DEFAULT_PORT: u16 = 9002;

impl Pool {
    /// Reads an object of version v1 (`endpointPickerRef`) or v1alpha2 (`extensionRef`).
    pub(super) fn of_object(object: &Json) -> Self {
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let group = text(&object["apiVersion"]).split('/').next().unwrap_or_default().to_owned();
        let namespace = text(&object["metadata"]["namespace"]);
        let spec = &object["spec"];
        let reference =
            [&spec["endpointPickerRef"], &spec["extensionRef"]].into_iter().find(|it| it.is_object());
        let picker = reference.and_then(|it| picker(it, &namespace));
        Self { group, namespace, name: text(&object["metadata"]["name"]), picker }
    }
}

fn picker(reference: &Json, namespace: &str) -> Option<Picker> {
    if reference["kind"].as_str().is_some_and(|it| it != "Service") {
        return None;
    }
    let port = [&reference["port"]["number"], &reference["portNumber"]].into_iter().find_map(Json::as_u64);
    Some(Picker {
        namespace: namespace.to_owned(),
        service: reference["name"].as_str()?.to_owned(),
        port: port.map_or(Some(DEFAULT_PORT), |it| u16::try_from(it).ok())?,
        fails_open: reference["failureMode"] == "FailOpen",
    })
}

/// The only field of the metadata.
const POOLS: &str = "pools";

/// Pools as metadata.
pub(super) fn to_metadata(pools: &[Pool]) -> Struct {
    let text = serde_json::to_string(pools).expect("texts, numbers and truths are JSON");
    Struct { fields: [(POOLS.to_owned(), Value { kind: Some(Kind::StringValue(text)) })].into() }
}

/// What [`to_metadata`] wrote; empty for other metadata.
pub(super) fn from_metadata(metadata: &Struct) -> Vec<Pool> {
    match metadata.fields.get(POOLS).and_then(|it| it.kind.as_ref()) {
        Some(Kind::StringValue(text)) => serde_json::from_str(text).unwrap_or_default(),
        _ => Vec::new(),
    }
}
