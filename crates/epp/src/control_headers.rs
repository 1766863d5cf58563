//! Headers that belong to the serving stack, so that a client's copy ends at the endpoint picker.
//!
//! A client that could set a destination would turn the gateway into an open proxy, and one that could set a
//! prefill endpoint would make a sidecar call any address. Flow and objective headers are read here and mean
//! nothing behind it.

use llmd_api::headers;

/// Names beside [`headers::ROUTING`] and the aliased ones that no client copy of reaches an endpoint.
const SYSTEM: [&str; 10] = [
    headers::DESTINATION_ENDPOINT_SUBSET,
    headers::DESTINATION_ENDPOINT_SERVED,
    headers::REQUEST_DROPPED_REASON,
    "x-llm-d-slo-ttft-ms",
    "x-slo-ttft-ms",
    "x-llm-d-slo-tpot-ms",
    "x-slo-tpot-ms",
    "x-llm-d-video-fps",
    "x-llm-d-video-duration-seconds",
    "x-llm-d-video-resolution",
];

/// Whether a client's copy of the header `name` (lower case) is dropped.
#[must_use]
pub fn is_dropped(name: &str) -> bool {
    headers::ROUTING.contains(&name)
        || SYSTEM.contains(&name)
        || [headers::OBJECTIVE, headers::FAIRNESS_ID, headers::MODEL_NAME_REWRITE]
            .iter()
            .any(|spellings| spellings.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_headers_are_dropped_and_others_pass() {
        for name in
            ["x-gateway-destination-endpoint", "x-prefiller-host-port", "x-gateway-inference-objective"]
        {
            assert!(is_dropped(name), "{name}");
        }
        for name in ["x-request-id", "authorization", "x-session-token", "traceparent", "content-length"] {
            assert!(!is_dropped(name), "{name}");
        }
    }
}
