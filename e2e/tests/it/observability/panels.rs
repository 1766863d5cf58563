//! Every panel fills: a real Prometheus scrapes a busy stack and answers each expression with numbers.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use llmd_e2e::installation::Installation;
use llmd_e2e::stack::{Stack, eventually};

use super::prometheus::{Prometheus, Target};
use super::{alerts, busy_controller, chart_files, is_of_controller, lose_prefill, panels, stir};

/// How long the panels may take to fill; a few seconds on an idle machine.
const DEADLINE: Duration = Duration::from_secs(120);
/// Scrapes are a second apart.
const ROUND: Duration = Duration::from_millis(500);
/// The one panel that fills only when an engine does not answer.
const OF_LOST_ENGINE: &str = "llm_d_epp_datalayer_poll_errors_total";
const NAMESPACE: &str = "panels";

#[tokio::test]
async fn every_panel_fills_and_every_rule_is_evaluated() -> Result<()> {
    let stack = Stack::up(&["--decode", "1"]).await?;
    let controller = tokio::task::spawn_blocking(|| busy_controller(NAMESPACE)).await??;
    if let Err(reason) = &controller {
        println!("skipped: the controller's panels: {reason}");
    }
    let controller = controller.ok();
    let targets = targets(&stack, controller.as_deref()).await?;
    let rules = chart_files().join("rules.yaml");
    let prometheus = match Prometheus::start(&targets, &rules)? {
        Ok(prometheus) => prometheus,
        Err(reason) => {
            println!("skipped: {reason}");
            return Ok(());
        }
    };
    eventually(DEADLINE, || prometheus.ready()).await?;

    let mut empty: Vec<(String, String)> = panels()?
        .into_iter()
        .map(chosen)
        .filter(|(_, expression)| controller.is_some() || !is_of_controller(expression))
        .collect();
    ensure!(empty.len() > 60, "only {} expressions were found", empty.len());
    let start = Instant::now();
    while empty.iter().any(|(_, expression)| !expression.contains(OF_LOST_ENGINE)) {
        ensure!(start.elapsed() < DEADLINE, "panels without a number: {empty:#?}");
        stir(&stack).await?;
        if let Some(installation) = &controller {
            touch(installation)?;
        }
        tokio::time::sleep(ROUND).await;
        empty = still_empty(&prometheus, empty)?;
    }
    ensure!(!prometheus.query("ALERTS{alertname=\"LLMHighErrorRate\"}")?.is_empty(), "errors raise no alert");
    lose_prefill(&stack).await?;
    eventually(DEADLINE, || async {
        let left = still_empty(&prometheus, empty.clone())?;
        ensure!(left.is_empty(), "panels without a number: {left:#?}");
        Ok(())
    })
    .await?;

    let n_rules = prometheus.query("sum(prometheus_rule_group_rules)")?;
    let n_alerts = alerts()?.len();
    ensure!(n_rules == [f64::from(u32::try_from(n_alerts)?)], "{n_rules:?} rules of {n_alerts}");
    let n_failures = prometheus.query("sum(prometheus_rule_evaluation_failures_total)")?;
    ensure!(n_failures == [0.0], "{n_failures:?} evaluations of rules failed");
    if let Some(installation) = &controller {
        installation.cluster.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"])?;
    }
    Ok(())
}

/// An expression as Grafana sends it with every namespace and model chosen.
fn chosen((place, expression): (String, String)) -> (String, String) {
    (place, expression.replace("$namespace", ".*").replace("$model_name", ".*"))
}

fn still_empty(prometheus: &Prometheus, panels: Vec<(String, String)>) -> Result<Vec<(String, String)>> {
    let mut left = Vec::new();
    for (place, expression) in panels {
        if prometheus.query(&expression)?.is_empty() {
            left.push((place, expression));
        }
    }
    Ok(left)
}

/// Has the controller look at the broken service again.
fn touch(installation: &Installation) -> Result<()> {
    let now = format!("llmd.test/touched={:?}", Instant::now());
    let service = "llminferenceservice/broken";
    installation.cluster.kubectl(&["annotate", service, "--namespace", NAMESPACE, "--overwrite", &now])?;
    Ok(())
}

async fn targets(stack: &Stack, controller: Option<&Installation>) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for pod in ["decode-0", "prefill-0", "sidecar-0", "epp"] {
        let url = stack.url(pod, "metrics").await?;
        let address = url.strip_prefix("http://").and_then(|it| it.strip_suffix("/metrics"));
        let address = address.with_context(|| format!("the metrics of {pod} are at {url}"))?.to_owned();
        targets.push(Target { pod: pod.to_owned(), address });
    }
    if let Some(installation) = controller {
        let address = format!("127.0.0.1:{}", installation.controller()?.metrics_port());
        targets.push(Target { pod: "controller".to_owned(), address });
    }
    Ok(targets)
}
