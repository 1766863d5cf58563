//! The two hooks over configurations as Envoy Gateway makes them.

use std::collections::HashMap;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, LbConfig, LbPolicy,
};
use envoy_types::pb::envoy::config::core::v3::grpc_service::TargetSpecifier;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, Listener, filter};
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy_types::pb::envoy::config::route::v3::weighted_cluster::ClusterWeight;
use envoy_types::pb::envoy::config::route::v3::{
    Route, RouteAction, RouteConfiguration, VirtualHost, WeightedCluster,
};
use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::ExtProcPerRoute;
use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::ext_proc_per_route::Override;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, http_filter,
};
use envoy_types::pb::google::protobuf::Any;
use prost::Message as _;
use serde_json::json;

use super::plan::plans;
use super::pool::Pool;
use super::rules::{Backend, Rules};
use super::services::ClearText;
use super::wire::put;
use super::{cluster, filter as filters, translation};

/// The cluster that Envoy Gateway makes of a rule with custom backends.
const CLUSTER: &str = "httproute/team/chat/rule/0";

const GROUP: &str = "inference.networking.k8s.io";

fn pool(name: &str) -> Pool {
    Pool::of_object(&json!({
        "apiVersion": "inference.networking.k8s.io/v1",
        "metadata": { "namespace": "team", "name": name },
        "spec": { "endpointPickerRef": { "name": format!("{name}-epp"), "port": { "number": 9002 } } },
    }))
}

/// A cluster with the note of those pools.
fn noted(name: &str, pools: &[Pool]) -> Vec<u8> {
    let original = Cluster {
        name: name.into(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into())),
        load_assignment: Some(ClusterLoadAssignment::default()),
        ..Cluster::default()
    };
    cluster::note(&original.encode_to_vec(), pools)
}

/// The backends of the rule: pools and, without a group, Services.
fn rules(backends: &[(&str, &str, u32)]) -> Rules {
    let backend = |(group, name, weight): &(&str, &str, u32)| Backend {
        group: (*group).into(),
        kind: if group.is_empty() { "Service" } else { "InferencePool" }.into(),
        namespace: "team".into(),
        name: (*name).into(),
        weight: *weight,
    };
    Rules::from([(("team".into(), "chat".into()), vec![backends.iter().map(backend).collect()])])
}

fn listener() -> Listener {
    let router = any("type.googleapis.com/envoy.extensions.filters.http.router.v3.Router", Vec::new());
    let named = |name: &str, config: Any| HttpFilter {
        name: name.into(),
        config_type: Some(http_filter::ConfigType::TypedConfig(config)),
        ..HttpFilter::default()
    };
    let manager = HttpConnectionManager {
        http_filters: vec![named("cors", Any::default()), named("router", router)],
        ..HttpConnectionManager::default()
    };
    let config = any(filters::HTTP_CONNECTION_MANAGER, manager.encode_to_vec());
    let filter = Filter { name: "http".into(), config_type: Some(filter::ConfigType::TypedConfig(config)) };
    let chain = FilterChain { filters: vec![filter], ..FilterChain::default() };
    Listener { name: "l".into(), default_filter_chain: Some(chain), ..Listener::default() }
}

fn any(type_url: &str, value: Vec<u8>) -> Any {
    Any { type_url: type_url.into(), value }
}

fn routes(clusters: &[&str]) -> RouteConfiguration {
    let route = |cluster: &&str| {
        let action = RouteAction {
            cluster_specifier: Some(ClusterSpecifier::Cluster((*cluster).into())),
            ..RouteAction::default()
        };
        Route { name: (*cluster).into(), action: Some(Action::Route(action)), ..Route::default() }
    };
    let host = VirtualHost { routes: clusters.iter().map(route).collect(), ..VirtualHost::default() };
    RouteConfiguration { virtual_hosts: vec![host], ..RouteConfiguration::default() }
}

/// `PostTranslateModifyRequest`.
fn request(clusters: &[Vec<u8>], listener: &Listener, routes: &RouteConfiguration) -> Vec<u8> {
    let mut request = Vec::new();
    clusters.iter().for_each(|it| put(2, it, &mut request));
    put(4, &listener.encode_to_vec(), &mut request);
    put(5, &routes.encode_to_vec(), &mut request);
    // A field of a version to come.
    put(900, b"unknown", &mut request);
    request
}

/// `PostTranslateModifyResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    #[prost(message, repeated, tag = "1")]
    clusters: Vec<Cluster>,
    #[prost(message, repeated, tag = "3")]
    listeners: Vec<Listener>,
    #[prost(message, repeated, tag = "4")]
    routes: Vec<RouteConfiguration>,
}

