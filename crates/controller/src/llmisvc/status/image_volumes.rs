//! Whether the cluster can mount model images natively. Advice: the condition does not count for `Ready`.

use llmd_api::serving::conditions as types;

use super::conditions::{Conditions, Verdict};
use crate::llmisvc::render::storage::uri::ModelUri;
use crate::llmisvc::service::Service;

/// Marks the condition while the service mounts an image and the API server is too old to be sure of it.
pub fn mark(service: &Service, conditions: &mut Conditions) {
    if mounts_image(service)
        && let Some(verdict) = verdict(service.facts.apis.server_minor)
    {
        conditions.mark(types::OCI_IMAGE_VOLUME_COMPATIBLE, verdict);
    }
}

/// By minor version of the API server; 0 is unknown.
fn verdict(server_minor: u32) -> Option<Verdict> {
    let at = |reason, lack| {
        Some(Verdict::no(
            reason,
            format!(
                "Kubernetes 1.{server_minor} {lack}; use 1.35 or later, or the URI scheme oci:// with ociModelMode modelcar"
            ),
        ))
    };
    match server_minor {
        0 | 35.. => None,
        1..31 => at("ImageVolumeUnsupported", "has no image volumes"),
        31..33 => at("ImageVolumeSubPathUnsupported", "mounts image volumes only as a whole"),
        33..35 => at("ImageVolumeAlpha", "has image volumes behind a feature gate"),
    }
}

fn mounts_image(service: &Service) -> bool {
    let attached = service.spec.storage_initializer.as_ref().and_then(|it| it.enabled).unwrap_or(true);
    let uri = service.spec.model.as_ref().map(|it| it.uri.parse::<ModelUri>());
    let prefers_native = service.settings.storage_initializer.oci_model_mode == "native";
    attached && matches!(uri, Some(Ok(ModelUri::Image { native, .. })) if native || prefers_native)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_differ_in_what_they_lack() {
        let reason = |minor| match verdict(minor) {
            Some(Verdict::False(it)) => it.reason,
            _ => String::new(),
        };
        assert_eq!(
            [0, 30, 31, 32, 33, 34, 35, 36].map(reason),
            [
                "",
                "ImageVolumeUnsupported",
                "ImageVolumeSubPathUnsupported",
                "ImageVolumeSubPathUnsupported",
                "ImageVolumeAlpha",
                "ImageVolumeAlpha",
                "",
                "",
            ]
        );
    }
}
