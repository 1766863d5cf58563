//! The init container `storage-initializer`: downloads models and adapters into a volume of the pod before the
//! serving container starts. Arguments are pairs of URI and destination.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, EmptyDirVolumeSource, PodSpec, ResourceRequirements, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{MODEL_PATH, Target, ca_bundle, credentials, edit, overlay};
use crate::live::LivePodTemplate;
use crate::llmisvc::render::workload::pod;
use crate::llmisvc::service::Service;
use crate::settings::StorageInitializerSettings;

/// Name of the init container.
pub(super) const NAME: &str = "storage-initializer";
/// Volume that it fills.
pub(super) const VOLUME: &str = "kserve-provision-location";

/// Files that a tokenizer needs, as the initializer's list of patterns.
const TOKENIZER_FILES: &str = r#"["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt", "config.json", "generation_config.json"]"#;

/// One thing to download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub uri: String,
    /// Absolute folder in the init container.
    pub destination: String,
}

/// Adds the init container with its volume, and mounts what it fetches into the target container. `parent` is
/// where the volume is mounted, above every destination; `overlay` is the user's own container of this name.
pub(super) fn attach(
    service: &Service,
    target: &Target<'_>,
    pod: &mut PodSpec,
    pairs: &[Pair],
    parent: &str,
    overlay: Option<Container>,
) {
    edit::add_volume(
        pod,
        Volume {
            name: VOLUME.to_owned(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Volume::default()
        },
    );
    if let Some(container) = pod::container_mut(pod, target.container) {
        let mount_path = if parent == MODEL_PATH { target.path } else { parent };
        edit::add_mount(container, VolumeMount { read_only: Some(true), ..mount(mount_path) });
    }
    let mut container = blank(&service.settings.storage_initializer, target.live, pairs);
    container.volume_mounts = Some(vec![mount(parent)]);
    credentials::attach(service, pod, &mut container);
    if pairs.iter().any(Pair::is_on_hub) && wants_hub_tuning(target.live) {
        add_hub_tuning(&mut container);
    }
    if target.tokenizer_only {
        edit::set_variable(&mut container, pod::variable("STORAGE_ALLOW_PATTERNS", TOKENIZER_FILES));
    }
    add_decryption(service, &mut container);
    if let Some(overlay) = overlay {
        container = overlay::merge(&container, overlay);
    }
    if !matches!(pairs, [only] if only.is_on_hub() && only.destination == MODEL_PATH) {
        ca_bundle::attach(service, pod, &mut container);
    }
    pod.init_containers.get_or_insert_default().push(container);
}

/// The deepest folder that holds every destination.
pub(super) fn common_parent(pairs: &[Pair]) -> String {
    let mut paths = pairs.iter().map(|it| it.destination.split('/').collect::<Vec<_>>());
    let first = paths.next().unwrap_or_default();
    let common = paths.fold(first, |common, path| {
        let n_shared = common.iter().zip(&path).take_while(|(a, b)| a == b).count();
        common[..n_shared].to_vec()
    });
    let parent = common.join("/");
    if parent.is_empty() { "/".to_owned() } else { parent }
}

impl Pair {
    fn is_on_hub(&self) -> bool {
        self.uri.starts_with("hf://")
    }
}

/// The container as the installation configures it. A running workload keeps its image, so that an upgrade of the
/// installation does not restart every model.
fn blank(settings: &StorageInitializerSettings, live: Option<&LivePodTemplate>, pairs: &[Pair]) -> Container {
    let running = live.and_then(|it| it.storage_initializer_image.clone());
    let amounts = |cpu: &str, memory: &str| {
        Some(BTreeMap::from([
            ("cpu".to_owned(), Quantity(cpu.to_owned())),
            ("memory".to_owned(), Quantity(memory.to_owned())),
        ]))
    };
    Container {
        name: NAME.to_owned(),
        image: Some(running.unwrap_or_else(|| settings.image.clone())),
        args: Some(pairs.iter().flat_map(|it| [it.uri.clone(), it.destination.clone()]).collect()),
        resources: Some(ResourceRequirements {
            requests: amounts(&settings.cpu_request, &settings.memory_request),
            limits: amounts(&settings.cpu_limit, &settings.memory_limit),
            claims: None,
        }),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

fn mount(path: &str) -> VolumeMount {
    VolumeMount { name: VOLUME.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

/// New workloads get the hub's tuning; one that runs without it keeps running undisturbed.
fn wants_hub_tuning(live: Option<&LivePodTemplate>) -> bool {
    live.is_none_or(|it| it.storage_initializer_image.is_none() || it.storage_initializer_has_hf_env)
}

fn add_hub_tuning(container: &mut Container) {
    for (name, value) in [
        ("HF_HUB_ENABLE_HF_TRANSFER", "1"),
        ("HF_XET_HIGH_PERFORMANCE", "1"),
        ("HF_XET_NUM_CONCURRENT_RANGE_GETS", "8"),
    ] {
        pod::set_variable_default(container, pod::variable(name, value));
    }
}

/// Weights of a confidential service are decrypted after the download.
fn add_decryption(service: &Service, container: &mut Container) {
    let confidential = service.spec.model.as_ref().and_then(|it| it.confidential.as_ref());
    let Some(confidential) = confidential.filter(|it| it.enabled) else { return };
    edit::set_variable(container, pod::variable("CONFIDENTIAL_ENABLED", "true"));
    if let Some(id) = confidential.resource_id.as_deref().filter(|it| !it.is_empty()) {
        edit::set_variable(container, pod::variable("CONFIDENTIAL_RESOURCE_ID", id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_volume_is_mounted_above_every_destination() {
        for (destinations, parent) in [
            (&["/mnt/models"][..], "/mnt/models"),
            (&["/mnt/models", "/mnt/lora/a"], "/mnt"),
            (&["/mnt/lora/a", "/mnt/lora/ab"], "/mnt/lora"),
            (&["/mnt/a", "/srv/b"], "/"),
        ] {
            let pair = |it: &&str| Pair { uri: String::new(), destination: (*it).to_owned() };
            assert_eq!(common_parent(&destinations.iter().map(pair).collect::<Vec<_>>()), parent);
        }
    }
}
