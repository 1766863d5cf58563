//! Configurations written for older endpoint pickers, brought to the version that runs.
//!
//! The annotation `app.kubernetes.io/version` of the pods says which version that is. Each step belongs to the version
//! that needs it and is a pure function of the document; doing it twice does no more than once. Text that is no YAML
//! mapping stays as it is, and a document that no step changes keeps its very text.

use std::collections::BTreeMap;
use std::str::FromStr;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use serde_json::Value;

use super::command_line::{self, Arity};
use super::{MAIN, document};
use crate::llmisvc::picker::TEXT_FLAGS;

mod sidecar;
mod v0_10_0;
mod v0_7_0;
mod v0_8_0;
mod v0_9_0;

/// Annotation of the endpoint picker's pods: the version that they run.
const VERSION: &str = "app.kubernetes.io/version";

/// What one version changed.
struct Step {
    since: Version,
    /// Flags that this version no longer has.
    flags: &'static [(&'static str, Arity)],
    apply: fn(&mut Value, &Surroundings<'_>),
}

/// Oldest first.
const STEPS: [Step; 4] = [v0_7_0::STEP, v0_8_0::STEP, v0_9_0::STEP, v0_10_0::STEP];

/// What a step knows besides the document.
#[derive(Debug, Default)]
struct Surroundings<'a> {
    /// Values of the flags that were taken from the command line for this step.
    flags: BTreeMap<&'static str, String>,
    /// URL of the service's tokenizer, where it has one.
    tokenizer_url: Option<&'a str>,
}

/// Why a configuration cannot be brought to the running version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum MigrationError {
    /// Flags have become part of the configuration, which is in a file of the container's.
    #[error(
        "spec.router.scheduler.template: endpoint picker {version} reads {} from its configuration, which is in a file \
         here: move the values there and remove the flags, or give the configuration in spec.router.scheduler.config",
        flags.join(" ")
    )]
    ConfigInFile { version: Version, flags: Vec<String> },
}

/// Version of an endpoint picker: major, minor, patch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// The version that the pods' annotations name; 0.0.0 when they name none.
    pub(super) fn of(annotations: &BTreeMap<String, String>) -> Self {
        annotations.get(VERSION).and_then(|it| it.parse().ok()).unwrap_or_default()
    }
}

impl FromStr for Version {
    type Err = std::num::ParseIntError;

    /// `0.9`, `v0.9.1` or `0.10.0-rc.1`, whose suffix does not count.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim().trim_start_matches('v');
        let release = text.split(['-', '+']).next().unwrap_or_default();
        let mut parts = release.split('.').map(str::parse);
        let mut next = || parts.next().unwrap_or(Ok(0));
        Ok(Self(next()?, next()?, next()?))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Brings the configuration on the command line of the endpoint picker's `pod` to `version`.
///
/// # Errors
/// When a flag has to move into a configuration that the pod reads from a file.
pub(super) fn migrate(
    pod: &mut PodSpec,
    version: Version,
    tokenizer_url: Option<&str>,
) -> Result<(), MigrationError> {
    let has_sidecar = sidecar::is_present(pod);
    let Some(container) = pod.containers.iter_mut().find(|it| it.name == MAIN) else { return Ok(()) };
    let steps = || STEPS.iter().filter(|it| it.since <= version);
    let Some(text) = command_line::value(container, &TEXT_FLAGS).map(str::to_owned) else {
        return steps().try_for_each(|step| refuse_flags(container, step));
    };
    let Some(original) = document::read(&text) else { return Ok(()) };
    let mut config = original.clone();
    if has_sidecar {
        sidecar::apply(&mut config);
    }
    for step in steps() {
        let taken = |(flag, arity): &(&'static str, Arity)| {
            Some((*flag, command_line::take(container, flag, *arity)?))
        };
        let flags = step.flags.iter().filter_map(taken).collect();
        (step.apply)(&mut config, &Surroundings { flags, tokenizer_url });
    }
    if config != original {
        command_line::set_value(container, &TEXT_FLAGS, &document::write(&config));
    }
    if version >= v0_9_0::STEP.since && !document::has_plugin(&config, PRECISE_SCORER) {
        sidecar::remove(pod);
    }
    Ok(())
}

/// Deprecated plugin that tokenizes, follows KV events and scores, all in one.
pub(super) const PRECISE_SCORER: &str = "precise-prefix-cache-scorer";
const PREFIX_SCORER: &str = "prefix-cache-scorer";

fn refuse_flags(container: &Container, step: &Step) -> Result<(), MigrationError> {
    let names = step.flags.iter().map(|(flag, _)| flag);
    let given: Vec<String> =
        names.filter(|it| command_line::has(container, &[it])).map(|it| format!("--{it}")).collect();
    if given.is_empty() {
        return Ok(());
    }
    Err(MigrationError::ConfigInFile { version: step.since, flags: given })
}

#[cfg(test)]
mod tests;
