//! Parts of a workload that both API versions share: parallelism, rollout, tracing.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::crd::limits;

/// How many ways the model is split, in ranks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ParallelismSpec {
    /// GPUs that share each layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::at_least(1))]
    pub tensor: Option<i32>,
    /// Stages that the layers are split into.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::at_least(1))]
    pub pipeline: Option<i32>,
    /// Copies of the model in one group, over all of its pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::at_least(1))]
    pub data: Option<i32>,
    /// Copies in one pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::at_least(1))]
    pub data_local: Option<i32>,
    /// Port on which the copies find each other.
    #[serde(rename = "dataRPCPort", skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::port)]
    pub data_rpc_port: Option<i32>,
    /// Whether experts are spread over the ranks.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub expert: bool,
}

impl ParallelismSpec {
    /// Pods in one group: data ranks divided by ranks a pod, or pipeline stages; `None` when neither is given.
    #[must_use]
    pub fn size(&self) -> Option<i32> {
        let given = |it: Option<i32>| it.filter(|&it| it > 0);
        if given(self.data).is_some() || given(self.data_local).is_some() {
            return Some((self.data.unwrap_or(0).max(1) / self.data_local.unwrap_or(0).max(1)).max(1));
        }
        given(self.pipeline)
    }

    /// Whether data parallelism is asked for.
    #[must_use]
    pub fn is_data_parallel(&self) -> bool {
        self.data.is_some_and(|it| it > 0) || self.data_local.is_some_and(|it| it > 0)
    }

    /// Whether pipeline parallelism is asked for.
    #[must_use]
    pub fn is_pipeline_parallel(&self) -> bool {
        self.pipeline.is_some_and(|it| it > 0)
    }
}

/// How a workload's pods are replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutStrategy {
    /// Replicas that may be missing, as a number or a percentage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
    /// Replicas that may be there in addition, as a number or a percentage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_surge: Option<IntOrString>,
}

/// OpenTelemetry export of every workload. Present = on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TracingSpec {
    /// OTLP endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exporter_endpoint: Option<String>,
    /// Name of an OpenTelemetry sampler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampler: Option<String>,
    /// Its argument, such as a ratio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampler_arg: Option<String>,
    /// Name of an OpenTelemetry exporter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exporter: Option<String>,
}

/// Schema rule of every workload: its size is fixed or scaled.
pub(super) fn one_way_to_size(schema: &mut Schema) {
    limits::rule("!has(self.replicas) || !has(self.scaling)", "replicas and scaling exclude each other")(
        schema,
    );
}
