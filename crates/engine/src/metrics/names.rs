//! Names of the series that only the engine writes; the shared ones are in `llmd_api::metric_names`. All are
//! vLLM's, with the suffix `_total` that its client library appends to counters.

/// Waiting requests, label `reason`: `capacity` (no room yet) or `deferred` (another engine's blocks).
pub const NUM_REQUESTS_WAITING_BY_REASON: &str = "vllm:num_requests_waiting_by_reason";
/// Tokens looked up in the prefix cache, once a request.
pub const PREFIX_CACHE_QUERIES: &str = "vllm:prefix_cache_queries_total";
/// Tokens found there.
pub const PREFIX_CACHE_HITS: &str = "vllm:prefix_cache_hits_total";
/// Tokens asked for from other engines.
pub const EXTERNAL_PREFIX_CACHE_QUERIES: &str = "vllm:external_prefix_cache_queries_total";
/// Tokens that came.
pub const EXTERNAL_PREFIX_CACHE_HITS: &str = "vllm:external_prefix_cache_hits_total";
/// Sequences that lost their blocks and were recomputed.
pub const NUM_PREEMPTIONS: &str = "vllm:num_preemptions_total";
/// Prompt tokens whose prefill ended.
pub const PROMPT_TOKENS: &str = "vllm:prompt_tokens_total";
/// Of them, those taken from a cache or another engine.
pub const PROMPT_TOKENS_CACHED: &str = "vllm:prompt_tokens_cached_total";
/// Sampled tokens.
pub const GENERATION_TOKENS: &str = "vllm:generation_tokens_total";
/// Ended requests, label `finished_reason`.
pub const REQUEST_SUCCESS: &str = "vllm:request_success_total";
/// Refused requests, label `reason`.
pub const ADMISSION_REJECTIONS: &str = "vllm:admission_rejections_total";
/// Prompt tokens a request.
pub const REQUEST_PROMPT_TOKENS: &str = "vllm:request_prompt_tokens";
/// Generated tokens a request.
pub const REQUEST_GENERATION_TOKENS: &str = "vllm:request_generation_tokens";
/// `max_tokens` as asked for.
pub const REQUEST_PARAMS_MAX_TOKENS: &str = "vllm:request_params_max_tokens";
/// `n` as asked for.
pub const REQUEST_PARAMS_N: &str = "vllm:request_params_n";
/// Prompt tokens computed by this engine a request.
pub const REQUEST_PREFILL_KV_COMPUTED_TOKENS: &str = "vllm:request_prefill_kv_computed_tokens";
/// Preemptions a request.
pub const REQUEST_NUM_PREEMPTIONS: &str = "vllm:request_num_preemptions";
/// Tokens a step. A histogram, whatever its name says.
pub const ITERATION_TOKENS: &str = "vllm:iteration_tokens_total";
/// TTFT.
pub const TIME_TO_FIRST_TOKEN: &str = "vllm:time_to_first_token_seconds";
/// ITL.
pub const INTER_TOKEN_LATENCY: &str = "vllm:inter_token_latency_seconds";
/// ITL under the name it had before; dashboards and autoscalers still ask for it.
pub const TIME_PER_OUTPUT_TOKEN: &str = "vllm:time_per_output_token_seconds";
/// Mean ITL a request.
pub const REQUEST_TIME_PER_OUTPUT_TOKEN: &str = "vllm:request_time_per_output_token_seconds";
/// From arrival to the end.
pub const E2E_REQUEST_LATENCY: &str = "vllm:e2e_request_latency_seconds";
/// From arrival to the batch.
pub const REQUEST_QUEUE_TIME: &str = "vllm:request_queue_time_seconds";
/// From the batch to the end.
pub const REQUEST_INFERENCE_TIME: &str = "vllm:request_inference_time_seconds";
/// From the batch to the first token.
pub const REQUEST_PREFILL_TIME: &str = "vllm:request_prefill_time_seconds";
/// From the first token to the end.
pub const REQUEST_DECODE_TIME: &str = "vllm:request_decode_time_seconds";

/// Too many queued requests.
pub const REASON_QUEUED_REQUESTS: &str = "max_num_queued_reqs";
/// Too many queued prompt tokens.
pub const REASON_QUEUED_TOKENS: &str = "max_num_queued_tokens";
/// Values of label `reason` of [`ADMISSION_REJECTIONS`].
pub const REJECTION_REASONS: [&str; 2] = [REASON_QUEUED_REQUESTS, REASON_QUEUED_TOKENS];
