//! Groups, labels, annotations and finalizers on Kubernetes objects. All are KServe's unless the comment says
//! otherwise, and other programs read them.

/// Label: what every child of a service carries.
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// Value of [`PART_OF`].
pub const PART_OF_VALUE: &str = "llminferenceservice";
/// Label: the service's name, on every child and pod.
pub const NAME: &str = "app.kubernetes.io/name";
/// Label (llmd): the namespace of the service, on children outside it.
pub const SERVICE_NAMESPACE: &str = "llmd.ai/service-namespace";
/// Label: the role of a child.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Label: pods that are members of the InferencePool carry the value [`WORKLOAD`].
pub const KSERVE_COMPONENT: &str = "kserve.io/component";
/// Value of [`KSERVE_COMPONENT`].
pub const WORKLOAD: &str = "workload";
/// Label (llm-d): `decode`, `prefill` or `both`.
pub const ROLE: &str = "llm-d.ai/role";
/// Label: the routing group of a service and of its route.
pub const ROUTING_GROUP: &str = "serving.kserve.io/routing-group";

/// Values of [`COMPONENT`].
pub mod component {
    pub const WORKLOAD: &str = "llminferenceservice-workload";
    pub const WORKLOAD_PREFILL: &str = "llminferenceservice-workload-prefill";
    pub const WORKLOAD_WORKER: &str = "llminferenceservice-workload-worker";
    pub const WORKLOAD_LEADER: &str = "llminferenceservice-workload-leader";
    pub const WORKLOAD_WORKER_PREFILL: &str = "llminferenceservice-workload-worker-prefill";
    pub const WORKLOAD_LEADER_PREFILL: &str = "llminferenceservice-workload-leader-prefill";
    pub const ROUTER: &str = "llminferenceservice-router";
    pub const ROUTER_SCHEDULER: &str = "llminferenceservice-router-scheduler";
    pub const TOKENIZER: &str = "tokenizer";
}

/// Annotation on a service: `true` (any case) deletes its objects and keeps the service.
pub const STOP: &str = "serving.kserve.io/stop";
/// Annotation in `spec.annotations`, and on a Gateway as an opt-out: routing by model name header.
pub const MODEL_BASED_ROUTING: &str = "serving.kserve.io/model-based-routing-enabled";
/// Annotation on a service: device class of the claim that its pods share a template of. The other three need it.
pub const DRA_DEVICE_CLASS: &str = "serving.kserve.io/exp-dra-device-class";
/// Annotation on a service: devices a pod asks for.
pub const DRA_DEVICE_COUNT: &str = "serving.kserve.io/exp-dra-device-count";
/// Annotation on a service: CEL expressions that a device must meet, one a line.
pub const DRA_CEL_SELECTOR: &str = "serving.kserve.io/exp-dra-cel-selector";
/// Annotation on a service: the container that gets the devices; the first one when absent.
pub const DRA_CONTAINER_NAME: &str = "serving.kserve.io/exp-dra-container-name";
/// Label that admission puts on a service: the cache on nodes that holds its model.
pub const LOCAL_MODEL: &str = "internal.serving.kserve.io/localmodel";
/// Label that admission puts on a service: the namespace of that cache, unless it is the cluster's.
pub const LOCAL_MODEL_NAMESPACE: &str = "internal.serving.kserve.io/localmodel-namespace";
/// Annotation that admission puts on a service: where the cached files came from.
pub const LOCAL_MODEL_SOURCE_URI: &str = "internal.serving.kserve.io/localmodel-sourceuri";
/// Annotation that admission puts on a service: the claim through which pods read the cache.
pub const LOCAL_MODEL_CLAIM: &str = "internal.serving.kserve.io/localmodel-pvc-name";
/// Annotation on a service: present = caches on nodes are not used.
pub const DISABLE_LOCAL_MODEL: &str = "serving.kserve.io/disable-localmodel";
/// Annotation on a service: the group of nodes whose cache is used.
pub const NODE_GROUP: &str = "serving.kserve.io/nodegroup";
/// Annotation on the managed route: `v1` once its gateways understand the v1 pool.
pub const POOL_MIGRATED: &str = "serving.kserve.io/inference-pool-migrated";
/// Annotation: criticality of a v1alpha1 model, which v1alpha2 has no field for.
pub const MODEL_CRITICALITY: &str = "internal.serving.kserve.io/model-criticality";
/// Annotation: criticalities of v1alpha1 adapters, as a JSON object from index to value.
pub const LORA_CRITICALITIES: &str = "internal.serving.kserve.io/lora-criticalities";
/// Annotation (llmd): fields of v1alpha2 that v1alpha1 cannot hold, while an object is seen as v1alpha1.
pub const V1ALPHA2_FIELDS: &str = "internal.serving.kserve.io/v1alpha2-fields";
/// Annotation (llmd): fields of v1alpha1 that v1alpha2 cannot hold in the same way.
pub const V1ALPHA1_FIELDS: &str = "internal.serving.kserve.io/v1alpha1-fields";
/// Finalizer of a service.
pub const SERVICE_FINALIZER: &str = "serving.kserve.io/llmisvc-finalizer";
/// Annotation (llmd) on a config: `true` lets it be deleted while services use it.
pub const ALLOW_CONFIG_DELETION: &str = "llmd.ai/allow-deletion";
/// Finalizer of a config.
pub const CONFIG_FINALIZER: &str = "serving.kserve.io/llmisvcconfig-finalizer";

/// Whether the annotations of a service ask to stop it.
#[must_use]
pub fn is_stopped(annotations: &std::collections::BTreeMap<String, String>) -> bool {
    annotations.get(STOP).is_some_and(|it| it.eq_ignore_ascii_case("true"))
}
