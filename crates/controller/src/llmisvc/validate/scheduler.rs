//! The endpoint picker's replicas and configuration.

use llmd_api::serving::v1alpha2::{SchedulerConfigChoice, SchedulerSpec};
use serde_json::Value;

use super::{FieldError, Verdict};

const CONFIG: &str = "spec.router.scheduler.config";
/// No EndpointPickerConfig is shorter; catches `{}` and `""`.
const MIN_INLINE_BYTES: usize = 3;

pub(super) fn check(scheduler: &SchedulerSpec, verdict: &mut Verdict) {
    check_replicas(scheduler, verdict);
    if let Some(config) = &scheduler.config {
        check_config(config, verdict);
    }
}

/// Replicas stop with the service, not by zero.
pub(super) fn check_replicas(scheduler: &SchedulerSpec, verdict: &mut Verdict) {
    verdict.at_least(1, "spec.router.scheduler.replicas", scheduler.replicas);
}

fn check_config(config: &SchedulerConfigChoice, verdict: &mut Verdict) {
    match (&config.inline, &config.reference) {
        (None, None) => verdict.error(FieldError::required(
            CONFIG,
            "give inline (an EndpointPickerConfig) or ref (a ConfigMap key), or remove config",
        )),
        (Some(_), Some(_)) => verdict.error(FieldError::invalid(
            CONFIG,
            r#"{"inline","ref"}"#,
            "inline and ref both give the endpoint picker's configuration: keep one of the two",
        )),
        (Some(inline), None) => check_inline(inline, verdict),
        (None, Some(reference)) if reference.name.is_empty() => verdict.error(FieldError::required(
            format!("{CONFIG}.ref.name"),
            "name the ConfigMap that holds the EndpointPickerConfig",
        )),
        (None, Some(_)) => {}
    }
}

fn check_inline(inline: &Value, verdict: &mut Verdict) {
    let text = inline.to_string();
    if text.len() < MIN_INLINE_BYTES {
        verdict.error(FieldError::invalid(
            format!("{CONFIG}.inline"),
            text,
            "the configuration is empty: give an EndpointPickerConfig, or remove config for the default",
        ));
    }
}
