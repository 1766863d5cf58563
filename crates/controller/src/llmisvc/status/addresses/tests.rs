use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::testing::Cluster;
use super::*;

const DOMAIN: &str = "cluster.local";

#[test]
fn hosts_that_mean_something_only_inside() {
    for host in
        ["10.1.2.3", "172.16.0.1", "192.168.1.1", "127.0.0.1", "fd00::1", "::1", "localhost", "LOCALHOST"]
    {
        assert!(is_internal(host, DOMAIN), "{host}");
    }
    for host in ["a.b.svc.cluster.local", "printer.local", "app.localhost", "api.corp.internal", "X.Internal"]
    {
        assert!(is_internal(host, DOMAIN), "{host}");
    }
    for host in
        ["203.0.113.7", "172.32.0.1", "2001:db8::1", "example.com", "local", "notlocal", "internal.com"]
    {
        assert!(!is_internal(host, DOMAIN), "{host}");
    }
}

proptest! {
    #[test]
    fn whatever_is_local_to_the_cluster_is_internal(host in "([a-z]{1,5}\\.){1,3}(example\\.com|cluster\\.local)") {
        prop_assert!(!is_cluster_local(&host, DOMAIN) || is_internal(&host, DOMAIN));
        let elsewhere = is_internal(&host, "other.domain");
        prop_assert_eq!(elsewhere, host.ends_with(".local"));
    }
}

/// The primary URL of a service whose route has these rules, on a gateway with these listeners and addresses.
fn url(listeners: &Value, addresses: &[&str], paths: &[&str], classes: &[&str]) -> Option<String> {
    let rules: Vec<Value> = paths
        .iter()
        .map(|it| json!({"matches": [{"path": {"value": it}}], "backendRefs": [{"name": "s"}]}))
        .collect();
    let addresses: Vec<Value> = addresses.iter().map(|it| json!({"value": it})).collect();
    let mut objects = vec![
        json!({
            "apiVersion": "serving.kserve.io/v1alpha2",
            "kind": "LLMInferenceService",
            "metadata": {"name": "qwen", "namespace": "team"},
            "spec": {"router": {"route": {"http": {"spec": {"parentRefs": [{"name": "gw"}], "rules": rules}}}}},
        }),
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "gw", "namespace": "team"},
            "spec": {"gatewayClassName": "envoy", "listeners": listeners},
            "status": {"addresses": addresses},
        }),
    ];
    objects.extend(classes.iter().map(|it| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": it},
            "spec": {"controllerName": "example.com/c"},
        })
    }));
    super::addresses(&Cluster::new(objects).service()).0
}

fn both() -> Value {
    json!([
        {"name": "s", "port": 443, "protocol": "HTTPS"},
        {"name": "p", "port": 80, "protocol": "HTTP"},
    ])
}

#[test]
fn the_primary_url_is_external_and_the_services_own() {
    let of = |addresses: &[&str], paths: &[&str]| url(&both(), addresses, paths, &["envoy"]);
    assert_eq!(of(&["10.0.0.1", "x.com"], &["/team/qwen"]).as_deref(), Some("http://x.com/team/qwen"));
    assert_eq!(of(&["x.com"], &["/publishers/a", "/team/qwen"]).as_deref(), Some("http://x.com/team/qwen"));
    assert_eq!(
        of(&["x.com"], &["/team/qwen2"]).as_deref(),
        Some("http://x.com/team/qwen2"),
        "better than none"
    );
    assert_eq!(of(&["10.0.0.1"], &["/team/qwen"]).as_deref(), Some("http://10.0.0.1/team/qwen"));
}

#[test]
fn there_is_no_url_without_an_address_or_a_class() {
    assert_eq!(url(&both(), &[], &["/team/qwen"], &["envoy"]), None);
    assert_eq!(url(&both(), &["x.com"], &["/team/qwen"], &[]), None);
}
