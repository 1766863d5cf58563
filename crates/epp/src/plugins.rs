//! The plugin types of this picker, one a file, each file named by its wire type.

use crate::plugin::PluginType;

pub mod decider;
pub mod detector;
pub mod filter;
pub mod inert;
pub mod parser;
pub mod picker;
pub mod producer;
pub mod profile;
pub mod scorer;

use crate::{datalayer, discovery};

/// Every type a configuration may name.
pub static KNOWN: &[PluginType] = &[
    PluginType { name: "active-request-scorer", build: scorer::active_request_scorer::build },
    PluginType { name: "always-disagg-pd-decider", build: decider::always_disagg_pd_decider::build },
    PluginType { name: "approx-prefix-cache-producer", build: producer::approx_prefix_cache_producer::build },
    PluginType { name: "core-metrics-extractor", build: datalayer::extract::build },
    PluginType {
        name: "data-parallel-profile-handler",
        build: profile::data_parallel_profile_handler::build,
    },
    PluginType { name: "decode-filter", build: filter::decode_filter::build },
    PluginType { name: "disagg-headers-handler", build: inert::build_headers_handler },
    PluginType { name: "disagg-profile-handler", build: profile::disagg_profile_handler::build },
    PluginType { name: "fcfs-ordering-policy", build: inert::build },
    PluginType { name: "file-discovery", build: discovery::file::build },
    PluginType { name: "global-strict-fairness-policy", build: inert::build },
    PluginType { name: "kv-cache-utilization-scorer", build: scorer::kv_cache_utilization_scorer::build },
    PluginType { name: "lora-affinity-scorer", build: scorer::lora_affinity_scorer::build },
    PluginType { name: "max-score-picker", build: picker::max_score_picker::build },
    PluginType { name: "metrics-data-source", build: datalayer::source::build },
    PluginType { name: "no-hit-lru-scorer", build: scorer::no_hit_lru_scorer::build },
    PluginType { name: "openai-parser", build: parser::openai_parser::build },
    PluginType { name: "passthrough-parser", build: parser::passthrough_parser::build },
    PluginType { name: "prefill-filter", build: filter::prefill_filter::build },
    PluginType { name: "prefill-header-handler", build: inert::build_headers_handler },
    PluginType { name: "prefix-based-pd-decider", build: decider::prefix_based_pd_decider::build },
    PluginType { name: "prefix-cache-scorer", build: scorer::prefix_cache_scorer::build },
    PluginType { name: "queue-scorer", build: scorer::queue_scorer::build },
    PluginType { name: "random-picker", build: picker::random_picker::build },
    PluginType { name: "running-requests-size-scorer", build: scorer::running_requests_size_scorer::build },
    PluginType { name: "single-profile-handler", build: profile::single_profile_handler::build },
    PluginType { name: "static-usage-limit-policy", build: inert::build },
    PluginType { name: "utilization-detector", build: detector::utilization_detector::build },
    PluginType { name: "vllmhttp-parser", build: parser::vllmhttp_parser::build },
    PluginType { name: "weighted-random-picker", build: picker::weighted_random_picker::build },
];

/// The type called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static PluginType> {
    KNOWN.iter().find(|it| it.name == name)
}

/// Names of all types, in alphabetical order.
#[must_use]
pub fn known_names() -> Vec<&'static str> {
    KNOWN.iter().map(|it| it.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_sorted_and_unique() {
        assert!(known_names().is_sorted_by(|a, b| a < b));
    }
}
