//! Tiers of offloaded KV blocks.

use llmd_api::serving::v1alpha2::{FileSystemTier, KvCacheTier, PvcTier, WorkloadSpec};
use serde_json::json;

use super::{FieldError, Verdict};
use crate::quantity;

/// `at` is the path of the workload.
pub(super) fn check(at: &str, workload: &WorkloadSpec, verdict: &mut Verdict) {
    let Some(offloading) = &workload.kv_cache_offloading else { return };
    let at = format!("{at}.kvCacheOffloading");
    if let Some(policy) =
        offloading.eviction_policy.as_ref().filter(|it| !matches!(it.as_str(), "" | "lru" | "arc"))
    {
        verdict.error(FieldError::not_supported(
            format!("{at}.evictionPolicy"),
            json!(policy),
            "supported values: \"lru\", \"arc\"",
        ));
    }
    if offloading.secondary.is_empty() {
        return;
    }
    if quantity::whole(&offloading.cpu.0).is_none_or(|it| it <= 0) {
        verdict.error(FieldError::invalid(
            format!("{at}.cpu"),
            json!(offloading.cpu),
            "blocks reach the secondary tiers through host memory: give it a size, such as 10Gi",
        ));
    }
    for (index, tier) in offloading.secondary.iter().enumerate() {
        check_tier(&format!("{at}.secondary[{index}].fileSystem"), tier, verdict);
    }
}

fn check_tier(at: &str, tier: &KvCacheTier, verdict: &mut Verdict) {
    match &tier.file_system {
        None => verdict.error(FieldError::required(at, "give the tier's storage: emptyDir or pvc")),
        Some(FileSystemTier { empty_dir: None, pvc: None }) => {
            verdict.error(FieldError::required(at, "give the tier's storage: emptyDir or pvc"));
        }
        Some(FileSystemTier { empty_dir: Some(_), pvc: Some(_) }) => verdict.error(FieldError::invalid(
            at,
            r#"{"emptyDir","pvc"}"#,
            "a tier has one storage: keep emptyDir or pvc, and use a second tier for the other",
        )),
        Some(FileSystemTier { empty_dir: Some(_), pvc: None }) => {}
        Some(FileSystemTier { empty_dir: None, pvc: Some(pvc) }) => {
            check_claim(&format!("{at}.pvc"), pvc, verdict);
        }
    }
}

fn check_claim(at: &str, pvc: &PvcTier, verdict: &mut Verdict) {
    match (&pvc.spec, &pvc.reference) {
        (None, None) => verdict
            .error(FieldError::required(at, "give spec (a claim for each pod) or ref (an existing claim)")),
        (Some(_), Some(_)) => verdict.error(FieldError::invalid(
            at,
            r#"{"spec","ref"}"#,
            "a claim is made or exists: keep spec or ref",
        )),
        (None, Some(reference)) if reference.name.is_empty() => verdict
            .error(FieldError::required(format!("{at}.ref.name"), "name the existing PersistentVolumeClaim")),
        _ => {}
    }
}
