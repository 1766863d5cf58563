use k8s_openapi::ByteString;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::webhook::LocalModelCache;
use crate::webhook::testing::Values;

const SERVICE: &str = "LLMInferenceService";
const CONFIG: &str = "LLMInferenceServiceConfig";

fn object(kind: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": kind,
        "metadata": {"name": "qwen", "namespace": "team"},
        "spec": spec,
    })
}

/// A review as the API server sends it.
fn request(operation: &str, new: &Value, old: &Value) -> Value {
    let kind = [new, old].into_iter().find_map(|it| it["kind"].as_str()).unwrap_or(SERVICE);
    let name = [new, old].into_iter().find_map(|it| it["metadata"]["name"].as_str()).unwrap_or_default();
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "serving.kserve.io", "version": "v1alpha2", "kind": kind},
            "resource": {"group": "serving.kserve.io", "version": "v1alpha2", "resource": "llminferenceservices"},
            "requestKind": {"group": "serving.kserve.io", "version": "v1alpha2", "kind": kind},
            "name": name,
            "namespace": "team",
            "operation": operation,
            "userInfo": {"username": "admin", "groups": ["system:authenticated"]},
            "object": new,
            "oldObject": old,
            "dryRun": true,
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
        },
    })
}

fn ask(hook: Hook, request: &Value, cluster: &Values) -> Value {
    let answer = review(hook, request.to_string().as_bytes(), cluster).unwrap();
    let answer = serde_json::to_value(answer).unwrap();
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["response"]["uid"], request["request"]["uid"]);
    answer["response"].clone()
}

fn create(hook: Hook, object: &Value) -> Value {
    ask(hook, &request("CREATE", object, &Value::Null), &Values::default())
}

#[test]
fn a_valid_service_is_admitted() {
    let response = create(Hook::ValidateService, &object(SERVICE, &json!({"model": {"uri": "hf://a/b"}})));
    assert_eq!((&response["allowed"], &response["warnings"]), (&json!(true), &Value::Null));
}

