use super::*;
use serde_json::json;

fn object(body: Value) -> DynamicObject {
    let mut body = body;
    let metadata = body["metadata"].as_object_mut().unwrap();
    metadata.entry("namespace").or_insert_with(|| json!("team"));
    metadata.entry("labels").or_insert_with(
        || json!({"app.kubernetes.io/part-of": "llminferenceservice", "app.kubernetes.io/name": "chat"}),
    );
    serde_json::from_value(body).unwrap()
}

fn child(kind: ChildKind, body: Value) -> LiveChild {
    live_child(kind, object(body)).unwrap().1
}

#[test]
fn objects_without_the_labels_of_a_service_are_nobodys() {
    let labels = json!({"app.kubernetes.io/part-of": "something", "app.kubernetes.io/name": "chat"});
    let other = object(json!({"metadata": {"name": "it", "labels": labels}}));
    assert_eq!(live_child(ChildKind::Secret, other), None);
}

#[test]
fn cluster_scoped_objects_name_their_service_s_namespace() {
    let labels = json!({
        "app.kubernetes.io/part-of": "llminferenceservice",
        "app.kubernetes.io/name": "chat",
        "llmd.ai/service-namespace": "elsewhere",
    });
    let mut binding = object(json!({"metadata": {"name": "it", "labels": labels}}));
    binding.metadata.namespace = None;
    let (service, child) = live_child(ChildKind::ClusterRoleBinding, binding).unwrap();
    assert_eq!((service, child.namespace), (Key::new("elsewhere", "chat"), None));
}

/// The binding that the other implementation made for a service; `a` + `b-c` and `a-b` + `c` share its name.
fn legacy_binding(service: &str, role: &str, accounts: &[&str]) -> DynamicObject {
    let subjects: Vec<_> =
        (accounts.iter()).map(|it| json!({"kind": "ServiceAccount", "name": "x", "namespace": it})).collect();
    let labels =
        json!({"app.kubernetes.io/part-of": "llminferenceservice", "app.kubernetes.io/name": service});
    let mut binding = object(json!({
        "metadata": {"name": "a-b-c-epp-auth-rb", "labels": labels},
        "roleRef": {"kind": "ClusterRole", "name": role},
        "subjects": subjects,
    }));
    binding.metadata.namespace = None;
    binding
}

#[test]
fn a_binding_of_the_other_implementation_belongs_to_the_service_whose_account_it_binds() {
    let owner = |service, role, accounts: &[_]| owner_of(&legacy_binding(service, role, accounts));
    const DELEGATOR: &str = "system:auth-delegator";
    assert_eq!(owner("c", DELEGATOR, &["a-b"]), Some(Key::new("a-b", "c")));
    assert_eq!(owner("b-c", DELEGATOR, &["a"]), Some(Key::new("a", "b-c")));
    for (service, role, accounts) in [
        ("c", DELEGATOR, &["a"][..]),
        ("c", DELEGATOR, &["other"]),
        ("c", DELEGATOR, &["a-b", "other"]),
        ("c", DELEGATOR, &[]),
        ("c", "view", &["a-b"]),
    ] {
        assert_eq!(owner(service, role, accounts), None, "{service} {role} {accounts:?}");
    }
}

#[test]
fn of_a_deployment_only_what_is_decided_on_is_kept() {
    let body = json!({
        "metadata": {"name": "chat-kserve", "uid": "u", "ownerReferences": [
            {"apiVersion": "v1", "kind": "X", "name": "other", "uid": "1"},
            {"apiVersion": "v1", "kind": "X", "name": "chat", "uid": "2", "controller": true},
        ]},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {
            "initContainers": [{"name": "storage-initializer", "image": "init:1", "env": [{"name": "HF_HOME", "value": "x"}]}],
            "containers": [{"name": "main", "command": ["/app/epp", "-v", "2"], "args": ["--config-text", "text", "--tracing"]}],
        }}},
        "status": {"availableReplicas": 2, "conditions": [{"type": "Available", "status": "True"}]},
    });
    let child = child(ChildKind::Deployment, body);
    assert_eq!(child.owner_uid.as_deref(), Some("2"));
    let LiveDetail::Deployment(deployment) = child.detail else { panic!("{:?}", child.detail) };
    assert_eq!(deployment.pod.storage_initializer_image.as_deref(), Some("init:1"));
    assert!(deployment.pod.storage_initializer_has_hf_env);
    assert_eq!(deployment.pod.scheduler_config_args, ["--config-text", "text"]);
    assert_eq!((deployment.held_replicas, deployment.status.available_replicas), (None, 2));
    assert_eq!(deployment.status.conditions[0].type_, "Available");
}

#[test]
fn a_configuration_behind_an_equals_sign_is_one_word() {
    let container = |args: &[&str]| Container {
        args: Some(args.iter().map(|&it| it.to_owned()).collect()),
        ..Container::default()
    };
    assert_eq!(scheduler_config_args(&container(&["-configFile=/a", "x"])), ["-configFile=/a"]);
    assert!(scheduler_config_args(&container(&["config-file", "--config-files", "x"])).is_empty());
}

#[test]
fn leader_worker_sets_are_read_without_their_whole_schema() {
    let body = json!({
        "metadata": {"name": "chat-kserve-mn", "managedFields": [{
            "manager": FIELD_MANAGER, "operation": "Apply", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:replicas": {}}},
        }]},
        "spec": {"replicas": 2, "leaderWorkerTemplate": {
            "subGroupPolicy": {"subGroupSize": 4},
            "workerTemplate": {"spec": {"containers": [], "initContainers": [{"name": "storage-initializer", "image": "init:1"}]}},
        }},
        "status": {"readyReplicas": 1, "replicas": 2},
    });
    let LiveDetail::LeaderWorkerSet(set) = child(ChildKind::LeaderWorkerSet, body).detail else { panic!() };
    assert_eq!((set.sub_group_size, set.held_replicas, set.ready_replicas), (Some(4), Some(2), 1));
    assert_eq!(set.worker.storage_initializer_image.as_deref(), Some("init:1"));
    assert_eq!(set.leader, LivePodTemplate::default());
}

#[test]
fn the_digest_follows_the_applied_fields_and_nothing_else() {
    let digest = |fields: Value, status: i32| {
        let ours = json!({"manager": FIELD_MANAGER, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields});
        let theirs =
            json!({"manager": "hpa", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}});
        let metadata = json!({"name": "it", "managedFields": [theirs, ours]});
        child(ChildKind::Role, json!({"metadata": metadata, "status": {"n": status}})).digest
    };
    let all = json!({"f:spec": {"f:a": {}, "f:b": {}}});
    assert_eq!(digest(all.clone(), 1), digest(json!({"f:spec": {"f:b": {}, "f:a": {}}}), 2));
    assert_ne!(digest(all, 1), digest(json!({"f:spec": {"f:a": {}}}), 1), "somebody took f:b");
}
