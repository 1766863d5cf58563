//! Autoscaling: bounds, and one mode with one actuator.

use llmd_api::serving::v1alpha2::{
    DirectKedaSpec, KedaTuning, LLMInferenceServiceSpec, ScalingSpec, WorkloadSpec, WvaSpec,
};
use serde_json::json;

use super::{FieldError, Verdict};

/// `at` is the path of the workload.
pub(super) fn check(at: &str, workload: &WorkloadSpec, verdict: &mut Verdict) {
    let Some(scaling) = &workload.scaling else { return };
    let at = format!("{at}.scaling");
    check_bounds(&at, scaling, verdict);
    match (&scaling.wva, &scaling.keda) {
        (None, None) => {
            verdict.error(FieldError::required(at, "choose who scales: give wva or keda"));
        }
        (Some(_), Some(_)) => verdict.error(FieldError::invalid(
            at,
            r#"{"wva","keda"}"#,
            "two autoscalers would fight over the replicas: keep wva or keda",
        )),
        (Some(wva), None) => check_wva(&format!("{at}.wva"), wva, scaling, verdict),
        (None, Some(keda)) => check_keda(&format!("{at}.keda"), keda, scaling, verdict),
    }
}

fn check_bounds(at: &str, scaling: &ScalingSpec, verdict: &mut Verdict) {
    verdict.at_least(1, format_args!("{at}.minReplicas"), scaling.min_replicas);
    if scaling.max_replicas < 1 {
        verdict.error(FieldError::invalid(
            format!("{at}.maxReplicas"),
            scaling.max_replicas,
            "set it to 1 or more",
        ));
    }
    if let Some(min) = scaling.min_replicas.filter(|&it| it > scaling.max_replicas) {
        verdict.error(FieldError::invalid(
            format!("{at}.minReplicas"),
            min,
            format!("it exceeds maxReplicas ({}): lower it, or raise maxReplicas", scaling.max_replicas),
        ));
    }
}

fn check_wva(at: &str, wva: &WvaSpec, scaling: &ScalingSpec, verdict: &mut Verdict) {
    if let Some(cost) = wva.variant_cost.as_ref().filter(|it| !is_decimal(it)) {
        verdict.error(FieldError::invalid(
            format!("{at}.variantCost"),
            json!(cost),
            "write a decimal number without sign, such as \"10.0\"",
        ));
    }
    match (&wva.hpa, &wva.keda) {
        (None, None) => verdict.error(FieldError::required(at, "choose the actuator: give hpa or keda")),
        (Some(_), Some(_)) => verdict.error(FieldError::invalid(
            at,
            r#"{"hpa","keda"}"#,
            "two actuators would fight over the replicas: keep hpa or keda",
        )),
        (Some(_), None) => {}
        (None, Some(keda)) => {
            let at = format!("{at}.keda");
            check_tuning(&at, keda, scaling, verdict);
            if keda.advanced.as_ref().is_some_and(|it| it.scaling_modifiers.is_some()) {
                verdict.error(FieldError::forbidden(
                    format!("{at}.advanced.scalingModifiers"),
                    "the variant autoscaler computes the metric itself: remove it, or use scaling.keda",
                ));
            }
        }
    }
}

fn check_keda(at: &str, keda: &DirectKedaSpec, scaling: &ScalingSpec, verdict: &mut Verdict) {
    check_tuning(at, &keda.tuning, scaling, verdict);
    if keda.triggers.is_empty() {
        verdict.error(FieldError::required(
            format!("{at}.triggers"),
            "without a trigger nothing scales: give at least one",
        ));
    }
}

fn check_tuning(at: &str, keda: &KedaTuning, scaling: &ScalingSpec, verdict: &mut Verdict) {
    verdict.at_least(1, format_args!("{at}.pollingInterval"), keda.polling_interval);
    verdict.at_least(0, format_args!("{at}.cooldownPeriod"), keda.cooldown_period);
    verdict.at_least(0, format_args!("{at}.initialCooldownPeriod"), keda.initial_cooldown_period);
    verdict.at_least(0, format_args!("{at}.idleReplicaCount"), keda.idle_replica_count);
    if let Some(idle) = keda.idle_replica_count {
        check_idle(&format!("{at}.idleReplicaCount"), idle, scaling.min_replicas, verdict);
    }
    let hpa = keda.advanced.as_ref().and_then(|it| it.horizontal_pod_autoscaler_config.as_ref());
    if hpa.and_then(|it| it.name.as_ref()).is_some_and(|it| !it.is_empty()) {
        verdict.error(FieldError::forbidden(
            format!("{at}.advanced.horizontalPodAutoscalerConfig.name"),
            "the name is derived from the service: remove it",
        ));
    }
}

fn check_idle(at: &str, idle: i32, min: Option<i32>, verdict: &mut Verdict) {
    match min {
        None => verdict.error(FieldError::invalid(
            at,
            idle,
            "it only has a meaning below a given scaling.minReplicas: set that, or remove it",
        )),
        Some(min) if idle >= min => verdict.error(FieldError::invalid(
            at,
            idle,
            format!("it must be smaller than scaling.minReplicas ({min})"),
        )),
        Some(_) => {}
    }
}

/// Both workloads of a disaggregated service are scaled by the same means.
pub(super) fn check_pair(spec: &LLMInferenceServiceSpec, verdict: &mut Verdict) {
    let decode = spec.workload.scaling.as_ref();
    let prefill = spec.prefill.as_ref().and_then(|it| it.scaling.as_ref());
    let (Some(decode), Some(prefill)) = (decode, prefill) else { return };
    let (Some(of_decode), Some(of_prefill)) = (mode(decode), mode(prefill)) else { return };
    if of_decode != of_prefill {
        verdict.error(FieldError::invalid(
            "spec.prefill.scaling",
            json!(of_prefill),
            format!("spec.scaling uses {of_decode}: use the same for both workloads"),
        ));
    }
}

/// How a workload is scaled; `None` when that is ambiguous, which is an error of its own.
const fn mode(scaling: &ScalingSpec) -> Option<&'static str> {
    match (&scaling.wva, &scaling.keda) {
        (Some(wva), None) => match (&wva.hpa, &wva.keda) {
            (Some(_), None) => Some("wva.hpa"),
            (None, Some(_)) => Some("wva.keda"),
            _ => None,
        },
        (None, Some(_)) => Some("keda"),
        _ => None,
    }
}

/// Whether the text is digits, or digits with a decimal point between them.
fn is_decimal(text: &str) -> bool {
    let digits = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    text.split_once('.').map_or_else(|| digits(text), |(whole, part)| digits(whole) && digits(part))
}
