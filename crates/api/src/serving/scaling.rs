//! Autoscaling of a workload: by the workload variant autoscaler or by KEDA triggers.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerBehavior;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::autoscaling::{KedaAdvanced, KedaFallback, KedaTrigger};
use crate::crd::limits;

/// Autoscaling of one workload: exactly one of `wva` and `keda`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = limits::rule(
    "has(self.wva) != has(self.keda)",
    "exactly one of wva and keda decides who scales: give one and remove the other"
))]
#[schemars(transform = limits::rule(
    "!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
    "minReplicas is at most maxReplicas: lower minReplicas, or raise maxReplicas"
))]
#[schemars(transform = idle_below_least("has(self.wva) && has(self.wva.keda)", "self.wva.keda"))]
#[schemars(transform = idle_below_least("has(self.keda)", "self.keda"))]
pub struct ScalingSpec {
    /// Least replicas while there is work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::at_least(1), transform = limits::default(1))]
    pub min_replicas: Option<i32>,
    /// Most replicas.
    #[schemars(transform = limits::at_least(1))]
    pub max_replicas: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wva: Option<WvaSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keda: Option<DirectKedaSpec>,
}

/// Scaling by the workload variant autoscaler, through exactly one of two actuators.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = limits::rule(
    "has(self.hpa) != has(self.keda)",
    "exactly one of hpa and keda is the actuator: give one and remove the other"
))]
#[schemars(transform = no_modifiers)]
pub struct WvaSpec {
    /// Relative cost of a replica, as a decimal number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::pattern(r"^\d+(\.\d+)?$"), transform = limits::default("10.0"))]
    pub variant_cost: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hpa: Option<HpaActuator>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keda: Option<KedaTuning>,
}

/// Behaviour of the HorizontalPodAutoscaler that follows the autoscaler's wish.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HpaActuator {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behavior: Option<HorizontalPodAutoscalerBehavior>,
}

/// KEDA settings shared by both ways of using it; times in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = no_hpa_name)]
pub struct KedaTuning {
    /// Time between two looks at the triggers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::at_least(1))]
    pub polling_interval: Option<i32>,
    /// Time without work before the last replicas go.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::at_least(0))]
    pub cooldown_period: Option<i32>,
    /// Time after creation before that may happen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::at_least(0))]
    pub initial_cooldown_period: Option<i32>,
    /// Replicas while there is no work.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::at_least(0))]
    pub idle_replica_count: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<KedaFallback>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advanced: Option<KedaAdvanced>,
}

/// Scaling by KEDA triggers of the user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DirectKedaSpec {
    #[serde(flatten)]
    pub tuning: KedaTuning,
    #[schemars(transform = limits::set("minItems", 1.into()), transform = limits::atomic)]
    pub triggers: Vec<KedaTrigger>,
}

/// KEDA scales to `idleReplicaCount` when nothing is to do, which makes sense only below the least of working time.
fn idle_below_least(condition: &str, keda: &str) -> impl FnMut(&mut Schema) + use<> {
    limits::rule(
        format!(
            "!({condition} && has({keda}.idleReplicaCount)) \
             || (has(self.minReplicas) && {keda}.idleReplicaCount < self.minReplicas)"
        ),
        "idleReplicaCount only has a meaning below minReplicas: set minReplicas above it, or remove idleReplicaCount",
    )
}

fn no_hpa_name(schema: &mut Schema) {
    limits::rule(
        "!has(self.advanced) || !has(self.advanced.horizontalPodAutoscalerConfig) \
         || !has(self.advanced.horizontalPodAutoscalerConfig.name) \
         || size(self.advanced.horizontalPodAutoscalerConfig.name) == 0",
        "the controller names the HorizontalPodAutoscaler: remove advanced.horizontalPodAutoscalerConfig.name",
    )(schema);
}

fn no_modifiers(schema: &mut Schema) {
    let field = |name: &str| format!("self.keda.advanced.scalingModifiers.{name}");
    let empty = ["formula", "target", "activationTarget", "metricType"].map(field);
    let empty = empty.map(|it| format!("(!has({it}) || {it} == '')")).join(" && ");
    limits::rule(
        format!(
            "!has(self.keda) || !has(self.keda.advanced) || !has(self.keda.advanced.scalingModifiers) || ({empty})"
        ),
        "the variant autoscaler computes the metric itself: remove keda.advanced.scalingModifiers, or use scaling.keda",
    )(schema);
}
