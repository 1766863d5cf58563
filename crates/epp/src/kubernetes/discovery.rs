//! Pool and pods to endpoints.
//!
//! [`Discovery`] is what is known, a pure state machine; [`follow`] feeds it from the watches of the pool and of the
//! pods that the pool selects, and hands endpoints to the [`Datastore`]. When the pool's selector changes, the old
//! pods serve until the new ones are listed.

use std::sync::Arc;

use k8s_openapi::api::core::v1;
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::core::ApiResource;
use kube::runtime::watcher;
use llmd_common::kubernetes::watch::{Seen, Watch};
use llmd_common::ready::Condition;
use tokio_util::sync::CancellationToken;

use super::listing::Listing;
use super::pod::{self, Pod, PodObject};
use super::pool::{self, Pool, PoolApi};
use super::{Kubernetes, Scope};
use crate::datastore::{Datastore, EndpointSpec};

/// What is known of pool and pods.
#[derive(Debug)]
pub struct Discovery {
    namespace: String,
    source: Source,
    pods: Listing<Pod>,
    /// Why the pods cannot be listed.
    pods_failure: Option<String>,
}

#[derive(Debug)]
enum Source {
    /// The pool as it is in the cluster.
    Object { name: String, api: PoolApi, pools: Listing<Pool>, failure: Option<String> },
    /// A pool that flags describe.
    Fixed(Pool),
}

impl Source {
    fn take(&mut self, seen: Seen<DynamicObject>) -> bool {
        let Self::Object { api, pools, failure, .. } = self else { return false };
        match seen {
            Seen::Event(event) => failure.take().is_some() | pools.take(event, |it| pool::reduce(*api, it)),
            Seen::NotServed => {
                *failure = Some(format!("the API server does not serve InferencePools of {}", api.group()));
                pools.forget();
                true
            }
            Seen::Failed(message) => {
                *failure = Some(message);
                true
            }
        }
    }
}

impl Discovery {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(scope: &Scope, namespace: &str) -> Self {
        let source = match scope {
            Scope::Pool { name, api } => {
                Source::Object { name: name.clone(), api: *api, pools: Listing::default(), failure: None }
            }
            Scope::Selector { selector, ports } => {
                Source::Fixed(Pool { selector: selector.clone(), ports: ports.clone(), is_h2c: false })
            }
        };
        Self { namespace: namespace.to_owned(), source, pods: Listing::default(), pods_failure: None }
    }

    /// Takes what the watch of the pool saw. Whether endpoints or readiness may have changed.
    pub fn take_pool(&mut self, seen: Seen<DynamicObject>) -> bool {
        let is_news = self.source.take(seen);
        if self.selector().is_none() {
            self.pods.forget();
        }
        is_news
    }

    /// Takes what the watch of the pods saw. Whether endpoints or readiness may have changed.
    pub fn take_pod(&mut self, seen: Seen<PodObject>) -> bool {
        match seen {
            Seen::Event(event) => self.pods_failure.take().is_some() | self.pods.take(event, pod::reduce),
            Seen::NotServed => false,
            Seen::Failed(message) => {
                self.pods_failure = Some(message);
                true
            }
        }
    }

    /// The pool, if there is one.
    #[must_use]
    pub fn pool(&self) -> Option<&Pool> {
        match &self.source {
            Source::Object { name, pools, .. } => pools.objects().get(name),
            Source::Fixed(pool) => Some(pool),
        }
    }

    /// The label selector of the pods to watch; `None` without a pool, and for a pool that selects none.
    #[must_use]
    pub fn selector(&self) -> Option<&str> {
        self.pool().map(|it| it.selector.as_str()).filter(|it| !it.is_empty())
    }

    /// The endpoints, in the order of the pods' names.
    #[must_use]
    pub fn endpoints(&self) -> Vec<EndpointSpec> {
        let Some(pool) = self.pool() else { return Vec::new() };
        let pods = self.pods.objects().iter();
        pods.flat_map(|(name, pod)| pod.endpoints(name, &self.namespace, &pool.ports)).collect()
    }

    /// Why requests cannot be served as the cluster wants them to be; `None` when they can. What was known once counts
    /// for as long as the API server is away.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let Some(pool) = self.pool() else { return Some(self.missing_pool()) };
        if pool.is_h2c {
            return Some(
                "the pool's appProtocol is kubernetes.io/h2c, and the parsers read HTTP/1.1".to_owned(),
            );
        }
        if pool.selector.is_empty() {
            return Some("the pool's selector is empty, which selects no pod".to_owned());
        }
        if self.pods.is_complete() {
            return None;
        }
        Some(self.pods_failure.clone().unwrap_or_else(|| "the pods are being listed".to_owned()))
    }

    fn missing_pool(&self) -> String {
        match &self.source {
            Source::Object { failure: Some(failure), .. } => failure.clone(),
            Source::Object { name, api, pools, .. } if pools.is_complete() => {
                format!("there is no InferencePool {}/{name} of {}", self.namespace, api.group())
            }
            _ => "the pool is being read".to_owned(),
        }
    }
}

/// Keeps `store` and `condition` as the cluster says until `stop`.
pub async fn follow(
    client: Client,
    kubernetes: Kubernetes,
    mut discovery: Discovery,
    store: Arc<Datastore>,
    condition: Condition,
    stop: CancellationToken,
) {
    let mut pool = watch_pool(&client, &kubernetes);
    let mut pods = Watch::nothing();
    let mut selector: Option<String> = None;
    let mut is_news = true;
    loop {
        if selector.as_deref() != discovery.selector() {
            selector = discovery.selector().map(str::to_owned);
            pods = watch_pods(&client, &kubernetes.namespace, selector.as_deref());
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            seen = pool.next() => is_news |= discovery.take_pool(seen),
            seen = pods.next() => is_news |= discovery.take_pod(seen),
            // Only when no watch has more to say, so that a burst of events is one change.
            () = std::future::ready(()), if is_news => {
                is_news = false;
                publish(&discovery, &store, &condition);
            }
        }
    }
}

fn publish(discovery: &Discovery, store: &Datastore, condition: &Condition) {
    let endpoints = discovery.endpoints();
    let is_changed = {
        let known = store.endpoints();
        !known.iter().map(|it| &it.spec).eq(&endpoints)
    };
    if is_changed {
        tracing::info!(endpoints = endpoints.len(), "endpoints changed");
        store.replace(endpoints);
    }
    match discovery.missing() {
        None => condition.ready(),
        Some(reason) => condition.not_ready(&reason),
    }
}

fn watch_pool(client: &Client, kubernetes: &Kubernetes) -> Watch<DynamicObject> {
    let Scope::Pool { name, api } = &kubernetes.scope else { return Watch::nothing() };
    let objects = Api::namespaced_with(client.clone(), &kubernetes.namespace, &api.resource());
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    Watch::new(format!("InferencePool {}/{name}", kubernetes.namespace), objects, config)
}

/// Without a selector there is nothing to watch, and no pod is the pool's.
fn watch_pods(client: &Client, namespace: &str, selector: Option<&str>) -> Watch<PodObject> {
    let Some(selector) = selector else { return Watch::nothing() };
    let resource = ApiResource::erase::<v1::Pod>(&());
    let pods = Api::namespaced_with(client.clone(), namespace, &resource);
    let config = watcher::Config::default().labels(selector);
    Watch::new(format!("pods {selector} in {namespace}"), pods, config)
}

#[cfg(test)]
mod tests;
