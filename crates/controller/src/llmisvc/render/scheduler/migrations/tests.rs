use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::*;

const NEWEST: Version = Version(0, 10, 0);
const TOKENIZER: &str = "http://qwen-tokenizer.team.svc.cluster.local:8000";

fn pod(args: &[&str]) -> PodSpec {
    let args = args.iter().map(|&it| it.to_owned()).collect();
    let main = Container { name: MAIN.to_owned(), args: Some(args), ..Container::default() };
    PodSpec { containers: vec![main], ..PodSpec::default() }
}

fn with_sidecar(mut pod: PodSpec) -> PodSpec {
    let sidecar = Container { name: "tokenizer".to_owned(), ..Container::default() };
    pod.init_containers = Some(vec![sidecar]);
    pod
}

fn text(pod: &PodSpec) -> &str {
    command_line::value(&pod.containers[0], &TEXT_FLAGS).unwrap()
}

/// The document after migrating `before`, given with further arguments.
fn migrated(before: &Value, args: &[&str], version: Version, tokenizer: Option<&str>) -> Value {
    let before = before.to_string();
    let mut pod = pod(&[args, &["--config-text", &before]].concat());
    migrate(&mut pod, version, tokenizer).unwrap();
    document::read(text(&pod)).unwrap()
}

fn assert_migrates(version: Version, before: &Value, after: &Value) {
    assert_eq!(&migrated(before, &[], version, None), after);
    assert_eq!(&migrated(after, &[], version, None), after, "once is enough");
}

#[test]
fn versions_are_read_as_people_write_them() {
    let version = |text: &str| Version::of(&BTreeMap::from([(VERSION.to_owned(), text.to_owned())]));
    assert_eq!(version("0.10.0"), Version(0, 10, 0));
    assert_eq!(version("v0.9"), Version(0, 9, 0));
    assert_eq!(version("0.10.0-rc.1"), Version(0, 10, 0));
    assert_eq!(version("latest"), Version(0, 0, 0));
    assert_eq!(Version::of(&BTreeMap::new()), Version(0, 0, 0));
    assert!(Version(0, 10, 0) > Version(0, 9, 3));
}

#[test]
fn steps_are_in_the_order_of_their_versions() {
    assert!(STEPS.is_sorted_by_key(|it| it.since));
}

#[test]
fn a_version_that_knows_no_step_leaves_everything() {
    let before = json!({
        "apiVersion": "inference.networking.x-k8s.io/v1alpha1",
        "plugins": [{ "type": "pd-profile-handler", "parameters": { "threshold": 10 } }],
    });
    let args = ["--lora-info-metric=x", "--model-server-metrics-scheme", "https"];
    let text = before.to_string();
    let mut it = pod(&[&args[..], &["--config-text", &text]].concat());
    let untouched = it.clone();
    migrate(&mut it, Version(0, 6, 9), Some(TOKENIZER)).unwrap();
    assert_eq!(it, untouched);
}

#[test]
fn text_that_is_no_mapping_stays_with_its_flags() {
    for text in ["", "{{ broken", "- a list", "a\tb: [", "just words"] {
        let mut it = pod(&["--model-server-metrics-scheme=https", "--config-text", text]);
        let untouched = it.clone();
        migrate(&mut it, NEWEST, Some(TOKENIZER)).unwrap();
        assert_eq!(it, untouched, "{text:?}");
    }
}

#[test]
fn an_unchanged_document_keeps_its_text() {
    let text = "# my weights\nplugins: [ {type: queue-scorer} ]\n";
    let mut it = pod(&["--config-text", text]);
    migrate(&mut it, NEWEST, None).unwrap();
    assert_eq!(self::text(&it), text);
}

