//! How the model's files get into the pods: volumes, init containers, environment.
//!
//! The scheme of `spec.model.uri` decides: hf, s3 and http(s) are downloaded by an init container, pvc and
//! oci+native are mounted, oci runs beside the serving container. Every function here is pure; what can be wrong
//! is found by [`check`] before, and what cannot be attached leaves the pod as it is.

use k8s_openapi::api::core::v1::PodSpec;

use self::initializer::Pair;
use self::lora::Adapter;
use self::source::Source;
use crate::children::Child;
use crate::live::LivePodTemplate;
use crate::llmisvc::render::workload::pod::MAIN;
use crate::llmisvc::render::workload::{PodPosition, Workload};
use crate::llmisvc::service::Service;

mod ca_bundle;
mod check;
mod credentials;
mod edit;
mod image_volume;
mod initializer;
mod kv_tiers;
pub mod local_cache;
mod lora;
mod modelcar;
mod overlay;
mod pvc;
mod quantity;
mod s3;
mod source;
pub mod uri;

pub use check::{Warning, check, image_volume_gap, warnings};

/// Where servers look for the model; presets name it.
pub const MODEL_PATH: &str = "/mnt/models";
/// Where the tokenizer Deployment looks for it.
pub const TOKENIZER_MODEL_PATH: &str = "/mnt/models/base";
/// Volume of a model that lies in a claim.
const CLAIM_VOLUME: &str = "kserve-pvc-source";

/// The pod that a model is attached to.
struct Target<'a> {
    container: &'static str,
    /// Where the container sees the model.
    path: &'static str,
    /// Whether only the tokenizer's files are needed.
    tokenizer_only: bool,
    /// The running pods, whose image stays.
    live: Option<&'a LivePodTemplate>,
}

/// What of the service's storage lies outside its pods.
#[must_use]
pub fn render(service: &Service) -> Vec<Child> {
    ca_bundle::render(service).into_iter().collect()
}

/// Attaches everything that the pods of `workload` at `position` read from storage.
pub fn attach(workload: &Workload<'_>, position: PodPosition, pod: &mut PodSpec) {
    let target = Target {
        container: MAIN,
        path: MODEL_PATH,
        tokenizer_only: false,
        live: live_pods(workload, position),
    };
    let adapters = lora::adapters(workload.service).into_iter().filter_map(|(_, it)| it.ok());
    attach_model(workload.service, &target, &adapters.collect::<Vec<_>>(), pod);
    kv_tiers::attach(workload.spec, pod);
    edit::open_for_mounts(pod, initializer::VOLUME);
}

/// Attaches the tokenizer's files to the pod of the tokenizer Deployment.
pub fn attach_tokenizer_model(service: &Service, pod: &mut PodSpec) {
    let live = service.facts.live.deployment(&service.names().tokenizer());
    let target = Target {
        container: MAIN,
        path: TOKENIZER_MODEL_PATH,
        tokenizer_only: true,
        live: live.map(|it| &it.pod),
    };
    attach_model(service, &target, &[], pod);
}

/// Attaches the model and its adapters. The user's own init container matters only where something is downloaded.
fn attach_model(service: &Service, target: &Target<'_>, adapters: &[Adapter], pod: &mut PodSpec) {
    let Ok(Some(source)) = source::of(service) else { return };
    let overlay = edit::take_init_container(pod, initializer::NAME);
    let mut pairs: Vec<Pair> = lora::downloads(adapters).collect();
    match &source {
        Source::Download(uri) => {
            pairs.insert(0, Pair { uri: uri.clone(), destination: MODEL_PATH.to_owned() });
        }
        Source::Claim(it) => pvc::mount(pod, target.container, CLAIM_VOLUME, it, target.path),
        Source::ImageVolume(reference) => image_volume::mount(pod, target.container, reference, target.path),
        Source::Modelcar(reference) => {
            let settings = &service.settings.storage_initializer;
            modelcar::attach(settings, pod, target.container, reference, target.path);
        }
    }
    if !pairs.is_empty() {
        let parent = match source {
            Source::Modelcar(_) => modelcar::parent(target.path).to_owned(),
            _ => initializer::common_parent(&pairs),
        };
        initializer::attach(service, target, pod, &pairs, &parent, overlay);
    }
    lora::attach(service, pod, adapters);
}

/// What is running of these pods.
fn live_pods<'a>(workload: &Workload<'a>, position: PodPosition) -> Option<&'a LivePodTemplate> {
    let live = &workload.service.facts.live;
    let name = workload.name();
    match position {
        PodPosition::Single => live.deployment(&name).map(|it| &it.pod),
        PodPosition::Leader => live.leader_worker_set(&name).map(|it| &it.leader),
        PodPosition::Worker => live.leader_worker_set(&name).map(|it| &it.worker),
    }
}

#[cfg(test)]
mod tests;
