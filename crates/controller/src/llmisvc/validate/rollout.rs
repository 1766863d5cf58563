//! How a workload's pods may be replaced.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use llmd_api::serving::v1alpha2::WorkloadSpec;
use serde_json::json;

use super::{FieldError, Verdict};

/// `at` is the path of the workload.
pub(super) fn check(at: &str, workload: &WorkloadSpec, verdict: &mut Verdict) {
    let Some(rollout) = &workload.rollout_strategy else { return };
    let at = format!("{at}.rolloutStrategy");
    let unavailable = bound(&format!("{at}.maxUnavailable"), rollout.max_unavailable.as_ref(), verdict);
    let surge = bound(&format!("{at}.maxSurge"), rollout.max_surge.as_ref(), verdict);
    match (unavailable, surge) {
        (Some(0), Some(0)) => verdict.error(FieldError::invalid(
            at,
            json!(rollout),
            "with both at zero no pod could ever be replaced: raise maxUnavailable or maxSurge",
        )),
        (Some(0), None) if workload.worker.is_some() && rollout.max_surge.is_none() => {
            verdict.error(FieldError::invalid(
                at,
                json!(rollout),
                "a multi-node workload without maxSurge replaces groups in place: set maxSurge, or raise \
                 maxUnavailable",
            ));
        }
        _ => {}
    }
}

/// The number or percentage, checked; `None` when it is absent or wrong.
fn bound(at: &str, value: Option<&IntOrString>, verdict: &mut Verdict) -> Option<u32> {
    let value = value?;
    let number = match value {
        IntOrString::Int(it) => u32::try_from(*it).ok(),
        IntOrString::String(it) => percentage(it),
    };
    if number.is_none() {
        verdict.error(FieldError::invalid(
            at,
            json!(value),
            "use a number of 0 or more, or a percentage from 0% to 100%",
        ));
    }
    number
}

/// `0%` to `100%`.
fn percentage(text: &str) -> Option<u32> {
    let digits = text.strip_suffix('%').filter(|it| it.bytes().all(|it| it.is_ascii_digit()))?;
    digits.parse().ok().filter(|it| *it <= 100)
}
