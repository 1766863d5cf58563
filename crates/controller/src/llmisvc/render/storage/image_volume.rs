//! A model in an image, mounted by the kubelet: nothing runs, nothing is copied.

use k8s_openapi::api::core::v1::{ImageVolumeSource, PodSpec, Volume, VolumeMount};
use llmd_api::serving::conditions::OCI_IMAGE_VOLUME_COMPATIBLE;

use super::edit;
use crate::llmisvc::render::workload::pod;
use crate::llmisvc::section::SectionError;

const VOLUME: &str = "kserve-oci-model";
/// The image's folder with the model.
const FOLDER: &str = "models";

/// Mounts the folder `models` of the image read-only at `path` of `container`.
pub(super) fn mount(pod: &mut PodSpec, container: &str, reference: &str, path: &str) {
    let source = ImageVolumeSource {
        reference: Some(reference.to_owned()),
        pull_policy: Some("IfNotPresent".to_owned()),
    };
    edit::add_volume(pod, Volume { name: VOLUME.to_owned(), image: Some(source), ..Volume::default() });
    if let Some(container) = pod::container_mut(pod, container) {
        edit::add_mount(
            container,
            VolumeMount {
                name: VOLUME.to_owned(),
                mount_path: path.to_owned(),
                sub_path: Some(FOLDER.to_owned()),
                read_only: Some(true),
                ..VolumeMount::default()
            },
        );
    }
}

/// What a cluster of Kubernetes 1.`server_minor` lacks for image volumes; `None` when it has everything, or when
/// its version is unknown (0). Image volumes came in 1.31, their sub-paths in 1.33, without a feature gate in 1.35.
pub(super) fn gap(server_minor: u32) -> Option<SectionError> {
    let (reason, lack) = match server_minor {
        0 | 35.. => return None,
        1..=30 => ("ImageVolumeUnsupported", "has no image volumes, which came with 1.31"),
        31..=32 => {
            ("ImageVolumeSubPathUnsupported", "has no sub-paths of image volumes, which came with 1.33")
        }
        33..=34 => (
            "ImageVolumeAlpha",
            "may have image volumes turned off: turn on the feature gate ImageVolume of API server and kubelets",
        ),
    };
    let message = format!(
        "Kubernetes 1.{server_minor} {lack}; otherwise upgrade the cluster, or use oci:// with modelcars \
         (ociModelMode in ConfigMap inferenceservice-config)"
    );
    Some(SectionError::new(OCI_IMAGE_VOLUME_COMPATIBLE, reason, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_lacks_less_until_nothing_is_left() {
        for (minor, reason) in [
            (30, Some("ImageVolumeUnsupported")),
            (31, Some("ImageVolumeSubPathUnsupported")),
            (32, Some("ImageVolumeSubPathUnsupported")),
            (33, Some("ImageVolumeAlpha")),
            (34, Some("ImageVolumeAlpha")),
            (35, None),
            (0, None),
        ] {
            assert_eq!(gap(minor).map(|it| it.reason), reason, "1.{minor}");
        }
    }
}
