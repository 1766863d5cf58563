use serde_json::{Value, json};

use super::*;

#[expect(clippy::needless_pass_by_value, reason = "literals read better at the call")]
fn service(metadata: Value, spec: Value) -> LLMInferenceService {
    let mut metadata = metadata;
    metadata["name"] = "qwen".into();
    metadata["namespace"] = "team".into();
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
}

/// Each expected error is its path and class; details are prose and may change.
#[track_caller]
fn check(spec: Value, expected: &[(&str, &str)]) {
    check_verdict(&validate(&service(json!({}), spec), None), expected);
}

#[track_caller]
fn check_verdict(verdict: &Verdict, expected: &[(&str, &str)]) {
    let actual: Vec<(&str, &str)> =
        verdict.errors.iter().map(|it| (it.path.as_str(), &it.kind.reason()["FieldValue".len()..])).collect();
    assert_eq!(actual, expected, "{:#?}", verdict.errors);
}

#[track_caller]
fn check_warnings(spec: Value, expected: &[&str]) {
    let verdict = validate(&service(json!({}), spec), None);
    check_verdict(&verdict, &[]);
    assert_eq!(verdict.warnings.len(), expected.len(), "{:#?}", verdict.warnings);
    for (warning, part) in verdict.warnings.iter().zip(expected) {
        assert!(warning.contains(part), "{warning:?} does not say {part:?}");
    }
}

#[expect(clippy::needless_pass_by_value, reason = "literals read better at the call")]
fn route(route: Value) -> Value {
    json!({"router": {"route": route}})
}

#[test]
fn the_smallest_service_is_valid() {
    check(json!({"model": {"uri": "hf://a/b"}}), &[]);
    check(json!({}), &[]);
}

#[test]
fn a_route_is_given_or_managed() {
    check(route(json!({"http": {"refs": [{"name": "mine"}]}})), &[]);
    check(route(json!({"http": {"spec": {"hostnames": ["a.example"]}}})), &[]);
    check(
        route(json!({"http": {"refs": [{"name": "mine"}], "spec": {}}})),
        &[("spec.router.route.http", "Invalid")],
    );
}

#[test]
fn own_routes_name_their_gateways_themselves() {
    let router = |gateway: Value| json!({"router": {"gateway": gateway, "route": {"http": {"refs": [{"name": "mine"}]}}}});
    check(router(json!({"refs": [{"name": "gw"}]})), &[]);
    check(router(json!({})), &[("spec.router.route.http.refs", "Invalid")]);
}

#[test]
fn gateways_named_twice_must_be_the_same() {
    let router = |parents: Value, refs: Value| json!({"router": {"gateway": {"refs": refs}, "route": {"http": {"spec": {"parentRefs": parents}}}}});
    check_warnings(
        router(
            json!([{"name": "b", "namespace": "team"}, {"name": "a", "sectionName": "web"}]),
            json!([{"name": "a", "namespace": "team", "sectionName": "web"}, {"name": "b"}]),
        ),
        &["can be omitted"],
    );
    let spec = "spec.router.route.http.spec";
    check(router(json!([{"name": "a"}]), json!([{"name": "b"}])), &[(spec, "Invalid")]);
    check(router(json!([{"name": "a", "namespace": "x"}]), json!([{"name": "a"}])), &[(spec, "Invalid")]);
    check(router(json!([{"name": "a", "sectionName": "x"}]), json!([{"name": "a"}])), &[(spec, "Invalid")]);
    check_warnings(router(json!([]), json!([{"name": "b"}])), &[]);
}

