//! What an endpoint picker counts, read with the right that its metrics ask for.

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::Method;
use llmd_e2e::metrics;

use crate::world::{Reach, World};

/// Role, binding and account of the reader.
const READER: &str = "llmd-e2e-metrics-reader";
const METRIC: &str = "llm_d_epp_request_total";

/// How many requests the service's endpoint picker takes while something happens.
pub(super) fn during(world: &World, namespace: &str, happens: impl FnOnce() -> Result<()>) -> Result<f64> {
    let counted = counted(world, namespace, happens);
    for kind in ["clusterrolebinding", "clusterrole"] {
        world.kubectl().run(&["delete", kind, READER, "--ignore-not-found"])?;
    }
    counted
}

fn counted(world: &World, namespace: &str, happens: impl FnOnce() -> Result<()>) -> Result<f64> {
    let (kubectl, account) = (world.kubectl(), format!("{namespace}:{READER}"));
    kubectl.run(&["-n", namespace, "create", "serviceaccount", READER])?;
    kubectl.run(&["create", "clusterrole", READER, "--verb=get", "--non-resource-url=/metrics"])?;
    let (role, subject) = (format!("--clusterrole={READER}"), format!("--serviceaccount={account}"));
    kubectl.run(&["create", "clusterrolebinding", READER, &role, &subject])?;
    let token = kubectl.run(&["-n", namespace, "create", "token", READER])?;
    let metrics = world.reach(namespace, "tiny-epp-service", 9090)?;
    let before = requests(world, &metrics, token.trim())?;
    happens()?;
    Ok(requests(world, &metrics, token.trim())? - before)
}

fn requests(world: &World, metrics: &Reach, token: &str) -> Result<f64> {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let reply = metrics.client().send(Method::GET, "/metrics", &headers, Bytes::new());
    let reply = world.block_on(reply)?;
    ensure!(reply.status == 200, "metrics are answered {}: {}", reply.status, reply.text());
    Ok(metrics::total(&reply.text(), METRIC, ""))
}
