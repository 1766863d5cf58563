//! The model: adapters and confidential weights.

use std::collections::BTreeSet;

use llmd_api::serving::v1alpha2::{ConfidentialSpec, LoraAdapter, LoraSpec, ModelSpec};
use serde_json::json;

use super::{FieldError, Verdict};

const LORA: &str = "spec.model.lora";
const RESOURCE_ID: &str = "spec.model.confidential.resourceId";

/// `service` is the name that serves as the model's when it has none of its own.
pub(super) fn check(model: &ModelSpec, service: &str, verdict: &mut Verdict) {
    if let Some(lora) = &model.lora {
        let base = model.name.as_deref().filter(|it| !it.is_empty()).unwrap_or(service);
        check_lora(lora, base, verdict);
    }
    if let Some(confidential) = model.confidential.as_ref().filter(|it| it.enabled) {
        check_confidential(confidential, &model.uri, verdict);
    }
}

fn check_lora(lora: &LoraSpec, base: &str, verdict: &mut Verdict) {
    verdict.at_least(1, format_args!("{LORA}.maxRank"), lora.max_rank);
    verdict.at_least(1, format_args!("{LORA}.maxAdapters"), lora.max_adapters);
    verdict.at_least(1, format_args!("{LORA}.maxCpuAdapters"), lora.max_cpu_adapters);
    let mut names = BTreeSet::new();
    for (index, adapter) in lora.adapters.iter().enumerate() {
        check_adapter(&format!("{LORA}.adapters[{index}].name"), adapter, base, &mut names, verdict);
    }
}

/// An adapter's name is a folder, and a model name that clients choose it by.
fn check_adapter<'a>(
    at: &str,
    adapter: &'a LoraAdapter,
    base: &str,
    names: &mut BTreeSet<&'a str>,
    verdict: &mut Verdict,
) {
    let name = adapter.name.as_deref().unwrap_or_default();
    let error = if name.is_empty() {
        FieldError::required(at, "clients choose an adapter by its name: give one")
    } else if matches!(name, "." | "..") {
        FieldError::invalid(at, json!(name), "the adapter's folder is named by it: use another name")
    } else if name == base {
        FieldError::invalid(
            at,
            json!(name),
            "it is the base model's name, so clients could not choose: use another name",
        )
    } else if names.insert(name) {
        return;
    } else {
        FieldError::duplicate(at, json!(name), "clients choose an adapter by its name: give each its own")
    };
    verdict.error(error);
}

fn check_confidential(confidential: &ConfidentialSpec, uri: &str, verdict: &mut Verdict) {
    for scheme in ["oci://", "pvc://"] {
        if uri.starts_with(scheme) {
            verdict.warn(format!(
                "spec.model.confidential: weights at {scheme} are mounted, not downloaded, so nothing decrypts them"
            ));
        }
    }
    if let Some(id) = confidential.resource_id.as_ref().filter(|it| !is_resource_id(it)) {
        verdict.error(FieldError::invalid(
            RESOURCE_ID,
            json!(id),
            "write kbs:///<repository>/<type>/<tag>, with letters, digits, '_', '.' and '-' in each part",
        ));
    }
}

/// Whether the text names a resource of a key broker: `kbs:///repository/type/tag`.
fn is_resource_id(id: &str) -> bool {
    let part = |it: &str| {
        !it.is_empty() && it.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'.' | b'-'))
    };
    id.strip_prefix("kbs:///").is_some_and(|it| it.split('/').count() == 3 && it.split('/').all(part))
}
