//! What the controller outlives: its own crash, the API server's, settings that cannot be read.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use llmd_e2e::installation::{Installation, SYSTEM_NAMESPACE, Setup};
use llmd_e2e::process::{is_running, terminate};
use llmd_e2e::stack::program;
use serde_json::Value;

use super::own::{deployment, has_replicas, series, service, start};

const N_SERVICES: usize = 20;
/// Reconciles end quickly; a pod's grace period is 30 s.
const END_DEADLINE: Duration = Duration::from_secs(10);

#[test]
fn a_crash_loses_and_doubles_nothing_and_an_end_is_clean() -> Result<()> {
    let Some(mut installation) = start(Setup::default())? else { return Ok(()) };
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
    let Some(mut installation) = start(Setup::default())? else { return Ok(()) };
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
fn probes_and_metrics_tell_the_truth_while_the_api_server_is_away() -> Result<()> {
    let Some(mut installation) = start(Setup::default())? else { return Ok(()) };
    let probe = |installation: &Installation, path: &str| -> Result<u16> {
        Ok(installation.controller()?.probe(path)?.0)
    };
    let watches = |installation: &Installation, value: f64| {
        installation.eventually(&format!("every watch is {value}"), || {
            let watches = series(&installation.metrics()?, "llmd_controller_watch_up");
            Ok((watches.len() > 10 && watches.iter().all(|(_, it)| *it == value)).then_some(()))
        })
    };
    watches(&installation, 1.0)?;
    installation.cluster.kill_api_server()?;
    watches(&installation, 0.0)?;
    assert!(installation.controller()?.log()?.contains("watch failed"));
    assert_eq!(probe(&installation, "/healthz")?, 200, "a restart would mend nothing");
    assert_eq!(probe(&installation, "/readyz")?, 200, "its webhooks would answer");

    // One that starts meanwhile has no certificate to answer with.
    installation.restart_controller()?;
    installation.eventually("the new process is alive", || {
        Ok((probe(&installation, "/healthz")? == 200).then_some(()))
    })?;
    let (status, reason) = installation.controller()?.probe("/readyz")?;
    assert_eq!(status, 503);
    assert!(reason.contains("waiting for the certificate authority"), "{reason}");

    installation.cluster.revive_api_server()?;
    installation.eventually("the new process is ready", || {
        Ok((probe(&installation, "/readyz")? == 200).then_some(()))
    })?;
    watches(&installation, 1.0)?;
    installation.eventually("a service is accepted", || {
        installation.cluster.apply(&service("tiny", "replicas: 1")).map(Some)
    })?;
    has_replicas(&installation, "tiny", 1)
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
