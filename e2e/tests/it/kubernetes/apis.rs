//! CRDs of other projects that come late and go: the services that need them say so, and wake.

use anyhow::Result;
use llmd_e2e::installation::{Installation, SYSTEM_NAMESPACE, Setup};

use super::own::{has_condition, says, service, start};

const GROUPS_OF_PODS: &str = "leaderworkerset.x-k8s.io_leaderworkersets.yaml";
const KEDA: &str = "keda.sh_scaledobjects.yaml";
const GATEWAYS: [&str; 2] =
    ["gateway.networking.k8s.io_gateways.yaml", "gateway.networking.k8s.io_gatewayclasses.yaml"];

fn install(installation: &Installation, crds: &[&str]) -> Result<()> {
    let folder = llmd_e2e::args::kubernetes_programs()?.with_file_name("crds");
    crds.iter().try_for_each(|it| installation.install_crds(&folder.join(it)))?;
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
    installation.eventually("the CRDs are served", || installation.cluster.kubectl(&wait).map(Some)).map(drop)
}

#[test]
fn an_api_that_comes_late_is_used_without_a_restart() -> Result<()> {
    let Some(installation) = start(Setup { without_crds: &[GROUPS_OF_PODS, KEDA], ..Setup::default() })?
    else {
        return Ok(());
    };
    let wide = service("wide", "parallelism: {data: 4, dataLocal: 2}, worker: {containers: []}");
    let trigger =
        "{type: cron, metadata: {timezone: UTC, start: 0 8 * * *, end: 0 18 * * *, desiredReplicas: '2'}}";
    let scaled = service("scaled", &format!("scaling: {{maxReplicas: 2, keda: {{triggers: [{trigger}]}}}}"));
    installation.cluster.apply(&(wide + &scaled))?;
    says(&installation, "wide", "WorkerWorkloadReady", "install leaderworkerset.x-k8s.io")?;
    says(&installation, "scaled", "MainWorkloadReady", "install KEDA")?;
    install(&installation, &[GROUPS_OF_PODS, KEDA])?;
    for (kind, service) in [("leaderworkersets", "wide"), ("scaledobjects", "scaled")] {
        installation.eventually(&format!("{service} has its {kind}"), || {
            let objects = installation.cluster.kubectl(&["get", kind, "-o", "name"])?;
            Ok(objects.contains(service).then_some(()))
        })?;
    }
    Ok(())
}

#[test]
fn gateways_may_come_late_and_go() -> Result<()> {
    let Some(installation) = start(Setup { without_crds: &GATEWAYS, ..Setup::default() })? else {
        return Ok(());
    };
    let gateway = format!("{SYSTEM_NAMESPACE}/kserve-ingress-gateway does not exist");
    let refs = format!("[{{name: kserve-ingress-gateway, namespace: {SYSTEM_NAMESPACE}}}]");
    installation
        .cluster
        .apply(&service("routed", &format!("router: {{route: {{}}, gateway: {{refs: {refs}}}}}")))?;
    says(&installation, "routed", "GatewaysReady", &gateway)?;
    for _ in 0..2 {
        install(&installation, &GATEWAYS)?;
        installation.install_gateway()?;
        has_condition(&installation, "routed", "GatewaysReady", "True")?;
        for kind in ["gateways", "gatewayclasses"] {
            let crd = format!("crd/{kind}.gateway.networking.k8s.io");
            installation.cluster.kubectl(&["delete", &crd, "--timeout=60s"])?;
        }
        says(&installation, "routed", "GatewaysReady", &gateway)?;
    }
    Ok(())
}
