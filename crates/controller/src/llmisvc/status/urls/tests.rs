use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use llmd_api::gateway::Gateway;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::testing::Cluster;
use super::*;

fn service() -> Service {
    let object = json!({
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": "qwen", "namespace": "team"},
        "spec": {},
    });
    Cluster::new(vec![object]).service()
}

fn gateway(listeners: &Value, addresses: &[&str], services: &[(&str, bool, i32)]) -> GatewayFacts {
    let addresses: Vec<Value> = addresses.iter().map(|it| json!({"value": it})).collect();
    let gateway: Gateway = serde_json::from_value(json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "public", "namespace": "edge"},
        "spec": {"gatewayClassName": "envoy", "listeners": listeners},
        "status": {"addresses": addresses},
    }))
    .unwrap();
    let services = services.iter().map(|&(name, labelled, port)| GatewayService {
        name: name.to_owned(),
        labelled,
        ports: BTreeSet::from([port]),
    });
    GatewayFacts { gateway: Arc::new(gateway), class: None, services: services.collect() }
}

fn http(port: i32) -> Value {
    json!([{"name": "web", "port": port, "protocol": "HTTP"}])
}

fn found(route: Value, section: Option<&str>, gateway: &GatewayFacts) -> Vec<String> {
    let route: HttpRouteSpec = serde_json::from_value(route).unwrap();
    let parent = ParentReference { section_name: section.map(str::to_owned), ..ParentReference::default() };
    discover(&service(), &route, &parent, gateway).iter().map(Url::to_string).collect()
}

#[test]
fn addresses_of_the_gateway_are_hosts_without_anything_better() {
    let gateway = gateway(&http(80), &["203.0.113.7", "2001:db8::1", "lb.example.com"], &[]);
    let urls = ["http://203.0.113.7/", "http://[2001:db8::1]/", "http://lb.example.com/"];
    assert_eq!(found(json!({}), None, &gateway), urls);
}

#[test]
fn the_listeners_name_comes_before_addresses_and_the_routes_before_both() {
    let listeners = json!([{"name": "web", "port": 443, "protocol": "HTTPS", "hostname": "*.example.com"}]);
    let gateway = gateway(&listeners, &["203.0.113.7"], &[]);
    assert_eq!(found(json!({}), None, &gateway), ["https://inference.example.com/"]);
    let named = json!({"hostnames": ["*", "a.example.com", "*.b.example.com"]});
    assert_eq!(found(named, None, &gateway), ["https://a.example.com/", "https://inference.b.example.com/"]);
    assert_eq!(found(json!({"hostnames": ["*"]}), None, &gateway), ["https://inference.example.com/"]);
}

#[test]
fn only_listeners_for_http_count_and_a_section_picks_one() {
    let listeners = json!([
        {"name": "plain", "port": 8080, "protocol": "HTTP"},
        {"name": "secure", "port": 443, "protocol": "TLS"},
        {"name": "database", "port": 5432, "protocol": "TCP"},
    ]);
    let gateway = gateway(&listeners, &["h.example.com"], &[]);
    assert_eq!(found(json!({}), None, &gateway), ["http://h.example.com:8080/", "https://h.example.com/"]);
    assert_eq!(found(json!({}), Some("secure"), &gateway), ["https://h.example.com/"]);
    assert!(found(json!({}), Some("database"), &gateway).is_empty());
}

#[test]
fn the_gateways_service_is_a_host_inside_the_cluster() {
    let inside = |services: &[(&str, bool, i32)]| found(json!({}), None, &gateway(&http(80), &[], services));
    let url = |name: &str| vec![format!("http://{name}.edge.svc.cluster.local/")];
    assert_eq!(inside(&[("b", true, 80), ("a", true, 80), ("public", false, 80)]), url("a"));
    assert_eq!(inside(&[("public", false, 80)]), url("public"));
    assert!(inside(&[("public", false, 8080)]).is_empty(), "the listener's port is not exposed");
    assert!(inside(&[("other", false, 80)]).is_empty());
}

