//! What a layer can change in the ones below it.

use serde_json::json;

use super::*;

/// Merges specs, lowest first, and returns what the highest makes of them.
fn merged(specs: &[Value]) -> Value {
    let layers: Vec<_> = specs
        .iter()
        .map(|it| Layer {
            config: None,
            given: strategic_merge::given(it.clone(), Place::SPEC).unwrap_or_default(),
        })
        .collect();
    merge(&layers).to_value()
}

fn pods(lower: Value, higher: Value) -> Value {
    let spec = |template: Value| Value::Object([("template".to_owned(), template)].into_iter().collect());
    merged(&[spec(lower), spec(higher)])["template"].clone()
}

fn containers(lower: Value, higher: Value) -> Value {
    let pod = |mut it: Value| {
        it["name"] = json!("main");
        json!({ "containers": [it] })
    };
    pods(pod(lower), pod(higher))["containers"][0].clone()
}

#[test]
fn keyed_lists_merge_item_by_item() {
    let cases = [
        ("containers", "name"),
        ("initContainers", "name"),
        ("volumes", "name"),
        ("imagePullSecrets", "name"),
        ("topologySpreadConstraints", "topologyKey"),
        ("hostAliases", "ip"),
        ("resourceClaims", "name"),
    ];
    for (list, key) in cases {
        let lower = json!({ list: [{ key: "a", "x": "1", "y": "1" }, { key: "b", "x": "1" }] });
        let higher = json!({ list: [{ key: "a", "x": "2" }] });
        let expected = json!([{ key: "a", "x": "2", "y": "1" }, { key: "b", "x": "1" }]);
        let pod = pods(lower, higher);
        if list == "volumes" {
            assert_eq!(pod[list], json!([{ key: "a", "x": "2" }, { key: "b", "x": "1" }]), "{list}");
        } else {
            assert_eq!(pod[list], expected, "{list}");
        }
    }
    for (list, key) in [("env", "name"), ("volumeMounts", "mountPath"), ("ports", "containerPort")] {
        let container =
            containers(json!({ list: [{ key: "a", "x": "1" }] }), json!({ list: [{ key: "a", "z": "2" }] }));
        assert_eq!(container[list], json!([{ key: "a", "x": "1", "z": "2" }]), "{list}");
    }
}

#[test]
fn other_lists_of_pods_are_replaced() {
    for list in ["command", "args"] {
        assert_eq!(containers(json!({ list: ["a", "b"] }), json!({ list: ["c"] }))[list], json!(["c"]));
    }
    let claims = |name: &str| json!({ "resources": { "claims": [{ "name": name }] } });
    assert_eq!(containers(claims("a"), claims("b"))["resources"]["claims"], json!([{ "name": "b" }]));
    let lower = json!({ "tolerations": [{ "key": "a" }] });
    assert_eq!(
        pods(lower, json!({ "tolerations": [{ "key": "b" }] }))["tolerations"],
        json!([{ "key": "b" }])
    );
}

#[test]
fn maps_merge_key_by_key() {
    let pod = pods(json!({ "nodeSelector": { "a": "1", "b": "1" } }), json!({ "nodeSelector": { "b": "" } }));
    assert_eq!(pod["nodeSelector"], json!({ "a": "1", "b": "" }));
    let limits = |it: Value| json!({ "resources": { "limits": it } });
    let container = containers(limits(json!({ "cpu": "1" })), limits(json!({ "memory": "1Gi" })));
    assert_eq!(container["resources"]["limits"], json!({ "cpu": "1", "memory": "1Gi" }));
    let labels = |it: Value| json!({ "labels": it });
    let spec = merged(&[labels(json!({ "a": "1" })), labels(json!({ "b": "2" }))]);
    assert_eq!(spec["labels"], json!({ "a": "1", "b": "2" }));
}

#[test]
fn lists_outside_pods_are_replaced() {
    let spec = |name: &str| {
        json!({
            "baseRefs": [{ "name": name }],
            "model": { "lora": { "adapters": [{ "name": name }] } },
            "kvCacheOffloading": { "secondary": [{ "name": name }] },
            "scaling": { "keda": { "triggers": [{ "name": name }] } },
            "router": {
                "gateway": { "refs": [{ "name": name }] },
                "route": { "http": { "spec": {
                    "hostnames": [name],
                    "parentRefs": [{ "name": name }],
                    "rules": [{ "name": name }],
                } } },
                "scheduler": { "pool": { "spec": {
                    "selector": { "matchLabels": { name: "1" } },
                    "targetPorts": [{ "name": name }],
                } } },
            },
        })
    };
    let mut expected = spec("b");
    expected["router"]["scheduler"]["pool"]["spec"]["selector"]["matchLabels"] =
        json!({ "a": "1", "b": "1" });
    assert_eq!(merged(&[spec("a"), spec("b")]), expected);
}

#[test]
fn the_order_of_the_higher_layer_holds_and_items_of_the_lower_keep_their_place() {
    let order = |lower: &[&str], higher: &[&str]| {
        let env = |names: &[&str]| json!({ "env": names.iter().map(|it| json!({ "name": it })).collect::<Vec<_>>() });
        let merged = containers(env(lower), env(higher))["env"].clone();
        let names: Vec<_> =
            merged.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
        names.join(" ")
    };
    assert_eq!(order(&["a", "b", "c"], &["c", "a"]), "b c a");
    assert_eq!(order(&["a", "b", "c"], &["b", "n"]), "a b n c");
    assert_eq!(order(&["a", "b"], &["n"]), "n a b");
    assert_eq!(order(&["a"], &["n", "n", "a"]), "n a");
    assert_eq!(order(&[], &["b", "a"]), "b a");
}

