//! vLLM's `--kv-transfer-config` for a service's `kvCacheOffloading`: the connector that moves blocks to host memory and
//! the tiers below it, beside the connectors that the pod needs anyway.

use llmd_api::serving::v1alpha2::KvCacheOffloadingSpec;
use serde_json::{Value, json};

use crate::quantity;

/// The flag with its value, made to stand between double quotes in a shell script. Nothing without `offloading`.
///
/// # Errors
/// What is wrong with `offloading`.
pub(super) fn flag_for_shell(offloading: &Value) -> Result<String, String> {
    let json = json(offloading, &[])?;
    if json.is_empty() {
        return Ok(json);
    }
    Ok(format!("--kv-transfer-config '{}'", json.replace('"', "\\\"")))
}

/// The flag's value as JSON, with the connectors named `others` first. Several connectors are parts of vLLM's
/// MultiConnector. Nothing without any connector.
///
/// # Errors
/// What is wrong with `offloading`.
pub(super) fn json(offloading: &Value, others: &[&str]) -> Result<String, String> {
    let mut connectors: Vec<_> = others.iter().map(|it| connector(it, None)).collect();
    if !offloading.is_null() {
        connectors.push(connector("OffloadingConnector", Some(tiers(offloading)?)));
    }
    Ok(match connectors.len() {
        0 => String::new(),
        1 => connectors.remove(0).to_string(),
        _ => connector("MultiConnector", Some(json!({ "connectors": connectors }))).to_string(),
    })
}

fn connector(name: &str, extra: Option<Value>) -> Value {
    let mut connector = json!({ "kv_connector": name });
    if let Some(extra) = extra {
        connector["kv_connector_extra_config"] = extra;
    }
    connector["kv_role"] = json!("kv_both");
    connector
}

/// Host memory first, then the file systems that `storage` mounts.
fn tiers(offloading: &Value) -> Result<Value, String> {
    let spec: KvCacheOffloadingSpec =
        serde_json::from_value(offloading.clone()).map_err(|it| it.to_string())?;
    let bytes = quantity::whole(&spec.cpu.0).ok_or_else(|| format!("{:?} is no quantity", spec.cpu.0))?;
    let mut tiers = json!({ "cpu_bytes_to_use": bytes });
    if let Some(policy) = spec.eviction_policy.filter(|it| !it.is_empty()) {
        tiers["eviction_policy"] = Value::String(policy);
    }
    let on_disk: Vec<Value> = (0..)
        .zip(&spec.secondary)
        .filter(|(_, tier)| tier.file_system.is_some())
        .map(|(index, _): (usize, _)| json!({ "root_dir": format!("/mnt/kv-cache-{index}"), "type": "fs" }))
        .collect();
    if !on_disk.is_empty() {
        tiers["secondary_tiers"] = Value::Array(on_disk);
    }
    tiers["spec_name"] = json!("TieringOffloadingSpec");
    Ok(tiers)
}