#[test]
fn an_invalid_service_is_refused_with_every_cause() {
    let response = create(
        Hook::ValidateService,
        &object(SERVICE, &json!({"replicas": -1, "router": {"route": {"weight": 1}}})),
    );
    assert_eq!(response["allowed"], false);
    let status = &response["status"];
    assert_eq!(
        (&status["status"], &status["code"], &status["reason"]),
        (&json!("Failure"), &json!(422), &json!("Invalid"))
    );
    let message = status["message"].as_str().unwrap();
    assert!(
        message.starts_with("LLMInferenceService.serving.kserve.io \"qwen\" is invalid: [spec.replicas: "),
        "{message}"
    );
    let causes: Vec<(&str, &str)> = status["details"]["causes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["field"].as_str().unwrap(), it["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(
        causes,
        [("spec.replicas", "FieldValueInvalid"), ("spec.router.route.group", "FieldValueRequired")]
    );
    assert_eq!(status["details"]["kind"], SERVICE);
}

#[test]
fn a_service_that_cannot_be_read_is_refused_at_its_field() {
    let response = create(Hook::ValidateService, &object(SERVICE, &json!({"router": {"route": "x"}})));
    assert_eq!(response["status"]["details"]["causes"][0]["field"], "spec.router.route", "{response}");
}

#[test]
fn warnings_go_to_whoever_wrote_the_service() {
    let response = create(
        Hook::ValidateService,
        &object(
            SERVICE,
            &json!({"parallelism": {"data": 2, "dataLocal": 1}, "template": {"containers": []}}),
        ),
    );
    assert_eq!(response["allowed"], true);
    assert!(response["warnings"][0].as_str().unwrap().contains("no effect"), "{response}");
    let missing =
        create(Hook::ValidateService, &object(SERVICE, &json!({"baseRefs": [{"name": "missing"}]})));
    assert!(missing["warnings"][0].as_str().unwrap().contains("\"missing\" not found"), "{missing}");
}

#[test]
fn an_update_is_compared_with_what_is_stored_unless_the_object_goes() {
    let size = |size: i32| object(SERVICE, &json!({"parallelism": {"pipeline": size}}));
    let update = |new: &Value| {
        ask(Hook::ValidateService, &request("UPDATE", new, &size(2)), &Values::default())["allowed"].clone()
    };
    assert_eq!(update(&size(2)), true);
    assert_eq!(update(&size(3)), false);
    let mut going = size(3);
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    assert_eq!(update(&going), true, "finalizers must be removable");
}

#[test]
fn configs_are_judged_by_their_own_rules() {
    let refused = create(Hook::ValidateConfig, &object(CONFIG, &json!({"baseRefs": [{"name": "b"}]})));
    assert_eq!(refused["status"]["details"]["causes"][0]["field"], "spec.baseRefs");
    assert_eq!(create(Hook::ValidateConfig, &object(CONFIG, &json!({"replicas": 1})))["allowed"], true);
}

#[test]
fn presets_of_the_installation_cannot_be_deleted_while_protected() {
    let delete = |name: &str, namespace: &str, protects_presets: bool| {
        let mut old = object(CONFIG, &json!({}));
        old["metadata"] = json!({"name": name, "namespace": namespace});
        let mut request = request("DELETE", &Value::Null, &old);
        request["request"]["namespace"] = namespace.into();
        let response = ask(Hook::ValidateConfig, &request, &Values { protects_presets, ..Values::default() });
        (response["allowed"].clone(), response["warnings"].as_array().map_or(0, Vec::len))
    };
    let preset = "kserve-config-llm-template";
    assert_eq!(delete(preset, "kserve", true), (json!(false), 0));
    assert_eq!(delete(preset, "kserve", false), (json!(true), 1));
    assert_eq!(delete(preset, "team", true), (json!(true), 0));
    assert_eq!(delete("mine", "kserve", true), (json!(true), 0));
}

/// The object after the patch of the answer.
fn patched(response: &Value, object: &Value) -> Value {
    assert_eq!(response["patchType"], "JSONPatch");
    let bytes: ByteString = serde_json::from_value(response["patch"].clone())
        .unwrap_or_else(|_| ByteString(serde_json::from_value(response["patch"].clone()).unwrap()));
    let patch: json_patch::Patch = serde_json::from_slice(&bytes.0).unwrap();
    let mut object = object.clone();
    json_patch::patch(&mut object, &patch).unwrap();
    object
}

#[test]
fn defaults_come_as_a_patch_of_what_the_client_sent() {
    let sent = object(SERVICE, &json!({"model": {"uri": "hf://a/b"}, "worker": {"containers": null}}));
    let response = create(Hook::DefaultService, &sent);
    let after = patched(&response, &sent);
    assert_eq!(after["spec"]["model"]["name"], "qwen");
    assert_eq!(after["spec"]["worker"]["containers"], json!([]));
    let again = create(Hook::DefaultService, &after);
    assert_eq!(again["patch"], Value::Null);
}

#[test]
fn both_versions_are_defaulted_alike() {
    let mut sent = object(SERVICE, &json!({"model": {"uri": "hf://a/b", "criticality": "Standard"}}));
    sent["apiVersion"] = "serving.kserve.io/v1alpha1".into();
    let after = patched(&create(Hook::DefaultService, &sent), &sent);
    assert_eq!(after["spec"]["model"], json!({"uri": "hf://a/b", "criticality": "Standard", "name": "qwen"}));
}

#[test]
fn local_caches_mark_the_service_where_they_are_in_use() {
    let cluster = Values {
        caches: vec![LocalModelCache {
            name: "c".to_owned(),
            namespace: None,
            source_uri: "hf://a/b".to_owned(),
            node_groups: vec!["gpu".to_owned()],
        }],
        ..Values::default()
    };
    let sent = object(SERVICE, &json!({"model": {"uri": "hf://a/b", "name": "n"}}));
    let request = request("CREATE", &sent, &Value::Null);
    let after = patched(&ask(Hook::DefaultService, &request, &cluster), &sent);
    assert_eq!(after["metadata"]["labels"], json!({"internal.serving.kserve.io/localmodel": "c"}));
    assert_eq!(ask(Hook::DefaultService, &request, &Values::default())["patch"], Value::Null);
}

#[test]
fn what_is_no_review_is_said_in_one_line() {
    let refused = |body: &str| {
        let text =
            review(Hook::ValidateService, body.as_bytes(), &Values::default()).unwrap_err().to_string();
        assert!(!text.contains('\n'), "{text}");
        text
    };
    assert!(refused("").starts_with("the body is no AdmissionReview: "));
    assert!(refused("{}").starts_with("the body is no AdmissionReview: "));
    assert_eq!(
        refused(r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}"#),
        "the review has no request"
    );
    assert!(
        refused(r#"{"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview"}"#)
            .contains("v1beta1")
    );
}

/// JSON of any shape.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z:/%0-9]{0,8}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        "[a-z]{1,4}",
        prop::sample::select(vec![
            "metadata",
            "spec",
            "model",
            "name",
            "uri",
            "lora",
            "adapters",
            "router",
            "route",
            "http",
            "group",
            "weight",
            "template",
            "containers",
            "parallelism",
            "data",
            "labels",
            "annotations",
            "scaling",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..6)
                .prop_map(|it| Value::Object(it.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_body_makes_a_review_panic(
        spec in json_value(),
        metadata in json_value(),
        hook in prop::sample::select(vec![Hook::DefaultService, Hook::ValidateService, Hook::ValidateConfig]),
        cut in 0_usize..4000,
    ) {
        let mut sent = object(SERVICE, &spec);
        let with_spec = request("CREATE", &sent, &Value::Null).to_string();
        sent["metadata"] = metadata;
        let with_metadata = request("UPDATE", &sent, &sent).to_string();
        let truncated = &with_spec.as_bytes()[..cut.min(with_spec.len())];
        for body in [with_spec.as_bytes(), with_metadata.as_bytes(), truncated] {
            if let Ok(answer) = review(hook, body, &Values::default()) {
                prop_assert!(answer.response.is_some());
            }
        }
    }
}
