//! The two hooks over configurations as Envoy Gateway makes them.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, LbConfig, LbPolicy,
};
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, Listener, filter};
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy_types::pb::envoy::config::route::v3::{Route, RouteAction, RouteConfiguration, VirtualHost};
use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::ExtProcPerRoute;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, http_filter,
};
use envoy_types::pb::google::protobuf::Any;
use prost::Message as _;
use serde_json::json;

use super::picker::Picker;
use super::routes::Weights;
use super::wire::put;
use super::{cluster, filter as filters, translation};

/// The cluster that Envoy Gateway makes of a rule with custom backends.
const CLUSTER: &str = "httproute/team/chat/rule/0";

fn picker(pool: &str) -> Picker {
    let pool = json!({
        "metadata": { "namespace": "team", "name": pool },
        "spec": { "endpointPickerRef": { "name": format!("{pool}-epp"), "port": { "number": 9002 } } },
    });
    Picker::of_pool(&pool).expect("a pool with a picker")
}

fn pool_cluster(pickers: &[Picker]) -> Vec<u8> {
    let original = Cluster {
        name: CLUSTER.into(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into())),
        load_assignment: Some(ClusterLoadAssignment::default()),
        ..Cluster::default()
    };
    cluster::of_pools(&original.encode_to_vec(), pickers).expect("a cluster")
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
fn request(cluster: &[u8], listener: &Listener, routes: &RouteConfiguration) -> Vec<u8> {
    let mut request = Vec::new();
    put(2, cluster, &mut request);
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

fn answer(request: &[u8], weights: &Weights) -> Answer {
    let pools = translation::pools(request).expect("a request");
    let bytes = translation::respond(request, &pools, weights, "cluster.local").expect("a request");
    Answer::decode(&bytes[..]).expect("a response")
}

#[test]
fn a_pool_of_either_version_names_its_picker() {
    let old = json!({
        "metadata": { "namespace": "team", "name": "chat" },
        "spec": { "extensionRef": { "name": "epp", "portNumber": 9100, "failureMode": "FailOpen" } },
    });
    let picker = Picker::of_pool(&old).expect("a picker");
    assert_eq!((picker.port, picker.fail_open), (9100, true));
    assert_eq!(picker.host("cluster.local"), "epp.team.svc.cluster.local");
    let error = Picker::of_pool(&json!({ "metadata": { "namespace": "a", "name": "b" } })).unwrap_err();
    assert_eq!(error.to_string(), "InferencePool a/b has no spec.endpointPickerRef");
}

#[test]
fn connections_of_a_pool_go_where_the_header_says() {
    let bytes = pool_cluster(&[picker("blue"), picker("green")]);
    let cluster = Cluster::decode(&bytes[..]).expect("a cluster");
    let original_dst = ClusterDiscoveryType::Type(DiscoveryType::OriginalDst.into());
    assert_eq!(cluster.cluster_discovery_type, Some(original_dst));
    assert_eq!((cluster.name.as_str(), cluster.lb_policy()), (CLUSTER, LbPolicy::ClusterProvided));
    assert_eq!(cluster.load_assignment, None, "Envoy refuses endpoints beside it");
    let Some(LbConfig::OriginalDstLbConfig(config)) = cluster.lb_config else { panic!("{cluster:?}") };
    assert_eq!(
        (config.use_http_header, config.http_header_name.as_str()),
        (true, "x-gateway-destination-endpoint")
    );
    let (name, pickers) = cluster::pickers(&bytes).expect("a cluster");
    assert_eq!((name, pickers), (CLUSTER, vec![picker("blue"), picker("green")]));
}

#[test]
fn a_route_to_a_pool_asks_its_picker_and_others_do_not() {
    let request = request(&pool_cluster(&[picker("blue")]), &listener(), &routes(&[CLUSTER, "other"]));
    let answer = answer(&request, &Weights::new());

    let names: Vec<&str> = answer.clusters.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, [CLUSTER, "llmd-picker/team/blue"]);
    let routes = &answer.routes[0].virtual_hosts[0].routes;
    let config = &routes[0].typed_per_filter_config["llmd.endpoint-picker"];
    let per_route = ExtProcPerRoute::decode(&config.value[..]).expect("its own type");
    assert!(format!("{per_route:?}").contains("llmd-picker/team/blue"));
    assert!(routes[1].typed_per_filter_config.is_empty());

    let chain = answer.listeners[0].default_filter_chain.as_ref().expect("it was there");
    let Some(filter::ConfigType::TypedConfig(config)) = &chain.filters[0].config_type else {
        panic!("no config")
    };
    let manager = HttpConnectionManager::decode(&config.value[..]).expect("a manager");
    let filters: Vec<(&str, bool)> =
        manager.http_filters.iter().map(|it| (it.name.as_str(), it.disabled)).collect();
    assert_eq!(filters, [("cors", false), ("llmd.endpoint-picker", true), ("router", false)]);
    assert_eq!(manager.early_header_mutation_extensions.len(), 1);
}

#[test]
fn several_pools_behind_a_rule_share_it_by_weight() {
    let request =
        request(&pool_cluster(&[picker("blue"), picker("green")]), &listener(), &routes(&[CLUSTER]));
    let weights = BTreeMap::from([(CLUSTER.to_owned(), vec![95, 5])]);
    let answer = answer(&request, &weights);
    let route = &answer.routes[0].virtual_hosts[0].routes[0];
    let Some(Action::Route(action)) = &route.action else { panic!("{route:?}") };
    let Some(ClusterSpecifier::WeightedClusters(split)) = &action.cluster_specifier else {
        panic!("{action:?}")
    };
    let shares: Vec<(&str, u32)> = split
        .clusters
        .iter()
        .map(|it| (it.name.as_str(), it.weight.as_ref().map_or(0, |weight| weight.value)))
        .collect();
    assert_eq!(shares, [(CLUSTER, 95), (CLUSTER, 5)]);
    let pickers = split.clusters.iter().map(|it| format!("{:?}", it.typed_per_filter_config));
    let expected = ["llmd-picker/team/blue", "llmd-picker/team/green"];
    assert!(pickers.zip(expected).all(|(config, expected)| {
        let bytes: String = expected.bytes().map(|it| format!("{it}, ")).collect();
        config.contains(expected) || config.contains(bytes.trim_end_matches(", "))
    }));
}

#[test]
fn without_pools_nothing_changes() {
    let plain = Cluster { name: "plain".into(), ..Cluster::default() };
    let (listener, routes) = (listener(), routes(&["plain"]));
    let answer = answer(&request(&plain.encode_to_vec(), &listener, &routes), &Weights::new());
    assert_eq!(answer, Answer { clusters: vec![plain], listeners: vec![listener], routes: vec![routes] });
}
