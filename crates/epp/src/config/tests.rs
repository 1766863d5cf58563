use std::path::Path;

use llmd_common::report::Report;

use super::*;
use crate::config::graph::Graph;
use crate::metrics::Metrics;

/// A configuration with `rest` under the header.
fn yaml(rest: &str) -> String {
    format!("apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n{rest}")
}

fn load(text: &str) -> Result<Graph, String> {
    EndpointPickerConfig::parse(text)
        .and_then(|config| Graph::load(&config, &Metrics::unregistered()))
        .map_err(|error| Report(&error).to_string())
}

/// `profile: filters | scorers with weights | picker` of each profile.
fn describe(graph: &Graph) -> Vec<String> {
    let join = |names: Vec<String>| names.join(" ");
    graph
        .profiles
        .values()
        .map(|profile| {
            let filters = join(profile.filters.iter().map(|it| it.name.to_string()).collect());
            let scorers =
                join(profile.scorers.iter().map(|(it, weight)| format!("{}={weight}", it.name)).collect());
            format!("{}: {filters} | {scorers} | {}", profile.name, profile.picker.name)
        })
        .collect()
}

#[track_caller]
fn check(rest: &str, handler: &str, profiles: &[&str]) {
    let graph = load(&yaml(rest)).unwrap();
    assert_eq!(graph.handler.type_name, handler);
    assert_eq!(describe(&graph), profiles);
}

