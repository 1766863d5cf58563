//! Condition types of a service, spelled as KServe spells them.

/// Aggregate of [`PRESETS_COMBINED`], [`WORKLOADS_READY`] and [`ROUTER_READY`].
pub const READY: &str = "Ready";
pub const PRESETS_COMBINED: &str = "PresetsCombined";
pub const WORKLOADS_READY: &str = "WorkloadsReady";
pub const ROUTER_READY: &str = "RouterReady";
pub const MAIN_WORKLOAD_READY: &str = "MainWorkloadReady";
pub const WORKER_WORKLOAD_READY: &str = "WorkerWorkloadReady";
pub const PREFILL_WORKLOAD_READY: &str = "PrefillWorkloadReady";
pub const PREFILL_WORKER_WORKLOAD_READY: &str = "PrefillWorkerWorkloadReady";
pub const SCALING_READY: &str = "ScalingReady";
pub const PREFILL_SCALING_READY: &str = "PrefillScalingReady";
pub const SCHEDULER_WORKLOAD_READY: &str = "SchedulerWorkloadReady";
pub const TOKENIZER_READY: &str = "TokenizerReady";
pub const GATEWAYS_READY: &str = "GatewaysReady";
pub const HTTP_ROUTES_READY: &str = "HTTPRoutesReady";
pub const INFERENCE_POOL_READY: &str = "InferencePoolReady";
pub const GROUP_READY: &str = "GroupReady";
pub const GROUP_DEGRADED: &str = "GroupDegraded";
pub const OCI_IMAGE_VOLUME_COMPATIBLE: &str = "OciImageVolumeCompatible";
