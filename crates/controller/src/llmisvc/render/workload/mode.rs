//! How a service runs its model, in one word.

use std::fmt;

use super::Workload;
use crate::llmisvc::service::Service;

/// The topology of a service. Displays as `single`, `disaggregated`, `multi-node` or `disaggregated+multi-node`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// Prefill runs on pods of its own.
    pub disaggregated: bool,
    /// At least one workload is made of groups of pods.
    pub multi_node: bool,
}

impl Mode {
    /// The topology that the service's spec asks for.
    #[must_use]
    pub fn of(service: &Service) -> Self {
        Self {
            disaggregated: service.is_disaggregated(),
            multi_node: Workload::all(service).any(|it| it.is_multi_node()),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.disaggregated, self.multi_node) {
            (false, false) => "single",
            (true, false) => "disaggregated",
            (false, true) => "multi-node",
            (true, true) => "disaggregated+multi-node",
        })
    }
}
