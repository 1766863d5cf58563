//! What the controller outlives: its own crash, the API server's, settings that cannot be read, APIs that come late.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use llmd_e2e::cluster::Level;
use llmd_e2e::installation::{Installation, SYSTEM_NAMESPACE, Without};
use llmd_e2e::process::{is_running, terminate};
use llmd_e2e::stack::program;
use serde_json::Value;

const N_SERVICES: usize = 20;
/// Reconciles end quickly; a pod's grace period is 30 s.
const END_DEADLINE: Duration = Duration::from_secs(10);

fn start(without: Without<'_>) -> Result<Option<Installation>> {
    match Installation::start(Level::ControlPlane, without)? {
        Ok(installation) => Ok(Some(installation)),
        Err(reason) => {
            println!("skipped: {reason}");
            Ok(None)
        }
    }
}

fn service(name: &str, rest: &str) -> String {
    format!(
        "---\napiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceService\nmetadata: {{name: {name}}}\n\
         spec: {{model: {{uri: 'hf://org/{name}', name: {name}}}, {rest}}}\n"
    )
}

fn deployment(installation: &Installation, service: &str) -> Result<Option<Value>> {
    installation.cluster.get("default", "deployment", &format!("{service}-kserve"))
}

fn has_replicas(installation: &Installation, service: &str, replicas: u32) -> Result<()> {
    installation.eventually(&format!("{service} has {replicas} replicas"), || {
        let deployment = deployment(installation, service)?;
        Ok(deployment.filter(|it| it["spec"]["replicas"] == replicas).map(drop))
    })
}

fn condition(installation: &Installation, service: &str, type_: &str) -> Result<Option<Value>> {
    let service = installation.cluster.get("default", "llmisvc", service)?.context("no such service")?;
    let conditions = service["status"]["conditions"].as_array().cloned().unwrap_or_default();
    Ok(conditions.into_iter().find(|it| it["type"] == type_))
}

#[test]
fn a_crash_loses_and_doubles_nothing_and_an_end_is_clean() -> Result<()> {
    let Some(mut installation) = start(Without::default())? else { return Ok(()) };
    let manifests: String = (0..N_SERVICES).map(|it| service(&format!("s{it}"), "replicas: 1")).collect();
    installation.cluster.apply(&manifests)?;
    installation.kill_controller()?;
    installation.start_controller()?;
    for it in 0..N_SERVICES {
        has_replicas(&installation, &format!("s{it}"), 1)?;
    }
    installation.eventually("every status is of the latest generation", || {
        let services = installation.cluster.kubectl(&["get", "llmisvc", "-o", "json"])?;
        let services: Value = serde_json::from_str(&services)?;
        let services = services["items"].as_array().context("a list has items")?;
        let is_seen = |it: &Value| it["status"]["observedGeneration"] == it["metadata"]["generation"];
        Ok((services.len() == N_SERVICES && services.iter().all(is_seen)).then_some(()))
    })?;
    let deployments = installation.cluster.kubectl(&["get", "deployments", "-o", "name"])?;
    assert_eq!(deployments.lines().count(), N_SERVICES, "{deployments}");

    let pid = installation.controller_pid().context("the controller runs")?;
    terminate(pid)?;
    let begin = Instant::now();
    while is_running(pid) {
        assert!(begin.elapsed() < END_DEADLINE, "it still runs after {END_DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Nobody has waited for the process yet, so its exit code is the last field of its state.
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    assert_eq!(state.trim().rsplit(' ').next(), Some("0"), "{state}");
    Ok(())
}

#[test]
fn the_api_server_and_the_settings_may_fail_and_come_back() -> Result<()> {
    let Some(mut installation) = start(Without::default())? else { return Ok(()) };
    installation.cluster.apply(&service("tiny", "replicas: 1"))?;
    has_replicas(&installation, "tiny", 1)?;

    installation.cluster.kill_api_server()?;
    std::thread::sleep(Duration::from_secs(2));
    let pid = installation.controller_pid().context("the controller runs")?;
    assert!(is_running(pid), "it waits for the API server");
    installation.cluster.revive_api_server()?;
    installation.eventually("an edit is accepted", || {
        installation.cluster.apply(&service("tiny", "replicas: 2")).map(Some)
    })?;
    has_replicas(&installation, "tiny", 2)?;
    assert_eq!(installation.controller_pid(), Some(pid));
    assert!(is_running(pid), "it is the same process");

    let settings = |ingress: &str| {
        installation.cluster.apply(&format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: inferenceservice-config, namespace: \
             {SYSTEM_NAMESPACE}}}, data: {{ingress: '{ingress}'}}}}"
        ))
    };
    let scheme = |expected: &str| {
        installation.eventually(&format!("the pods are probed by {expected}"), || {
            let deployment = deployment(&installation, "tiny")?.context("no Deployment")?;
            Ok(deployment.to_string().contains(&format!("\"scheme\":\"{expected}\"")).then_some(()))
        })
    };
    settings("{\"enableLLMInferenceServiceTLS\": true}")?;
    scheme("HTTPS")?;
    settings("{broken")?;
    installation.eventually("the broken settings are reported", || {
        let log = std::fs::read_to_string(installation.controller_log())?;
        Ok((log.contains("keeping the old settings") && log.contains("ingress")).then_some(()))
    })?;
    installation.cluster.apply(&service("tiny", "replicas: 3"))?;
    has_replicas(&installation, "tiny", 3)?;
    scheme("HTTPS")
}

#[test]
fn an_api_that_comes_late_is_used_without_a_restart() -> Result<()> {
    const CRD: &str = "leaderworkerset.x-k8s.io_leaderworkersets.yaml";
    let Some(installation) = start(Without { foreign_crds: &[CRD], ..Without::default() })? else {
        return Ok(());
    };
    installation
        .cluster
        .apply(&service("wide", "parallelism: {data: 4, dataLocal: 2}, worker: {containers: []}"))?;
    installation.eventually("the missing API is reported", || {
        let found = condition(&installation, "wide", "WorkerWorkloadReady")?;
        let message = found.and_then(|it| it["message"].as_str().map(str::to_owned)).unwrap_or_default();
        Ok(message.contains("install leaderworkerset.x-k8s.io").then_some(()))
    })?;
    let programs = llmd_e2e::args::kubernetes_programs()?;
    installation.install_crds(&programs.with_file_name("crds").join(CRD))?;
    installation.eventually("the group of pods is made", || {
        let groups = installation.cluster.kubectl(&["get", "leaderworkersets", "-o", "name"])?;
        Ok(groups.contains("wide").then_some(()))
    })
}

#[test]
fn a_start_that_cannot_succeed_is_one_line_and_an_exit_code() -> Result<()> {
    for (flag, code, said) in [
        ("--kubeconfig=/nonexistent/kubeconfig", 1, "/nonexistent/kubeconfig"),
        ("--metrics-addr=nonsense", 2, "metrics-addr"),
        ("--zap-log-level=loud", 2, "loud"),
    ] {
        let output = Command::new(program("llmd-controller")?).arg(flag).output()?;
        let text = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(code), "{flag}: {text}");
        assert!(text.contains(said), "{flag}: {text}");
        assert_eq!(text.trim().lines().count(), 1, "{flag}: {text}");
    }
    Ok(())
}
