//! `serving.kserve.io/v1alpha2`, the storage version and the one the controller works with.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerBehavior;
use k8s_openapi::api::core::v1::{
    ConfigMapKeySelector, LocalObjectReference, PersistentVolumeClaimSpec, PodSpec,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::autoscaling::{KedaAdvanced, KedaFallback, KedaTrigger};
use crate::gateway::{HttpRouteSpec, ObjectReference};
use crate::inference::pool_v1::InferencePoolSpec;
use crate::serving::status::{LLMInferenceServiceConfigStatus, LLMInferenceServiceStatus};

/// A served model: its workloads, its route and its scheduler.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "serving.kserve.io",
    version = "v1alpha2",
    kind = "LLMInferenceService",
    plural = "llminferenceservices",
    shortname = "llmisvc",
    namespaced,
    status = "LLMInferenceServiceStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
pub struct LLMInferenceServiceSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_initializer: Option<StorageInitializerSpec>,
    /// The main workload: the only one, or the decode side of a disaggregated service.
    #[serde(flatten)]
    pub workload: WorkloadSpec,
    /// Present = disaggregated serving: this workload prefills and the main one decodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefill: Option<WorkloadSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router: Option<RouterSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracing: Option<TracingSpec>,
    /// Configs merged below this spec, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub base_refs: Vec<LocalObjectReference>,
}

/// A reusable part of a service's spec: a preset of the installation or a base that services name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "serving.kserve.io",
    version = "v1alpha2",
    kind = "LLMInferenceServiceConfig",
    plural = "llminferenceserviceconfigs",
    namespaced,
    status = "LLMInferenceServiceConfigStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(transparent)]
pub struct LLMInferenceServiceConfigSpec(pub LLMInferenceServiceSpec);

/// One workload: a Deployment, or with `worker` a LeaderWorkerSet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<ParallelismSpec>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The serving pod, or the leader of each group when `worker` is present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<PodSpec>,
    /// Present = multi-node: the pods of each group besides its leader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<PodSpec>,
    #[serde(rename = "kvCacheOffloading", skip_serializing_if = "Option::is_none")]
    pub kv_cache_offloading: Option<KvCacheOffloadingSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout_strategy: Option<RolloutStrategy>,
}

/// The model and how it is named, extended and protected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelSpec {
    /// Where the weights are: `hf://`, `s3://`, `pvc://`, `oci://` or `oci+native://`.
    pub uri: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidential: Option<ConfidentialSpec>,
}

/// LoRA adapters that are served beside the base model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LoraSpec {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub adapters: Vec<LoraAdapter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rank: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_adapters: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cpu_adapters: Option<i32>,
}

/// One LoRA adapter. The upstream schema leaves the list open, so fields of others are kept as they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LoraAdapter {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub uri: String,
    #[serde(flatten)]
    pub others: BTreeMap<String, Value>,
}

/// Decryption of weights in a confidential pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfidentialSpec {
    pub enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
}

/// Whether the controller attaches the model's files to the pods at all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StorageInitializerSpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// How many ways the model is split, in ranks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ParallelismSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tensor: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_local: Option<i32>,
    #[serde(rename = "dataRPCPort", skip_serializing_if = "Option::is_none")]
    pub data_rpc_port: Option<i32>,
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

/// Tiers below the accelerator's KV cache.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KvCacheOffloadingSpec {
    /// Host memory for offloaded blocks, in bytes.
    pub cpu: Quantity,
    /// `lru` (default) or `arc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eviction_policy: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secondary: Vec<KvCacheTier>,
}

/// One tier below host memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KvCacheTier {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_system: Option<FileSystemTier>,
}

/// A KV tier in a file system: exactly one of the two.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FileSystemTier {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDirTier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pvc: Option<PvcTier>,
}

/// A KV tier on the node's disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EmptyDirTier {
    pub size: Quantity,
}

/// A KV tier in a persistent volume: exactly one of the two.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PvcTier {
    /// A claim made for each pod and deleted with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<PersistentVolumeClaimSpec>,
    /// An existing claim.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<PvcReference>,
}

/// An existing claim and a folder in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PvcReference {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// How a workload's pods are replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutStrategy {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_surge: Option<IntOrString>,
}

/// How requests reach the workloads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RouterSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewaySpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<SchedulerSpec>,
}

/// The route: managed, given, or shared by a group of services with weights.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RouteSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpRouteChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
}

/// Routes of the user, or the spec of the managed one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HttpRouteChoice {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refs: Vec<LocalObjectReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<HttpRouteSpec>,
}

/// Gateways that carry the route; none = the installation's default gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GatewaySpec {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refs: Vec<ObjectReference>,
}

/// Ingresses; declared upstream, never created by any controller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct IngressSpec {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refs: Vec<ObjectReference>,
}

/// The endpoint picker of the service and its pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SchedulerSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolChoice>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<PodSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<SchedulerConfigChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerSpec>,
}

/// The managed pool's spec, or a pool of the user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PoolChoice {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<InferencePoolSpec>,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<LocalObjectReference>,
}

/// An EndpointPickerConfig: exactly one of the two.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SchedulerConfigChoice {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inline: Option<Value>,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<ConfigMapKeySelector>,
}

/// The Deployment that tokenizes for the endpoint picker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TokenizerSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<PodSpec>,
}

/// OpenTelemetry export of every workload. Present = on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TracingSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exporter_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampler: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampler_arg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exporter: Option<String>,
}

/// Autoscaling of one workload: exactly one of `wva` and `keda`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingSpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_replicas: Option<i32>,
    pub max_replicas: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wva: Option<WvaSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keda: Option<DirectKedaSpec>,
}

/// Scaling by the workload variant autoscaler, through exactly one of two actuators.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WvaSpec {
    /// Relative cost of a replica, as a decimal number.
    #[serde(skip_serializing_if = "Option::is_none")]
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
pub struct KedaTuning {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub polling_interval: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown_period: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_cooldown_period: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
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
    pub triggers: Vec<KedaTrigger>,
}