fn answer(request: &[u8], rules: &Rules) -> Answer {
    let noted = translation::noted(request).expect("a request");
    let clear_text = ClearText::from(["llmd-picker/team/green-epp/9002".to_owned()]);
    let bytes = translation::respond(request, &plans(&noted, rules), &clear_text, "cluster.local");
    let bytes = bytes.expect("a request");
    Answer::decode(&bytes[..]).expect("a response")
}

impl Answer {
    fn clusters(&self) -> Vec<&str> {
        self.clusters.iter().map(|it| it.name.as_str()).collect()
    }

    /// Cluster, weight and the picker that is asked, of each share of the first route.
    fn shares(&self) -> Vec<(&str, u32, Option<String>)> {
        let route = &self.routes[0].virtual_hosts[0].routes[0];
        let Some(Action::Route(action)) = &route.action else { panic!("{route:?}") };
        let Some(ClusterSpecifier::WeightedClusters(split)) = &action.cluster_specifier else {
            panic!("{action:?}")
        };
        let weight = |it: &ClusterWeight| it.weight.as_ref().map_or(0, |weight| weight.value);
        let shares = split.clusters.iter();
        shares.map(|it| (it.name.as_str(), weight(it), asked(&it.typed_per_filter_config))).collect()
    }
}

/// The cluster of the picker that a route or a share of it asks.
fn asked(filters: &HashMap<String, Any>) -> Option<String> {
    let per_route =
        ExtProcPerRoute::decode(&filters.get("llmd.endpoint-picker")?.value[..]).expect("its type");
    let Some(Override::Overrides(overrides)) = per_route.r#override else { panic!("{per_route:?}") };
    match overrides.grpc_service.and_then(|it| it.target_specifier) {
        Some(TargetSpecifier::EnvoyGrpc(it)) => Some(it.cluster_name),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pool_of_either_version_names_its_picker() {
    let old = Pool::of_object(&json!({
        "apiVersion": "inference.networking.x-k8s.io/v1alpha2",
        "metadata": { "namespace": "team", "name": "chat" },
        "spec": { "extensionRef": { "name": "epp", "portNumber": 9100, "failureMode": "FailOpen" } },
    }));
    let picker = old.picker.expect("a picker");
    assert_eq!(
        (old.group.as_str(), picker.port, picker.fails_open),
        ("inference.networking.x-k8s.io", 9100, true)
    );
    assert_eq!(picker.cluster_name(), "llmd-picker/team/epp/9100");
    let without = Pool::of_object(&json!({ "metadata": { "namespace": "a", "name": "b" } }));
    assert_eq!(without.picker, None);
}

#[test]
fn a_note_is_read_as_it_was_written() {
    let pools = [pool("blue"), pool("green")];
    let bytes = noted(CLUSTER, &pools);
    assert_eq!(cluster::noted(&bytes).expect("a cluster"), (CLUSTER, pools.to_vec()));
}

#[test]
fn connections_of_a_pool_go_where_the_header_says() {
    let request = request(&[noted(CLUSTER, &[pool("blue")])], &listener(), &routes(&[CLUSTER]));
    let answer = answer(&request, &rules(&[(GROUP, "blue", 1)]));
    let cluster = &answer.clusters[0];
    let original_dst = ClusterDiscoveryType::Type(DiscoveryType::OriginalDst.into());
    assert_eq!(cluster.cluster_discovery_type, Some(original_dst));
    assert_eq!((cluster.name.as_str(), cluster.lb_policy()), (CLUSTER, LbPolicy::ClusterProvided));
    assert_eq!(cluster.load_assignment, None, "Envoy refuses endpoints beside it");
    let Some(LbConfig::OriginalDstLbConfig(config)) = &cluster.lb_config else { panic!("{cluster:?}") };
    assert_eq!(
        (config.use_http_header, config.http_header_name.as_str()),
        (true, "x-gateway-destination-endpoint")
    );
}

#[test]
fn a_route_to_a_pool_asks_its_picker_and_others_do_not() {
    let request = request(&[noted(CLUSTER, &[pool("blue")])], &listener(), &routes(&[CLUSTER, "other"]));
    let answer = answer(&request, &Rules::new());

    assert_eq!(answer.clusters(), [CLUSTER, "llmd-picker/team/blue-epp/9002"]);
    let routes = &answer.routes[0].virtual_hosts[0].routes;
    let blue = "llmd-picker/team/blue-epp/9002";
    assert_eq!(asked(&routes[0].typed_per_filter_config).as_deref(), Some(blue));
    assert!(routes[1].typed_per_filter_config.is_empty());

    let manager = manager(&answer.listeners[0]);
    let filters: Vec<(&str, bool)> =
        manager.http_filters.iter().map(|it| (it.name.as_str(), it.disabled)).collect();
    assert_eq!(filters, [("cors", false), ("llmd.endpoint-picker", true), ("router", false)]);
    assert_eq!(manager.early_header_mutation_extensions.len(), 1);
}

fn manager(listener: &Listener) -> HttpConnectionManager {
    let chain = listener.default_filter_chain.as_ref().expect("it was there");
    let Some(filter::ConfigType::TypedConfig(config)) = &chain.filters[0].config_type else {
        panic!("no config")
    };
    HttpConnectionManager::decode(&config.value[..]).expect("a manager")
}

#[test]
fn a_pool_without_a_picker_gets_nothing_and_trusts_no_client() {
    let mute = Pool { picker: None, ..pool("mute") };
    let request = request(&[noted(CLUSTER, &[mute])], &listener(), &routes(&[CLUSTER]));
    let answer = answer(&request, &rules(&[(GROUP, "mute", 1)]));
    assert_eq!(answer.clusters(), [CLUSTER]);
    let manager = manager(&answer.listeners[0]);
    assert_eq!((manager.http_filters.len(), manager.early_header_mutation_extensions.len()), (2, 1));
}

#[test]
fn several_pools_behind_a_rule_share_it_by_weight() {
    let clusters = [noted(CLUSTER, &[pool("blue"), pool("green")])];
    let request = request(&clusters, &listener(), &routes(&[CLUSTER]));
    let answer = answer(&request, &rules(&[(GROUP, "blue", 95), (GROUP, "green", 5)]));
    let picker = |name: &str| Some(format!("llmd-picker/team/{name}-epp/9002"));
    assert_eq!(answer.shares(), [(CLUSTER, 95, picker("blue")), (CLUSTER, 5, picker("green"))]);
    let is_secure: Vec<bool> = answer.clusters[1..].iter().map(|it| it.transport_socket.is_some()).collect();
    assert_eq!(is_secure, [true, false], "green's Service says that it speaks in clear text");
}

#[test]
fn a_service_beside_a_pool_keeps_its_share() {
    let request = request(&[noted(CLUSTER, &[pool("blue")])], &listener(), &routes(&[CLUSTER]));
    let answer = answer(&request, &rules(&[(GROUP, "blue", 3), ("", "plain", 1)]));
    let (of_pools, blue) = ("httproute/team/chat/rule/0/pools", "llmd-picker/team/blue-epp/9002");
    assert_eq!(answer.clusters(), [CLUSTER, of_pools, blue]);
    assert!(answer.clusters[0].load_assignment.is_some(), "Envoy Gateway's own stays as it is");
    assert_eq!(answer.shares(), [(CLUSTER, 1, None), (of_pools, 3, Some(blue.to_owned()))]);
}

/// What Envoy Gateway makes of a rule with a pool, a Service and a backend that is not there.
#[test]
fn a_pool_beside_a_backend_that_is_amiss_keeps_its_share() {
    let alone = |index: usize| format!("{CLUSTER}/backend/{index}");
    let clusters = [noted(&alone(0), &[pool("blue")]), noted(&alone(1), &[pool("blue")])];
    let weighted = |name: &str| ClusterWeight { name: name.into(), ..ClusterWeight::default() };
    let split = WeightedCluster {
        clusters: vec![weighted("invalid-backend-cluster"), weighted(&alone(1))],
        ..WeightedCluster::default()
    };
    let mut routes = routes(&[CLUSTER]);
    let route = &mut routes.virtual_hosts[0].routes[0];
    route.name = format!("{CLUSTER}/match/0/*");
    route.action = Some(Action::Route(RouteAction {
        cluster_specifier: Some(ClusterSpecifier::WeightedClusters(split)),
        ..RouteAction::default()
    }));

    let request = request(&clusters, &listener(), &routes);
    let answer = answer(&request, &rules(&[(GROUP, "blue", 8), ("", "plain", 1), (GROUP, "away", 1)]));
    let blue = "llmd-picker/team/blue-epp/9002";
    assert_eq!(answer.clusters(), [alone(0).as_str(), alone(1).as_str(), blue]);
    assert!(answer.clusters[1].load_assignment.is_some(), "the Service's cluster stays as it is");
    let names: Vec<_> =
        answer.shares().into_iter().map(|(name, _, picker)| (name.to_owned(), picker)).collect();
    let expected =
        [("invalid-backend-cluster".to_owned(), None), (alone(1), None), (alone(0), Some(blue.to_owned()))];
    assert_eq!(names, expected);
}

#[test]
fn without_pools_nothing_changes() {
    let plain = Cluster { name: "plain".into(), ..Cluster::default() };
    let (listener, routes) = (listener(), routes(&["plain"]));
    let answer = answer(&request(&[plain.encode_to_vec()], &listener, &routes), &Rules::new());
    assert_eq!(answer, Answer { clusters: vec![plain], listeners: vec![listener], routes: vec![routes] });
}
