//! Tiers of the KV cache below host memory: one volume for each, where the server's configuration expects it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, EmptyDirVolumeSource, EphemeralVolumeSource, PersistentVolumeClaimTemplate,
    PersistentVolumeClaimVolumeSource, PodSpec, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use llmd_api::serving::v1alpha2::{FileSystemTier, WorkloadSpec};

use super::{edit, quantity};
use crate::llmisvc::render::workload::pod::{self, MAIN};

const EPHEMERAL_STORAGE: &str = "ephemeral-storage";

/// Adds the volumes of the workload's tiers and mounts them in the serving container.
pub(super) fn attach(workload: &WorkloadSpec, pod: &mut PodSpec) {
    let tiers = workload.kv_cache_offloading.iter().flat_map(|it| &it.secondary);
    for (idx, tier) in tiers.enumerate() {
        let Some(tier) = &tier.file_system else { continue };
        let name = format!("kv-cache-secondary-{idx}");
        let Some((volume, sub_path)) = volume(&name, tier) else { continue };
        edit::add_volume(pod, volume);
        let Some(container) = pod::container_mut(pod, MAIN) else { continue };
        let mount_path = format!("/mnt/kv-cache-{idx}");
        edit::add_mount(container, VolumeMount { name, mount_path, sub_path, ..VolumeMount::default() });
        if let Some(it) = &tier.empty_dir {
            reserve(container, &it.size);
        }
    }
}

/// The tier's volume and the folder in it.
fn volume(name: &str, tier: &FileSystemTier) -> Option<(Volume, Option<String>)> {
    let named = Volume { name: name.to_owned(), ..Volume::default() };
    if let Some(it) = &tier.empty_dir {
        let source = EmptyDirVolumeSource { size_limit: Some(it.size.clone()), medium: None };
        return Some((Volume { empty_dir: Some(source), ..named }, None));
    }
    let claim = tier.pvc.as_ref()?;
    if let Some(spec) = &claim.spec {
        let template = PersistentVolumeClaimTemplate { metadata: None, spec: spec.clone() };
        let source = EphemeralVolumeSource { volume_claim_template: Some(template) };
        return Some((Volume { ephemeral: Some(source), ..named }, None));
    }
    let reference = claim.reference.as_ref()?;
    let source = PersistentVolumeClaimVolumeSource { claim_name: reference.name.clone(), read_only: None };
    let folder = reference.path.as_deref().map(|it| it.trim_matches('/').to_owned());
    let volume = Volume { persistent_volume_claim: Some(source), ..named };
    Some((volume, folder.filter(|it| !it.is_empty())))
}

/// Requests node storage for the tier, on top of what the container requests; a limit grows along.
fn reserve(container: &mut Container, size: &Quantity) {
    let resources = container.resources.get_or_insert_default();
    add(resources.requests.get_or_insert_default(), size);
    if let Some(limits) = resources.limits.as_mut().filter(|it| it.contains_key(EPHEMERAL_STORAGE)) {
        add(limits, size);
    }
}

fn add(amounts: &mut BTreeMap<String, Quantity>, size: &Quantity) {
    if let Some(total) = quantity::sum(amounts.get(EPHEMERAL_STORAGE), size) {
        amounts.insert(EPHEMERAL_STORAGE.to_owned(), total);
    }
}
