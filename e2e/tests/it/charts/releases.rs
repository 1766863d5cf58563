//! What releases do to a cluster: sizes, owners, upgrades, the end.

use anyhow::{Context as _, Result};
use llmd_e2e::cluster::{Cluster, Level};
use serde_json::Value;

use super::helm::Helm;
use super::{crds_are_served, helm_or_skip};

/// What the data of a Secret may hold, in bytes.
const SECRET_LIMIT: usize = 1_048_576;
/// A service of somebody who trusts in upgrades. The label lets it pass the webhooks, which nobody answers here.
const SERVICE: &str = r#"
apiVersion: serving.kserve.io/v1alpha2
kind: LLMInferenceService
metadata: {name: mine, namespace: llmd-system, labels: {llmd.ai/shipped: "true"}}
spec: {model: {name: m, uri: "hf://org/m"}, replicas: 1}
"#;

/// An API server and a Helm that talks to it; `None`, with a word on why, where this machine has none.
fn begin() -> Result<Option<(Cluster, Helm)>> {
    let Some(helm) = helm_or_skip()? else { return Ok(None) };
    match Cluster::start(Level::ControlPlane)? {
        Ok(cluster) => {
            let helm = helm.in_cluster(&cluster.kubeconfig());
            Ok(Some((cluster, helm)))
        }
        Err(reason) => {
            println!("skipped: {reason}");
            Ok(None)
        }
    }
}

/// Installs the CRDs and waits until they are served.
fn install_crds(cluster: &Cluster, helm: &Helm) -> Result<String> {
    let notes = helm.run(&["install", "llmd-crds", "llmd-crds"])?;
    crds_are_served(cluster)?;
    Ok(notes)
}

