//! HTTP header names with a meaning in the serving stack, each with its upstream owner.

/// Request id, carried from the client through every leg. Owner: Envoy.
pub const REQUEST_ID: &str = "x-request-id";

/// Where the gateway must send the request: `ip:port`. Set by the endpoint picker only.
/// Owner: Gateway API Inference Extension, endpoint picker protocol.
pub const DESTINATION_ENDPOINT: &str = "x-gateway-destination-endpoint";
/// Candidate subset, read from request metadata and never from this header.
/// Owner: Gateway API Inference Extension.
pub const DESTINATION_ENDPOINT_SUBSET: &str = "x-gateway-destination-endpoint-subset";
/// Endpoint that really served, reported by the gateway. Owner: Gateway API Inference Extension.
pub const DESTINATION_ENDPOINT_SERVED: &str = "x-gateway-destination-endpoint-served";

/// Prefill endpoint (`ip:port`) that the decode sidecar must call first. Owner: llm-d router.
pub const PREFILLER_HOST_PORT: &str = "x-prefiller-host-port";
/// Encode endpoints for multimodal parts. Owner: llm-d router.
pub const ENCODER_HOSTS_PORTS: &str = "x-encoder-hosts-ports";
/// Data-parallel rank as `ip:port`. Owner: llm-d router.
pub const DATA_PARALLEL_HOST_PORT: &str = "x-data-parallel-host-port";
/// Data-parallel rank by its number, to an engine with several of them. Owner: vLLM.
pub const DATA_PARALLEL_RANK: &str = "x-data-parallel-rank";
/// Peer that holds more of the prompt's cache. Owner: llm-d router.
pub const KV_CACHE_SOURCE_HOST_PORT: &str = "x-kv-cache-source-host-port";

/// Why the endpoint picker refused a request (response header). Owner: llm-d router.
pub const REQUEST_DROPPED_REASON: &str = "x-llm-d-request-dropped-reason";
/// Marks a response that passed the endpoint picker. Owner: Gateway API Inference Extension.
pub const WENT_INTO_RESP_HEADERS: &str = "x-went-into-resp-headers";

/// Name of the InferenceObjective, canonical spelling first. Owner: llm-d router.
pub const OBJECTIVE: [&str; 2] = ["x-llm-d-inference-objective", "x-gateway-inference-objective"];
/// Fairness id (flow), canonical spelling first. Owner: llm-d router.
pub const FAIRNESS_ID: [&str; 2] = ["x-llm-d-inference-fairness-id", "x-gateway-inference-fairness-id"];
/// Target model name, canonical spelling first. Owner: llm-d router.
pub const MODEL_NAME_REWRITE: [&str; 2] = ["x-llm-d-model-name-rewrite", "x-gateway-model-name-rewrite"];

/// Headers that only the routing layer may set. A client's copy never reaches an engine.
pub const ROUTING: [&str; 5] = [
    DESTINATION_ENDPOINT,
    PREFILLER_HOST_PORT,
    ENCODER_HOSTS_PORTS,
    DATA_PARALLEL_HOST_PORT,
    KV_CACHE_SOURCE_HOST_PORT,
];
