//! Endpoint pickers with a tokenizer in their own pod, reached through a socket.

use k8s_openapi::api::core::v1::PodSpec;
use serde_json::{Map, Value, json};

use super::{PRECISE_SCORER, PREFIX_SCORER, document};

/// Names that the tokenizer's container has had.
const CONTAINERS: [&str; 2] = ["tokenizer", "tokenizer-uds"];
const SOCKET: &str = "/tmp/tokenizer/tokenizer-uds.socket";
/// Folder of the model's tokenizer below the sidecar's models.
const MODEL: &str = "base";

/// Whether the tokenizer runs in the endpoint picker's pod.
pub(super) fn is_present(pod: &PodSpec) -> bool {
    pod.containers
        .iter()
        .chain(pod.init_containers.iter().flatten())
        .any(|it| CONTAINERS.contains(&&*it.name))
}

/// Removes the tokenizer from the pod.
pub(super) fn remove(pod: &mut PodSpec) {
    pod.containers.retain(|it| !CONTAINERS.contains(&&*it.name));
    if let Some(init) = &mut pod.init_containers {
        init.retain(|it| !CONTAINERS.contains(&&*it.name));
    }
}

/// Points the precise scorer at the sidecar.
pub(super) fn apply(config: &mut Value) {
    for plugin in document::plugins_mut(config) {
        if document::is_type(plugin, PRECISE_SCORER)
            && let Some(parameters) = document::parameters_mut(plugin)
        {
            use_socket(parameters);
        }
        if document::is_type(plugin, PREFIX_SCORER)
            && let Some(size) = document::take_parameter(plugin, "blockSize")
            && let Some(parameters) = document::parameters_mut(plugin)
        {
            parameters.entry("blockSizeTokens").or_insert(size);
        }
    }
}

fn use_socket(parameters: &mut Map<String, Value>) {
    let Some(indexer) = object(parameters, "indexerConfig") else { return };
    let lifted = indexer.shift_remove("tokenProcessorConfig");
    if let Some(pool) = object(indexer, "tokenizersPoolConfig") {
        pool.insert("modelName".to_owned(), MODEL.into());
        if let Some(uds) = object(pool, "uds") {
            uds.insert("socketFile".to_owned(), SOCKET.into());
        }
    }
    if let Some(lifted) = lifted {
        parameters.entry("tokenProcessorConfig").or_insert(lifted);
    }
}

/// The object under this key, made where there is none.
fn object<'a>(parent: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    let value = parent.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut()
}