#[test]
fn v0_7_renames_disaggregation_and_its_references() {
    assert_migrates(
        Version(0, 7, 0),
        &json!({
            "plugins": [
                { "type": "prefill-header-handler" },
                { "type": "pd-profile-handler", "name": "mine", "parameters": { "deciderPluginName": "decider", "hashBlockSize": 5 } },
            ],
            "schedulingProfiles": [{ "name": "p", "plugins": [{ "pluginRef": "prefill-header-handler" }, { "pluginRef": "mine" }] }],
        }),
        &json!({
            "plugins": [
                { "type": "disagg-headers-handler" },
                { "type": "disagg-profile-handler", "name": "mine", "parameters": { "deciders": { "prefill": "decider" } } },
            ],
            "schedulingProfiles": [{ "name": "p", "plugins": [{ "pluginRef": "disagg-headers-handler" }, { "pluginRef": "mine" }] }],
        }),
    );
}

#[test]
fn v0_7_turns_the_threshold_into_a_decider() {
    let handler = |parameters: Value| json!({ "plugins": [{ "type": "queue-scorer" }, { "type": "pd-profile-handler", "parameters": parameters }] });
    let decided = |decider: Value, name: &str| {
        json!({ "plugins": [
            { "type": "queue-scorer" },
            decider,
            { "type": "disagg-profile-handler", "parameters": { "deciders": { "prefill": name } } },
        ] })
    };
    let always = decided(json!({ "type": "always-disagg-pd-decider" }), "always-disagg-pd-decider");
    let by_prefix = |tokens: u32| {
        let decider =
            json!({ "type": "prefix-based-pd-decider", "parameters": { "nonCachedTokens": tokens } });
        decided(decider, "prefix-based-pd-decider")
    };
    assert_migrates(Version(0, 7, 0), &handler(json!({ "threshold": 0 })), &always);
    assert_migrates(Version(0, 7, 0), &handler(json!({ "threshold": 1 })), &by_prefix(1));
    assert_migrates(Version(0, 7, 0), &handler(json!({ "threshold": 9 })), &by_prefix(3));
    assert_migrates(Version(0, 7, 0), &handler(Value::Null), &always);
}

#[test]
fn v0_7_uses_a_decider_that_is_declared_by_its_name() {
    let before = json!({ "plugins": [
        { "type": "pd-profile-handler" },
        { "type": "always-disagg-pd-decider", "name": "mine" },
    ] });
    let after = migrated(&before, &[], Version(0, 7, 0), None);
    assert_eq!(after["plugins"][0]["parameters"], json!({ "deciders": { "prefill": "mine" } }));
    assert_eq!(after["plugins"].as_array().unwrap().len(), 2);
}

#[test]
fn v0_7_moves_metric_names_into_the_configuration() {
    let before = json!({ "plugins": [] });
    let args = ["--total-queued-requests-metric", "my:waiting", "--kv-cache-usage-percentage-metric=my:kv"];
    let after = migrated(&before, &args, Version(0, 7, 0), None);
    assert_eq!(
        after,
        json!({ "plugins": [{ "type": "model-server-protocol-metrics", "parameters": { "engineConfigs": [{
            "name": "vllm",
            "queuedRequestsSpec": "my:waiting",
            "runningRequestsSpec": "vllm:num_requests_running",
            "kvUsageSpec": "my:kv",
            "loraSpec": "vllm:lora_requests_info",
            "cacheInfoSpec": "vllm:cache_config_info",
        }] } }] })
    );
    let newest = migrated(&before, &args, NEWEST, None);
    assert_eq!(newest["plugins"][0]["type"], "core-metrics-extractor");
    assert_eq!(migrated(&newest, &args, NEWEST, None), newest);
}

#[test]
fn v0_8_renames_the_metrics_plugin() {
    assert_migrates(
        Version(0, 8, 0),
        &json!({ "plugins": [{ "type": "model-server-protocol-metrics", "name": "model-server-protocol-metrics" }],
                 "dataLayer": { "sources": [{ "extractors": [{ "pluginRef": "model-server-protocol-metrics" }] }] } }),
        &json!({ "plugins": [{ "type": "core-metrics-extractor", "name": "core-metrics-extractor" }],
                 "dataLayer": { "sources": [{ "extractors": [{ "pluginRef": "core-metrics-extractor" }] }] } }),
    );
}

