//! A pool's cluster: connections go to the endpoint that the picker's header names.

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, LbConfig};
use envoy_types::pb::envoy::config::cluster::v3::cluster::{DiscoveryType, LbPolicy, OriginalDstLbConfig};
use envoy_types::pb::envoy::config::core::v3::Metadata;
use llmd_api::headers;
use prost::Message as _;

use super::picker::{Picker, from_metadata, to_metadata};
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

/// The cluster of pools that `pickers` choose for.
pub(super) fn of_pools(cluster: &[u8], pickers: &[Picker]) -> Result<Vec<u8>, Malformed> {
    let mut edited = wire::without(cluster, &number::OF_ENDPOINTS)?;
    edited.extend(original_destination(pickers).encode_to_vec());
    Ok(edited)
}

/// The fields that replace what Envoy Gateway wrote.
fn original_destination(pickers: &[Picker]) -> Cluster {
    Cluster {
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst.into())),
        lb_policy: LbPolicy::ClusterProvided.into(),
        lb_config: Some(LbConfig::OriginalDstLbConfig(OriginalDstLbConfig {
            use_http_header: true,
            http_header_name: headers::DESTINATION_ENDPOINT.to_owned(),
            ..OriginalDstLbConfig::default()
        })),
        metadata: Some(Metadata {
            filter_metadata: [(METADATA.to_owned(), to_metadata(pickers))].into(),
            ..Metadata::default()
        }),
        ..Cluster::default()
    }
}

/// Name of a cluster and the pickers that [`of_pools`] noted in it.
pub(super) fn pickers(cluster: &[u8]) -> Result<(&str, Vec<Picker>), Malformed> {
    let name = wire::text(cluster, number::NAME)?;
    let mut found = Vec::new();
    for field in wire::fields(cluster)?.iter().filter(|it| it.number == number::METADATA) {
        let metadata = Metadata::decode(field.value).map_err(|_| Malformed)?;
        found.extend(metadata.filter_metadata.get(METADATA).map(from_metadata).unwrap_or_default());
    }
    Ok((name, found))
}