#[test]
fn a_group_and_a_weight_come_together() {
    let (group, weight) = ("spec.router.route.group", "spec.router.route.weight");
    check(route(json!({"group": "canary", "weight": 0})), &[]);
    check(route(json!({"group": "canary"})), &[(weight, "Required")]);
    check(route(json!({"weight": 3})), &[(group, "Required")]);
    check(
        route(json!({"group": "canary", "weight": 1, "http": {"refs": [{"name": "mine"}]}})),
        &[(group, "Invalid"), (weight, "Invalid")],
    );
    check(
        json!({"router": {"ingress": {}, "route": {"group": "canary", "weight": 1}}}),
        &[(group, "Invalid"), (weight, "Invalid")],
    );
    check(json!({"router": {"ingress": {}, "route": {}}}), &[]);
    check(route(json!({"group": "-canary", "weight": 1})), &[(group, "Invalid")]);
    check(route(json!({"group": "c".repeat(63), "weight": 1_000_000})), &[]);
    check(route(json!({"group": "c".repeat(64), "weight": 1})), &[(group, "Invalid")]);
    check(route(json!({"group": "canary", "weight": 1_000_001})), &[(weight, "Invalid")]);
    check(route(json!({"group": "canary", "weight": -1})), &[(weight, "Invalid")]);
}

#[test]
fn a_worker_needs_a_group_size() {
    let worker = |parallelism: Value| json!({"worker": {"containers": []}, "parallelism": parallelism});
    check(worker(json!({"pipeline": 2})), &[]);
    check(worker(json!({"data": 4, "dataLocal": 2})), &[]);
    check(json!({"worker": {"containers": []}}), &[("spec.parallelism", "Required")]);
    check(worker(json!({"tensor": 2})), &[("spec.worker", "Invalid")]);
    check(json!({"prefill": {"worker": {"containers": []}}}), &[("spec.prefill.parallelism", "Required")]);
}

#[test]
fn data_and_pipeline_parallelism_exclude_each_other() {
    check(json!({"parallelism": {"pipeline": 2}}), &[]);
    let pipeline = ("spec.parallelism.pipeline", "Invalid");
    check(json!({"parallelism": {"pipeline": 2, "data": 2, "dataLocal": 1}}), &[pipeline]);
    check(
        json!({"prefill": {"parallelism": {"pipeline": 2, "data": 2, "dataLocal": 1}}}),
        &[("spec.prefill.parallelism.pipeline", "Invalid")],
    );
}

#[test]
fn ranks_of_all_pods_and_of_one_pod_come_together() {
    check(json!({"parallelism": {"data": 4}}), &[("spec.parallelism.dataLocal", "Required")]);
    check(json!({"parallelism": {"dataLocal": 4}}), &[("spec.parallelism.data", "Required")]);
    check_warnings(
        json!({"worker": {"containers": []}, "parallelism": {"data": 5, "dataLocal": 2}}),
        &["room for only 4 of the 5"],
    );
    check_warnings(json!({"worker": {"containers": []}, "parallelism": {"data": 4, "dataLocal": 2}}), &[]);
}

#[test]
fn sizes_are_positive() {
    for field in ["tensor", "pipeline"] {
        check(json!({"parallelism": {field: 1}}), &[]);
        check(json!({"parallelism": {field: 0}}), &[(&format!("spec.parallelism.{field}"), "Invalid")]);
    }
    check(
        json!({"parallelism": {"data": 0, "dataLocal": -1}}),
        &[("spec.parallelism.data", "Invalid"), ("spec.parallelism.dataLocal", "Invalid")],
    );
    check(json!({"parallelism": {"dataRPCPort": 65535}}), &[]);
    check(json!({"parallelism": {"dataRPCPort": 65536}}), &[("spec.parallelism.dataRPCPort", "Invalid")]);
    check(json!({"replicas": 0}), &[]);
    check(json!({"replicas": -1}), &[("spec.replicas", "Invalid")]);
}

#[test]
fn parallelism_without_worker_is_pointed_out() {
    check_warnings(json!({"parallelism": {"data": 2, "dataLocal": 1}}), &["no effect without spec.worker"]);
    check_warnings(
        json!({"prefill": {"parallelism": {"pipeline": 2}}}),
        &["no effect without spec.prefill.worker"],
    );
    check_warnings(
        json!({"baseRefs": [{"name": "with-worker"}], "parallelism": {"data": 2, "dataLocal": 1}}),
        &[],
    );
    check_warnings(json!({"parallelism": {"tensor": 2}}), &[]);
}

