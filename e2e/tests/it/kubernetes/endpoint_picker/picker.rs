//! The endpoint picker's process, in a namespace of a bare control plane and with the rights of its service account.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{Method, StatusCode};
use llmd_e2e::client::{Client, Reply};
use llmd_e2e::cluster::{Cluster, Level, free_port};
use llmd_e2e::stack::program;
use serde_json::{Value, json};

/// Where pool and pods are.
pub(super) const NAMESPACE: &str = "team";
/// Service account of the endpoint picker.
const ACCOUNT: &str = "epp";
/// How long an outcome may take that is nearly at once on an idle machine.
const DEADLINE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);
/// Requests after which each of a few endpoints, chosen at random, has surely been seen.
const N_REQUESTS: usize = 40;
const CHOOSE_AT_RANDOM: &str = "apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins: [{type: random-picker}]
schedulingProfiles: [{name: default, plugins: [{pluginRef: random-picker}]}]
";

/// A control plane with the endpoint picker's account and rights, and nothing that acts on pods.
pub(super) struct Ground {
    pub(super) cluster: Cluster,
}

impl Ground {
    /// `None`, with a word on why, where this machine cannot have one.
    pub(super) fn prepare() -> Result<Option<Self>> {
        let cluster = match Cluster::start(Level::ControlPlane)? {
            Ok(cluster) => cluster,
            Err(reason) => {
                println!("skipped: {reason}");
                return Ok(None);
            }
        };
        let it = Self { cluster };
        it.cluster.kubectl(&["create", "namespace", NAMESPACE])?;
        // Pods run under the account `default`, which a controller would make.
        for account in [ACCOUNT, "default"] {
            it.kubectl(&["create", "serviceaccount", account])?;
        }
        let rights = root().join("crates/epp/rights.yaml").display().to_string();
        it.kubectl(&["apply", "--server-side", "-f", &rights])?;
        let account = format!("--serviceaccount={NAMESPACE}:{ACCOUNT}");
        for role in ["llmd-epp", "llmd-epp-election"] {
            it.kubectl(&["create", "rolebinding", role, &format!("--role={role}"), &account])?;
        }
        let role = "--clusterrole=llmd-epp-metrics-access";
        it.cluster.kubectl(&["create", "clusterrolebinding", "llmd-epp-metrics-access", role, &account])?;
        Ok(Some(it))
    }

    /// `kubectl -n NAMESPACE …` as the administrator.
    pub(super) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let arguments: Vec<&str> = ["-n", NAMESPACE].into_iter().chain(arguments.iter().copied()).collect();
        self.cluster.kubectl(&arguments)
    }

    /// Applies one object into the namespace.
    pub(super) fn apply(&self, object: &Value) -> Result<()> {
        let arguments = ["-n", NAMESPACE, "apply", "--server-side", "--force-conflicts", "-f", "-"];
        self.cluster.kubectl_with_input(&arguments, &object.to_string()).map(drop)
    }

    /// Installs a CRD of the chart and waits until it is served.
    pub(super) fn install_crd(&self, name: &str) -> Result<()> {
        let file = root().join(format!("charts/llmd-crds/files/inference/{name}.yaml"));
        self.cluster.kubectl(&["apply", "--server-side", "-f", &file.display().to_string()])?;
        // Asked again, because kubectl fails at a CRD that has no condition at all yet.
        let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd", name];
        let start = Instant::now();
        while let Err(error) = self.cluster.kubectl(&wait) {
            if start.elapsed() > DEADLINE {
                return Err(error);
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// The InferencePool `pool` with the pods of `app` at `ports`.
    pub(super) fn apply_pool(&self, app: &str, ports: &[u16]) -> Result<()> {
        let ports: Vec<Value> = ports.iter().map(|it| json!({ "number": it })).collect();
        self.apply(&json!({
            "apiVersion": "inference.networking.k8s.io/v1", "kind": "InferencePool",
            "metadata": { "name": "pool" },
            "spec": { "selector": { "matchLabels": { "app": app } }, "targetPorts": ports,
                      "endpointPickerRef": { "name": "epp", "port": { "number": 9002 } } },
        }))
    }

    /// A pod of `app` that has this address and is ready, as a kubelet would say.
    pub(super) fn run_pod(&self, name: &str, app: &str, address: &str) -> Result<()> {
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": app } },
            "spec": { "containers": [{ "name": "main", "image": "engine" }] },
        }))?;
        self.set_ready(name, address, true)
    }

    pub(super) fn set_ready(&self, pod: &str, address: &str, is_ready: bool) -> Result<()> {
        let status = if is_ready { "True" } else { "False" };
        let patch = json!({ "status": { "podIP": address, "podIPs": [{ "ip": address }], "phase": "Running",
                                        "conditions": [{ "type": "Ready", "status": status }] } });
        let patch = patch.to_string();
        self.kubectl(&["patch", "pod", pod, "--subresource=status", "--type=merge", "-p", &patch]).map(drop)
    }

    pub(super) fn delete_pod(&self, name: &str) -> Result<()> {
        self.kubectl(&["delete", "pod", name, "--grace-period=0", "--force"]).map(drop)
    }

    /// A token of a service account of the namespace.
    pub(super) fn token(&self, account: &str) -> Result<String> {
        Ok(self.kubectl(&["create", "token", account])?.trim().to_owned())
    }

    /// A kubeconfig with nothing but the endpoint picker's own rights.
    fn kubeconfig(&self) -> Result<PathBuf> {
        let (server, ca) = (self.cluster.server(), self.cluster.dir().join("ca.crt"));
        let path = self.cluster.dir().join("epp.conf");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "epp",
            "clusters": [{ "name": "k8s", "cluster": { "server": server, "certificate-authority": ca } }],
            "users": [{ "name": "epp", "user": { "token": self.token(ACCOUNT)? } }],
            "contexts": [{ "name": "epp", "context": { "cluster": "k8s", "user": "epp" } }],
        });
        std::fs::write(&path, config.to_string())?;
        Ok(path)
    }

    /// Starts an endpoint picker that chooses at random; `flags` say which pods serve.
    pub(super) fn start_picker(&self, flags: &[&str]) -> Result<Picker> {
        let (grpc, health, metrics, proxy) = (free_port()?, free_port()?, free_port()?, free_port()?);
        let log = self.cluster.dir().join(format!("llmd-epp-{metrics}.log"));
        let file = std::fs::File::create(&log)?;
        let process = Command::new(program("llmd-epp")?)
            .args(["--host=127.0.0.1", "--secure-serving=false", "--config-text", CHOOSE_AT_RANDOM])
            .arg(format!("--grpc-port={grpc}"))
            .arg(format!("--grpc-health-port={health}"))
            .arg(format!("--metrics-port={metrics}"))
            .arg(format!("--proxy-port={proxy}"))
            .arg(format!("--kubeconfig={}", self.kubeconfig()?.display()))
            .args(flags)
            .env("NAMESPACE", NAMESPACE)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        let client = |port: u16| Client::new(&format!("http://127.0.0.1:{port}"));
        Ok(Picker { process, log, pages: client(metrics), proxy: client(proxy) })
    }
}