#[test]
fn v0_9_moves_the_api_group_and_leaves_scoring_to_the_scorer() {
    assert_migrates(
        Version(0, 9, 0),
        &json!({
            "apiVersion": "inference.networking.x-k8s.io/v1alpha1",
            "plugins": [
                { "type": "prefix-cache-scorer", "parameters": { "blockSize": 5, "prefixMatchInfoProducerName": "p" } },
                { "type": "prefix-cache-scorer", "name": "other", "parameters": { "lruCapacityPerServer": 5 } },
            ],
        }),
        &json!({
            "apiVersion": "llm-d.ai/v1alpha1",
            "plugins": [
                { "type": "prefix-cache-scorer", "parameters": { "prefixMatchInfoProducerName": "p" } },
                { "type": "prefix-cache-scorer", "name": "other" },
            ],
        }),
    );
}

fn precise() -> Value {
    json!({
        "plugins": [
            { "type": "single-profile-handler" },
            { "type": "precise-prefix-cache-scorer", "parameters": {
                "tokenProcessorConfig": { "blockSize": 64 },
                "indexerConfig": { "tokenizersPoolConfig": { "modelName": "base" } },
            } },
            { "type": "prefix-cache-scorer" },
        ],
        "schedulingProfiles": [{ "name": "default", "plugins": [
            { "pluginRef": "precise-prefix-cache-scorer", "weight": 3 },
            { "pluginRef": "prefix-cache-scorer", "weight": 1 },
        ] }],
    })
}

#[test]
fn v0_9_splits_the_precise_scorer_where_there_is_a_tokenizer() {
    let after = migrated(&precise(), &[], Version(0, 9, 0), Some(TOKENIZER));
    assert_eq!(
        after,
        json!({
            "plugins": [
                { "type": "single-profile-handler" },
                { "type": "token-producer", "parameters": { "modelName": "/mnt/models/base", "vllm": { "url": TOKENIZER } } },
                { "type": "precise-prefix-cache-producer", "parameters": { "tokenProcessorConfig": { "blockSize": 64 } } },
                { "type": "prefix-cache-scorer", "parameters": { "prefixMatchInfoProducerName": "precise-prefix-cache-producer" } },
            ],
            "schedulingProfiles": [{ "name": "default", "plugins": [{ "pluginRef": "prefix-cache-scorer", "weight": 3 }] }],
        })
    );
    assert_eq!(migrated(&after, &[], Version(0, 9, 0), Some(TOKENIZER)), after);
}

#[test]
fn v0_9_keeps_a_named_precise_scorers_name() {
    let mut before = precise();
    before["plugins"][1]["name"] = "mine".into();
    before["plugins"].as_array_mut().unwrap().pop();
    before["schedulingProfiles"][0]["plugins"] = json!([{ "pluginRef": "mine" }]);
    let after = migrated(&before, &[], Version(0, 9, 0), Some(TOKENIZER));
    assert_eq!(after["plugins"][3]["type"], "prefix-cache-scorer");
    assert_eq!(after["plugins"][3]["name"], "mine");
    assert_eq!(after["schedulingProfiles"][0]["plugins"], json!([{ "pluginRef": "mine" }]));
}

#[test]
fn v0_9_leaves_the_precise_scorer_without_a_tokenizer() {
    let after = migrated(&precise(), &[], Version(0, 9, 0), None);
    assert_eq!(after, precise());
}

