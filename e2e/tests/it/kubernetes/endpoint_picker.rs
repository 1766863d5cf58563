//! The endpoint picker against a real API server, with the rights of `crates/epp/rights.yaml` and no other. Pods are
//! objects with addresses of loopback; servers at these addresses answer.

use anyhow::{Context as _, Result};
use http::StatusCode;
use llmd_e2e::process::terminate;
use serde_json::json;

mod engine;
mod picker;

use engine::Engine;
use picker::{Ground, NAMESPACE, Picker};

const POOLS: &str = "inferencepools.inference.networking.k8s.io";
const OPEN_METRICS: &str = "--metrics-endpoint-auth=false";

/// Servers at one port of three addresses.
async fn three_engines() -> Result<([Engine; 3], u16)> {
    let first = Engine::start(([127, 0, 0, 1], 0).into()).await?;
    let port = first.port();
    let second = Engine::start(([127, 0, 0, 2], port).into()).await?;
    let third = Engine::start(([127, 0, 0, 3], port).into()).await?;
    Ok(([first, second, third], port))
}

fn at(addresses: &[u8], port: u16) -> Vec<String> {
    addresses.iter().map(|it| format!("127.0.0.{it}:{port}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_follow_the_pool_and_its_pods() -> Result<()> {
    let Some(mut ground) = Ground::prepare()? else { return Ok(()) };
    let (_engines, port) = three_engines().await?;
    let picker = ground.start_picker(&["--pool-name=pool", OPEN_METRICS])?;
    picker.says("does not serve InferencePools of inference.networking.k8s.io").await?;
    ground.install_crd(POOLS)?;
    picker.says("there is no InferencePool team/pool").await?;
    ground.run_pod("a", "qwen", "127.0.0.1")?;
    ground.run_pod("other", "llama", "127.0.0.3")?;
    ground.apply_pool("qwen", &[port])?;
    picker.says("").await?;
    picker.serves_from(&at(&[1], port)).await?;

    ground.run_pod("b", "qwen", "127.0.0.2")?;
    picker.serves_from(&at(&[1, 2], port)).await?;
    ground.set_ready("a", "127.0.0.1", false)?;
    picker.serves_from(&at(&[2], port)).await?;
    ground.set_ready("a", "127.0.0.1", true)?;
    picker.serves_from(&at(&[1, 2], port)).await?;
    ground.delete_pod("a")?;
    picker.serves_from(&at(&[2], port)).await?;

    // A second port is a second endpoint of each pod; another selector means other pods.
    let rank = Engine::start(([127, 0, 0, 2], 0).into()).await?;
    ground.apply_pool("qwen", &[port, rank.port()])?;
    picker.serves_from(&[at(&[2], port), at(&[2], rank.port())].concat()).await?;
    let only_rank_1 = format!("llm-d.ai/active-ports={}", rank.port());
    ground.kubectl(&["annotate", "pod", "b", &only_rank_1])?;
    picker.serves_from(&at(&[2], rank.port())).await?;
    let decision = picker.decision(&[]).await?;
    assert_eq!(decision["candidates"][0]["name"], "b-rank-1", "{decision}");
    ground.apply_pool("llama", &[port])?;
    picker.serves_from(&at(&[3], port)).await?;

    // Without the API server the last state serves; what happened meanwhile is made up for.
    ground.cluster.kill_api_server()?;
    picker.serves_from(&at(&[3], port)).await?;
    picker.says("").await?;
    ground.cluster.revive_api_server()?;
    ground.run_pod("c", "llama", "127.0.0.1")?;
    picker.serves_from(&at(&[1, 3], port)).await?;

    ground.kubectl(&["delete", POOLS, "pool"])?;
    picker.says("there is no InferencePool team/pool").await?;
    picker.serves_from(&[StatusCode::SERVICE_UNAVAILABLE.to_string()]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn objectives_and_rewrites_come_late_and_change() -> Result<()> {
    let Some(ground) = Ground::prepare()? else { return Ok(()) };
    let (_engines, port) = three_engines().await?;
    ground.install_crd(POOLS)?;
    ground.apply_pool("qwen", &[port])?;
    ground.run_pod("a", "qwen", "127.0.0.1")?;
    let picker = ground.start_picker(&["--pool-name=pool", OPEN_METRICS])?;
    picker.serves_from(&at(&[1], port)).await?;
    let batch = [("x-llm-d-inference-objective", "batch")];
    assert_eq!(picker.decision(&batch).await?["priority"], 0);

    ground.install_crd("inferenceobjectives.llm-d.ai")?;
    ground.install_crd("inferencemodelrewrites.llm-d.ai")?;
    for priority in [7, -1] {
        ground.apply(&json!({
            "apiVersion": "llm-d.ai/v1alpha2", "kind": "InferenceObjective", "metadata": { "name": "batch" },
            "spec": { "priority": priority, "poolRef": { "name": "pool" } },
        }))?;
        picker
            .eventually(&format!("the priority is {priority}"), async || {
                let decision = picker.decision(&batch).await?;
                (decision["priority"] == priority).then_some(()).with_context(|| decision.to_string())
            })
            .await?;
    }
    ground.apply(&json!({
        "apiVersion": "llm-d.ai/v1alpha2", "kind": "InferenceModelRewrite", "metadata": { "name": "canary" },
        "spec": { "poolRef": { "name": "pool" }, "rules": [
            { "matches": [{ "model": { "value": "m" } }], "targets": [{ "modelRewrite": "m-v2" }] },
        ] },
    }))?;
    picker
        .eventually("the model is rewritten", async || {
            let decision = picker.decision(&[]).await?;
            (decision["target_model"] == "m-v2").then_some(()).with_context(|| decision.to_string())
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_leads_and_metrics_ask_for_a_token() -> Result<()> {
    let Some(ground) = Ground::prepare()? else { return Ok(()) };
    let (_engines, port) = three_engines().await?;
    ground.run_pod("a", "qwen", "127.0.0.1")?;
    let ports = format!("--endpoint-target-ports={port}");
    let flags = ["--endpoint-selector=app in (qwen)", &ports, "--ha-enable-leader-election"];
    let with_name = |pod: &'static str| [&flags[..], &[pod]].concat();
    let first = ground.start_picker(&with_name("--pod-name=epp-5d7-a"))?;
    first.says("").await?;
    first.serves_from(&at(&[1], port)).await?;
    let second = ground.start_picker(&with_name("--pod-name=epp-5d7-b"))?;
    second.says("leader: another replica leads").await?;
    second.serves_from(&at(&[1], port)).await?;
    let lease = ground.kubectl(&["get", "lease", "-o", "name"])?;
    assert_eq!(lease.trim(), format!("lease.coordination.k8s.io/epp-{NAMESPACE}-epp.llm-d.ai"));
    terminate(first.pid())?;
    second.says("").await?;

    check_metrics_access(&ground, &second).await
}

async fn check_metrics_access(ground: &Ground, picker: &Picker) -> Result<()> {
    ground.kubectl(&["create", "serviceaccount", "prometheus"])?;
    let role = ["create", "clusterrole", "reader", "--verb=get", "--non-resource-url=/metrics"];
    ground.cluster.kubectl(&role)?;
    let account = format!("--serviceaccount={NAMESPACE}:prometheus");
    ground.cluster.kubectl(&["create", "clusterrolebinding", "reader", "--clusterrole=reader", &account])?;
    let status = async |path: &str, token: Option<&str>| -> Result<StatusCode> {
        let bearer = token.map(|it| format!("Bearer {it}"));
        let headers: Vec<(&str, &str)> = bearer.iter().map(|it| ("authorization", it.as_str())).collect();
        let reply = picker.pages.send(http::Method::GET, path, &headers, bytes::Bytes::new()).await?;
        Ok(reply.status)
    };
    let (reader, stranger) = (ground.token("prometheus")?, ground.token("default")?);
    assert_eq!(status("/metrics", None).await?, StatusCode::UNAUTHORIZED);
    assert_eq!(status("/metrics", Some("nonsense")).await?, StatusCode::FORBIDDEN);
    assert_eq!(status("/metrics", Some(&stranger)).await?, StatusCode::FORBIDDEN);
    picker
        .eventually("the reader is admitted", async || {
            let status = status("/metrics", Some(&reader)).await?;
            (status == StatusCode::OK).then_some(()).with_context(|| status.to_string())
        })
        .await?;
    assert_eq!(status("/debug/decisions", Some(&reader)).await?, StatusCode::FORBIDDEN);
    assert_eq!(status("/livez", None).await?, StatusCode::OK);
    Ok(())
}