#[test]
fn the_scheduler_has_replicas_and_one_configuration() {
    let scheduler = |it: Value| json!({"router": {"scheduler": it}});
    let at = |it: &str| format!("spec.router.scheduler.{it}");
    check(scheduler(json!({"replicas": 1})), &[]);
    check(scheduler(json!({"replicas": 0})), &[(&at("replicas"), "Invalid")]);
    check(scheduler(json!({"config": {"inline": {"kind": "EndpointPickerConfig"}}})), &[]);
    check(scheduler(json!({"config": {"ref": {"name": "cm", "key": "epp"}}})), &[]);
    check(scheduler(json!({"config": {}})), &[(&at("config"), "Required")]);
    check(
        scheduler(json!({"config": {"inline": {"a": 1}, "ref": {"name": "cm", "key": "epp"}}})),
        &[(&at("config"), "Invalid")],
    );
    check(scheduler(json!({"config": {"inline": {}}})), &[(&at("config.inline"), "Invalid")]);
    check(
        scheduler(json!({"config": {"ref": {"name": "", "key": "epp"}}})),
        &[(&at("config.ref.name"), "Required")],
    );
}

fn keda(fields: Value) -> Value {
    let mut keda = fields;
    keda["triggers"] = json!([{"type": "cron", "metadata": {}}]);
    json!({"scaling": {"minReplicas": 2, "maxReplicas": 4, "keda": keda}})
}

#[test]
fn scaling_has_bounds() {
    let scaling = |min: Value, max: i32| json!({"scaling": {"minReplicas": min, "maxReplicas": max, "wva": {"hpa": {}}}});
    check(scaling(json!(2), 2), &[]);
    check(scaling(Value::Null, 1), &[]);
    check(scaling(json!(3), 2), &[("spec.scaling.minReplicas", "Invalid")]);
    check(scaling(json!(0), 2), &[("spec.scaling.minReplicas", "Invalid")]);
    check(scaling(Value::Null, 0), &[("spec.scaling.maxReplicas", "Invalid")]);
    check(
        json!({"replicas": 1, "scaling": {"maxReplicas": 2, "wva": {"hpa": {}}}}),
        &[("spec.replicas", "Invalid")],
    );
}

#[test]
fn one_autoscaler_with_one_actuator() {
    let scaling = |fields: Value| {
        let mut fields = fields;
        fields["maxReplicas"] = 2.into();
        json!({"scaling": fields})
    };
    check(scaling(json!({})), &[("spec.scaling", "Required")]);
    check(scaling(json!({"wva": {"hpa": {}}, "keda": {"triggers": []}})), &[("spec.scaling", "Invalid")]);
    check(scaling(json!({"wva": {}})), &[("spec.scaling.wva", "Required")]);
    check(scaling(json!({"wva": {"hpa": {}, "keda": {}}})), &[("spec.scaling.wva", "Invalid")]);
    check(scaling(json!({"wva": {"keda": {}}})), &[]);
    check(scaling(json!({"keda": {"triggers": []}})), &[("spec.scaling.keda.triggers", "Required")]);
    check(
        scaling(json!({"wva": {"keda": {"advanced": {"scalingModifiers": {}}}}})),
        &[("spec.scaling.wva.keda.advanced.scalingModifiers", "Forbidden")],
    );
    for (cost, valid) in
        [("10", true), ("0.5", true), (".5", false), ("5.", false), ("-1", false), ("", false)]
    {
        let expected: &[(&str, &str)] =
            if valid { &[] } else { &[("spec.scaling.wva.variantCost", "Invalid")] };
        check(scaling(json!({"wva": {"hpa": {}, "variantCost": cost}})), expected);
    }
}

