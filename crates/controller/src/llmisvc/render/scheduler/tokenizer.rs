//! The tokenizer: a Deployment of one pod that turns prompts into tokens for the endpoint picker, and its Service.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{self, PodSpec, PodTemplateSpec, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::ObjectMeta;
use llmd_api::meta::component;
use llmd_api::serving::v1alpha2::SchedulerSpec;

use super::command_line;
use crate::children::{Child, ChildKind};
use crate::llmisvc::render::storage;
use crate::llmisvc::service::Service;

/// Port of the tokenizer, by number and name.
const PORT: i32 = 8000;
const PORT_NAME: &str = "render-http";

/// The tokenizer's pod, where a preset or the user describes one. Whether a plugin wants it was decided when the preset
/// was chosen.
pub(super) fn template(scheduler: &SchedulerSpec) -> Option<&PodSpec> {
    scheduler.tokenizer.as_ref()?.template.as_ref()
}

/// Where the endpoint picker reaches the tokenizer.
pub(super) fn url(service: &Service) -> String {
    format!(
        "{}://{}.{}.svc.{}:{PORT}",
        service.settings.workload_scheme(),
        service.names().tokenizer(),
        service.namespace,
        service.installation.cluster_domain
    )
}

pub(super) fn render(service: &Service, scheduler: &SchedulerSpec) -> Vec<Child> {
    let Some(template) = template(scheduler) else { return Vec::new() };
    vec![network_service(service), tokenizer(service, template)]
}

fn metadata(service: &Service) -> ObjectMeta {
    service.child_meta(service.names().tokenizer(), service.child_labels(component::TOKENIZER))
}

fn network_service(service: &Service) -> Child {
    let object = v1::Service {
        metadata: metadata(service),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(service.child_labels(component::TOKENIZER)),
            ports: Some(vec![ServicePort {
                name: Some(PORT_NAME.to_owned()),
                port: PORT,
                target_port: Some(IntOrString::String(PORT_NAME.to_owned())),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    };
    Child::new(ChildKind::Service, &object)
}

fn tokenizer(service: &Service, template: &PodSpec) -> Child {
    let labels = service.child_labels(component::TOKENIZER);
    let selector = service.selector(&service.names().tokenizer(), || labels.clone());
    let pod_labels = selector.clone().into_iter().chain(labels).collect();
    let mut pod = template.clone();
    pod.containers.iter_mut().for_each(command_line::drop_empty);
    storage::attach_tokenizer_model(service, &mut pod);
    let deployment = Deployment {
        metadata: metadata(service),
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            selector: LabelSelector { match_labels: Some(selector), match_expressions: None },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(pod_labels), ..ObjectMeta::default() }),
                spec: Some(pod),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    };
    Child::new(ChildKind::Deployment, &deployment)
}
