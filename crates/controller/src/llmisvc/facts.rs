//! What a service's objects depend on besides its spec: other objects of the cluster, as values.
//!
//! Each part is gathered by the file of its name, from the caches where there is one, otherwise by a request.

use crate::apis::Apis;
use crate::live::LiveChildren;

pub mod accounts;
pub mod certificate;
pub mod routing;
pub mod scheduler;
pub mod storage;

/// Values from the cluster. Empty when rendered offline.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    pub apis: Apis,
    pub live: LiveChildren,
    pub accounts: accounts::AccountFacts,
    pub certificate: certificate::CertificateFacts,
    pub storage: storage::StorageFacts,
    pub scheduler: scheduler::SchedulerFacts,
    pub routing: routing::RoutingFacts,
}