/// A running endpoint picker.
pub(super) struct Picker {
    process: Child,
    log: PathBuf,
    pub(super) pages: Client,
    proxy: Client,
}

impl Picker {
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What `/readyz` says once it holds this text; empty stands for ready.
    pub(super) async fn says(&self, expected: &str) -> Result<()> {
        self.eventually(&format!("/readyz says {expected:?}"), async || {
            let reply = self.pages.get("/readyz").await?;
            let is_as_expected = match expected {
                "" => reply.status == StatusCode::OK,
                _ => reply.status == StatusCode::SERVICE_UNAVAILABLE && reply.text().contains(expected),
            };
            if is_as_expected { Ok(()) } else { bail!("{}: {}", reply.status, reply.text()) }
        })
        .await
    }

    /// Waits until requests are served by exactly these addresses.
    pub(super) async fn serves_from(&self, expected: &[String]) -> Result<()> {
        let expected: BTreeSet<String> = expected.iter().cloned().collect();
        self.eventually(&format!("{expected:?} serve"), async || {
            let mut served = BTreeSet::new();
            for _ in 0..N_REQUESTS {
                let reply = self.complete(&[]).await?;
                served.insert(if reply.status == StatusCode::OK {
                    reply.text()
                } else {
                    reply.status.to_string()
                });
            }
            if served == expected { Ok(()) } else { bail!("{served:?} serve") }
        })
        .await
    }

    /// One request for model `m`.
    pub(super) async fn complete(&self, headers: &[(&str, &str)]) -> Result<Reply> {
        let body = Bytes::from_static(br#"{"model":"m","prompt":"p"}"#);
        self.proxy.send(Method::POST, "/v1/completions", headers, body).await
    }

    /// The decision about a request with these headers.
    pub(super) async fn decision(&self, headers: &[(&str, &str)]) -> Result<Value> {
        self.complete(headers).await?;
        let decisions = self.pages.get("/debug/decisions").await?.json()?;
        decisions["decisions"].get(0).cloned().context("there is no decision")
    }

    /// Tries until it succeeds.
    pub(super) async fn eventually<T>(
        &self,
        what: &str,
        mut attempt: impl AsyncFnMut() -> Result<T>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            match attempt().await {
                Ok(it) => return Ok(it),
                Err(error) if start.elapsed() > DEADLINE => {
                    let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                    let tail: Vec<&str> = log.lines().rev().take(12).collect();
                    bail!("not after {DEADLINE:?}: {what}: {error:#}\n{}", tail.join("\n"));
                }
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }
}

impl Drop for Picker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Root of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}
