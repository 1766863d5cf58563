//! The whole configuration once more before Envoy gets it: who is asked for an endpoint, and by which route.

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::config::route::v3::WeightedCluster;
use envoy_types::pb::envoy::config::route::v3::weighted_cluster::ClusterWeight;
use envoy_types::pb::google::protobuf::Any;
use prost::Message as _;

use super::picker::Picker;
use super::routes::Weights;
use super::wire::{self, Malformed, edit_each, fields, put};
use super::{cluster, filter};

/// Field numbers of the messages that are walked through, by message.
mod number {
    pub(super) mod request {
        pub(in super::super) const CLUSTERS: usize = 2;
        pub(in super::super) const SECRETS: usize = 3;
        pub(in super::super) const LISTENERS: usize = 4;
        pub(in super::super) const ROUTES: usize = 5;
    }
    pub(super) mod response {
        pub(in super::super) const CLUSTERS: usize = 1;
        pub(in super::super) const SECRETS: usize = 2;
        pub(in super::super) const LISTENERS: usize = 3;
        pub(in super::super) const ROUTES: usize = 4;
    }
    pub(super) const VIRTUAL_HOSTS: usize = 2;
    pub(super) const ROUTES_OF_HOST: usize = 3;
    pub(super) mod route {
        pub(in super::super) const ACTION: usize = 2;
        pub(in super::super) const FILTER_CONFIG: usize = 13;
    }
    pub(super) mod action {
        pub(in super::super) const CLUSTER: usize = 1;
        pub(in super::super) const WEIGHTED_CLUSTERS: usize = 3;
    }
    pub(super) mod weighted {
        pub(in super::super) const CLUSTERS: usize = 1;
        pub(in super::super) const NAME: usize = 1;
        pub(in super::super) const FILTER_CONFIG: usize = 10;
    }
    pub(super) mod listener {
        pub(in super::super) const FILTER_CHAINS: usize = 3;
        pub(in super::super) const DEFAULT_FILTER_CHAIN: usize = 25;
        pub(in super::super) const FILTERS: usize = 3;
        pub(in super::super) const TYPED_CONFIG: usize = 4;
    }
    pub(super) const ANY_VALUE: usize = 2;
}

/// Pickers by the name of their cluster.
pub(super) type Pools = BTreeMap<String, Vec<Picker>>;

/// The pools among the clusters of a request.
pub(super) fn pools(request: &[u8]) -> Result<Pools, Malformed> {
    let mut pools = Pools::new();
    for field in fields(request)?.iter().filter(|it| it.number == number::request::CLUSTERS) {
        let (name, pickers) = cluster::pickers(field.value)?;
        if !pickers.is_empty() {
            pools.insert(name.to_owned(), pickers);
        }
    }
    Ok(pools)
}

/// The response to a request with those pools. `weights` holds those of clusters with several of them.
pub(super) fn respond(
    request: &[u8],
    pools: &Pools,
    weights: &Weights,
    cluster_domain: &str,
) -> Result<Vec<u8>, Malformed> {
    let pickers: BTreeSet<&Picker> = pools.values().flatten().collect();
    let mut response = Vec::with_capacity(request.len());
    for field in fields(request)? {
        match field.number {
            number::request::CLUSTERS => put(number::response::CLUSTERS, field.value, &mut response),
            number::request::SECRETS => put(number::response::SECRETS, field.value, &mut response),
            number::request::LISTENERS => {
                let listener = match pickers.first() {
                    Some(picker) => listener(field.value, picker)?,
                    None => field.value.to_vec(),
                };
                put(number::response::LISTENERS, &listener, &mut response);
            }
            number::request::ROUTES => {
                put(number::response::ROUTES, &routes(field.value, pools, weights)?, &mut response);
            }
            _ => {}
        }
    }
    for picker in pickers {
        let cluster = filter::cluster(picker, cluster_domain).encode_to_vec();
        put(number::response::CLUSTERS, &cluster, &mut response);
    }
    Ok(response)
}

