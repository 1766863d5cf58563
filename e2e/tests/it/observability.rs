//! Dashboards and alerts ask for nothing that no process exports, and a real Prometheus answers every one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use http::Method;
use llmd_e2e::client::Client;
use llmd_e2e::golden;
use llmd_e2e::installation::Installation;
use llmd_e2e::stack::{Stack, eventually};
use promql_parser::label::Labels;
use promql_parser::parser::{Expr, LabelModifier, VectorSelector, parse};
use serde_json::{Value, json};

mod panels;
mod prometheus;

/// Labels that Prometheus adds to what it scrapes, by the chart's monitors.
const ATTACHED: [&str; 3] = ["namespace", "pod", "le"];
/// Series of the controller, which needs a cluster.
const OF_CONTROLLER: [&str; 2] = ["llmd_controller_", "llmisvc_"];

/// The labels of every exported series, by its name.
type Exported = BTreeMap<String, BTreeSet<String>>;

#[tokio::test]
async fn every_panel_and_alert_names_what_a_process_exports() -> Result<()> {
    let mut exported = Exported::new();
    let stack = busy_stack().await?;
    for component in ["decode-0", "sidecar-0", "epp"] {
        collect(&metrics(&stack, component).await?, &mut exported);
    }
    let skipped = match tokio::task::spawn_blocking(|| busy_controller("observability")).await?? {
        Ok(installation) => {
            collect(&installation.metrics()?, &mut exported);
            installation.cluster.kubectl(&["delete", "namespace", "observability", "--wait=false"])?;
            None
        }
        Err(reason) => Some(reason),
    };
    if let Some(reason) = &skipped {
        println!("skipped: series of the controller: {reason}");
    }
    let (mut n_checked, mut wrong) = (0, Vec::new());
    for (place, expression) in expressions()? {
        if skipped.is_some() && is_of_controller(&expression) {
            continue;
        }
        n_checked += 1;
        let problems = problems(&expression, &exported).with_context(|| format!("{place}: {expression}"))?;
        wrong.extend(problems.into_iter().map(|problem| format!("{place}: {problem}")));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(n_checked > 60, "only {n_checked} expressions were found");
    Ok(())
}

/// Whether the controller exports what the expression asks for.
fn is_of_controller(expression: &str) -> bool {
    OF_CONTROLLER.iter().any(|it| expression.contains(it))
}

/// A disaggregated stack after requests of every outcome, so that each family has series.
async fn busy_stack() -> Result<Stack> {
    let stack = Stack::up(&["--decode", "1"]).await?;
    stir(&stack).await?;
    lose_prefill(&stack).await?;
    Ok(stack)
}

/// Requests of every outcome.
async fn stir(stack: &Stack) -> Result<()> {
    let gateway = stack.client().await?;
    let case = golden::case("What is prefill?")?;
    ensure!(gateway.chat_text("llmd-tiny", &case.messages).await? == case.text);
    gateway.chat("no-such-model", &case.messages).await?;

    // A prefill engine that is not there, and a reference to blocks that are not there.
    let sidecar = Client::new(&stack.url("sidecar-0", "http").await?);
    let body = json!({ "model": "llmd-tiny", "messages": case.messages, "max_tokens": 1 });
    let headers = [("content-type", "application/json"), ("x-prefiller-host-port", "127.0.0.1:1")];
    sidecar.send(Method::POST, "/v1/chat/completions", &headers, body.to_string().into()).await?;
    let mut lost = body.clone();
    lost["kv_transfer_params"] = json!({ "do_remote_prefill": true, "do_remote_decode": false,
        "remote_engine_id": "gone", "remote_block_ids": [1], "remote_host": "127.0.0.1", "remote_port": 1 });
    let decode = Client::new(&stack.url("decode-0", "http").await?);
    decode.post("/v1/chat/completions", lost.to_string()).await?;
    Ok(())
}

/// An engine that does not answer scrapes.
async fn lose_prefill(stack: &Stack) -> Result<()> {
    llmd_e2e::process::stall(stack.component_pid("prefill-0").await?)?;
    eventually(Duration::from_secs(60), || async {
        let text = metrics(stack, "epp").await?;
        ensure!(text.contains("llm_d_epp_datalayer_poll_errors_total{"), "no scrape has failed");
        Ok(())
    })
    .await
}

async fn metrics(stack: &Stack, component: &str) -> Result<String> {
    let url = stack.url(component, "metrics").await?;
    Ok(Client::new(&url).get("").await?.text())
}

/// A controller after a service that works and one that cannot, both in `namespace`, or why there is none on this
/// machine.
fn busy_controller(namespace: &str) -> Result<Result<Arc<Installation>, String>> {
    let installation = match Installation::shared()? {
        Ok(installation) => installation,
        Err(reason) => return Ok(Err(reason)),
    };
    installation.cluster.kubectl(&["create", "namespace", namespace])?;
    for (name, base_refs) in [("works", json!([])), ("broken", json!([{ "name": "no-such-config" }]))] {
        let service = json!({
            "apiVersion": "serving.kserve.io/v1alpha2", "kind": "LLMInferenceService",
            "metadata": { "name": name, "namespace": namespace },
            "spec": { "model": { "uri": "hf://org/model", "name": "model" }, "baseRefs": base_refs },
        });
        installation.cluster.apply(&service.to_string())?;
    }
    installation.eventually("both services are reported", || {
        let text = installation.metrics()?;
        let has = |it: &str| text.contains(it);
        let reported = has("llmisvc_condition_status{") && has("llmd_controller_reconcile_errors_total{");
        Ok((reported && has("llmd_controller_children_total{")).then_some(()))
    })?;
    Ok(Ok(installation))
}

/// Adds the series of a text in Prometheus' format.
fn collect(text: &str, exported: &mut Exported) {
    for line in text.lines().filter(|it| !it.starts_with('#')) {
        let end = line.find(['{', ' ']).unwrap_or(line.len());
        let labels = exported.entry(line[..end].to_owned()).or_default();
        // Keys stand before `="`; no label value of ours contains that.
        let keys = line[end..].split("=\"").filter_map(|it| it.rsplit(['{', ',']).next());
        labels.extend(keys.filter(|it| !it.contains(['"', ' '])).map(str::to_owned));
    }
}

fn chart_files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/llmd-observability/files")
}