fn uid(cluster: &Cluster, namespace: &str, kind: &str, name: &str) -> Result<String> {
    let object = cluster.get(namespace, kind, name)?.with_context(|| format!("{kind} {name} is gone"))?;
    Ok(object["metadata"]["uid"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn upgrades_and_the_end_of_releases_keep_services_pools_presets_and_crds() -> Result<()> {
    let Some((cluster, helm)) = begin()? else { return Ok(()) };
    install_crds(&cluster, &helm)?;
    let in_system = ["--namespace", "llmd-system"];
    let controller = |verb: &'static str, more: &[&'static str]| {
        helm.run(&[&[verb, "ctl", "llmd-controller"], in_system.as_slice(), more].concat())
    };
    controller("install", &["--create-namespace"])?;
    let labels = "router.modelServers.matchLabels.app=x";
    let router = |verb: &'static str, more: &[&'static str]| {
        helm.run(&[&[verb, "qwen", "llmd-router", "--set", labels], in_system.as_slice(), more].concat())
    };
    router("install", &["--set", "router.proxy.proxyType=envoy"])?;
    cluster.apply(SERVICE)?;
    let kept = [
        ("llminferenceservice", "mine"),
        ("inferencepool", "qwen"),
        ("llminferenceserviceconfig", "kserve-config-llm-template"),
        ("crd", "llminferenceservices.serving.kserve.io"),
    ];
    let uids = || -> Result<Vec<String>> {
        kept.iter().map(|(kind, name)| uid(&cluster, "llmd-system", kind, name)).collect()
    };
    let before = uids()?;

    // As a running controller leads the conversion to its own Service, which the release of the CRDs must not undo.
    let service = "/spec/conversion/webhook/clientConfig/service/namespace";
    let patch = format!(r#"[{{"op": "add", "path": "{service}", "value": "llmd-system"}}]"#);
    let crd = "crd/llminferenceservices.serving.kserve.io";
    cluster.kubectl(&["patch", crd, "--field-manager=llmd-controller", "--type=json", "-p", &patch])?;
    helm.run(&["upgrade", "llmd-crds", "llmd-crds", "--set", "variant=slim"])?;
    let definition = cluster.get("default", "crd", "llminferenceservices.serving.kserve.io")?;
    let definition = definition.context("the CRD is gone")?;
    assert_eq!(definition.pointer(service), Some(&Value::from("llmd-system")));
    controller("upgrade", &["--set", "global.profile=production"])?;
    router("upgrade", &["--set", "router.proxy.proxyType=native", "--set", "router.epp.replicas=2"])?;
    assert_eq!(uids()?, before, "an upgrade makes nothing anew");

    helm.run(&["uninstall", "ctl", "--namespace", "llmd-system"])?;
    helm.run(&["uninstall", "llmd-crds"])?;
    assert_eq!(uids()?, before, "services, pools, presets and CRDs outlive the releases");
    assert_eq!(cluster.get("llmd-system", "deployment", "ctl-llmd-controller")?, None);

    helm.run(&["install", "llmd-crds", "llmd-crds"])?;
    controller("install", &[])?;
    assert_eq!(uids()?, before, "a new installation takes over what the old one left");
    Ok(())
}

#[test]
fn a_release_of_the_full_crds_fits_into_its_secret() -> Result<()> {
    let Some((cluster, helm)) = begin()? else { return Ok(()) };
    install_crds(&cluster, &helm)?;
    let secret = cluster.get("default", "secret", "sh.helm.release.v1.llmd-crds.v1")?;
    let secret = secret.context("Helm keeps its release in a Secret")?;
    // Base64 of what counts, four letters for three bytes.
    let text = secret["data"]["release"].as_str().context("a release has data")?;
    let size = text.len() / 4 * 3;
    println!("the release takes {size} of {SECRET_LIMIT} bytes");
    assert!(size < SECRET_LIMIT * 3 / 4, "{size} bytes leave no room for the next version");
    Ok(())
}

#[test]
fn definitions_of_another_owner_stay_as_they_are() -> Result<()> {
    let Some((cluster, helm)) = begin()? else { return Ok(()) };
    let theirs = super::root().join("charts/llmd-crds/files/inference/inferenceobjectives.llm-d.ai.yaml");
    cluster.kubectl(&["apply", "--server-side", "-f", &theirs.display().to_string()])?;
    let notes = install_crds(&cluster, &helm)?;
    let left = "inferenceobjectives.llm-d.ai: left as it is, owned by somebody who does not use Helm";
    assert!(notes.contains(left), "{notes}");
    assert!(notes.contains("inferencepools.inference.networking.k8s.io: installed"), "{notes}");
    let annotations = |name: &str| -> Result<Value> {
        let crd = cluster.get("default", "crd", name)?.context("the CRD is gone")?;
        Ok(crd["metadata"]["annotations"].clone())
    };
    assert_eq!(annotations("inferenceobjectives.llm-d.ai")?, Value::Null);
    assert_eq!(annotations("inferencemodelrewrites.llm-d.ai")?["helm.sh/resource-policy"], "keep");

    let newer = [
        "annotate",
        "--overwrite",
        "crd",
        "inferencemodelrewrites.llm-d.ai",
        "llmd.ai/bundle-version=99.0.0",
    ];
    cluster.kubectl(&newer)?;
    let notes = helm.run(&["upgrade", "llmd-crds", "llmd-crds"])?;
    assert!(notes.contains("already at the newer version 99.0.0"), "{notes}");
    assert_eq!(annotations("inferencemodelrewrites.llm-d.ai")?["llmd.ai/bundle-version"], "99.0.0");
    Ok(())
}

#[test]
fn a_second_controller_is_refused_and_told_who_is_first() -> Result<()> {
    let Some((cluster, helm)) = begin()? else { return Ok(()) };
    install_crds(&cluster, &helm)?;
    helm.run(&["install", "first", "llmd-controller", "--namespace", "one", "--create-namespace"])?;
    let second =
        helm.run(&["install", "second", "llmd-controller", "--namespace", "two", "--create-namespace"]);
    let error = format!("{:#}", second.expect_err("one controller serves a cluster"));
    assert!(error.contains("served by the release one/first already"), "{error}");
    Ok(())
}

#[test]
fn routers_of_one_name_in_two_namespaces_do_not_touch() -> Result<()> {
    let Some((cluster, helm)) = begin()? else { return Ok(()) };
    install_crds(&cluster, &helm)?;
    let install = |namespace: &'static str| {
        let labels = "router.modelServers.matchLabels.app=x";
        helm.run(&[
            "install",
            "qwen",
            "llmd-router",
            "--namespace",
            namespace,
            "--create-namespace",
            "--set",
            labels,
        ])
    };
    install("one")?;
    let role = uid(&cluster, "one", "clusterrole", "one.qwen-epp")?;
    install("two")?;
    assert_eq!(uid(&cluster, "one", "clusterrole", "one.qwen-epp")?, role);
    helm.run(&["uninstall", "qwen", "--namespace", "two"])?;
    assert_eq!(cluster.get("two", "clusterrole", "two.qwen-epp")?, None);
    assert_eq!(uid(&cluster, "one", "clusterrole", "one.qwen-epp")?, role);
    uid(&cluster, "one", "inferencepool", "qwen")?;
    Ok(())
}
