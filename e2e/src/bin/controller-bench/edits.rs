//! How soon an edit of one service among many shows in its Deployment.

use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures_util::TryStreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use serde_json::json;

use crate::load::{name, services};

/// An edit that has no effect by then is a fault.
const DEADLINE: Duration = Duration::from_secs(60);
/// The longest time one watch lasts.
const WATCH_SECONDS: u32 = 290;
/// A prime, to walk through the services in no particular order.
const STRIDE: u32 = 7919;
/// More than any service has before the first edit.
const FIRST_REPLICAS: u32 = 3;

/// How long the edits took from being sent, each list sorted.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    /// Until the API server answered: admission by the controller's webhooks and the write itself.
    pub(crate) answered: Vec<Duration>,
    /// Until the watch event of the Deployment.
    pub(crate) shown: Vec<Duration>,
}

/// Edits `spec.replicas` of `count` services, one at a time.
pub(crate) async fn time(client: &Client, namespace: &str, services_count: u32, count: u32) -> Result<Edits> {
    let api = services(client, namespace);
    let mut edits = Edits::default();
    for edit in 0..count {
        let service = name((edit * STRIDE) % services_count);
        let replicas = FIRST_REPLICAS + edit / services_count;
        let shown = shows(client, namespace, &format!("{service}-kserve"), replicas).await?;
        let patch = json!({ "spec": { "replicas": replicas } });
        let start = Instant::now();
        api.patch(&service, &PatchParams::default(), &Patch::Merge(patch)).await?;
        edits.answered.push(start.elapsed());
        let end = tokio::time::timeout(DEADLINE, shown)
            .await
            .with_context(|| format!("edit of {service}"))???;
        edits.shown.push(end.duration_since(start));
    }
    edits.answered.sort_unstable();
    edits.shown.sort_unstable();
    Ok(edits)
}

/// Begins to watch a Deployment; the task ends with the moment at which it has so many replicas.
async fn shows(
    client: &Client,
    namespace: &str,
    deployment: &str,
    replicas: u32,
) -> Result<tokio::task::JoinHandle<Result<Instant>>> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let field = format!("metadata.name={deployment}");
    let list = api.list_metadata(&ListParams::default().fields(&field)).await?;
    let version = list.metadata.resource_version.context("lists have a version")?;
    Ok(tokio::spawn(async move {
        let params = WatchParams::default().fields(&field).timeout(WATCH_SECONDS);
        let mut events = pin!(api.watch(&params, &version).await?);
        while let Some(event) = events.try_next().await? {
            if let WatchEvent::Added(it) | WatchEvent::Modified(it) = event {
                let found = it.spec.and_then(|it| it.replicas).unwrap_or_default();
                if u32::try_from(found) == Ok(replicas) {
                    return Ok(Instant::now());
                }
            }
        }
        bail!("the watch ended")
    }))
}