#[test]
fn keda_settings_have_ranges() {
    check(keda(json!({"pollingInterval": 1, "cooldownPeriod": 0, "initialCooldownPeriod": 0})), &[]);
    check(keda(json!({"advanced": {"scalingModifiers": {"formula": "a"}}})), &[]);
    for (field, value) in [("pollingInterval", 0), ("cooldownPeriod", -1), ("initialCooldownPeriod", -1)] {
        check(keda(json!({field: value})), &[(&format!("spec.scaling.keda.{field}"), "Invalid")]);
    }
    check(keda(json!({"idleReplicaCount": 1})), &[]);
    check(keda(json!({"idleReplicaCount": 2})), &[("spec.scaling.keda.idleReplicaCount", "Invalid")]);
    check(
        json!({"scaling": {"maxReplicas": 2, "wva": {"keda": {"idleReplicaCount": 0}}}}),
        &[("spec.scaling.wva.keda.idleReplicaCount", "Invalid")],
    );
    check(
        keda(json!({"advanced": {"horizontalPodAutoscalerConfig": {"name": "mine"}}})),
        &[("spec.scaling.keda.advanced.horizontalPodAutoscalerConfig.name", "Forbidden")],
    );
}

#[test]
fn both_workloads_are_scaled_by_the_same_means() {
    let pair = |decode: Value, prefill: Value| {
        let with_max = |mut it: Value| {
            it["maxReplicas"] = 2.into();
            it
        };
        json!({"scaling": with_max(decode), "prefill": {"scaling": with_max(prefill)}})
    };
    let direct = || json!({"keda": {"triggers": [{"type": "cron", "metadata": {}}]}});
    check(pair(json!({"wva": {"hpa": {}}}), json!({"wva": {"hpa": {}}})), &[]);
    check(pair(direct(), direct()), &[]);
    let mixed = [("spec.prefill.scaling", "Invalid")];
    check(pair(json!({"wva": {"hpa": {}}}), json!({"wva": {"keda": {}}})), &mixed);
    check(pair(json!({"wva": {"keda": {}}}), direct()), &mixed);
}

#[test]
fn adapters_are_named_apart() {
    let lora = |adapters: Value| json!({"model": {"uri": "hf://a/b", "name": "base", "lora": {"adapters": adapters}}});
    let at = |index: usize| format!("spec.model.lora.adapters[{index}].name");
    check(lora(json!([{"name": "a", "uri": "hf://x/y"}, {"name": "b", "uri": "hf://x/y"}])), &[]);
    check(lora(json!([{"uri": "hf://x/y"}])), &[(&at(0), "Required")]);
    check(lora(json!([{"name": "", "uri": "hf://x/y"}])), &[(&at(0), "Required")]);
    check(
        lora(json!([{"name": ".", "uri": "u"}, {"name": "..", "uri": "u"}])),
        &[(&at(0), "Invalid"), (&at(1), "Invalid")],
    );
    check(lora(json!([{"name": "base", "uri": "u"}])), &[(&at(0), "Invalid")]);
    check(lora(json!([{"name": "a", "uri": "u"}, {"name": "a", "uri": "u"}])), &[(&at(1), "Duplicate")]);
    check(
        json!({"model": {"uri": "hf://a/b", "lora": {"adapters": [{"name": "qwen", "uri": "u"}]}}}),
        &[(&at(0), "Invalid")],
    );
    for field in ["maxRank", "maxAdapters", "maxCpuAdapters"] {
        check(json!({"model": {"uri": "u", "lora": {field: 1}}}), &[]);
        check(
            json!({"model": {"uri": "u", "lora": {field: 0}}}),
            &[(&format!("spec.model.lora.{field}"), "Invalid")],
        );
    }
}

#[test]
fn confidential_weights_name_their_key() {
    let model = |uri: &str, id: &str, enabled: bool| json!({"model": {"uri": uri, "confidential": {"enabled": enabled, "resourceId": id}}});
    let wrong = [("spec.model.confidential.resourceId", "Invalid")];
    check(model("hf://a/b", "kbs:///repo/type/tag-1.0_x", true), &[]);
    check(model("hf://a/b", "kbs:///repo/type", true), &wrong);
    check(model("hf://a/b", "kbs:///repo/type/tag/more", true), &wrong);
    check(model("hf://a/b", "kbs:///repo//tag", true), &wrong);
    check(model("hf://a/b", "kbs://repo/type/tag", true), &wrong);
    check(model("hf://a/b", "kbs:///repo/type/t g", true), &wrong);
    check(model("hf://a/b", "nonsense", false), &[]);
    check_warnings(model("oci://image", "kbs:///r/t/t", true), &["oci://"]);
    check_warnings(model("pvc://claim", "kbs:///r/t/t", true), &["pvc://"]);
    check_warnings(model("hf://a/b", "kbs:///r/t/t", true), &[]);
    check_warnings(model("oci://image", "kbs:///r/t/t", false), &[]);
}