#[test]
fn v0_9_fills_in_what_a_token_producer_lacks() {
    let producer = |parameters: Value| {
        let before = json!({ "plugins": [{ "type": "token-producer", "parameters": parameters }] });
        migrated(&before, &[], Version(0, 9, 0), Some(TOKENIZER))["plugins"][0]["parameters"].clone()
    };
    assert_eq!(
        producer(Value::Null),
        json!({ "modelName": "/mnt/models/base", "vllm": { "url": TOKENIZER } })
    );
    assert_eq!(
        producer(json!({ "modelName": "m", "vllm": { "timeout": "1s" } })),
        json!({ "modelName": "m", "vllm": { "timeout": "1s", "url": TOKENIZER } })
    );
    let chosen = json!({ "modelName": "m", "vllm": { "url": "http://mine" } });
    assert_eq!(producer(chosen.clone()), chosen);
    assert_eq!(
        producer(json!({ "estimate": {} })),
        json!({ "estimate": {}, "modelName": "/mnt/models/base" })
    );
}

#[test]
fn v0_10_moves_how_metrics_are_read_into_the_configuration() {
    let args = [
        "--model-server-metrics-scheme=https",
        "--model-server-metrics-path",
        "/m",
        "--model-server-metrics-https-insecure-skip-verify",
        "--model-server-metrics-port=9000",
        "--v=4",
    ];
    let mut it = pod(&[&args[..], &["--config-text", "plugins: []"]].concat());
    migrate(&mut it, NEWEST, None).unwrap();
    assert_eq!(
        document::read(text(&it)).unwrap(),
        json!({ "plugins": [{ "type": "metrics-data-source",
            "parameters": { "scheme": "https", "path": "/m", "insecureSkipVerify": true } }] })
    );
    assert_eq!(it.containers[0].args.as_ref().unwrap()[..2], ["--v=4", "--config-text"]);
}

#[test]
fn v0_10_asks_the_configuration_before_the_flags() {
    let own = json!({ "plugins": [{ "type": "metrics-data-source", "parameters": { "scheme": "http" } }] });
    assert_eq!(migrated(&own, &["--model-server-metrics-scheme=https"], NEWEST, None), own);
    let none = json!({ "plugins": [] });
    assert_eq!(migrated(&none, &["--model-server-metrics-port=9000"], NEWEST, None), none);
}

#[test]
fn flags_cannot_move_into_a_file() {
    let mut it =
        pod(&["--config-file=/etc/epp.yaml", "--lora-info-metric=x", "--model-server-metrics-scheme=https"]);
    let untouched = it.clone();
    let error = migrate(&mut it, NEWEST, None).unwrap_err();
    assert_eq!(
        error,
        MigrationError::ConfigInFile {
            version: Version(0, 7, 0),
            flags: vec!["--lora-info-metric".to_owned()]
        }
    );
    assert_eq!(it, untouched);
    migrate(&mut pod(&["--config-file=/etc/epp.yaml"]), NEWEST, None).unwrap();
}

#[test]
fn the_precise_scorer_uses_a_sidecars_socket() {
    let before = json!({ "plugins": [
        { "type": "precise-prefix-cache-scorer", "parameters": { "indexerConfig": { "tokenProcessorConfig": { "blockSize": 64 } } } },
        { "type": "prefix-cache-scorer", "parameters": { "blockSize": 5 } },
    ] });
    let mut it = with_sidecar(pod(&["--config-text", &before.to_string()]));
    migrate(&mut it, Version::default(), None).unwrap();
    let after = json!({ "plugins": [
        { "type": "precise-prefix-cache-scorer", "parameters": {
            "indexerConfig": { "tokenizersPoolConfig": {
                "modelName": "base", "uds": { "socketFile": "/tmp/tokenizer/tokenizer-uds.socket" } } },
            "tokenProcessorConfig": { "blockSize": 64 },
        } },
        { "type": "prefix-cache-scorer", "parameters": { "blockSizeTokens": 5 } },
    ] });
    assert_eq!(document::read(text(&it)).unwrap(), after);
    let once = it.clone();
    migrate(&mut it, Version::default(), None).unwrap();
    assert_eq!(it, once);
}