/// Adds the filters of the picker to every HTTP connection manager of a listener.
fn listener(listener: &[u8], any_picker: &Picker) -> Result<Vec<u8>, Malformed> {
    use number::listener::{DEFAULT_FILTER_CHAIN, FILTER_CHAINS, FILTERS, TYPED_CONFIG};
    let chain = |chain: &[u8]| {
        edit_each(chain, FILTERS, |filter| {
            edit_each(filter, TYPED_CONFIG, |config| {
                let any = Any::decode(config).map_err(|_| Malformed)?;
                if any.type_url != filter::HTTP_CONNECTION_MANAGER {
                    return Ok(config.to_vec());
                }
                edit_each(config, number::ANY_VALUE, |manager| filter::add_to_manager(manager, any_picker))
            })
        })
    };
    let listener = edit_each(listener, FILTER_CHAINS, chain)?;
    edit_each(&listener, DEFAULT_FILTER_CHAIN, chain)
}

/// Sends the routes of a route configuration to the pickers of their pools.
fn routes(configuration: &[u8], pools: &Pools, weights: &Weights) -> Result<Vec<u8>, Malformed> {
    edit_each(configuration, number::VIRTUAL_HOSTS, |host| {
        edit_each(host, number::ROUTES_OF_HOST, |it| route(it, pools, weights))
    })
}

fn route(route: &[u8], pools: &Pools, weights: &Weights) -> Result<Vec<u8>, Malformed> {
    let action = fields(route)?.into_iter().rev().find(|it| it.number == number::route::ACTION);
    let Some(action) = action else { return Ok(route.to_vec()) };
    let name = wire::text(action.value, number::action::CLUSTER)?;
    match pools.get(name).map(Vec::as_slice) {
        // Envoy Gateway splits a rule of unlike backends into weighted clusters.
        None => edit_each(route, number::route::ACTION, |it| weighted(it, pools)),
        Some([picker]) => {
            let mut edited = route.to_vec();
            put(number::route::FILTER_CONFIG, &filter::of_route(picker).encode_to_vec(), &mut edited);
            Ok(edited)
        }
        Some(pickers) => edit_each(route, number::route::ACTION, |action| {
            let split = split(name, pickers, weights.get(name).map_or(&[], Vec::as_slice));
            let mut action = wire::without(action, &[number::action::CLUSTER])?;
            put(number::action::WEIGHTED_CLUSTERS, &split.encode_to_vec(), &mut action);
            Ok(action)
        }),
    }
}

/// The shares of several pools behind one cluster; a pool without a known weight has 1, as Gateway API says.
fn split(cluster: &str, pickers: &[Picker], weights: &[u32]) -> WeightedCluster {
    let weights = weights.iter().copied().chain(std::iter::repeat(1));
    let clusters = pickers.iter().zip(weights).map(|(picker, weight)| {
        let filter::FilterConfig { name, config } = filter::of_route(picker);
        ClusterWeight {
            name: cluster.to_owned(),
            weight: Some(envoy_types::pb::google::protobuf::UInt32Value { value: weight }),
            typed_per_filter_config: [(name, config)].into(),
            ..ClusterWeight::default()
        }
    });
    WeightedCluster { clusters: clusters.collect(), ..WeightedCluster::default() }
}

/// Gives the pickers to those weighted clusters that are a pool's.
fn weighted(action: &[u8], pools: &Pools) -> Result<Vec<u8>, Malformed> {
    edit_each(action, number::action::WEIGHTED_CLUSTERS, |weighted| {
        edit_each(weighted, number::weighted::CLUSTERS, |cluster| {
            let name = wire::text(cluster, number::weighted::NAME)?;
            let mut edited = cluster.to_vec();
            if let Some(picker) = pools.get(name).and_then(|it| it.first()) {
                put(number::weighted::FILTER_CONFIG, &filter::of_route(picker).encode_to_vec(), &mut edited);
            }
            Ok(edited)
        })
    })
}
