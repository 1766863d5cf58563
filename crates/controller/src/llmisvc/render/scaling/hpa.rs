//! The HorizontalPodAutoscaler that follows the variant autoscaler.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, ExternalMetricSource, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec,
    MetricIdentifier, MetricSpec, MetricTarget,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use llmd_api::serving::v1alpha2::HpaActuator;

use super::Scaled;
use super::wva::{DESIRED_REPLICAS, VARIANT};
use crate::children::{Child, ChildKind};

pub(super) fn render(scaled: &Scaled<'_>, actuator: &HpaActuator) -> Child {
    let name = scaled.workload.service.names().hpa(scaled.workload.is_prefill());
    let target = scaled.target();
    let object = HorizontalPodAutoscaler {
        spec: HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: target.api_version,
                kind: target.kind.unwrap_or_default(),
                name: target.name,
            },
            min_replicas: Some(scaled.min_replicas()),
            max_replicas: scaled.scaling.max_replicas,
            metrics: Some(vec![desired_replicas(&name)]),
            behavior: actuator.behavior.clone(),
        },
        metadata: scaled.wva_metadata(name),
        status: None,
    };
    Child::new(ChildKind::HorizontalPodAutoscaler, &object)
}

/// As many replicas as the metric says.
fn desired_replicas(variant: &str) -> MetricSpec {
    let selector = LabelSelector {
        match_labels: Some([(VARIANT.to_owned(), variant.to_owned())].into()),
        match_expressions: None,
    };
    let external = ExternalMetricSource {
        metric: MetricIdentifier { name: DESIRED_REPLICAS.to_owned(), selector: Some(selector) },
        target: MetricTarget {
            type_: "Value".to_owned(),
            value: Some(Quantity("1".to_owned())),
            ..MetricTarget::default()
        },
    };
    MetricSpec { type_: "External".to_owned(), external: Some(external), ..MetricSpec::default() }
}