#[test]
fn kv_tiers_have_one_storage_each() {
    let tiers =
        |cpu: &str, secondary: Value| json!({"kvCacheOffloading": {"cpu": cpu, "secondary": secondary}});
    let at = "spec.kvCacheOffloading.secondary[0].fileSystem";
    let empty_dir = || json!({"emptyDir": {"size": "1Gi"}});
    check(tiers("10Gi", json!([{"fileSystem": empty_dir()}])), &[]);
    check(tiers("10Gi", json!([{"fileSystem": {"pvc": {"ref": {"name": "claim"}}}}])), &[]);
    check(tiers("10Gi", json!([{"fileSystem": {"pvc": {"spec": {}}}}])), &[]);
    check(tiers("0", json!([])), &[]);
    for zero in ["0", "0Gi", "0.00e3", "-1Gi", ""] {
        check(
            tiers(zero, json!([{"fileSystem": empty_dir()}])),
            &[("spec.kvCacheOffloading.cpu", "Invalid")],
        );
    }
    check(tiers("0.5Gi", json!([{"fileSystem": empty_dir()}])), &[]);
    check(tiers("1Gi", json!([{}])), &[(at, "Required")]);
    check(tiers("1Gi", json!([{"fileSystem": {}}])), &[(at, "Required")]);
    check(
        tiers("1Gi", json!([{"fileSystem": {"emptyDir": {"size": "1Gi"}, "pvc": {"spec": {}}}}])),
        &[(at, "Invalid")],
    );
    let pvc = format!("{at}.pvc");
    check(tiers("1Gi", json!([{"fileSystem": {"pvc": {}}}])), &[(&pvc, "Required")]);
    check(
        tiers("1Gi", json!([{"fileSystem": {"pvc": {"spec": {}, "ref": {"name": "c"}}}}])),
        &[(&pvc, "Invalid")],
    );
    check(
        tiers("1Gi", json!([{"fileSystem": {"pvc": {"ref": {"name": ""}}}}])),
        &[(&format!("{pvc}.ref.name"), "Required")],
    );
    check(
        json!({"prefill": {"kvCacheOffloading": {"cpu": "1", "evictionPolicy": "fifo"}}}),
        &[("spec.prefill.kvCacheOffloading.evictionPolicy", "NotSupported")],
    );
    check(json!({"kvCacheOffloading": {"cpu": "1", "evictionPolicy": "arc"}}), &[]);
}

#[test]
fn a_rollout_can_make_progress() {
    let rollout = |unavailable: Value, surge: Value| json!({"rolloutStrategy": {"maxUnavailable": unavailable, "maxSurge": surge}});
    let at = |it: &str| format!("spec.rolloutStrategy{it}");
    check(rollout(json!(1), json!(0)), &[]);
    check(rollout(json!("25%"), json!("100%")), &[]);
    check(rollout(json!(0), Value::Null), &[]);
    check(rollout(json!(0), json!(0)), &[(&at(""), "Invalid")]);
    check(rollout(json!("0%"), json!(0)), &[(&at(""), "Invalid")]);
    check(rollout(json!(-1), json!(1)), &[(&at(".maxUnavailable"), "Invalid")]);
    for wrong in ["101%", "10", "%", "+5%", "x%"] {
        check(rollout(json!(1), json!(wrong)), &[(&at(".maxSurge"), "Invalid")]);
    }
    let mut multi_node = rollout(json!(0), Value::Null);
    multi_node["worker"] = json!({"containers": []});
    multi_node["parallelism"] = json!({"pipeline": 2});
    check(multi_node.clone(), &[(&at(""), "Invalid")]);
    multi_node["rolloutStrategy"]["maxSurge"] = 1.into();
    check(multi_node, &[]);
}