fn rule(path: Option<&str>, header: bool, backend: &str) -> Value {
    let mut it = json!({});
    if let Some(path) = path {
        it["path"] = json!({"type": "PathPrefix", "value": path});
    }
    if header {
        it["headers"] = json!([{"name": "model", "value": "m"}]);
    }
    json!({"matches": [it], "backendRefs": [{"kind": backend, "name": "b"}]})
}

#[track_caller]
fn check_paths(rules: &[Value], expected: &[&str]) {
    let route: HttpRouteSpec = serde_json::from_value(json!({"rules": rules})).unwrap();
    assert_eq!(paths(&route), expected);
}

#[test]
fn each_way_to_the_service_shows_its_shallowest_path() {
    let rules = [
        rule(Some("/team/qwen/v1/completions"), false, "InferencePool"),
        rule(Some("/publishers/team/models/m/v1"), false, "InferencePool"),
        rule(Some("/publishers/team/models/m"), false, "Service"),
        rule(Some("/team/qwen"), false, "Service"),
        rule(Some("/v1/completions"), true, "InferencePool"),
        rule(None, true, "Service"),
    ];
    check_paths(&rules, &["/", "/team/qwen", "/publishers/team/models/m"]);
}

#[test]
fn rules_to_the_service_are_preferred_even_when_deeper() {
    check_paths(
        &[rule(Some("/a"), false, "InferencePool"), rule(Some("/a/b/c"), false, "Service")],
        &["/a/b/c"],
    );
    check_paths(&[rule(Some("/a"), false, "InferencePool")], &["/a"]);
}

#[test]
fn patterns_are_no_urls() {
    let pattern = json!({"matches": [{"path": {"type": "RegularExpression", "value": "/v[12]/.*"}}]});
    check_paths(&[pattern], &["/"]);
    check_paths(&[], &["/"]);
}

proptest! {
    /// A URL that is printed can be read back: scheme, host, port and path survive.
    #[test]
    fn printed_urls_can_be_read_back(
        secure in any::<bool>(),
        host in prop_oneof![
            "[a-z]{1,9}(\\.[a-z]{1,9}){0,3}",
            any::<u32>().prop_map(|it| Ipv4Addr::from(it).to_string()),
            any::<u128>().prop_map(|it| Ipv6Addr::from(it).to_string()),
        ],
        port in 1_i32..65536,
        path in "(/[a-z0-9._-]{1,8}){1,4}",
    ) {
        let scheme = if secure { "https" } else { "http" };
        let url = Url { scheme, host: host.clone(), port, path: path.clone() };
        let read: axum::http::Uri = url.to_string().parse().unwrap();
        prop_assert_eq!(read.scheme_str(), Some(scheme));
        prop_assert_eq!(read.host().unwrap().trim_matches(['[', ']']), host);
        let default = if secure { 443 } else { 80 };
        let printed = read.port_u16().map(i32::from);
        prop_assert_eq!(printed, (port != default).then_some(port));
        prop_assert_eq!(read.path(), path);
    }

    /// The order of rules does not matter.
    #[test]
    fn paths_do_not_depend_on_the_order_of_rules(
        all in proptest::collection::vec(("(/(a|b|publishers)){1,4}", any::<bool>(), any::<bool>()), 0..8),
    ) {
        let rules = all.iter().map(|(path, header, service)| {
            rule(Some(path), *header, if *service { "Service" } else { "InferencePool" })
        });
        let forward: Vec<Value> = rules.collect();
        let backward: Vec<Value> = forward.iter().rev().cloned().collect();
        let of = |rules: Vec<Value>| paths(&serde_json::from_value(json!({"rules": rules})).unwrap());
        let paths = of(forward);
        prop_assert!((1..=3).contains(&paths.len()));
        prop_assert_eq!(paths, of(backward));
    }
}
