//! `--enable-ssrf-protection` against an API server that answers lists and keeps watches open.

use std::io::Write as _;
use std::net::SocketAddr;

use axum::response::Response;
use tempfile::NamedTempFile;

use crate::harness::{FakeEngine, Running, Seen, call, closed_port, complete, config, eventually, json, run};

const READY: &str = r#"{"kv_transfer_params":{"a":1}}"#;
const POOLS: &str = "/apis/inference.networking.k8s.io/v1/namespaces/ns/inferencepools?";
const PODS: &str = "/api/v1/namespaces/ns/pods?";

/// A sidecar that takes its pool `ns/pool` from this API server, and its admin port.
async fn protected(engine: SocketAddr, api_server: SocketAddr) -> (Running, SocketAddr) {
    let mut kubeconfig = NamedTempFile::new().unwrap();
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, users: [],
          clusters: [{{name: c, cluster: {{server: 'http://{api_server}'}}}}],
          contexts: [{{name: c, context: {{cluster: c, user: ''}}}}]}}"
    );
    kubeconfig.write_all(text.as_bytes()).unwrap();
    let path = format!("--kubeconfig={}", kubeconfig.path().display());
    let flags = ["--secure-proxy=false", "--enable-ssrf-protection=true", "--inference-pool=ns/pool", &path];
    let mut config = config(engine, &flags);
    config.metrics_port = Some(0);
    let sidecar = run(config).await;
    let admin = sidecar.admin.unwrap();
    (sidecar, admin)
}

/// A pool with selector `app=m` and one pod with this address.
async fn api_server(pod_ip: &'static str) -> FakeEngine {
    FakeEngine::start(move |request, _| {
        let list = |kind: &str, item: String| {
            json(
                200,
                format!(r#"{{"kind":"{kind}List","metadata":{{"resourceVersion":"7"}},"items":[{item}]}}"#),
            )
        };
        match &request.path {
            path if path.contains("watch=true") => {
                let nothing = futures_util::stream::pending::<Result<&str, std::io::Error>>();
                Response::new(axum::body::Body::from_stream(nothing))
            }
            path if path.starts_with(POOLS) => {
                let spec = r#"{"selector":{"matchLabels":{"app":"m"}},"targetPorts":[{"number":8000}]}"#;
                list(
                    "InferencePool",
                    format!(r#"{{"metadata":{{"name":"pool","namespace":"ns"}},"spec":{spec}}}"#),
                )
            }
            path if path.starts_with(PODS) => {
                let status = format!(r#"{{"podIP":"{pod_ip}"}}"#);
                list("Pod", format!(r#"{{"metadata":{{"name":"p-0","namespace":"ns"}},"status":{status}}}"#))
            }
            _ => json(404, "{}"),
        }
    })
    .await
}

/// The paths that were asked for, watches or lists.
fn asked(seen: &[Seen], of: &str, is_watch: bool) -> Vec<String> {
    let matching = seen.iter().filter(|it| it.path.starts_with(of));
    matching.map(|it| it.path.clone()).filter(|it| it.contains("watch=true") == is_watch).collect()
}

/// Requests for tokens; the readiness probe asks the decode engine too.
fn n_asked(engine: &FakeEngine) -> usize {
    engine.seen().iter().filter(|it| it.method == "POST").count()
}

#[tokio::test]
async fn only_pods_of_the_pool_are_called() {
    let prefill = FakeEngine::json(READY).await;
    let decode = FakeEngine::json("{}").await;
    let api_server = api_server("127.0.0.1").await;
    let (sidecar, admin) = protected(decode.address, api_server.address).await;
    eventually("the pods are watched", || !asked(&api_server.seen(), PODS, true).is_empty()).await;
    let lists = (asked(&api_server.seen(), POOLS, false), asked(&api_server.seen(), PODS, false));
    assert!(lists.0[0].contains("fieldSelector=metadata.name%3Dpool"), "{lists:?}");
    assert!(lists.1[0].contains("labelSelector=app%3Dm"), "{lists:?}");

    let member = format!("127.0.0.1:{}", prefill.address.port());
    assert_eq!(complete(sidecar.address, &member, "{}").await.status, 200);
    assert_eq!((n_asked(&prefill), n_asked(&decode)), (1, 1));

    // The same engine under a name that is no member's.
    let outside = format!("localhost:{}", prefill.address.port());
    let denied = complete(sidecar.address, &outside, "{}").await;
    denied.assert_error(403, "Forbidden");
    let message = format!("prefill endpoint {outside} is no pod of the inference pool");
    assert!(denied.text().contains(&message), "{}", denied.text());
    assert_eq!((n_asked(&prefill), n_asked(&decode)), (1, 1));

    let either = format!("{outside},{member}");
    assert_eq!(complete(sidecar.address, &either, "{}").await.status, 200);
    let metrics = call(admin, "GET", "/metrics", &[], "").await.text().to_owned();
    assert!(metrics.contains(r#"llmd_sidecar_pd_denied_total{reason="no_member"} 1"#), "{metrics}");
}

#[tokio::test]
async fn while_the_pool_is_unknown_nothing_is_called_and_the_sidecar_is_not_ready() {
    let prefill = FakeEngine::json(READY).await;
    let decode = FakeEngine::json("{}").await;
    let (sidecar, admin) = protected(decode.address, closed_port().await).await;
    let denied = complete(sidecar.address, &prefill.address.to_string(), "{}").await;
    denied.assert_error(503, "ServiceUnavailable");
    assert!(denied.text().contains("not known yet"), "{}", denied.text());
    assert_eq!(prefill.seen().len(), 0);
    call(sidecar.address, "GET", "/health", &[], "").await.assert_error(503, "ServiceUnavailable");
    let ready = call(admin, "GET", "/readyz", &[], "").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("allowlist: "), "{}", ready.text());
    // The local engine alone needs no pool.
    assert_eq!(call(sidecar.address, "POST", "/v1/completions", &[], "{}").await.status, 200);
}
