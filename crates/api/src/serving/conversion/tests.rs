use proptest::prelude::*;
use serde_json::json;

use super::*;

fn there(object: &Value) -> Value {
    convert(object.clone(), V1ALPHA1).unwrap()
}

fn back(object: &Value) -> Value {
    convert(object.clone(), V1ALPHA2).unwrap()
}

fn stored() -> Value {
    json!({
        "apiVersion": V1ALPHA2,
        "kind": "LLMInferenceService",
        "metadata": { "name": "a", "annotations": { "mine": "kept" } },
        "spec": {
            "model": { "uri": "hf://a/b", "confidential": { "enabled": true } },
            "kvCacheOffloading": { "cpu": "1Gi" },
            "prefill": { "replicas": 2, "kvCacheOffloading": { "cpu": "2Gi" } },
            "router": { "scheduler": { "pool": { "spec": {
                "selector": { "matchLabels": { "app": "a" } },
                "targetPorts": [{ "number": 8000 }, { "number": 8001 }],
                "appProtocol": "kubernetes.io/h2c",
                "endpointPickerRef": {
                    "kind": "Service", "name": "epp", "port": { "number": 9002 }, "failureMode": "FailOpen"
                },
            } } } },
        },
        "status": { "url": "http://a", "replicas": 1, "workloads": { "primary": { "kind": "Deployment", "name": "a" } } },
    })
}

#[test]
fn v1alpha1_shows_no_field_that_it_does_not_have() {
    let seen = there(&stored());
    assert_eq!(seen["apiVersion"], V1ALPHA1);
    assert_eq!(seen["spec"]["model"], json!({ "uri": "hf://a/b" }));
    assert_eq!(seen["spec"]["prefill"], json!({ "replicas": 2 }));
    assert_eq!(seen["spec"].get("kvCacheOffloading"), None);
    assert_eq!(
        seen.pointer(POOL).unwrap(),
        &json!({
            "selector": { "app": "a" },
            "targetPortNumber": 8000,
            "extensionRef": { "kind": "Service", "name": "epp", "portNumber": 9002, "failureMode": "FailOpen" },
        })
    );
    assert_eq!(seen["status"], stored()["status"]);
}

#[test]
fn an_edit_in_v1alpha1_survives_beside_what_it_cannot_see() {
    let mut seen = there(&stored());
    seen["spec"]["replicas"] = json!(7);
    seen["spec"]["model"]["uri"] = json!("hf://c/d");
    *seen.pointer_mut(&format!("{POOL}/targetPortNumber")).unwrap() = json!(9000);
    let mut expected = stored();
    expected["spec"]["replicas"] = json!(7);
    expected["spec"]["model"]["uri"] = json!("hf://c/d");
    *expected.pointer_mut(&format!("{POOL}/targetPorts/0/number")).unwrap() = json!(9000);
    assert_eq!(back(&seen), expected);
}

#[test]
fn what_stood_in_a_section_goes_with_the_section() {
    let mut seen = there(&stored());
    seen["spec"].as_object_mut().unwrap().remove("prefill");
    seen["spec"].as_object_mut().unwrap().remove("router");
    let object = back(&seen);
    assert_eq!(object["spec"].get("prefill"), None);
    assert_eq!(object["spec"].get("router"), None);
    assert_eq!(object["metadata"]["annotations"], json!({ "mine": "kept" }));
}

#[test]
fn criticality_is_an_annotation_in_v1alpha2() {
    let written = json!({
        "apiVersion": V1ALPHA1,
        "kind": "LLMInferenceServiceConfig",
        "metadata": { "name": "a" },
        "spec": { "model": { "uri": "hf://a/b", "criticality": "Critical", "lora": { "adapters": [
            { "name": "x", "uri": "hf://x/x" }, { "name": "y", "uri": "hf://y/y", "criticality": "Sheddable" },
        ] } } },
    });
    let object = back(&written);
    assert_eq!(
        object["metadata"]["annotations"],
        json!({
            "internal.serving.kserve.io/model-criticality": "Critical",
            "internal.serving.kserve.io/lora-criticalities": r#"{"1":"Sheddable"}"#,
        })
    );
    assert!(!object["spec"].to_string().contains("criticality"));
    assert_eq!(there(&object), written);
}

