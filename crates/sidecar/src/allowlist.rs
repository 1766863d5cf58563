//! Which endpoints a routing header may name: the pods of the inference pool, and nobody else.
//!
//! Without this check whoever can send a header to the sidecar can have it call any address that the pod reaches.
//! An endpoint is compared by host alone, any port of a member passes: a member is trusted, not one of its ports.
//!
//! Guarantees: until the members have been read once, no endpoint is allowed; from then on the last known members
//! count, however long the API server is away. A host is one of a member's addresses, however the address is
//! spelled, or its pod's name.
//!
//! Not here: who the members are (`members`) and how they are learnt (`watch`).

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::uri::Authority;

pub mod members;
#[cfg(test)]
mod tests;
pub mod watch;

/// A host as it is compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// An address; IPv4 inside IPv6 counts as the IPv4 address that it reaches.
    Address(IpAddr),
    /// A name, in lower case.
    Name(String),
}

impl Host {
    /// The host that a connection to `endpoint` reaches.
    #[must_use]
    pub fn of(endpoint: &Authority) -> Self {
        let host = endpoint.host();
        let unbracketed = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
        match unbracketed.parse::<IpAddr>() {
            Ok(address) => Self::Address(address.to_canonical()),
            Err(_) => Self::Name(host.to_ascii_lowercase()),
        }
    }
}

/// The members at one moment. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Allowlist {
    /// `None` until the members have been read.
    hosts: Arc<ArcSwapOption<HashSet<Host>>>,
}

/// Why none of a request's endpoints may be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The members have not been read yet.
    #[error("the pods of the inference pool are not known yet, so no prefill endpoint is allowed")]
    Unknown,
    /// None is a member; the first one is named.
    #[error("prefill endpoint {endpoint} is no pod of the inference pool")]
    NoMember {
        /// As the header gave it.
        endpoint: Authority,
    },
}

impl Allowlist {
    /// Whether the members have been read.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.hosts.load().is_some()
    }

    /// Replaces the members.
    pub fn publish(&self, hosts: HashSet<Host>) {
        self.hosts.store(Some(Arc::new(hosts)));
    }

    /// The endpoints that are members, in their order. Some of several being none is what a pod that has just gone
    /// looks like, so the others stay.
    ///
    /// # Errors
    /// When there are endpoints and none is allowed.
    pub fn permit(&self, mut endpoints: Vec<Authority>) -> Result<Vec<Authority>, Denied> {
        let Some(first) = endpoints.first().cloned() else { return Ok(endpoints) };
        let hosts = self.hosts.load();
        let hosts = hosts.as_deref().ok_or(Denied::Unknown)?;
        endpoints.retain(|it| {
            let is_member = hosts.contains(&Host::of(it));
            if !is_member {
                tracing::warn!(endpoint = %it, "prefill endpoint is no pod of the inference pool");
            }
            is_member
        });
        if endpoints.is_empty() { Err(Denied::NoMember { endpoint: first }) } else { Ok(endpoints) }
    }
}
