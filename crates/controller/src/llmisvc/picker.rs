//! What a manifest says about its endpoint picker: the command line of the container and the configuration that it
//! gives. Presets are chosen by it, pods are rendered from it, and running ones are read by it.

use k8s_openapi::api::core::v1::Container;
use llmd_api::serving::v1alpha2::SchedulerSpec;
use serde_json::Value;

pub(crate) mod command_line;
pub(crate) mod document;

/// Container of the endpoint picker in its pod.
pub(crate) const MAIN: &str = "main";

/// Flags whose value is the configuration itself.
pub(crate) const TEXT_FLAGS: [&str; 2] = ["config-text", "configText"];

/// Flags that give the configuration, as text or as a file.
pub(crate) const CONFIG_FLAGS: [&str; 4] = ["config-text", "configText", "config-file", "configFile"];

/// The endpoint picker's container, where the service or a preset describes one.
pub(crate) fn container(scheduler: &SchedulerSpec) -> Option<&Container> {
    scheduler.template.as_ref()?.containers.iter().find(|it| it.name == MAIN)
}

/// The configuration that the template's command line holds.
pub(crate) fn text_of_template(scheduler: &SchedulerSpec) -> Option<&str> {
    command_line::value(container(scheduler)?, &TEXT_FLAGS)
}

/// The text of a configuration in the manifest, which may be an object or a text already.
pub(crate) fn inline_text(scheduler: &SchedulerSpec) -> Option<String> {
    Some(match scheduler.config.as_ref()?.inline.as_ref()? {
        Value::String(text) => text.clone(),
        object => object.to_string(),
    })
}

/// Whether a configuration in the manifest declares a plugin of one of these types.
pub(crate) fn has_plugin(scheduler: &SchedulerSpec, types: &[&str]) -> bool {
    let texts = [inline_text(scheduler), text_of_template(scheduler).map(str::to_owned)];
    let configs = texts.into_iter().flatten().filter_map(|it| document::read(&it));
    configs.into_iter().any(|config| types.iter().any(|it| document::has_plugin(&config, it)))
}
