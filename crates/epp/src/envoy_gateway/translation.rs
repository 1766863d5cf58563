//! The whole configuration once more before Envoy gets it: which clusters lead to pools, and by which route whose
//! picker is asked.

use envoy_types::pb::google::protobuf::{Any, UInt32Value};
use prost::Message as _;

use super::picker::Picker;
use super::plan::{Noted, Plan, Plans, pickers};
use super::pool::Pool;
use super::rules::Origin;
use super::services::ClearText;
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
        pub(in super::super) const NAME: usize = 14;
    }
    pub(super) mod action {
        pub(in super::super) const CLUSTER: usize = 1;
        pub(in super::super) const WEIGHTED_CLUSTERS: usize = 3;
    }
    pub(super) mod weighted {
        pub(in super::super) const CLUSTERS: usize = 1;
        pub(in super::super) const NAME: usize = 1;
        pub(in super::super) const WEIGHT: usize = 2;
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

/// The pools that are noted in the clusters of a request.
pub(super) fn noted(request: &[u8]) -> Result<Noted, Malformed> {
    let mut noted = Noted::new();
    for field in fields(request)?.iter().filter(|it| it.number == number::request::CLUSTERS) {
        let (name, pools) = cluster::noted(field.value)?;
        if !pools.is_empty() {
            noted.insert(name.to_owned(), pools);
        }
    }
    Ok(noted)
}

/// The response to a request with those plans. Clusters of pickers have TLS unless `clear_text` names them.
pub(super) fn respond(
    request: &[u8],
    plans: &Plans,
    clear_text: &ClearText,
    cluster_domain: &str,
) -> Result<Vec<u8>, Malformed> {
    let pickers = pickers(plans);
    let any_picker = pickers.values().next().copied();
    let mut response = Vec::with_capacity(request.len());
    for field in fields(request)? {
        match field.number {
            number::request::CLUSTERS => clusters(field.value, plans, &mut response)?,
            number::request::SECRETS => put(number::response::SECRETS, field.value, &mut response),
            number::request::LISTENERS if plans.is_empty() => {
                put(number::response::LISTENERS, field.value, &mut response);
            }
            number::request::LISTENERS => {
                put(number::response::LISTENERS, &listener(field.value, any_picker)?, &mut response);
            }
            number::request::ROUTES => {
                put(number::response::ROUTES, &routes(field.value, plans)?, &mut response);
            }
            _ => {}
        }
    }
    for (name, picker) in &pickers {
        let cluster = picker.cluster(clear_text.contains(name), cluster_domain);
        put(number::response::CLUSTERS, &cluster.encode_to_vec(), &mut response);
    }
    Ok(response)
}

/// A cluster, made into one of pools where it is theirs alone, and beside it where it is not.
fn clusters(original: &[u8], plans: &Plans, response: &mut Vec<u8>) -> Result<(), Malformed> {
    let (name, _) = cluster::noted(original)?;
    let plan = plans.get(name);
    let of_pools = plan.and_then(|it| it.cluster_of_pools(name));
    if of_pools.as_deref() != Some(name) {
        put(number::response::CLUSTERS, original, response);
    }
    if let Some(of_pools) = of_pools {
        put(number::response::CLUSTERS, &cluster::of_pools(original, &of_pools)?, response);
    }
    Ok(())
}

/// Has every HTTP connection manager of a listener drop the picker's header and able to ask one.
fn listener(listener: &[u8], any_picker: Option<&Picker>) -> Result<Vec<u8>, Malformed> {
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

/// Has the routes of a route configuration ask the pickers of their pools.
fn routes(configuration: &[u8], plans: &Plans) -> Result<Vec<u8>, Malformed> {
    edit_each(configuration, number::VIRTUAL_HOSTS, |host| {
        edit_each(host, number::ROUTES_OF_HOST, |it| route(it, plans))
    })
}

fn route(route: &[u8], plans: &Plans) -> Result<Vec<u8>, Malformed> {
    let action = fields(route)?.into_iter().rev().find(|it| it.number == number::route::ACTION);
    let Some(action) = action else { return Ok(route.to_vec()) };
    let name = wire::text(action.value, number::action::CLUSTER)?;
    let Some(plan) = plans.get(name) else {
        let rule = Origin::of_name(wire::text(route, number::route::NAME)?);
        return edit_each(route, number::route::ACTION, |it| add_missing(it, rule.as_ref(), plans));
    };
    if let Some(pool) = plan.only_pool() {
        let mut edited = route.to_vec();
        put_filter(number::route::FILTER_CONFIG, pool, &mut edited);
        return Ok(edited);
    }
    edit_each(route, number::route::ACTION, |action| {
        let mut edited = wire::without(action, &[number::action::CLUSTER])?;
        put(number::action::WEIGHTED_CLUSTERS, &split(name, plan), &mut edited);
        Ok(edited)
    })
}

/// The shares of the backends behind one cluster, as a `WeightedCluster`.
fn split(cluster: &str, plan: &Plan) -> Vec<u8> {
    let mut split = Vec::new();
    if plan.others > 0 {
        put(number::weighted::CLUSTERS, &share(cluster, plan.others, None), &mut split);
    }
    put_shares(cluster, plan, &mut split);
    split
}

fn put_shares(cluster: &str, plan: &Plan, weighted: &mut Vec<u8>) {
    let Some(of_pools) = plan.cluster_of_pools(cluster) else { return };
    for (pool, weight) in &plan.shares {
        put(number::weighted::CLUSTERS, &share(&of_pools, *weight, Some(pool)), weighted);
    }
}

/// A `ClusterWeight`.
fn share(cluster: &str, weight: u32, pool: Option<&Pool>) -> Vec<u8> {
    let mut share = Vec::new();
    put(number::weighted::NAME, cluster.as_bytes(), &mut share);
    put(number::weighted::WEIGHT, &UInt32Value { value: weight }.encode_to_vec(), &mut share);
    if let Some(pool) = pool {
        put_filter(number::weighted::FILTER_CONFIG, pool, &mut share);
    }
    share
}

fn put_filter(number: usize, pool: &Pool, out: &mut Vec<u8>) {
    if let Some(picker) = &pool.picker {
        put(number, &filter::of_route(picker).encode_to_vec(), out);
    }
}

/// A rule with a backend that is amiss has weighted clusters, among which Envoy Gateway counts no pool: it takes a
/// backend without endpoints of its own for one that is not there.
fn add_missing(action: &[u8], rule: Option<&Origin>, plans: &Plans) -> Result<Vec<u8>, Malformed> {
    edit_each(action, number::action::WEIGHTED_CLUSTERS, |weighted| {
        let mut edited = weighted.to_vec();
        let missing = plans.iter().filter(|(_, it)| rule.is_some() && it.alone_in.as_ref() == rule);
        missing.for_each(|(cluster, plan)| put_shares(cluster, plan, &mut edited));
        Ok(edited)
    })
}
