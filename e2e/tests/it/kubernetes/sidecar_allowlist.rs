//! The sidecar calls pods of its InferencePool only, as a real API server tells them: with the rights that the
//! controller gives to a decode pod's account, before those are there, while the API server is away, and as pods come
//! and go.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use http::Method;
use llmd_e2e::args::target;
use llmd_e2e::client::Client;
use llmd_e2e::cluster::{Cluster, Level, free_port};
use llmd_e2e::golden;
use llmd_e2e::stack::{Stack, eventually, llmd, program};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

const SERVICE: &str = "{apiVersion: serving.kserve.io/v1alpha2, kind: LLMInferenceService,
  metadata: {name: chat, namespace: team},
  spec: {model: {uri: 'hf://org/model', name: model}, router: {route: {}, scheduler: {}}, prefill: {}}}";
/// What of the rendered service concerns the sidecar's account and pool.
const KINDS: [&str; 4] = ["ServiceAccount", "Role", "RoleBinding", "InferencePool"];
const API_GROUP: &str = "inference.networking.k8s.io";
const OUTCOME: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

/// A control plane with the pool's CRD, two engines, and the sidecar in front of one of them.
struct Story {
    cluster: Cluster,
    /// What the controller would apply of the service.
    children: Vec<Value>,
    stack: Stack,
    sidecar: Client,
    _process: Child,
}

impl Story {
    /// `None`, with a word on why, where this machine cannot tell the story.
    async fn begin() -> Result<Option<Self>> {
        let cluster = match Cluster::start(Level::ControlPlane)? {
            Ok(cluster) => cluster,
            Err(reason) => {
                println!("skipped: {reason}");
                return Ok(None);
            }
        };
        let crd = target()?.join("k8s/crds/inference.networking.k8s.io_inferencepools.yaml");
        cluster.apply(&fs::read_to_string(&crd).with_context(|| crd.display().to_string())?)?;
        cluster.kubectl(&["create", "namespace", "team"])?;
        let children = rendered(&cluster).await?;
        let account = children.iter().find(|it| it["metadata"]["name"] == "chat-kserve");
        cluster.apply(&account.context("an account is rendered")?.to_string())?;

        let stack = Stack::up(&["--decode", "1"]).await?;
        let engine = stack.url("decode-0", "http").await?;
        let engine_port = engine.rsplit(':').next().context("a port")?.to_owned();
        let port = free_port()?;
        let process = Command::new(program("llmd-sidecar")?)
            .args(["--host=127.0.0.1", "--secure-proxy=false", "--enable-ssrf-protection=true"])
            .arg("--inference-pool=team/chat-inference-pool")
            .args([format!("--port={port}"), format!("--model-server-port={engine_port}")])
            .arg(format!("--kubeconfig={}", account_kubeconfig(&cluster)?.display()))
            .stdin(Stdio::null())
            .stderr(fs::File::create(cluster.dir().join("sidecar.log"))?)
            .kill_on_drop(true)
            .spawn()?;
        let sidecar = Client::new(&format!("http://127.0.0.1:{port}"));
        Ok(Some(Self { cluster, children, stack, sidecar, _process: process }))
    }

    fn apply_children(&self) -> Result<()> {
        self.children.iter().try_for_each(|it| self.cluster.apply(&it.to_string()).map(drop))
    }

    /// `host:port` of the prefill engine, whose real address is a loopback one.
    async fn prefill(&self, host: &str) -> Result<String> {
        let url = self.stack.url("prefill-0", "http").await?;
        Ok(format!("{host}:{}", url.rsplit(':').next().context("a port")?))
    }

    /// Asks the sidecar with a prefill endpoint: status and text of the answer or error.
    async fn ask(&self, prefiller: &str) -> Result<(u16, String)> {
        let case = golden::case("What is prefill?")?;
        let body =
            json!({ "model": "llmd-tiny", "messages": case.messages, "temperature": 0, "max_tokens": 96 });
        let headers = [("content-type", "application/json"), ("x-prefiller-host-port", prefiller)];
        let path = "/v1/chat/completions";
        let reply = self.sidecar.send(Method::POST, path, &headers, body.to_string().into()).await?;
        let json = reply.json()?;
        let text = json["choices"][0]["message"]["content"].as_str().or_else(|| json["message"].as_str());
        Ok((reply.status.as_u16(), text.context("neither answer nor error")?.to_owned()))
    }

    /// Asks until the answer has this status; the text.
    async fn until_status(&self, prefiller: &str, expected: u16) -> Result<String> {
        let begin = Instant::now();
        loop {
            let (status, text) = self.ask(prefiller).await?;
            if status == expected {
                return Ok(text);
            }
            ensure!(begin.elapsed() < OUTCOME, "{prefiller}: {status} {text}\n{}", self.log());
            tokio::time::sleep(POLL).await;
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.cluster.dir().join("sidecar.log")).unwrap_or_default()
    }

