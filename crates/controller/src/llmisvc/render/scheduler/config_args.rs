//! Which configuration the endpoint picker gets, and where on its command line it stands.
//!
//! By priority: the service's own (inline or from a ConfigMap), what the template's command line names, what the
//! running Deployment has, and last a generated default. A running default stays as it is through upgrades; it gives
//! way only when the service no longer has the shape that it was generated for.

use k8s_openapi::api::core::v1::Container;
use llmd_api::serving::conditions::PRESETS_COMBINED;
use llmd_api::serving::v1alpha2::SchedulerSpec;
use serde_json::Value;

use super::default_config::{self, Shape};
use super::managed;
use crate::llmisvc::facts::scheduler::{ConfigRefError, ReferencedConfig, referenced_config_map};
use crate::llmisvc::picker::command_line::{self, Arity};
use crate::llmisvc::picker::{self, CONFIG_FLAGS, TEXT_FLAGS, document};
use crate::llmisvc::section::SectionError;
use crate::llmisvc::service::Service;

/// Gives `container` a configuration.
pub(super) fn configure(service: &Service, scheduler: &SchedulerSpec, container: &mut Container) {
    if let Some(text) = own_text(service, scheduler) {
        for flag in CONFIG_FLAGS {
            command_line::take(container, flag, Arity::Valued);
        }
        add_args(container, ["--config-text".to_owned(), text]);
    } else if !command_line::has(container, &CONFIG_FLAGS) {
        match preserved(service) {
            Some(pair) => add_args(container, pair),
            None => {
                let text = document::write(&default_config::document(Shape::of(service, container)));
                add_args(container, ["--config-text".to_owned(), text]);
            }
        }
    }
}

/// Puts the running Deployment's text in the place of one that means the same, so that a different spelling restarts
/// nothing.
pub(super) fn keep_live_spelling(service: &Service, container: &mut Container) {
    let Some(live) = live_text(service) else { return };
    let means_the_same = command_line::value(container, &TEXT_FLAGS).is_some_and(|text| {
        text != live && document::read(text).is_some_and(|it| document::read(&live) == Some(it))
    });
    if means_the_same {
        command_line::set_value(container, &TEXT_FLAGS, &live);
    }
}

/// The configuration that the service gives or that the template's command line holds.
pub(super) fn given_text(service: &Service, scheduler: &SchedulerSpec) -> Option<String> {
    own_text(service, scheduler).or_else(|| picker::text_of_template(scheduler).map(str::to_owned))
}

/// The text of `spec.router.scheduler.config`.
fn own_text(service: &Service, scheduler: &SchedulerSpec) -> Option<String> {
    let referenced = match &service.facts.scheduler.config {
        ReferencedConfig::Text(text) if scheduler.config.is_some() => Some(text.clone()),
        ReferencedConfig::Text(_) | ReferencedConfig::None | ReferencedConfig::Missing(_) => None,
    };
    picker::inline_text(scheduler).or(referenced)
}

/// Flag and value of the running Deployment, unless they are the default for another shape of service.
fn preserved(service: &Service) -> Option<Vec<String>> {
    let is_replaceable = live_text(service).and_then(|it| document::read(&it)).is_some_and(is_generated);
    live_args(service).filter(|_| !is_replaceable)
}

fn live_args(service: &Service) -> Option<Vec<String>> {
    let live = service.facts.live.deployment(&service.names().scheduler())?;
    Some(live.pod.scheduler_config_args.clone()).filter(|it| !it.is_empty())
}

fn live_text(service: &Service) -> Option<String> {
    let container = Container { args: Some(live_args(service)?), ..Container::default() };
    command_line::value(&container, &TEXT_FLAGS).map(str::to_owned)
}

/// Whether this is a generated default: of any shape, with or without what migration added to it.
fn is_generated(mut config: Value) -> bool {
    document::remove_plugin(&mut config, document::METRICS_SOURCE);
    Shape::all().any(|shape| default_config::document(shape) == config)
}

fn add_args(container: &mut Container, args: impl IntoIterator<Item = String>) {
    container.args.get_or_insert_default().extend(args);
}

/// A reference that leads nowhere.
pub(super) fn check(service: &Service) -> Option<SectionError> {
    let config = managed(service)?.config.as_ref()?;
    let reference = config.reference.as_ref().filter(|_| config.inline.is_none())?;
    let error = match &service.facts.scheduler.config {
        ReferencedConfig::Missing(error) => error.clone(),
        ReferencedConfig::None if reference.optional != Some(true) => {
            let (namespace, name) =
                referenced_config_map(&service.namespace, &service.spec, &service.installation)?;
            ConfigRefError::ConfigMap { namespace, name }
        }
        ReferencedConfig::None | ReferencedConfig::Text(_) => return None,
    };
    Some(SectionError::new(PRESETS_COMBINED, "CombineBaseError", error.to_string()))
}
