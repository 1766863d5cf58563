//! How the model's files get into the pods: volumes, init containers, environment.
//!
//! The scheme of `spec.model.uri` decides: hf, s3 and http(s) are downloaded by an init container, pvc and
//! oci+native are mounted, oci runs beside the serving container. Every function here is pure; what can be wrong
//! is found by the checks before, and a pod whose model cannot be attached stays as it is.

use k8s_openapi::api::core::v1::PodSpec;

use self::initializer::Pair;
use self::uri::ModelUri;
use crate::live::LivePodTemplate;
use crate::llmisvc::render::workload::pod::MAIN;
use crate::llmisvc::render::workload::{PodPosition, Workload};
use crate::llmisvc::service::Service;

mod edit;
mod initializer;
mod pvc;
pub mod uri;

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

/// Attaches everything that the pods of `workload` at `position` read from storage.
pub fn attach(workload: &Workload<'_>, position: PodPosition, pod: &mut PodSpec) {
    let target = Target {
        container: MAIN,
        path: MODEL_PATH,
        tokenizer_only: false,
        live: live_pods(workload, position),
    };
    attach_model(workload.service, &target, pod);
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
    attach_model(service, &target, pod);
}

fn attach_model(service: &Service, target: &Target<'_>, pod: &mut PodSpec) {
    let Some(Ok(uri)) = model_uri(service) else { return };
    edit::take_init_container(pod, initializer::NAME);
    match &uri {
        ModelUri::Claim(it) => pvc::mount(pod, target.container, CLAIM_VOLUME, it, target.path),
        ModelUri::Download(it) => {
            let pair = Pair { uri: it.uri.clone(), destination: MODEL_PATH.to_owned() };
            initializer::attach(service, target, pod, &[pair], MODEL_PATH);
        }
        ModelUri::Image { .. } => {}
    }
}

/// The model's place; `None` when the service attaches nothing.
fn model_uri(service: &Service) -> Option<Result<ModelUri, uri::UriError>> {
    let initializer = service.spec.storage_initializer.as_ref();
    if initializer.and_then(|it| it.enabled) == Some(false) {
        return None;
    }
    Some(service.spec.model.as_ref()?.uri.parse())
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
