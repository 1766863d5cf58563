//! PodMonitor and ServiceMonitor, where the installation wants them.

use crate::children::Child;
use crate::llmisvc::service::Service;

/// The objects of this part.
#[must_use]
pub fn render(_service: &Service) -> Vec<Child> {
    Vec::new()
}
