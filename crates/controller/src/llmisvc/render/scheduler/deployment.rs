//! The endpoint picker's Deployment.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::ObjectMeta;
use llmd_api::meta::component;
use llmd_api::serving::v1alpha2::SchedulerSpec;

use super::migrations::{self, MigrationError, Version};
use super::{MAIN, accounts, command_line, config_args, tokenizer};
use crate::children::{Child, ChildKind};
use crate::llmisvc::render::tracing;
use crate::llmisvc::service::Service;

/// Makes replicas elect one that answers.
const LEADER_ELECTION: &str = "ha-enable-leader-election";
const TRACING: &str = "tracing";
/// What the endpoint picker calls itself in traces.
const TRACED_AS: &str = "inference-scheduler";

/// `pod` is what [`pod`] gives.
pub(super) fn render(service: &Service, scheduler: &SchedulerSpec, pod: PodSpec) -> Child {
    let name = service.names().scheduler();
    let labels = service.child_labels(component::ROUTER_SCHEDULER);
    let selector = service.selector(&name, || labels.clone());
    let pod_labels =
        scheduler.labels.clone().into_iter().chain(selector.clone()).chain(labels.clone()).collect();
    let deployment = Deployment {
        metadata: service.child_meta(name, labels),
        spec: Some(DeploymentSpec {
            replicas: scheduler.replicas,
            strategy: Some(strategy(service, &pod)),
            selector: LabelSelector { match_labels: Some(selector), match_expressions: None },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(pod_labels),
                    annotations: Some(scheduler.annotations.clone()).filter(|it| !it.is_empty()),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    };
    Child::new(ChildKind::Deployment, &deployment)
}

/// Two versions that pick at once would contradict each other, so one goes before the next comes; gateways do without
/// meanwhile. An endpoint picker that answers requests itself has nobody before it who could, so there the next comes
/// first, unless it would wait for the lease of the one that it replaces.
fn strategy(service: &Service, pod: &PodSpec) -> DeploymentStrategy {
    let mut mains = pod.containers.iter().filter(|it| it.name == MAIN);
    let elects = mains
        .any(|it| command_line::has(it, &[LEADER_ELECTION]) && !command_line::is_off(it, LEADER_ELECTION));
    if elects || !super::answers_itself(service) {
        return DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None };
    }
    let rolling_update = RollingUpdateDeployment {
        max_surge: Some(IntOrString::Int(1)),
        max_unavailable: Some(IntOrString::Int(0)),
    };
    DeploymentStrategy { type_: Some("RollingUpdate".to_owned()), rolling_update: Some(rolling_update) }
}

/// The pod with its configuration, brought to the version that runs.
///
/// # Errors
/// When the configuration is out of reach and would have to change.
pub(super) fn pod(
    service: &Service,
    scheduler: &SchedulerSpec,
    template: &PodSpec,
) -> Result<PodSpec, MigrationError> {
    let mut pod =
        PodSpec { service_account_name: Some(accounts::name(service, template)), ..template.clone() };
    main_of(&mut pod).for_each(|it| complete(service, scheduler, it));
    let tokenizer_url = tokenizer::template(scheduler).map(|_| tokenizer::url(service));
    migrations::migrate(&mut pod, Version::of(&scheduler.annotations), tokenizer_url.as_deref())?;
    main_of(&mut pod).for_each(|it| config_args::keep_live_spelling(service, it));
    Ok(pod)
}

fn main_of(pod: &mut PodSpec) -> impl Iterator<Item = &mut Container> {
    pod.containers.iter_mut().filter(|it| it.name == MAIN)
}

/// What the controller adds to the endpoint picker's command line and environment.
fn complete(service: &Service, scheduler: &SchedulerSpec, container: &mut Container) {
    command_line::drop_empty(container);
    if scheduler.replicas.is_some_and(|it| it > 1) {
        add_missing(container, LEADER_ELECTION, "--ha-enable-leader-election");
    }
    if service.spec.tracing.is_some() {
        add_missing(container, TRACING, "--tracing=true");
        tracing::export_env(service, TRACED_AS, container);
    }
    config_args::configure(service, scheduler, container);
}

fn add_missing(container: &mut Container, flag: &str, argument: &str) {
    if !command_line::has(container, &[flag]) {
        container.args.get_or_insert_default().push(argument.to_owned());
    }
}
