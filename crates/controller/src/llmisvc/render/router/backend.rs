//! Backends of a route: pools and Services, and which of them belong to the service.

use llmd_api::gateway::BackendObjectReference;

use crate::children::ChildKind;
use crate::llmisvc::facts::routing::pool_reference;
use crate::llmisvc::service::Service;

/// The port of pools and workload Services, fixed by contract.
pub const PORT: i32 = 8000;

/// What a backend reference points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendKind {
    Pool,
    Service,
    Other,
}

/// The kind of object behind `backend`.
#[must_use]
pub fn kind_of(backend: &BackendObjectReference) -> BackendKind {
    let group = backend.group.as_deref().unwrap_or_default();
    match backend.kind.as_deref().unwrap_or("Service") {
        "Service" if group.is_empty() => BackendKind::Service,
        "InferencePool" => BackendKind::Pool,
        _ => BackendKind::Other,
    }
}

/// Whether the controller decides what this backend of the managed route is: the service's pool, be it managed
/// or given, or its workload Service.
#[must_use]
pub fn is_own(service: &Service, backend: &BackendObjectReference) -> bool {
    match kind_of(backend) {
        BackendKind::Pool => {
            let given = pool_reference(&service.spec).is_some_and(|it| it == backend.name);
            given || is_managed_pool(service, backend)
        }
        BackendKind::Service => backend.name == service.names().workload_service(),
        BackendKind::Other => false,
    }
}

/// Whether `backend` is the pool that the controller makes for this service.
#[must_use]
pub fn is_managed_pool(service: &Service, backend: &BackendObjectReference) -> bool {
    kind_of(backend) == BackendKind::Pool && backend.name == service.names().pool()
}

/// A pool of the API group of `kind`.
#[must_use]
pub fn pool(kind: ChildKind, name: impl Into<String>) -> BackendObjectReference {
    BackendObjectReference {
        group: Some(kind.group().to_owned()),
        kind: Some("InferencePool".to_owned()),
        name: name.into(),
        namespace: None,
        port: Some(PORT),
    }
}

/// A workload Service.
#[must_use]
pub fn workload_service(name: impl Into<String>) -> BackendObjectReference {
    BackendObjectReference {
        group: Some(String::new()),
        kind: Some("Service".to_owned()),
        name: name.into(),
        namespace: None,
        port: Some(PORT),
    }
}