#[test]
fn a_sidecar_that_nothing_asks_goes_with_0_9() {
    let has_sidecar = |config: &str, version, tokenizer| {
        let mut it = with_sidecar(pod(&["--config-text", config]));
        migrate(&mut it, version, tokenizer).unwrap();
        sidecar::is_present(&it)
    };
    assert!(!has_sidecar("plugins: []", Version(0, 9, 0), None));
    assert!(has_sidecar("plugins: []", Version(0, 8, 0), None));
    assert!(has_sidecar(&precise().to_string(), Version(0, 9, 0), None));
    assert!(!has_sidecar(&precise().to_string(), Version(0, 9, 0), Some(TOKENIZER)));
}

#[test]
fn current_configurations_pass_unchanged() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/samples/epp");
    let Ok(samples) = std::fs::read_dir(&folder) else {
        println!("skipped: no sample configurations beside the repository");
        return;
    };
    for sample in samples {
        let config = std::fs::read_to_string(sample.unwrap().path()).unwrap();
        for tokenizer in [None, Some(TOKENIZER)] {
            let mut it = pod(&["--config-text", &config]);
            migrate(&mut it, NEWEST, tokenizer).unwrap();
            assert_eq!(text(&it), config);
        }
    }
}

/// A plugin of any version with the parameters that steps look at.
fn any_plugin() -> impl Strategy<Value = Value> {
    let types = prop::sample::select(vec![
        "prefill-header-handler",
        "pd-profile-handler",
        "disagg-profile-handler",
        "prefix-based-pd-decider",
        "precise-prefix-cache-scorer",
        "prefix-cache-scorer",
        "token-producer",
        "model-server-protocol-metrics",
        "core-metrics-extractor",
        "metrics-data-source",
        "queue-scorer",
    ]);
    let parameters = prop::sample::select(vec![
        Value::Null,
        json!({}),
        json!("odd"),
        json!({ "threshold": 7, "hashBlockSize": 1 }),
        json!({ "deciderPluginName": "d" }),
        json!({ "blockSize": 3, "prefixMatchInfoProducerName": "p" }),
        json!({ "indexerConfig": { "tokenizersPoolConfig": {}, "tokenProcessorConfig": { "blockSize": 1 } } }),
        json!({ "engineConfigs": [{ "name": "vllm", "loraSpec": "x" }] }),
        json!({ "vllm": "odd", "scheme": "http" }),
    ]);
    let name =
        prop::option::of(prop::sample::select(vec!["a", "b", "prefix-cache-scorer", "pd-profile-handler"]));
    (types, parameters, name).prop_map(|(type_, parameters, name)| {
        let mut plugin = json!({ "type": type_ });
        if !parameters.is_null() {
            plugin["parameters"] = parameters;
        }
        if let Some(name) = name {
            plugin["name"] = name.into();
        }
        plugin
    })
}

proptest! {
    #[test]
    fn twice_is_once(
        plugins in prop::collection::vec(any_plugin(), 0..6),
        minor in 5_u32..12,
        has_sidecar in any::<bool>(),
        has_tokenizer in any::<bool>(),
        has_flags in any::<bool>(),
    ) {
        let references: Vec<Value> = plugins
            .iter()
            .filter_map(|it| Some(json!({ "pluginRef": document::identity(it.as_object()?)?, "weight": 1 })))
            .collect();
        let config = json!({ "plugins": plugins, "schedulingProfiles": [{ "name": "x", "plugins": references }] });
        let flags = ["--lora-info-metric=x", "--model-server-metrics-scheme=https"];
        let flags = if has_flags { &flags[..] } else { &[] };
        let run = |config: &str| {
            let mut it = pod(&[flags, &["--config-text", config]].concat());
            if has_sidecar {
                it = with_sidecar(it);
            }
            migrate(&mut it, Version(0, minor, 0), has_tokenizer.then_some(TOKENIZER)).unwrap();
            text(&it).to_owned()
        };
        let once = run(&config.to_string());
        prop_assert_eq!(run(&once), once);
    }
}
