//! The autoscalers: whether they can read their metric and move their target.

use llmd_api::serving::conditions as types;
use llmd_api::serving::v1alpha2::ScalingSpec;

use super::conditions::{Conditions, Verdict};
use crate::children::ChildKind;
use crate::live::LiveDetail;
use crate::llmisvc::service::Service;

/// Marks the condition of each autoscaler that the spec asks for.
pub fn mark(service: &Service, conditions: &mut Conditions) {
    let prefill = service.spec.prefill.as_ref().and_then(|it| it.scaling.as_ref());
    if let Some(scaling) = &service.spec.workload.scaling {
        conditions.mark(types::SCALING_READY, verdict(service, scaling, false));
    }
    if let Some(scaling) = prefill {
        conditions.mark(types::PREFILL_SCALING_READY, verdict(service, scaling, true));
    }
}

fn verdict(service: &Service, scaling: &ScalingSpec, prefill: bool) -> Verdict {
    let names = service.names();
    let detail = |kind, name: &str| service.facts.live.get(kind, name).map(|it| &it.detail);
    if scaling.wva.as_ref().is_some_and(|it| it.hpa.is_some()) {
        hpa(detail(ChildKind::HorizontalPodAutoscaler, &names.hpa(prefill)))
    } else {
        scaled_object(detail(ChildKind::ScaledObject, &names.scaled_object(prefill)))
    }
}

fn hpa(live: Option<&LiveDetail>) -> Verdict {
    let conditions = match live {
        Some(LiveDetail::HorizontalPodAutoscaler(it)) => it.conditions.as_slice(),
        _ => &[],
    };
    let found = ["AbleToScale", "ScalingActive"].map(|type_| conditions.iter().find(|it| it.type_ == type_));
    match found.iter().flatten().find(|it| it.status == "False") {
        Some(it) => Verdict::no(&it.reason, &it.message),
        None if found.iter().all(Option::is_some) => Verdict::True,
        None => Verdict::no("HPAProgressing", "HorizontalPodAutoscaler has not reported yet"),
    }
}

fn scaled_object(live: Option<&LiveDetail>) -> Verdict {
    let conditions = match live {
        Some(LiveDetail::ScaledObject(it)) => it.as_slice(),
        _ => &[],
    };
    match conditions.iter().find(|it| it.type_ == "Ready") {
        Some(it) if it.status == "True" => Verdict::True,
        Some(it) if it.status == "False" && !it.reason.is_empty() => Verdict::no(&it.reason, &it.message),
        _ => Verdict::no("ScaledObjectProgressing", "ScaledObject has not reported yet"),
    }
}

#[cfg(test)]
mod tests;
