//! The installation's own definitions: trust that somebody resets, and the CRD itself deleted and restored.

use std::path::Path;

use anyhow::{Context as _, Result};
use llmd_e2e::installation::{Installation, Setup};
use llmd_e2e::process::is_running;
use serde_json::{Value, json};

use super::own::{has_replicas, series, service, start};

const CRD: &str = "crd/llminferenceservices.serving.kserve.io";
/// What carries the CA bundle, and where.
const HOLDERS: [(&str, &str); 5] = [
    (
        "mutatingwebhookconfiguration/llminferenceservice.serving.kserve.io",
        "/webhooks/0/clientConfig/caBundle",
    ),
    (
        "validatingwebhookconfiguration/llminferenceservice.serving.kserve.io",
        "/webhooks/1/clientConfig/caBundle",
    ),
    (
        "validatingwebhookconfiguration/llminferenceserviceconfig.serving.kserve.io",
        "/webhooks/0/clientConfig/caBundle",
    ),
    (CRD, "/spec/conversion/webhook/clientConfig/caBundle"),
    ("crd/llminferenceserviceconfigs.serving.kserve.io", "/spec/conversion/webhook/clientConfig/caBundle"),
];

fn bundles(installation: &Installation) -> Result<Vec<Value>> {
    let read = |(object, path): (&str, &str)| -> Result<Value> {
        let object = installation.cluster.kubectl(&["get", object, "-o", "json"])?;
        let object: Value = serde_json::from_str(&object)?;
        object.pointer(path).cloned().with_context(|| format!("no {path}"))
    };
    HOLDERS.into_iter().map(read).collect()
}

/// A certificate that the API server takes for a bundle, in base64, but not the one that is needed.
fn other_bundle(installation: &Installation) -> Result<String> {
    let file = format!("--from-file=ca.crt={}", installation.cluster.dir().join("ca.crt").display());
    let dry_run = ["--dry-run=client", "-o", "jsonpath={.data.ca\\.crt}"];
    let arguments = ["create", "secret", "generic", "other", &file].into_iter().chain(dry_run);
    installation.cluster.kubectl(&arguments.collect::<Vec<_>>())
}

#[test]
fn trust_that_is_reset_comes_back() -> Result<()> {
    let Some(installation) = start(Setup::default())? else { return Ok(()) };
    let before = bundles(&installation)?;
    let other = other_bundle(&installation)?;
    for (object, path) in HOLDERS {
        let patch = json!([{ "op": "replace", "path": path, "value": other }]).to_string();
        installation.cluster.kubectl(&["patch", object, "--type=json", "-p", &patch])?;
    }
    installation
        .eventually("every bundle is as before", || Ok((bundles(&installation)? == before).then_some(())))?;
    installation.eventually("objects are judged and converted", || installation.webhooks_work().map(Some))
}

#[test]
fn the_crd_may_go_and_come_back() -> Result<()> {
    let Some(installation) = start(Setup::default())? else { return Ok(()) };
    let pid = installation.controller_pid().context("the controller runs")?;
    installation.cluster.apply(&service("before", "replicas: 1"))?;
    has_replicas(&installation, "before", 1)?;
    let watch = || -> Result<Option<f64>> {
        let watches = series(&installation.metrics()?, "llmd_controller_watch_up");
        let of_services = watches.into_iter().find(|(labels, _)| labels.contains("llminferenceservices."));
        Ok(of_services.map(|(_, value)| value))
    };
    assert_eq!(watch()?, Some(1.0));

    // The services go with their CRD, and their finalizers let them.
    installation.cluster.kubectl(&["delete", CRD, "--timeout=60s"])?;
    installation.eventually("the metrics say that services are not seen", || {
        Ok((watch()? == Some(0.0)).then_some(()))
    })?;
    let log = installation.controller()?.log()?;
    assert!(log.contains("watch failed") && log.contains("LLMInferenceService"), "{log}");
    assert_eq!(installation.controller()?.probe("/healthz")?.0, 200);

    let crd = "../charts/llmd-crds/files/full/llminferenceservices.serving.kserve.io.json";
    installation.install_crds(&Path::new(env!("CARGO_MANIFEST_DIR")).join(crd))?;
    installation.eventually("the CRD is served", || installation.register_webhooks().map(Some))?;
    installation.eventually("objects are judged and converted", || installation.webhooks_work().map(Some))?;
    installation.cluster.apply(&service("after", "replicas: 2"))?;
    has_replicas(&installation, "after", 2)?;
    installation
        .eventually("the metrics say that services are seen", || Ok((watch()? == Some(1.0)).then_some(())))?;
    assert_eq!(installation.controller_pid(), Some(pid));
    assert!(is_running(pid), "it is the same process");
    Ok(())
}