/// Every expression of the chart, with the panel or the alert it stands in.
fn expressions() -> Result<Vec<(String, String)>> {
    Ok(panels()?.into_iter().chain(alerts()?).collect())
}

fn panels() -> Result<Vec<(String, String)>> {
    let dashboards = fs::read_dir(chart_files().join("dashboards"))?;
    let mut found = Vec::new();
    for path in dashboards.filter_map(|it| Some(it.ok()?.path())) {
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        for panel in dashboard["panels"].as_array().into_iter().flatten() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expression = target["expr"].as_str().context("a target has an expression")?;
                let place = format!("{} {}", dashboard["title"], panel["title"]);
                found.push((place, expression.replace("$__rate_interval", "5m")));
            }
        }
    }
    Ok(found)
}

fn alerts() -> Result<Vec<(String, String)>> {
    let rules: Value = serde_saphyr::from_str(&fs::read_to_string(chart_files().join("rules.yaml"))?)?;
    let groups = rules["groups"].as_array().into_iter().flatten();
    let rules = groups.flat_map(|it| it["rules"].as_array()).flatten();
    let of_rule = |rule: &Value| {
        let expression = rule["expr"].as_str().context("an alert has an expression")?;
        Ok((rule["alert"].to_string(), expression.to_owned()))
    };
    rules.map(of_rule).collect()
}

/// What an expression names that nobody exports.
fn problems(expression: &str, exported: &Exported) -> Result<Vec<String>> {
    let parsed = parse(expression).map_err(anyhow::Error::msg)?;
    let mut named = Named::default();
    named.collect(&parsed)?;
    let mut problems = Vec::new();
    let mut known: BTreeSet<&str> = ATTACHED.into();
    for (metric, labels) in &named.selectors {
        let Some(exported) = exported.get(metric) else {
            problems.push(format!("nobody exports {metric}"));
            continue;
        };
        known.extend(exported.iter().map(String::as_str));
        let unknown = labels.iter().filter(|it| !exported.contains(*it) && !ATTACHED.contains(&it.as_str()));
        problems.extend(unknown.map(|label| format!("{metric} has no label {label}")));
    }
    let unknown = named.groupings.iter().filter(|it| !known.contains(it.as_str()));
    problems.extend(unknown.map(|label| format!("nothing to group by: no series has the label {label}")));
    Ok(problems)
}

/// The metrics with their matched labels, and the labels of aggregations.
#[derive(Debug, Default)]
struct Named {
    selectors: Vec<(String, Vec<String>)>,
    groupings: Vec<String>,
}

impl Named {
    fn collect(&mut self, expression: &Expr) -> Result<()> {
        match expression {
            Expr::Aggregate(it) => {
                if let Some(
                    LabelModifier::Include(Labels { labels }) | LabelModifier::Exclude(Labels { labels }),
                ) = &it.modifier
                {
                    self.groupings.extend(labels.iter().cloned());
                }
                self.collect(&it.expr)
            }
            Expr::Unary(it) => self.collect(&it.expr),
            Expr::Paren(it) => self.collect(&it.expr),
            Expr::Subquery(it) => self.collect(&it.expr),
            Expr::Binary(it) => {
                self.collect(&it.lhs)?;
                self.collect(&it.rhs)
            }
            Expr::Call(it) => it.args.args.iter().try_for_each(|argument| self.collect(argument)),
            Expr::VectorSelector(it) => self.select(it),
            Expr::MatrixSelector(it) => self.select(&it.vs),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(()),
            Expr::Extension(_) => bail!("an extension of PromQL"),
        }
    }

    fn select(&mut self, selector: &VectorSelector) -> Result<()> {
        let name = selector.name.clone().context("a selector names its metric")?;
        let labels = selector.matchers.matchers.iter().map(|it| it.name.clone()).collect();
        self.selectors.push((name, labels));
        Ok(())
    }
}

#[test]
fn an_unknown_metric_or_label_is_found() -> Result<()> {
    let mut exported = Exported::new();
    collect("# TYPE a_total counter\na_total{model=\"m, n\",code=\"500\"} 1\nb 2\n", &mut exported);
    assert_eq!(problems("sum by (code) (rate(a_total{model=\"m\"}[5m])) / b", &exported)?, [""; 0]);
    assert_eq!(problems("c > 1", &exported)?, ["nobody exports c"]);
    assert_eq!(problems("a_total{colour=\"red\"}", &exported)?, ["a_total has no label colour"]);
    let grouped = problems("sum by (colour) (b)", &exported)?;
    assert_eq!(grouped, ["nothing to group by: no series has the label colour"]);
    Ok(())
}