#[test]
fn a_forged_annotation_reaches_no_other_field() {
    let forged = |text: &str| {
        let mut object = json!({
            "apiVersion": V1ALPHA1, "kind": "LLMInferenceService",
            "metadata": { "name": "a", "annotations": {} }, "spec": {},
        });
        object["metadata"]["annotations"][V1ALPHA2_FIELDS] = text.into();
        convert(object, V1ALPHA2)
    };
    let harmless = forged(r#"{"/spec/replicas":-1,"/metadata/finalizers":["x"]}"#).unwrap();
    assert_eq!(harmless["spec"], json!({}));
    assert_eq!(harmless["metadata"], json!({ "name": "a" }));
    for text in [r#"{"/spec/kvCacheOffloading":"no"}"#, "[]", "{"] {
        assert_eq!(forged(text).unwrap_err().reason(), "annotation", "{text}");
    }
}

#[test]
fn other_kinds_and_versions_are_refused() {
    let object = |version: &str, kind: &str| json!({ "apiVersion": version, "kind": kind });
    let reason = |object, to| convert(object, to).unwrap_err().reason();
    assert_eq!(reason(object(V1ALPHA1, "Pod"), V1ALPHA2), "unknown_kind");
    assert_eq!(reason(object("v1", "LLMInferenceService"), V1ALPHA2), "unknown_version");
    assert_eq!(reason(object(V1ALPHA2, "LLMInferenceService"), "serving.kserve.io/v1"), "unknown_version");
}

proptest! {
    #[test]
    fn v1alpha2_comes_back_from_v1alpha1_as_it_was(object in v1alpha2_object()) {
        prop_assert_eq!(back(&there(&object)), object);
    }

    #[test]
    fn v1alpha1_comes_back_from_v1alpha2_as_it_was(object in v1alpha1_object()) {
        prop_assert_eq!(there(&back(&object)), object);
    }

    #[test]
    fn every_conversion_of_a_stored_object_is_one_that_the_types_can_read(object in v1alpha2_object()) {
        use crate::serving::{v1alpha1, v1alpha2};
        let seen = there(&object);
        let spec = seen["spec"].clone();
        prop_assert!(serde_json::from_value::<v1alpha1::LLMInferenceServiceSpec>(spec.clone()).is_ok(), "{}", spec);
        let spec = back(&seen)["spec"].clone();
        prop_assert!(serde_json::from_value::<v1alpha2::LLMInferenceServiceSpec>(spec.clone()).is_ok(), "{}", spec);
    }
}

/// An object whose fields are present or not, each on its own.
fn fields(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let fields: Vec<_> =
        fields.into_iter().map(|(name, it)| (Just(name), proptest::option::of(it))).collect();
    let object = |fields: Vec<(&str, Option<Value>)>| {
        Value::Object(fields.into_iter().filter_map(|(name, it)| Some((name.to_owned(), it?))).collect())
    };
    fields.prop_map(object).boxed()
}

fn choice(values: &[Value]) -> BoxedStrategy<Value> {
    proptest::sample::select(values.to_vec()).boxed()
}

fn port() -> BoxedStrategy<Value> {
    choice(&[json!(8000), json!(8001), json!(9002), json!(9003)])
}

fn object(
    version: &'static str,
    annotations: BoxedStrategy<Value>,
    spec: BoxedStrategy<Value>,
) -> BoxedStrategy<Value> {
    let kind = proptest::sample::select(KINDS.to_vec());
    let status = fields(vec![("url", choice(&[json!("http://a")])), ("replicas", port())]);
    (kind, proptest::option::of(annotations), spec, status)
        .prop_map(move |(kind, annotations, spec, status)| {
            let mut metadata = json!({ "name": "a" });
            if let Some(annotations) = annotations.filter(|it| *it != json!({})) {
                metadata["annotations"] = annotations;
            }
            json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec, "status": status })
        })
        .boxed()
}

