//! Kinds of which users have objects beside those of services: routes and pools. Each object is held once: as the record
//! of a service's child, or whole when it is a user's own.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use llmd_api::gateway::HTTPRoute;
use llmd_api::inference::{pool_v1, pool_v1alpha2};
use serde_json::Value;

use super::Sink;
use super::children::Children;
use super::services::key_of;
use crate::children::ChildKind;
use crate::context::Caches;
use crate::index::{Key, Reference};
use crate::live::convert::service_of;
use crate::live::{LiveChild, LiveDetail};

/// Sends the objects of services to one cache and all others to another.
pub struct Divided<O> {
    caches: Caches,
    children: Children,
    others: O,
    reference: fn(Key) -> Reference,
}

impl<O> std::fmt::Debug for Divided<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Divided").field("children", &self.children).finish_non_exhaustive()
    }
}

impl<O: Sink> Divided<O> {
    /// Objects of `kind` that belong to no service go to `others`. Changes wake the services that refer to an object,
    /// whosever it is.
    pub fn new(kind: ChildKind, caches: &Caches, others: O, reference: fn(Key) -> Reference) -> Self {
        Self { caches: caches.clone(), children: Children::new(kind, caches.clone()), others, reference }
    }

    /// Labels may move an object from one cache to the other, so the other one forgets it.
    fn divide(&mut self, object: DynamicObject, event: fn(DynamicObject) -> Event<DynamicObject>) {
        let (bare, key) = (bare(&object), key_of(&object));
        if service_of(&object.metadata).is_some() {
            self.others.take(Event::Delete(bare));
            self.children.take(event(object));
        } else {
            self.children.take(Event::Delete(bare));
            self.others.take(event(object));
        }
        self.caches.wake(&(self.reference)(key));
    }
}

impl<O: Sink> Sink for Divided<O> {
    fn take(&mut self, event: Event<DynamicObject>) {
        match event {
            Event::Apply(it) => self.divide(it, Event::Apply),
            Event::InitApply(it) => self.divide(it, Event::InitApply),
            Event::Delete(it) => self.divide(it, Event::Delete),
            Event::Init => {
                self.children.take(Event::Init);
                self.others.take(Event::Init);
            }
            Event::InitDone => {
                self.children.take(Event::InitDone);
                self.others.take(Event::InitDone);
            }
        }
    }
}

/// The object's place and version.
fn bare(object: &DynamicObject) -> DynamicObject {
    let ObjectMeta { name, namespace, resource_version, .. } = &object.metadata;
    let metadata = ObjectMeta {
        name: name.clone(),
        namespace: namespace.clone(),
        resource_version: resource_version.clone(),
        ..ObjectMeta::default()
    };
    DynamicObject { types: None, metadata, data: Value::Null }
}

/// The route `key`, whosever it is.
#[must_use]
pub fn route(caches: &Caches, key: &Key) -> Option<Arc<HTTPRoute>> {
    caches.routes.get(key).or_else(|| {
        let child = child(caches, ChildKind::HttpRoute, key)?;
        let LiveDetail::HttpRoute(route) = &child.detail else { return None };
        let (spec, status) = (route.spec.clone(), Some(route.status.clone()));
        Some(Arc::new(HTTPRoute { metadata: metadata(&child), spec, status }))
    })
}

/// The pool `key`, whosever it is; of a service's without the spec, which the service decides.
#[must_use]
pub fn pool_v1(caches: &Caches, key: &Key) -> Option<Arc<pool_v1::InferencePool>> {
    caches.pools.get(key).or_else(|| {
        let child = child(caches, ChildKind::InferencePool, key)?;
        let LiveDetail::InferencePool(status) = &child.detail else { return None };
        let spec = pool_v1::InferencePoolSpec::default();
        Some(Arc::new(pool_v1::InferencePool {
            metadata: metadata(&child),
            spec,
            status: Some((**status).clone()),
        }))
    })
}

/// As [`pool_v1`], in the older API group.
#[must_use]
pub fn pool_v1alpha2(caches: &Caches, key: &Key) -> Option<Arc<pool_v1alpha2::InferencePool>> {
    caches.pools_v1alpha2.get(key).or_else(|| {
        let child = child(caches, ChildKind::InferencePoolV1Alpha2, key)?;
        let LiveDetail::InferencePoolV1Alpha2(status) = &child.detail else { return None };
        let spec = pool_v1alpha2::InferencePoolSpec::default();
        Some(Arc::new(pool_v1alpha2::InferencePool {
            metadata: metadata(&child),
            spec,
            status: Some((**status).clone()),
        }))
    })
}

fn child(caches: &Caches, kind: ChildKind, key: &Key) -> Option<Arc<LiveChild>> {
    caches.live.at(&(kind, key.namespace.clone(), key.name.clone()))
}

/// What references to a service's object are judged by.
fn metadata(child: &LiveChild) -> ObjectMeta {
    ObjectMeta {
        name: Some(child.name.clone()),
        namespace: child.namespace.clone(),
        generation: Some(child.generation),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests;
