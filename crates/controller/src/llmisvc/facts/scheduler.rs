//! The endpoint picker's configuration when a ConfigMap holds it.

/// Objects that the scheduler section names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchedulerFacts {}
