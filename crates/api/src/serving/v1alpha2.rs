//! `serving.kserve.io/v1alpha2`, the storage version and the one the controller works with.
//!
//! Parts that `v1alpha1` has too stand in files of their own and are re-exported here.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{LocalObjectReference, PodSpec};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::limits;
use crate::inference::pool_v1::InferencePoolSpec;
use crate::serving::status::{LLMInferenceServiceConfigStatus, LLMInferenceServiceStatus};

pub use super::kv_cache::{
    EmptyDirTier, FileSystemTier, KvCacheOffloadingSpec, KvCacheTier, PvcReference, PvcTier,
};
pub use super::model::{ConfidentialSpec, LoraAdapter, LoraSpec, StorageInitializerSpec};
pub use super::routing::{
    GatewaySpec, HttpRouteChoice, IngressSpec, RouteSpec, SchedulerConfigChoice, TokenizerSpec,
};
pub use super::scaling::{DirectKedaSpec, HpaActuator, KedaTuning, ScalingSpec, WvaSpec};
use super::workload;
pub use super::workload::{ParallelismSpec, RolloutStrategy, TracingSpec};

/// A served model: its workloads, its route and its scheduler.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "serving.kserve.io",
    version = "v1alpha2",
    kind = "LLMInferenceService",
    plural = "llminferenceservices",
    shortname = "llmisvc",
    namespaced,
    schema = "disabled",
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
    schema = "disabled",
    status = "LLMInferenceServiceConfigStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(transparent)]
pub struct LLMInferenceServiceConfigSpec(pub LLMInferenceServiceSpec);

/// One workload: a Deployment, or with `worker` a LeaderWorkerSet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = workload::one_way_to_size)]
pub struct WorkloadSpec {
    /// Fixed number of replicas: pods, or groups of pods when `worker` is present. Kept as it is when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = limits::at_least(0))]
    pub replicas: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<ParallelismSpec>,
    /// Added to the pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Added to the pods.
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelSpec {
    /// Where the weights are: `hf://`, `s3://`, `pvc://`, `oci://` or `oci+native://`.
    pub uri: String,
    /// Name under which clients ask for the model; the service's own name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidential: Option<ConfidentialSpec>,
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

/// The endpoint picker of the service and its pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SchedulerSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolChoice>,
    /// Added to the endpoint picker's pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Added to the endpoint picker's pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The endpoint picker's pod, merged over the preset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<PodSpec>,
    /// Endpoint pickers; one of them leads.
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
    #[schemars(transform = limits::required(&["selector", "targetPorts", "endpointPickerRef"]))]
    pub spec: Option<InferencePoolSpec>,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<LocalObjectReference>,
}