fn spec(
    model: BoxedStrategy<Value>,
    pool: BoxedStrategy<Value>,
    more: &[(&'static str, BoxedStrategy<Value>)],
) -> BoxedStrategy<Value> {
    let workload = || [vec![("replicas", port())], more.to_vec()].concat();
    let pool = fields(vec![("spec", pool), ("ref", choice(&[json!({ "name": "p" })]))]);
    let scheduler = fields(vec![("pool", pool), ("replicas", port())]);
    let router =
        fields(vec![("route", choice(&[json!({}), json!({ "group": "g" })])), ("scheduler", scheduler)]);
    let parts = vec![("model", model), ("prefill", fields(workload())), ("router", router)];
    fields([workload(), parts].concat())
}

fn model(
    own: Vec<(&'static str, BoxedStrategy<Value>)>,
    adapter: Vec<(&'static str, BoxedStrategy<Value>)>,
) -> BoxedStrategy<Value> {
    let adapter =
        fields([vec![("name", choice(&[json!("x"), json!("y")]))], adapter].concat()).prop_map(|mut it| {
            it["uri"] = json!("hf://x/x");
            it
        });
    let adapters = proptest::collection::vec(adapter, 0..12).prop_map(Value::Array).boxed();
    let lora = fields(vec![("adapters", adapters), ("maxRank", port())]);
    fields([own, vec![("lora", lora), ("name", choice(&[json!("m")]))]].concat())
        .prop_map(|mut it| {
            it["uri"] = json!("hf://a/b");
            it
        })
        .boxed()
}

fn v1alpha2_object() -> BoxedStrategy<Value> {
    let confidential =
        choice(&[json!({ "enabled": true }), json!({ "enabled": false, "resourceId": "kbs:///a/b/c" })]);
    let annotations = fields(vec![
        ("mine", choice(&[json!("kept")])),
        ("internal.serving.kserve.io/model-criticality", choice(&[json!("Critical"), json!("odd")])),
        ("internal.serving.kserve.io/lora-criticalities", choice(&[json!("odd")])),
    ]);
    let offloading = choice(&[json!({ "cpu": "1Gi" }), json!({ "cpu": "2Gi", "evictionPolicy": "arc" })]);
    let number = || fields(vec![("number", port())]).prop_filter("a port", |it| *it != json!({}));
    let picker = fields(vec![
        ("group", choice(&[json!("")])),
        ("kind", choice(&[json!("Service"), json!("Other")])),
        ("port", number().boxed()),
        ("failureMode", choice(&[json!("FailOpen"), json!("FailClose")])),
    ]);
    let picker = picker.prop_map(|mut it| {
        it["name"] = json!("epp");
        it
    });
    let pool = fields(vec![
        ("selector", choice(&[json!({ "matchLabels": { "a": "b" } }), json!({ "matchLabels": {} })])),
        ("targetPorts", proptest::collection::vec(number(), 1..4).prop_map(Value::Array).boxed()),
        ("appProtocol", choice(&[json!("http"), json!("kubernetes.io/h2c")])),
        ("endpointPickerRef", picker.boxed()),
    ]);
    let spec =
        spec(model(vec![("confidential", confidential)], vec![]), pool, &[("kvCacheOffloading", offloading)]);
    object(V1ALPHA2, annotations, spec)
}

fn v1alpha1_object() -> BoxedStrategy<Value> {
    let criticality = || choice(&[json!("Critical"), json!("Standard"), json!("Sheddable")]);
    let extension = fields(vec![
        ("group", choice(&[json!("")])),
        ("kind", choice(&[json!("Service"), json!("Other")])),
        ("portNumber", port()),
        ("failureMode", choice(&[json!("FailOpen"), json!("FailClose")])),
    ]);
    let extension = extension.prop_map(|mut it| {
        it["name"] = json!("epp");
        it
    });
    let pool = fields(vec![
        ("selector", choice(&[json!({ "a": "b" }), json!({})])),
        ("targetPortNumber", port()),
        ("extensionRef", extension.boxed()),
    ]);
    let model = model(vec![("criticality", criticality())], vec![("criticality", criticality())]);
    object(V1ALPHA1, fields(vec![("mine", choice(&[json!("kept")]))]), spec(model, pool, &[]))
}