#[track_caller]
fn check_error(rest: &str, expected: &[&str]) {
    let error = load(&yaml(rest)).map(|graph| describe(&graph)).unwrap_err();
    for part in expected {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

#[test]
fn without_a_file_queue_cache_and_prefix_are_weighed() {
    let graph = Graph::load(&EndpointPickerConfig::without_file(), &Metrics::unregistered()).unwrap();
    assert_eq!(
        describe(&graph),
        ["default:  | queue-scorer=2 kv-cache-utilization-scorer=2 prefix-cache-scorer=3 | max-score-picker"]
    );
    assert_eq!(graph.handler.type_name, "single-profile-handler");
    assert_eq!(graph.producers.len(), 1);
    assert!(graph.scraping.is_some());
    assert!(graph.discovery.is_none());
}

#[test]
fn without_profiles_everything_configured_is_one_profile() {
    check(
        "plugins: [{type: queue-scorer}, {type: decode-filter}, {type: random-picker, name: dice}]",
        "single-profile-handler",
        &["default: decode-filter | queue-scorer=1 | dice"],
    );
}

#[test]
fn a_profile_without_picker_takes_the_configured_one() {
    check(
        "plugins: [{type: queue-scorer}, {type: weighted-random-picker}]\n\
         schedulingProfiles: [{name: p, plugins: [{pluginRef: queue-scorer, weight: 2.5}]}]",
        "single-profile-handler",
        &["p:  | queue-scorer=2.5 | weighted-random-picker"],
    );
}

const DISAGGREGATED: &str = "
featureGates: [flowControl=false]
plugins:
- type: disagg-headers-handler
  parameters: {prefillProfile: prefill}
- type: disagg-profile-handler
  parameters: {deciders: {prefill: prefix-based-pd-decider}}
- type: prefix-based-pd-decider
  parameters: {nonCachedTokens: 16}
- {type: prefill-filter}
- {type: decode-filter}
- {type: queue-scorer}
- {type: prefix-cache-scorer}
- {type: file-discovery, name: files, parameters: {path: /etc/epp/endpoints.yaml, watchFile: true}}
schedulingProfiles:
- {name: prefill, plugins: [{pluginRef: prefill-filter}, {pluginRef: prefix-cache-scorer, weight: 2}]}
- {name: decode, plugins: [{pluginRef: decode-filter}, {pluginRef: queue-scorer}]}
dataLayer: {discovery: {pluginRef: files}}
";

#[test]
fn a_disaggregated_configuration_shares_one_prefix_producer() {
    check(
        DISAGGREGATED,
        "disagg-profile-handler",
        &[
            "prefill: prefill-filter | prefix-cache-scorer=2 | max-score-picker",
            "decode: decode-filter | queue-scorer=1 | max-score-picker",
        ],
    );
    let graph = load(&yaml(DISAGGREGATED)).unwrap();
    assert_eq!(graph.producers.len(), 1);
    assert_eq!(graph.discovery.unwrap().path, Path::new("/etc/epp/endpoints.yaml"));
}

#[test]
fn older_spellings_are_read() {
    check(
        "plugins:\n\
         - {type: always-disagg-pd-decider}\n\
         - {type: disagg-profile-handler, parameters: {deciderPluginName: always-disagg-pd-decider,\n\
         \x20  decodeProfile: d, prefillProfile: p}}\n\
         schedulingProfiles: [{name: d, plugins: []}, {name: p, plugins: []}]\n\
         saturationDetector: {}\nparser: {pluginRef: openai-parser}\n\
         dataLayer: {discovery: {endpoints: {}}}",
        "disagg-profile-handler",
        &["d:  |  | max-score-picker", "p:  |  | max-score-picker"],
    );
}

#[test]
fn parsers_are_there_without_being_configured() {
    let graph = load(&yaml("requestHandler: {parsers: [{pluginRef: openai-parser}]}")).unwrap();
    assert_eq!(graph.parsers.len(), 1);
    check_error("requestHandler: {parsers: [{pluginRef: queue}]}", &["requestHandler.parsers", "\"queue\""]);
}

#[test]
fn scraping_can_be_turned_off_or_described() {
    assert!(load(&yaml("dataLayer: {injectDefaults: false}")).unwrap().scraping.is_none());
    let described = "
plugins:
- {type: metrics-data-source, name: source, parameters: {path: /m, interval: 1s}}
- type: core-metrics-extractor
  name: extractor
  parameters: {defaultEngine: mine, engineConfigs: [{name: mine, queuedRequestsSpec: 'waiting{kind=a}'}]}
dataLayer:
  injectDefaults: false
  sources: [{pluginRef: source, extractors: [{pluginRef: extractor}]}]
";
    let (source, _) = load(&yaml(described)).unwrap().scraping.unwrap();
    assert_eq!(source.path, "/m");
    assert_eq!(source.interval, Some(std::time::Duration::from_secs(1)));
}

#[test]
fn both_api_groups_are_accepted_and_no_other() {
    let text = yaml("");
    assert!(load(&text.replace("llm-d.ai", "inference.networking.x-k8s.io")).is_ok());
    let error = load(&text.replace("llm-d.ai/v1alpha1", "v1")).unwrap_err();
    assert!(error.contains("unknown apiVersion \"v1\""), "{error}");
    let error = load(&text.replace("EndpointPickerConfig", "Other")).unwrap_err();
    assert!(error.contains("unknown kind \"Other\""), "{error}");
}

#[test]
fn unknown_types_are_listed_with_the_known_ones() {
    check_error(
        "plugins: [{type: token-producer}, {type: queue-scorer}, {type: latency-scorer}]",
        &[
            "unknown plugin type \"token-producer\", \"latency-scorer\"; known: ",
            "queue-scorer",
            "prefill-filter",
        ],
    );
}

#[test]
fn unknown_fields_and_parameters_are_errors() {
    check_error("pluginz: []", &["pluginz"]);
    check_error("plugins: [{type: queue-scorer, weight: 2}]", &["weight"]);
    check_error(
        "plugins: [{type: queue-scorer, name: q, parameters: {depth: 2}}]",
        &["plugin \"q\" of type \"queue-scorer\"", "depth"],
    );
    check_error(
        "plugins: [{type: max-score-picker, parameters: {maxNumOfEndpoints: 0}}]",
        &["max-score-picker", "zero"],
    );
}

#[test]
fn references_are_checked() {
    check_error(
        "plugins: [{type: queue-scorer}]\nschedulingProfiles: [{name: p, plugins: [{pluginRef: queue}]}]",
        &["scheduling profile \"p\"", "\"queue\"", "configured: queue-scorer"],
    );
    check_error(
        "plugins: [{type: always-disagg-pd-decider}]\n\
         schedulingProfiles: [{name: p, plugins: [{pluginRef: always-disagg-pd-decider}]}]",
        &["needs a filter, scorer or picker"],
    );
    check_error(
        "plugins: [{type: disagg-profile-handler, parameters: {deciders: {prefill: queue-scorer}}},\
         {type: queue-scorer}]\nschedulingProfiles: [{name: decode}]",
        &["deciders.prefill", "needs a decider"],
    );
    check_error("dataLayer: {discovery: {pluginRef: nowhere}}", &["dataLayer.discovery", "nowhere"]);
    check_error(
        "plugins: [{type: queue-scorer, name: a}, {type: decode-filter, name: a}]",
        &["two plugins are called \"a\""],
    );
}

#[test]
fn handlers_and_profiles_must_fit() {
    check_error(
        "schedulingProfiles: [{name: a}, {name: b}]",
        &["several scheduling profiles need a profile handler"],
    );
    check_error(
        "plugins: [{type: single-profile-handler}]\nschedulingProfiles: [{name: a}, {name: b}]",
        &["exactly one profile", "a, b"],
    );
    check_error(
        "plugins: [{type: single-profile-handler}, {type: disagg-profile-handler}]",
        &["two profile handlers"],
    );
    check_error(
        "plugins: [{type: disagg-profile-handler}]\nschedulingProfiles: [{name: default}]",
        &["no decode profile called \"decode\""],
    );
    check_error(
        "plugins: [{type: random-picker}, {type: max-score-picker}]",
        &["two pickers, \"random-picker\" and \"max-score-picker\""],
    );
    check_error(
        "plugins: [{type: disagg-profile-handler, parameters: {stageOrder: prefill-first,\
         deciders: {prefill: d}}}, {type: always-disagg-pd-decider, name: d}]",
        &["deciders.prefill must be absent"],
    );
}

#[test]
fn what_is_not_supported_says_so() {
    check_error("featureGates: [flowControl]", &["flowControl is not supported", "remove it"]);
    check_error("featureGates: [speed]", &["feature gate \"speed\""]);
    check_error("dataLayer: {peerDiscovery: {pluginRef: x}}", &["peerDiscovery"]);
    check_error(
        "plugins: [{type: metrics-data-source, parameters: {scheme: ftp}}]",
        &["scheme must be http or https"],
    );
    check_error(
        "plugins: [{type: core-metrics-extractor, parameters: {defaultEngine: x}}]",
        &["defaultEngine", "known: sglang"],
    );
}

/// The configurations that the llm-d router publishes, when they are at hand beside the checkout.
#[test]
fn published_configurations_load_unchanged() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/samples/epp");
    let Ok(files) = std::fs::read_dir(&samples) else {
        eprintln!("skipped: no published configurations in {}", samples.display());
        return;
    };
    for file in files {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let loaded = load(&text).map(|graph| describe(&graph));
        let unknown: &[&str] = match path.file_name().and_then(|it| it.to_str()).unwrap() {
            "epp-precise-prefix-cache-config.yaml" => {
                &["token-producer", "endpoint-notification-source", "precise-prefix-cache-producer"]
            }
            _ => &[],
        };
        if unknown.is_empty() {
            loaded.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        } else {
            let error = loaded.unwrap_err();
            let types: Vec<_> = unknown.iter().map(|it| format!("{it:?}")).collect();
            let expected = format!("unknown plugin type {}; known: ", types.join(", "));
            assert!(error.starts_with(&expected), "{}: {error}", path.display());
        }
    }
}

#[test]
fn a_circle_of_references_is_found() {
    // No published type can refer to itself, so the builder is asked directly.
    let specs = [PluginSpec {
        parameters: serde_json::json!({"deciders": {"prefill": "h"}}),
        name: Some("h".to_owned()),
        ..PluginSpec::of_type("disagg-profile-handler")
    }];
    let error =
        build::Builder::new(&specs, Metrics::unregistered()).unwrap().plugin("test", "h").unwrap_err();
    assert_eq!(error.to_string(), "plugins refer to each other in a circle: h -> h");
}

#[test]
fn plugins_are_built_once() {
    let specs = [PluginSpec::of_type("prefix-cache-scorer"), PluginSpec::of_type("prefix-based-pd-decider")];
    let mut builder = build::Builder::new(&specs, Metrics::unregistered()).unwrap();
    builder.build_all().unwrap();
    assert_eq!(builder.prefix_producers().len(), 1);
}

#[test]
fn the_plugins_of_published_configurations_are_known() {
    load(&yaml(
        "plugins: [{type: queue-scorer}, {type: kv-cache-utilization-scorer}, {type: prefix-cache-scorer},
                   {type: no-hit-lru-scorer}, {type: active-request-scorer}, {type: lora-affinity-scorer}]
schedulingProfiles:
- {name: default, plugins: [{pluginRef: queue-scorer, weight: 2}, {pluginRef: no-hit-lru-scorer, weight: 2},
                            {pluginRef: active-request-scorer}, {pluginRef: lora-affinity-scorer}]}",
    ))
    .unwrap();
    load(&yaml(
        "plugins: [{type: decode-filter}, {type: max-score-picker},
                   {type: data-parallel-profile-handler, parameters: {primaryPort: 8000}}]
schedulingProfiles:
- {name: default, plugins: [{pluginRef: decode-filter}, {pluginRef: max-score-picker}]}",
    ))
    .unwrap();
}

#[test]
fn parameters_of_flags_fill_in_what_the_file_leaves_open() {
    let given = serde_json::json!({ "scheme": "https", "path": "/m" });
    let mut config = EndpointPickerConfig::without_file();
    config.add_parameters("metrics-data-source", given.as_object().unwrap());
    assert_eq!(config.plugins.last().unwrap().parameters, given);
    config.plugins.last_mut().unwrap().parameters = serde_json::json!({ "path": "/own" });
    config.add_parameters("metrics-data-source", given.as_object().unwrap());
    let expected = serde_json::json!({ "scheme": "https", "path": "/own" });
    assert_eq!(config.plugins.last().unwrap().parameters, expected);
}
