//! What an installation of the controller consists of besides its pods: rights, webhooks, presets.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use llmd_controller::presets::SHIPPED;
use llmd_controller::rbac;
use llmd_controller::webhook::manifests::{Endpoint, mutating, validating};
use serde_json::{Value, json};

const HEADER: &str = "# Generated from crates/controller by `cargo xtask codegen`. Do not edit.\n";

/// Namespace in the files; the chart puts its own in the place of it.
const NAMESPACE: &str = "kserve";

/// `rights.yaml`, `webhooks.yaml` and the presets.
pub(super) fn files() -> Result<BTreeMap<PathBuf, String>> {
    let presets =
        SHIPPED.iter().map(|(name, text)| (PathBuf::from("presets").join(name), (*text).to_owned()));
    let mut files: BTreeMap<PathBuf, String> = presets.collect();
    files.insert("rights.yaml".into(), yaml(&rights()?)?);
    files.insert("webhooks.yaml".into(), yaml(&webhooks()?)?);
    Ok(files)
}

fn rights() -> Result<Vec<Value>> {
    let role = |kind: &str, rules: Value| {
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
                "metadata": { "name": "llmd-controller" }, "rules": rules })
    };
    Ok(vec![
        role("ClusterRole", serde_json::to_value(rbac::cluster_rules())?),
        role("Role", serde_json::to_value(rbac::system_rules())?),
    ])
}

fn webhooks() -> Result<Vec<Value>> {
    let endpoint = Endpoint::in_cluster(NAMESPACE);
    let mut objects = vec![serde_json::to_value(mutating(&endpoint, None))?];
    for configuration in validating(&endpoint, None) {
        objects.push(serde_json::to_value(configuration)?);
    }
    Ok(objects)
}

fn yaml(objects: &[Value]) -> Result<String> {
    let mut text = HEADER.to_owned();
    for object in objects {
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string(object).context("cannot write YAML")?);
    }
    Ok(text)
}
