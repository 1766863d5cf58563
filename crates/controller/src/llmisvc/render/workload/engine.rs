//! What llmd's own engine does not do for a service, said before a pod of it would end with the same words in its log.

use k8s_openapi::api::core::v1::PodSpec;

use super::Workload;
use super::pod::MAIN;

/// Last part of the repository of the engine's image, whichever registry it comes from.
const IMAGE: &str = "llmd-engine";

/// The field of the workload that llmd's engine cannot serve, and the way out.
#[must_use]
pub fn unsupported(workload: &Workload<'_>) -> Option<String> {
    let is_asked_for = workload.spec.kv_cache_offloading.is_some();
    let is_ours = is_asked_for && workload.pods().any(|(_, pod)| runs_engine(pod));
    is_ours.then(|| {
        format!(
            "{}.kvCacheOffloading: not supported by llmd-engine: remove it, or serve with vLLM: name llmd-engine-vllm \
             (-disaggregated for a service with prefill, -multi-node for one with workers) in spec.baseRefs",
            workload.path()
        )
    })
}

fn runs_engine(pod: &PodSpec) -> bool {
    let main = pod.containers.iter().find(|it| it.name == MAIN);
    main.and_then(|it| it.image.as_deref()).is_some_and(|it| repository(it).rsplit('/').next() == Some(IMAGE))
}

/// The image's reference without tag and digest.
fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or_default();
    match name.rsplit_once(':') {
        // A colon before a slash belongs to the registry's port.
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_neither_tag_nor_digest() {
        for (image, expected) in [
            ("ghcr.io/llmd/llmd-engine:0.1.0", "ghcr.io/llmd/llmd-engine"),
            ("host:5000/llmd-engine", "host:5000/llmd-engine"),
            ("host:5000/a/llmd-engine:x@sha256:0123", "host:5000/a/llmd-engine"),
            ("llmd-engine", "llmd-engine"),
            ("", ""),
        ] {
            assert_eq!(repository(image), expected);
        }
    }
}
