//! Whether a real API server takes what the charts render, and its pods in a namespace of the strictest level.

use anyhow::{Context as _, Result};
use llmd_e2e::cluster::{Cluster, Level};
use llmd_e2e::installation::{FOREIGN_CRDS, foreign_crds};
use serde_json::{Value, json};

use super::{Case, NAMESPACE, crds_are_served, helm_or_skip, kind, name, root};

/// Kinds whose CRDs the cluster does not have.
const UNKNOWN: [&str; 3] = ["DestinationRule", "PodMonitoring", "PrometheusRule"];
/// A namespace that takes pods of the level `restricted` only.
const STRICT: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: strict, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: strict}
"#;

#[test]
fn a_real_api_server_takes_every_case_and_its_pods_are_restricted() -> Result<()> {
    let Some(helm) = helm_or_skip()? else { return Ok(()) };
    let cluster = match cluster_with_crds()? {
        Ok(cluster) => cluster,
        Err(reason) => {
            println!("skipped: {reason}");
            return Ok(());
        }
    };
    cluster.kubectl(&["create", "namespace", NAMESPACE])?;
    cluster.apply(STRICT)?;
    for case in Case::all()? {
        let objects = case.objects(&helm)?;
        let known: Vec<&Value> = objects.iter().filter(|it| !UNKNOWN.contains(&kind(it))).collect();
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": known });
        let dry_run = ["apply", "--server-side", "--dry-run=server", "-f", "-"];
        let what = || format!("{} {}", case.chart, case.name);
        cluster.kubectl_with_input(&dry_run, &list.to_string()).with_context(what)?;
        if case.is_peer() {
            continue;
        }
        let values = case.values.display().to_string();
        let tests = helm.tests(&case.chart, &["--values", &values])?;
        for pod in objects.iter().chain(&tests).filter_map(pod) {
            let create = ["create", "--dry-run=server", "-f", "-"];
            cluster.kubectl_with_input(&create, &pod.to_string()).with_context(what)?;
        }
    }
    Ok(())
}

/// The pod that an object is or makes, in the strict namespace and with an account that is there.
fn pod(object: &Value) -> Option<Value> {
    let template = match kind(object) {
        "Pod" => object,
        "Deployment" => &object["spec"]["template"],
        _ => return None,
    };
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name(object), "namespace": "strict" },
        "spec": template["spec"],
    });
    pod["spec"]["serviceAccountName"] = "default".into();
    Some(pod)
}

/// A cluster with our CRDs and those of other projects, or why there is none.
fn cluster_with_crds() -> Result<Result<Cluster, String>> {
    let cluster = match Cluster::start(Level::ControlPlane)? {
        Ok(cluster) => cluster,
        Err(reason) => return Ok(Err(reason)),
    };
    let crds = root().join("charts/llmd-crds/files");
    let ours = ["full", "inference"].map(|it| crds.join(it));
    let foreign = FOREIGN_CRDS.iter().filter(|it| !it.contains("inferencepools"));
    let foreign = foreign.map(|it| Ok(foreign_crds()?.join(it))).collect::<Result<Vec<_>>>()?;
    if let Some(missing) = foreign.iter().find(|it| !it.exists()) {
        return Ok(Err(format!("no {}: `cargo xtask k8s` fetches it", missing.display())));
    }
    for path in ours.iter().chain(&foreign) {
        let path = path.display().to_string();
        cluster.kubectl(&["apply", "--server-side", "-f", &path])?;
    }
    crds_are_served(&cluster)?;
    Ok(Ok(cluster))
}
