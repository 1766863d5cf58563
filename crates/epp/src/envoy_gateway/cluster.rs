//! A pool's cluster: connections go to the endpoint that the picker's header names.

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, LbConfig};
use envoy_types::pb::envoy::config::cluster::v3::cluster::{DiscoveryType, LbPolicy, OriginalDstLbConfig};
use envoy_types::pb::envoy::config::core::v3::Metadata;
use llmd_api::headers;
use prost::Message as _;

use super::pool::{Pool, from_metadata, to_metadata};
use super::wire::{self, Malformed};

/// Name of this program's metadata in a cluster.
const METADATA: &str = "ai.llmd.inference-pool";

/// Numbers of `envoy.config.cluster.v3.Cluster`.
mod number {
    pub(super) const NAME: usize = 1;
    pub(super) const METADATA: usize = 25;
    /// Endpoints and how they are balanced: where they come from (EDS, inline), zones and localities, policies as
    /// extensions, health checks of each.
    pub(super) const OF_ENDPOINTS: [usize; 5] = [3, 33, 27, 41, 8];
}

/// The cluster with a note of the pools among the backends of its rule.
pub(super) fn note(cluster: &[u8], pools: &[Pool]) -> Vec<u8> {
    let metadata = Metadata {
        filter_metadata: [(METADATA.to_owned(), to_metadata(pools))].into(),
        ..Metadata::default()
    };
    let note = Cluster { metadata: Some(metadata), ..Cluster::default() };
    [cluster, &note.encode_to_vec()].concat()
}

/// Name of a cluster and the pools that [`note`] left in it.
pub(super) fn noted(cluster: &[u8]) -> Result<(&str, Vec<Pool>), Malformed> {
    let name = wire::text(cluster, number::NAME)?;
    let mut found = Vec::new();
    for field in wire::fields(cluster)?.iter().filter(|it| it.number == number::METADATA) {
        let metadata = Metadata::decode(field.value).map_err(|_| Malformed)?;
        found.extend(metadata.filter_metadata.get(METADATA).map(from_metadata).unwrap_or_default());
    }
    Ok((name, found))
}

/// The cluster as one of pools, under the name `name`.
pub(super) fn of_pools(cluster: &[u8], name: &str) -> Result<Vec<u8>, Malformed> {
    let mut edited = wire::without(cluster, &number::OF_ENDPOINTS)?;
    edited.extend(original_destination(name).encode_to_vec());
    Ok(edited)
}

/// The fields that replace what Envoy Gateway wrote.
fn original_destination(name: &str) -> Cluster {
    Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst.into())),
        lb_policy: LbPolicy::ClusterProvided.into(),
        lb_config: Some(LbConfig::OriginalDstLbConfig(OriginalDstLbConfig {
            use_http_header: true,
            http_header_name: headers::DESTINATION_ENDPOINT.to_owned(),
            ..OriginalDstLbConfig::default()
        })),
        ..Cluster::default()
    }
}
