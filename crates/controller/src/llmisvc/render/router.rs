//! The managed HTTPRoute: what presets and the user wrote, made to fit the models, the gateways and the group.
//!
//! A service that names routes of its own gets none. Gateways and Ingresses are never made.

use kube::core::ObjectMeta;
use llmd_api::gateway::{HTTPRoute, HttpRouteSpec};
use llmd_api::meta;
use llmd_api::serving::v1alpha2::{HttpRouteChoice, RouteSpec, SchedulerSpec};

use crate::children::{Child, ChildKind};
use crate::llmisvc::service::Service;

pub mod backend;
pub mod check;
pub mod group;
pub mod model_routing;
pub mod models;
pub mod pool_migration;

/// The objects of this part.
#[must_use]
pub fn render(service: &Service) -> Vec<Child> {
    managed_spec(service).map(|spec| managed_route(service, spec)).into_iter().collect()
}

/// The section `router.route`.
#[must_use]
pub fn route(service: &Service) -> Option<&RouteSpec> {
    service.spec.router.as_ref()?.route.as_ref()
}

/// The section `router.route.http`.
#[must_use]
pub fn http(service: &Service) -> Option<&HttpRouteChoice> {
    route(service)?.http.as_ref()
}

/// The section `router.scheduler`.
#[must_use]
pub fn scheduler(service: &Service) -> Option<&SchedulerSpec> {
    service.spec.router.as_ref()?.scheduler.as_ref()
}

/// The managed route's spec as it is applied; `None` when the service has no route or names its own.
#[must_use]
pub fn managed_spec(service: &Service) -> Option<HttpRouteSpec> {
    let http = http(service).filter(|it| it.refs.is_empty())?;
    let mut spec = http.spec.clone()?;
    model_routing::apply(service, &mut spec);
    pool_migration::apply(service, &mut spec);
    group::apply(service, &mut spec);
    Some(spec)
}

fn managed_route(service: &Service, spec: HttpRouteSpec) -> Child {
    let mut labels = service.child_labels(meta::component::ROUTER);
    let group = route(service).and_then(|it| it.group.clone());
    labels.extend(group.map(|it| (meta::ROUTING_GROUP.to_owned(), it)));
    let migrated = pool_migration::is_migrated(service);
    let route = HTTPRoute {
        metadata: ObjectMeta {
            annotations: migrated.then(|| [(meta::POOL_MIGRATED.to_owned(), "v1".to_owned())].into()),
            ..service.child_meta(service.names().route(), labels)
        },
        spec,
        status: None,
    };
    Child::new(ChildKind::HttpRoute, &route)
}

#[cfg(test)]
mod tests;
