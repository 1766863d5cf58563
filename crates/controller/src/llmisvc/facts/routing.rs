//! Gateways, routes and peers of the routing group.

/// Objects that requests pass on their way to the service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RoutingFacts {}