#[test]
fn device_annotations_fit_together() {
    let check = |annotations: Value, expected: &[&str]| {
        let verdict = validate(&service(json!({"annotations": annotations}), json!({})), None);
        let expected: Vec<String> = expected.iter().map(|it| format!("metadata.annotations[{it}]")).collect();
        let expected: Vec<(&str, &str)> = expected.iter().map(|it| (it.as_str(), "Invalid")).collect();
        check_verdict(&verdict, &expected);
    };
    const CLASS: &str = "serving.kserve.io/exp-dra-device-class";
    const COUNT: &str = "serving.kserve.io/exp-dra-device-count";
    const CEL: &str = "serving.kserve.io/exp-dra-cel-selector";
    const CONTAINER: &str = "serving.kserve.io/exp-dra-container-name";
    check(
        json!({CLASS: "gpu.example.com", COUNT: "2", CEL: "\ndevice.driver == 'x'", CONTAINER: "main"}),
        &[],
    );
    check(json!({COUNT: "2", CEL: "x", CONTAINER: "main"}), &[COUNT, CEL, CONTAINER]);
    check(json!({CLASS: "GPU"}), &[CLASS]);
    check(json!({CLASS: "a..b"}), &[CLASS]);
    for count in ["0", "-1", "two", "1.5", ""] {
        check(json!({CLASS: "gpu", COUNT: count}), &[COUNT]);
    }
    check(json!({CLASS: "gpu", CEL: " \n\n"}), &[CEL]);
    check(json!({CLASS: "gpu", CONTAINER: "Main"}), &[CONTAINER]);
}

#[test]
fn a_group_keeps_its_size_for_life() {
    let check = |old: Value, new: Value, expected: &[(&str, &str)]| {
        let (old, new) = (service(json!({}), old), service(json!({}), new));
        check_verdict(&validate(&new, Some(&old)), expected);
    };
    let size = |pipeline: i32| json!({"parallelism": {"pipeline": pipeline}});
    check(size(2), size(2), &[]);
    check(size(1), json!({}), &[]);
    check(json!({"parallelism": {"tensor": 1}}), json!({"parallelism": {"tensor": 8}}), &[]);
    check(size(2), json!({"parallelism": {"data": 4, "dataLocal": 2}}), &[]);
    check(size(2), size(3), &[("spec.parallelism", "NotSupported")]);
    check(size(2), json!({}), &[("spec.parallelism", "NotSupported")]);
    check(
        json!({"prefill": size(2)}),
        json!({"prefill": size(4)}),
        &[("spec.prefill.parallelism", "NotSupported")],
    );
    check(json!({}), json!({"prefill": size(4)}), &[]);
    check(json!({"prefill": size(4)}), json!({}), &[]);
}

#[test]
fn every_error_is_reported_at_once() {
    check(
        json!({
            "replicas": -1,
            "rolloutStrategy": {"maxUnavailable": 0, "maxSurge": 0},
            "router": {"route": {"weight": 1}, "scheduler": {"replicas": 0}},
        }),
        &[
            ("spec.replicas", "Invalid"),
            ("spec.rolloutStrategy", "Invalid"),
            ("spec.router.route.group", "Required"),
            ("spec.router.scheduler.replicas", "Invalid"),
        ],
    );
}

#[test]
fn errors_read_as_the_api_machinery_writes_them() {
    assert_eq!(
        FieldError::invalid("spec.a", json!("x"), "use y").to_string(),
        r#"spec.a: Invalid value: "x": use y"#
    );
    assert_eq!(FieldError::required("spec.a", "give it").to_string(), "spec.a: Required value: give it");
    assert_eq!(FieldError::forbidden("spec.a", "remove it").to_string(), "spec.a: Forbidden: remove it");
}
