//! Monitors of the Prometheus operator: with the rights of the chart and no other, a service gets them and the account
//! whose token they show, and that account may read metrics and nothing else.

use anyhow::Result;
use llmd_e2e::installation::Setup;

use super::own::{has_condition, service, start};

#[test]
fn a_monitored_service_has_monitors_and_an_account_that_may_read_metrics() -> Result<()> {
    let Some(installation) = start(Setup { monitoring: true, ..Setup::default() })? else { return Ok(()) };
    let kubectl = |args: &[&str]| installation.cluster.kubectl(args);
    kubectl(&["create", "clusterrole", "llmd-metrics-reader", "--verb=get", "--non-resource-url=/metrics"])?;
    installation.cluster.apply(&service("seen", "router: {route: {}, scheduler: {}}"))?;
    let monitors = "podmonitors.monitoring.coreos.com,servicemonitors.monitoring.coreos.com";
    let made = installation.eventually("the service has its monitors", || {
        let made = kubectl(&["get", monitors, "-o", "name"])?;
        Ok((made.lines().count() == 2).then_some(made))
    })?;
    assert!(made.contains("podmonitor") && made.contains("servicemonitor"), "{made}");

    let account = "--as=system:serviceaccount:default:seen-metrics-reader";
    installation.eventually("the account may read metrics", || {
        let answer = kubectl(&["auth", "can-i", "get", "/metrics", account]).unwrap_or_default();
        Ok((answer.trim() == "yes").then_some(()))
    })?;
    assert!(kubectl(&["auth", "can-i", "get", "pods", account]).is_err(), "it may read pods too");
    has_condition(&installation, "seen", "SchedulerWorkloadReady", "False")?;
    kubectl(&["delete", "llmisvc/seen", "--timeout=60s"])?;
    installation.eventually("the cluster-wide binding is gone", || {
        let bindings = kubectl(&["get", "clusterrolebindings", "-o", "name"])?;
        Ok((!bindings.contains("seen")).then_some(()))
    })
}
