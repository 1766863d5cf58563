//! Many services at once, and the moment when the last of them is done.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _};
use kube::Client;
use kube::api::{Api, DynamicObject, PostParams, WatchEvent, WatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use llmd_e2e::cluster::{Cluster, Write};
use serde_json::{Value, json};

/// Services created at a time: enough that this client is not what is waited for.
const CREATED_AT_A_TIME: usize = 32;
/// The longest time one watch lasts.
const WATCH_SECONDS: u32 = 290;
/// A controller that has not converged by then has a fault, or the machine is too busy to measure.
const DEADLINE: Duration = Duration::from_secs(1800);

/// When what happened, from the first creation on.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) start: Instant,
    /// Until the last service was stored.
    pub(crate) created: Duration,
    /// Until the status of every service was of its spec.
    pub(crate) converged: Duration,
}

pub(crate) fn services(client: &Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("serving.kserve.io", "v1alpha2", "LLMInferenceService");
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind))
}

/// Name of a service by its number.
pub(crate) fn name(number: u32) -> String {
    format!("chat-{number:05}")
}

/// A single node behind a managed route with an endpoint picker.
fn service(number: u32) -> DynamicObject {
    let kind = GroupVersionKind::gvk("serving.kserve.io", "v1alpha2", "LLMInferenceService");
    DynamicObject::new(&name(number), &ApiResource::from_gvk(&kind)).data(json!({ "spec": {
        "model": { "uri": "hf://org/tiny", "name": name(number) },
        "replicas": 2,
        "router": { "route": {}, "gateway": {}, "scheduler": {} },
    } }))
}

/// Creates `count` services and waits until the controller has seen to all of them.
pub(crate) async fn create(client: &Client, namespace: &str, count: u32) -> Result<Load> {
    let api = services(client, namespace);
    let version = api.list_metadata(&kube::api::ListParams::default()).await?.metadata.resource_version;
    let converged =
        tokio::spawn(wait_converged(api.clone(), version.context("lists have a version")?, count));
    let start = Instant::now();
    let params = PostParams::default();
    futures_util::stream::iter(0..count)
        .map(|number| {
            let (api, params) = (&api, &params);
            async move { api.create(params, &service(number)).await.map(drop) }
        })
        .buffer_unordered(CREATED_AT_A_TIME)
        .try_collect::<()>()
        .await?;
    let created = start.elapsed();
    let end = tokio::time::timeout(DEADLINE, converged).await.context("not converged")???;
    Ok(Load { start, created, converged: end.duration_since(start) })
}

/// The moment at which `count` services have a status of their latest spec.
async fn wait_converged(api: Api<DynamicObject>, mut version: String, count: u32) -> Result<Instant> {
    let mut done = HashMap::new();
    loop {
        let params = WatchParams::default().timeout(WATCH_SECONDS);
        let mut events = pin!(api.watch(&params, &version).await?);
        while let Some(event) = events.try_next().await? {
            let object = match event {
                WatchEvent::Added(it) | WatchEvent::Modified(it) => it,
                WatchEvent::Bookmark(it) => {
                    version = it.metadata.resource_version;
                    continue;
                }
                WatchEvent::Deleted(_) => continue,
                WatchEvent::Error(status) => bail!("watch: {}", status.message),
            };
            version = object.metadata.resource_version.clone().unwrap_or_default();
            let is_current =
                object.data["status"]["observedGeneration"].as_i64() == object.metadata.generation;
            done.insert(object.metadata.name.unwrap_or_default(), is_current);
            if done.values().filter(|it| **it).count() == count as usize {
                return Ok(Instant::now());
            }
        }
    }
}

/// Waits until nobody has written for `quiet`; returns when the last write was.
pub(crate) async fn wait_quiet(cluster: &Cluster, quiet: Duration) -> Instant {
    let mut position = cluster.audit_position();
    let mut last = Instant::now();
    while last.elapsed() < quiet {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = cluster.audit_position();
        if now != position {
            (position, last) = (now, Instant::now());
        }
    }
    last
}

/// Names of the children by resource, as the API server's audit log has them.
pub(crate) fn children(writes: &[Write]) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut children: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for write in writes.iter().filter(|it| it.verb == "patch" && it.code < 300) {
        if !write.resource.starts_with("llminferenceservice") && write.resource != "events" {
            children.entry(&write.resource).or_default().insert(&write.name);
        }
    }
    children
}

/// Every service has the same number of each kind of child.
pub(crate) fn check_children(writes: &[Write], count: u32) -> Result<()> {
    let children = children(writes);
    ensure!(children.contains_key("deployments"), "no service has a Deployment");
    for (resource, names) in children {
        let names = names.len();
        ensure!(names % count as usize == 0, "{names} {resource} for {count} services");
    }
    Ok(())
}

/// `value` without what the API server adds to an object.
pub(crate) fn stripped(mut value: Value) -> Value {
    let metadata = value["metadata"].take();
    value["metadata"] = json!({ "labels": metadata["labels"], "annotations": metadata["annotations"] });
    if let Some(object) = value.as_object_mut() {
        object.remove("status");
    }
    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
    }
    value
}
