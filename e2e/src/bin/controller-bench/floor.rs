//! What the API server alone needs: a client that does nothing but apply the same objects, as many at a time as the
//! controller reconciles services.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, TypeMeta};
use llmd_e2e::cluster::{Cluster, Write};
use serde_json::Value;

use crate::load::{children, name, stripped};

/// Copies of one service's objects that are applied.
const COPIES: u32 = 200;
/// Services that the controller works on at a time unless `--max-concurrent-reconciles` says otherwise.
pub(crate) const AT_A_TIME: usize = 8;
const NAMESPACE: &str = "floor";

/// The plain client's account.
#[derive(Debug)]
pub(crate) struct Floor {
    pub(crate) copies: u32,
    /// Objects of one service.
    pub(crate) objects: usize,
    pub(crate) took: Duration,
}

impl Floor {
    /// Time of one write, with as many at a time as the controller has.
    pub(crate) fn per_write(&self) -> Duration {
        self.took / (self.copies * u32::try_from(self.objects).unwrap_or(u32::MAX))
    }
}

/// Applies the objects of the first service again and again under other names in a scratch namespace.
pub(crate) async fn measure(
    client: &Client,
    cluster: &Cluster,
    namespace: &str,
    writes: &[Write],
) -> Result<Floor> {
    let kinds = children(writes).into_keys().collect::<Vec<_>>().join(",");
    let selector = format!("app.kubernetes.io/name={}", name(0));
    let list = cluster.kubectl(&["-n", namespace, "get", &kinds, "-l", &selector, "-o", "json"])?;
    let list: Value = serde_json::from_str(&list)?;
    let objects = list["items"].as_array().context("a list has items")?;
    cluster.kubectl(&["create", "namespace", NAMESPACE])?;

    let start = Instant::now();
    futures_util::stream::iter(0..COPIES)
        .map(|copy| apply_all(client, objects, copy))
        .buffer_unordered(AT_A_TIME)
        .try_collect::<()>()
        .await?;
    Ok(Floor { copies: COPIES, objects: objects.len(), took: start.elapsed() })
}

/// One service's objects, one after the other.
async fn apply_all(client: &Client, objects: &[Value], copy: u32) -> Result<()> {
    for object in objects {
        let types: TypeMeta = serde_json::from_value(object.clone())?;
        let resource = ApiResource::from_gvk(&(&types).try_into()?);
        let is_namespaced = object["metadata"]["namespace"].is_string();
        let api: Api<DynamicObject> = if is_namespaced {
            Api::namespaced_with(client.clone(), NAMESPACE, &resource)
        } else {
            Api::all_with(client.clone(), &resource)
        };
        let original = object["metadata"]["name"].as_str().context("an object has a name")?;
        let name = original.replace(&name(0), &format!("copy-{copy:05}"));
        let mut body = stripped(object.clone());
        body["metadata"]["name"] = name.clone().into();
        let params = PatchParams::apply("floor").force();
        api.patch(&name, &params, &Patch::Apply(&body)).await.with_context(|| format!("apply {name}"))?;
    }
    Ok(())
}
