//! A folder of an existing claim, mounted where the files are expected. Nothing is copied.

use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, PodSpec, Volume, VolumeMount};

use super::edit;
use super::uri::ClaimPath;
use crate::llmisvc::render::workload::pod;

/// Mounts the folder read-only at `path` of `container`, through a volume called `volume`.
pub(super) fn mount(pod: &mut PodSpec, container: &str, volume: &str, source: &ClaimPath, path: &str) {
    edit::add_volume(
        pod,
        Volume {
            name: volume.to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: source.claim.clone(),
                read_only: None,
            }),
            ..Volume::default()
        },
    );
    if let Some(container) = pod::container_mut(pod, container) {
        edit::add_mount(
            container,
            VolumeMount {
                name: volume.to_owned(),
                mount_path: path.to_owned(),
                sub_path: Some(source.path.clone()).filter(|it| !it.is_empty()),
                read_only: Some(true),
                ..VolumeMount::default()
            },
        );
    }
}
