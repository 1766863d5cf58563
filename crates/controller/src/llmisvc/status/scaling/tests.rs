use llmd_api::autoscaling::KedaCondition;

use super::*;
use crate::live::{LiveCondition, LiveHpa};

fn reason(verdict: Verdict) -> String {
    match verdict {
        Verdict::False(it) => it.reason,
        other => {
            assert_eq!(other, Verdict::True);
            String::new()
        }
    }
}

#[test]
fn an_hpa_is_ready_when_it_can_scale_and_reads_its_metric() {
    let of = |conditions: &[(&str, &str, &str)]| {
        let condition = |&(type_, status, reason): &(&str, &str, &str)| LiveCondition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: String::new(),
        };
        let live = LiveHpa { conditions: conditions.iter().map(condition).collect() };
        reason(hpa(Some(&LiveDetail::HorizontalPodAutoscaler(live))))
    };
    assert_eq!(of(&[("AbleToScale", "True", ""), ("ScalingActive", "True", "")]), "");
    assert_eq!(of(&[("AbleToScale", "False", "Backoff"), ("ScalingActive", "False", "NoMetric")]), "Backoff");
    assert_eq!(of(&[("AbleToScale", "True", ""), ("ScalingActive", "False", "NoMetric")]), "NoMetric");
    assert_eq!(of(&[("AbleToScale", "True", "")]), "HPAProgressing");
    assert_eq!(of(&[]), "HPAProgressing");
    assert_eq!(reason(hpa(None)), "HPAProgressing");
}

#[test]
fn a_scaled_object_is_ready_when_keda_says_so() {
    let of = |status: &str, why: &str| {
        let condition = KedaCondition {
            type_: "Ready".to_owned(),
            status: status.to_owned(),
            reason: why.to_owned(),
            message: String::new(),
        };
        reason(scaled_object(Some(&LiveDetail::ScaledObject(vec![condition]))))
    };
    assert_eq!(of("True", ""), "");
    assert_eq!(of("False", "TriggerError"), "TriggerError");
    assert_eq!(of("Unknown", ""), "ScaledObjectProgressing");
    assert_eq!(reason(scaled_object(None)), "ScaledObjectProgressing");
}
