//! Prometheus series that more than one process knows: the engine writes them, the endpoint picker and
//! dashboards read them. Names are vLLM's.

/// Requests in the running batch (gauge).
pub const NUM_REQUESTS_RUNNING: &str = "vllm:num_requests_running";
/// Requests waiting to be scheduled (gauge).
pub const NUM_REQUESTS_WAITING: &str = "vllm:num_requests_waiting";
/// Share of KV-cache blocks in use, 0 to 1 (gauge).
pub const KV_CACHE_USAGE_PERC: &str = "vllm:kv_cache_usage_perc";
/// Cache geometry as labels `block_size` and `num_gpu_blocks`; the value is 1 (gauge).
pub const CACHE_CONFIG_INFO: &str = "vllm:cache_config_info";
/// Prompt tokens by where their KV came from, label `source` (counter).
pub const PROMPT_TOKENS_BY_SOURCE: &str = "vllm:prompt_tokens_by_source_total";
/// Bytes pulled from other engines (counter): blocks, bytes, seconds and failures share this prefix.
pub const KV_TRANSFER_PREFIX: &str = "llmd:kv_transfer";

/// Label carrying the first served model name on every engine series.
pub const LABEL_MODEL_NAME: &str = "model_name";
/// Label carrying the data-parallel rank on every engine series.
pub const LABEL_ENGINE: &str = "engine";
