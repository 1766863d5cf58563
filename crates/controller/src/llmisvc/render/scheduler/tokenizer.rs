//! The tokenizer: a Deployment of one pod that turns prompts into tokens for the endpoint picker, and its Service.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{self, PodSpec, PodTemplateSpec, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::ObjectMeta;
use llmd_api::meta::component;
use llmd_api::serving::v1alpha2::SchedulerSpec;

use super::migrations::PRECISE_SCORER;
use super::{command_line, config_args, deployment, document};
use crate::children::{Child, ChildKind};
use crate::llmisvc::render::storage;
use crate::llmisvc::service::Service;

/// Port of the tokenizer, by number and name.
const PORT: i32 = 8000;
const PORT_NAME: &str = "render-http";
/// Plugins that ask a tokenizer.
const USERS: [&str; 2] = ["token-producer", PRECISE_SCORER];

/// Whether the scheduler section or a plugin of its configuration asks for a tokenizer.
pub(super) fn is_wanted(service: &Service, scheduler: &SchedulerSpec) -> bool {
    let config = || config_args::given_text(service, scheduler).and_then(|it| document::read(&it));
    scheduler.tokenizer.is_some()
        || config().is_some_and(|it| USERS.iter().any(|user| document::has_plugin(&it, user)))
}

/// The tokenizer's pod, where one is wanted and a preset or the user describes it.
pub(super) fn template<'a>(service: &Service, scheduler: &'a SchedulerSpec) -> Option<&'a PodSpec> {
    let template = scheduler.tokenizer.as_ref()?.template.as_ref()?;
    is_wanted(service, scheduler).then_some(template)
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
    let Some(template) = template(service, scheduler) else { return Vec::new() };
    vec![network_service(service), tokenizer(service, template)]
}

fn metadata(service: &Service) -> ObjectMeta {
    ObjectMeta {
        name: Some(service.names().tokenizer()),
        namespace: Some(service.namespace.clone()),
        labels: Some(service.child_labels(component::TOKENIZER)),
        ..ObjectMeta::default()
    }
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
    let selector = deployment::selector(service, &service.names().tokenizer(), &labels);
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