#[test]
fn zero_values_that_kubernetes_cannot_tell_from_absent_ones_erase_nothing() {
    let lower = json!({
        "image": "i", "args": ["a"], "tty": true, "stdin": true,
        "env": [{ "name": "A", "value": "a" }],
        "volumeMounts": [{ "mountPath": "/a", "readOnly": true }],
        "livenessProbe": { "periodSeconds": 5, "initialDelaySeconds": 5, "timeoutSeconds": 5 },
    });
    let higher = json!({
        "image": "", "args": [], "tty": false, "stdin": null,
        "env": [{ "name": "A", "value": "" }],
        "volumeMounts": [{ "mountPath": "/a", "readOnly": false }],
        "livenessProbe": { "periodSeconds": 0, "initialDelaySeconds": 0, "timeoutSeconds": 0 },
    });
    let mut expected = lower.clone();
    expected["name"] = json!("main");
    assert_eq!(containers(lower, higher), expected);
    let spec = json!({ "parallelism": { "expert": true }, "labels": { "a": "b" } });
    let zero = json!({ "parallelism": { "expert": false }, "labels": {}, "model": { "uri": "" } });
    assert_eq!(merged(&[spec.clone(), zero])["parallelism"], spec["parallelism"]);
}

#[test]
fn zero_values_of_pointers_are_values() {
    let container = containers(
        json!({ "securityContext": { "runAsNonRoot": true, "runAsUser": 1 } }),
        json!({ "securityContext": { "runAsNonRoot": false, "runAsUser": 0 } }),
    );
    assert_eq!(container["securityContext"], json!({ "runAsNonRoot": false, "runAsUser": 0 }));
    let pod = pods(
        json!({ "automountServiceAccountToken": true, "terminationGracePeriodSeconds": 9 }),
        json!({ "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0 }),
    );
    assert_eq!(pod, json!({ "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0 }));
    assert_eq!(merged(&[json!({ "replicas": 3 }), json!({ "replicas": 0 })]), json!({ "replicas": 0 }));
    let csi = |it: bool| json!({ "volumes": [{ "name": "v", "csi": { "readOnly": it } }] });
    assert_eq!(pods(csi(true), csi(false)), csi(false));
}

#[test]
fn containers_that_are_null_or_empty_are_not_given() {
    let lower = json!({ "containers": [{ "name": "main" }] });
    for containers in [json!(null), json!([])] {
        assert_eq!(pods(lower.clone(), json!({ "containers": containers })), lower);
    }
}

#[test]
fn one_member_of_a_one_of_clears_the_others_below() {
    let from = json!({ "fieldRef": { "fieldPath": "metadata.name" } });
    let env = |it: Value| json!({ "env": [it] });
    let value = json!({ "name": "A", "value": "a" });
    let value_from = json!({ "name": "A", "valueFrom": from });
    assert_eq!(containers(env(value.clone()), env(value_from.clone()))["env"][0], value_from);
    assert_eq!(containers(env(value_from), env(value.clone()))["env"][0], value);
    let container = containers(
        json!({ "startupProbe": { "httpGet": { "port": 1 }, "periodSeconds": 3 } }),
        json!({ "startupProbe": { "exec": { "command": ["x"] } } }),
    );
    assert_eq!(container["startupProbe"], json!({ "exec": { "command": ["x"] }, "periodSeconds": 3 }));
    let volume = |it: Value| json!({ "volumes": [it] });
    let claim = json!({ "name": "v", "persistentVolumeClaim": { "claimName": "c" } });
    assert_eq!(
        pods(volume(json!({ "name": "v", "emptyDir": {} })), volume(claim.clone()))["volumes"][0],
        claim
    );
    let spec = merged(&[json!({ "replicas": 2 }), json!({ "scaling": { "maxReplicas": 3 } })]);
    assert_eq!(spec, json!({ "scaling": { "maxReplicas": 3 } }));
}

#[test]
fn both_members_of_a_one_of_in_one_layer_stay_for_validation() {
    let both = json!({ "env": [{ "name": "A", "value": "a", "valueFrom": { "fieldRef": {} } }] });
    let container = containers(json!({}), both.clone());
    assert_eq!(container["env"], both["env"]);
}

#[test]
fn an_inline_scheduler_configuration_is_replaced_and_its_zeros_are_kept() {
    let inline = |it: Value| json!({ "router": { "scheduler": { "config": { "inline": it } } } });
    let higher =
        inline(json!({ "b": 0, "c": "", "d": [], "e": null, "env": [{ "name": "x" }], "template": false }));
    assert_eq!(merged(&[inline(json!({ "a": 1 })), higher.clone()]), higher);
}

#[test]
fn merging_is_a_fixed_point() {
    let Some(presets) = upstream_presets() else { return };
    for config in presets.0.values() {
        let spec = json(&config.spec);
        let once = merged(std::slice::from_ref(&spec));
        assert_eq!(merged(&[spec.clone(), spec.clone()]), once);
        assert_eq!(merged(&[once.clone(), json!({})]), once);
    }
}