    /// A pod of the service's prefill workload with this address.
    fn pod(&self, name: &str, labels: &Value, ip: &str) -> Result<()> {
        let pod = json!({ "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "namespace": "team", "labels": labels },
            "spec": { "serviceAccountName": "chat-kserve", "automountServiceAccountToken": false,
                      "containers": [{ "name": "main", "image": "none" }] } });
        self.cluster.apply(&pod.to_string())?;
        let status = json!({ "status": { "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }] } });
        let patch = status.to_string();
        let arguments =
            ["-n", "team", "patch", "pod", name, "--subresource=status", "--type=merge", "-p", &patch];
        self.cluster.kubectl(&arguments).map(drop)
    }
}

/// What `llmd render` makes of the service and concerns the sidecar.
async fn rendered(cluster: &Cluster) -> Result<Vec<Value>> {
    let file = cluster.dir().join("service.yaml");
    fs::write(&file, SERVICE)?;
    let output = llmd(&["render", "-f", &file.to_string_lossy()]).await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text)?;
    let concerns = |it: &Value| {
        let group = it["apiVersion"].as_str().and_then(|it| it.split_once('/')).map(|(group, _)| group);
        let is_other_pool = it["kind"] == "InferencePool" && group != Some(API_GROUP);
        KINDS.iter().any(|kind| it["kind"] == *kind) && !is_other_pool
    };
    Ok(documents.into_iter().filter(concerns).collect())
}

/// A kubeconfig with a token of the decode pods' account, as the kubelet would mount it.
fn account_kubeconfig(cluster: &Cluster) -> Result<PathBuf> {
    let token = cluster.kubectl(&["-n", "team", "create", "token", "chat-kserve"])?;
    let (server, ca) = (cluster.server(), cluster.dir().join("ca.crt"));
    let config = json!({ "apiVersion": "v1", "kind": "Config", "current-context": "pod",
        "clusters": [{ "name": "pod", "cluster": { "server": server, "certificate-authority": ca } }],
        "users": [{ "name": "pod", "user": { "token": token.trim() } }],
        "contexts": [{ "name": "pod", "context": { "cluster": "pod", "user": "pod" } }] });
    let path = cluster.dir().join("account.conf");
    fs::write(&path, config.to_string())?;
    Ok(path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sidecar_calls_pods_of_its_pool_only() -> Result<()> {
    let Some(mut story) = Story::begin().await? else { return Ok(()) };
    let (prefill, elsewhere) = (story.prefill("127.0.0.1").await?, story.prefill("127.0.0.2").await?);
    let answer = golden::case("What is prefill?")?.text;

    // Without rights the pool stays unknown: closed, not healthy, but the local engine is served.
    let told = story.until_status(&prefill, 503).await?;
    ensure!(told.contains("not known yet"), "{told}");
    eventually(OUTCOME, || async {
        ensure!(story.log().contains("is forbidden"), "{}", story.log());
        Ok(())
    })
    .await?;
    ensure!(story.sidecar.get("/health").await?.status == 503);
    ensure!(story.ask("").await? == (200, answer.clone()));

    // With the rights and the pool that the controller applies, and no pod yet.
    story.apply_children()?;
    let told = story.until_status(&prefill, 403).await?;
    ensure!(told == format!("prefill endpoint {prefill} is no pod of the inference pool"), "{told}");
    ensure!(story.sidecar.get("/health").await?.status == 200);

    let pool = story.cluster.get("team", &format!("inferencepools.{API_GROUP}"), "chat-inference-pool")?;
    let labels = pool.context("the pool exists")?["spec"]["selector"]["matchLabels"].clone();
    story.pod("stranger", &json!({ "app": "other" }), "127.0.0.2")?;
    story.pod("chat-kserve-prefill-0", &labels, "127.0.0.1")?;
    ensure!(story.until_status(&prefill, 200).await? == answer);
    let pulled = story.stack.metric("decode-0", "llmd:kv_transfer_blocks_total", "").await?;
    ensure!(pulled > 0.0, "the decode engine pulled no block");
    ensure!(story.ask(&elsewhere).await?.0 == 403);

    // The last known members count while nobody can be asked.
    story.cluster.kill_api_server()?;
    ensure!(story.ask(&prefill).await? == (200, answer.clone()));
    ensure!(story.ask(&elsewhere).await?.0 == 403);
    ensure!(story.sidecar.get("/health").await?.status == 200);
    story.cluster.revive_api_server()?;

    // A pod that is gone is no member, and another pool has other pods.
    story.cluster.kubectl(&["-n", "team", "delete", "pod", "chat-kserve-prefill-0", "--force"])?;
    story.until_status(&prefill, 403).await?;
    let patch =
        json!([{ "op": "replace", "path": "/spec/selector/matchLabels", "value": { "app": "other" } }]);
    let (kind, patch) = (format!("inferencepools.{API_GROUP}"), patch.to_string());
    story.cluster.kubectl(&[
        "-n",
        "team",
        "patch",
        &kind,
        "chat-inference-pool",
        "--type=json",
        "-p",
        &patch,
    ])?;
    // Nothing listens at that address, so the endpoint is tried now and fails.
    story.until_status("127.0.0.2:9", 502).await.map(drop)
}
