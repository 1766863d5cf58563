//! The two files of the endpoint picker: its configuration and the endpoints it discovers.

use std::path::Path;

use crate::up::ports::Ports;

/// Prefill and decode apart. A prompt goes to a prefill engine unless the chosen decode endpoint holds it in its
/// cache already: with `nonCachedTokens: 1` one uncached token is enough, so that short prompts show the whole
/// way and repeated ones the short cut. A cached prompt outweighs running requests until others wait as well.
const DISAGGREGATED: &str = r"apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: file-discovery
  parameters:
    path: {{endpoints_file}}
    watchFile: true
- type: approx-prefix-cache-producer
  parameters:
    maxPrefixTokensToMatch: 16384
    lruCapacityPerServer: 31250
- type: prefix-cache-scorer
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: running-requests-size-scorer
- type: prefill-filter
- type: decode-filter
- type: max-score-picker
- type: disagg-profile-handler
  parameters:
    deciders:
      prefill: prefix-based-pd-decider
- type: prefix-based-pd-decider
  parameters:
    nonCachedTokens: 1
schedulingProfiles:
- name: prefill
  plugins:
  - pluginRef: prefill-filter
  - pluginRef: prefix-cache-scorer
    weight: 2
  - pluginRef: queue-scorer
    weight: 1
  - pluginRef: running-requests-size-scorer
    weight: 1
  - pluginRef: kv-cache-utilization-scorer
    weight: 1
  - pluginRef: max-score-picker
- name: decode
  plugins:
  - pluginRef: decode-filter
  - pluginRef: prefix-cache-scorer
    weight: 2
  - pluginRef: queue-scorer
    weight: 1
  - pluginRef: running-requests-size-scorer
    weight: 1
  - pluginRef: kv-cache-utilization-scorer
    weight: 1
  - pluginRef: max-score-picker
dataLayer:
  discovery:
    pluginRef: file-discovery
";

/// Decode engines alone.
const AGGREGATED: &str = r"apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: file-discovery
  parameters:
    path: {{endpoints_file}}
    watchFile: true
- type: approx-prefix-cache-producer
  parameters:
    maxPrefixTokensToMatch: 16384
    lruCapacityPerServer: 31250
- type: prefix-cache-scorer
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: running-requests-size-scorer
- type: max-score-picker
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: prefix-cache-scorer
    weight: 2
  - pluginRef: queue-scorer
    weight: 1
  - pluginRef: running-requests-size-scorer
    weight: 1
  - pluginRef: kv-cache-utilization-scorer
    weight: 1
  - pluginRef: max-score-picker
dataLayer:
  discovery:
    pluginRef: file-discovery
";

/// `EndpointPickerConfig` for a stack with or without prefill engines.
#[must_use]
pub fn config(ports: &Ports, endpoints_file: &Path) -> String {
    let template = if ports.prefill.is_empty() { AGGREGATED } else { DISAGGREGATED };
    // A JSON string is a YAML string, whatever the path contains.
    let quoted = serde_json::Value::from(endpoints_file.to_string_lossy()).to_string();
    template.replace("{{endpoints_file}}", &quoted)
}

/// The endpoints file of `file-discovery`: prefill engines, and the sidecars of the decode engines.
#[must_use]
pub fn endpoints(ports: &Ports) -> String {
    let prefill = ports.prefill.iter().map(|&port| ("prefill", port));
    let decode = ports.decode.iter().map(|it| ("decode", it.sidecar));
    let numbered = prefill.enumerate().chain(decode.enumerate());
    let entries = numbered.map(|(idx, (role, port))| {
        format!(
            "- name: {role}-{idx}\n  namespace: default\n  address: 127.0.0.1\n  port: \"{port}\"\n  \
             labels:\n    llm-d.ai/role: {role}\n"
        )
    });
    std::iter::once("endpoints:\n".to_owned()).chain(entries).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::up::plan::tests::ports;
    use serde_json::{Value, json};

    fn parsed(yaml: &str) -> Value {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn names_every_endpoint_with_its_role() {
        let endpoint = |name: &str, port: &str, role: &str| {
            json!({ "name": name, "namespace": "default", "address": "127.0.0.1", "port": port,
                    "labels": { "llm-d.ai/role": role } })
        };
        let expected = json!({ "endpoints": [
            endpoint("prefill-0", "1001", "prefill"),
            endpoint("decode-0", "2002", "decode"),
            endpoint("decode-1", "2012", "decode"),
        ]});
        assert_eq!(parsed(&endpoints(&ports(1, 2))), expected);
    }

    #[test]
    fn every_reference_of_a_configuration_is_a_plugin_of_it() {
        for n_prefill in [0, 1] {
            let config = parsed(&config(&ports(n_prefill, 1), Path::new("/a \"b\": c/endpoints.yaml")));
            let plugins = config["plugins"].as_array().unwrap();
            assert_eq!(plugins[0]["parameters"]["path"], "/a \"b\": c/endpoints.yaml");
            let types: Vec<_> = plugins.iter().map(|it| &it["type"]).collect();
            let profiles = config["schedulingProfiles"].as_array().unwrap();
            let references = profiles.iter().flat_map(|it| it["plugins"].as_array().unwrap());
            for reference in references.chain([&config["dataLayer"]["discovery"]]) {
                assert!(types.contains(&&reference["pluginRef"]), "{reference}");
            }
            assert_eq!(profiles.len(), 1 + usize::from(n_prefill));
        }
    }
}
