//! The endpoint picker (EPP) of a service: its Deployment and what that needs, its pool in both API groups, and the
//! tokenizer beside it.
//!
//! A service with a pool of its own user (`pool.ref`) gets none of this: the pool's endpoint picker serves it.

use k8s_openapi::api::core::v1::PodSpec;
use llmd_api::serving::conditions::SCHEDULER_WORKLOAD_READY;
use llmd_api::serving::v1alpha2::SchedulerSpec;

use crate::children::Child;
use crate::llmisvc::section::SectionError;
use crate::llmisvc::service::Service;

mod accounts;
mod command_line;
mod config_args;
mod default_config;
mod deployment;
mod document;
mod pool;
mod rbac;
mod service;

pub use accounts::is_legacy_auth_binding;

/// Container of the endpoint picker in its pod.
const MAIN: &str = "main";

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

/// The objects of this part.
#[must_use]
pub fn render(service: &Service) -> Vec<Child> {
    let Some(scheduler) = managed(service) else { return Vec::new() };
    let mut children = pool::render(service, scheduler);
    if let Some(template) = &scheduler.template {
        children.extend(accounts::render(service, template));
        children.extend(rbac::render(service, template));
        children.push(service::render(service, scheduler, template));
        children.push(deployment::render(service, scheduler, template));
    }
    children
}

/// What keeps the objects of this part from being rendered.
#[must_use]
pub fn check(service: &Service) -> Vec<SectionError> {
    let Some(scheduler) = managed(service) else { return Vec::new() };
    let mut errors = Vec::from_iter(config_args::check(service));
    if let Some(template) = &scheduler.template
        && !has_main(template)
    {
        errors.push(SectionError::new(
            SCHEDULER_WORKLOAD_READY,
            RECONCILE_ERROR,
            format!("spec.router.scheduler.template.containers: no container is called {MAIN:?}; name the endpoint picker's container {MAIN:?}"),
        ));
    }
    errors
}

/// Reason of the condition `SchedulerWorkloadReady` when the section cannot be rendered.
const RECONCILE_ERROR: &str = "SchedulerReconcileError";

fn has_main(template: &PodSpec) -> bool {
    template.containers.iter().any(|it| it.name == MAIN)
}

#[cfg(test)]
mod tests;
