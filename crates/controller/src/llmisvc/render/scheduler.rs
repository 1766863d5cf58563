//! The endpoint picker (EPP) of a service: its Deployment and what that needs, its pool in both API groups, and the
//! tokenizer beside it.
//!
//! A service with a pool of its own user (`pool.ref`) gets none of this: the pool's endpoint picker serves it.

use k8s_openapi::api::core::v1::PodSpec;
use llmd_api::serving::conditions::SCHEDULER_WORKLOAD_READY;
use llmd_api::serving::v1alpha2::SchedulerSpec;

use crate::children::Child;
use crate::llmisvc::picker::{self, MAIN, command_line, document};
use crate::llmisvc::section::SectionError;
use crate::llmisvc::service::Service;

mod accounts;
mod config_args;
mod default_config;
mod deployment;
mod migrations;
mod pool;
mod rbac;
mod service;
mod tokenizer;

/// The scheduler section, unless the service uses the pool of somebody else.
#[must_use]
pub fn managed(service: &Service) -> Option<&SchedulerSpec> {
    let scheduler = service.spec.router.as_ref()?.scheduler.as_ref()?;
    let has_foreign_pool = scheduler.pool.as_ref().is_some_and(|it| it.reference.is_some());
    (!has_foreign_pool).then_some(scheduler)
}

/// Name of the endpoint picker's Service, when the service has one of its own.
#[must_use]
pub fn service_name(service: &Service) -> Option<String> {
    managed(service).map(|it| service::name(service, it))
}

/// Whether the service has an endpoint picker of its own.
#[must_use]
pub fn has_endpoint_picker(service: &Service) -> bool {
    managed(service).is_some_and(|it| it.template.is_some())
}

/// Whether requests can go to the service's own endpoint picker, with no gateway in between.
#[must_use]
pub fn answers_itself(service: &Service) -> bool {
    let template = managed(service).and_then(|it| it.template.as_ref());
    !service.settings.ingress.enable_tls && template.is_some_and(service::has_proxy)
}

/// Whether the service has a tokenizer.
#[must_use]
pub fn has_tokenizer(service: &Service) -> bool {
    managed(service).is_some_and(|it| tokenizer::template(it).is_some())
}

/// Whether the endpoint picker asks the API server if who reads its metrics may; it does unless told otherwise.
#[must_use]
pub(super) fn reviews_metrics_readers(service: &Service) -> bool {
    let main = managed(service).and_then(picker::container);
    !main.is_some_and(|it| command_line::is_off(it, "metrics-endpoint-auth"))
}

/// Plugins of the given configuration that will go away, for a warning to the user.
#[must_use]
pub fn deprecated_plugins(service: &Service) -> Vec<&'static str> {
    let text = managed(service).and_then(|it| config_args::given_text(service, it));
    let config = text.and_then(|it| document::read(&it));
    let uses_it = config.is_some_and(|it| document::has_plugin(&it, migrations::PRECISE_SCORER));
    uses_it.then_some(migrations::PRECISE_SCORER).into_iter().collect()
}

/// The objects of this part.
#[must_use]
pub fn render(service: &Service) -> Vec<Child> {
    let Some(scheduler) = managed(service) else { return Vec::new() };
    let mut children = pool::render(service, scheduler);
    if let Some(template) = &scheduler.template {
        children.extend(accounts::render(service, template));
        children.extend(rbac::render(service, template));
        children.push(service::render(service, scheduler, template));
        // Where there is no pod, `check` has said why.
        let pod = deployment::pod(service, scheduler, template);
        children.extend(pod.ok().map(|it| deployment::render(service, scheduler, it)));
    }
    children.extend(tokenizer::render(service, scheduler));
    children
}

/// What keeps the objects of this part from being rendered.
#[must_use]
pub fn check(service: &Service) -> Vec<SectionError> {
    let Some(scheduler) = managed(service) else { return Vec::new() };
    let template = scheduler.template.as_ref();
    let problems = [
        template.filter(|it| !has_main(it)).map(|_| NO_MAIN.to_owned()),
        template.and_then(|it| deployment::pod(service, scheduler, it).err()).map(|it| it.to_string()),
    ];
    let problems = problems.into_iter().flatten();
    config_args::check(service)
        .into_iter()
        .chain(problems.map(|it| SectionError::new(SCHEDULER_WORKLOAD_READY, RECONCILE_ERROR, it)))
        .collect()
}

/// Reason of the condition `SchedulerWorkloadReady` when the section cannot be rendered.
const RECONCILE_ERROR: &str = "SchedulerReconcileError";

const NO_MAIN: &str = "spec.router.scheduler.template.containers: none is called \"main\"; give the endpoint picker's \
                       container that name";

fn has_main(template: &PodSpec) -> bool {
    template.containers.iter().any(|it| it.name == MAIN)
}

#[cfg(test)]
mod tests;
