//! Controllers that the stories want in a cluster, by their own Helm charts and with images built here.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::Provider;
use crate::helm::{clear, helm, is_deployed};
use crate::skip::skip;

/// After this long a controller that was just installed is broken.
const READY_DEADLINE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(250);

/// A further controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addition {
    /// The controller of LeaderWorkerSets.
    Lws,
    /// Envoy Gateway with the GatewayClass `envoy`.
    Gateway,
    /// What autoscalers read.
    Metrics,
}

impl Addition {
    /// As `cargo xtask k8s --add` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lws => "lws",
            Self::Gateway => "gateway",
            Self::Metrics => "metrics",
        }
    }

    /// The object by which it is recognised where it was not installed from here, as `kubectl get` takes it.
    const fn sign(self) -> &'static str {
        match self {
            Self::Lws => "crd/leaderworkersets.leaderworkerset.x-k8s.io",
            Self::Gateway => "crd/gatewayclasses.gateway.networking.k8s.io",
            Self::Metrics => "apiservice/v1beta1.metrics.k8s.io",
        }
    }

    const fn chart(self) -> &'static str {
        match self {
            Self::Lws => "lws",
            Self::Gateway => "gateway-helm",
            Self::Metrics => "metrics-server",
        }
    }

    /// Name of the Helm release.
    const fn release(self) -> &'static str {
        match self {
            Self::Lws => "lws",
            Self::Gateway => "eg",
            Self::Metrics => "metrics-server",
        }
    }

    const fn images(self) -> &'static [&'static str] {
        match self {
            Self::Lws => &["lws.tar"],
            Self::Gateway => &["envoy.tar", "envoy-gateway.tar"],
            Self::Metrics => &["metrics-server.tar"],
        }
    }

    const fn namespace(self) -> &'static str {
        match self {
            Self::Lws => "lws-system",
            Self::Gateway => "envoy-gateway-system",
            Self::Metrics => "kube-system",
        }
    }

    const fn values(self) -> &'static str {
        match self {
            Self::Lws => {
                "image.manager.repository=localhost/lws,image.manager.tag=1,image.manager.pullPolicy=Never,\
                 resources.requests.cpu=50m,resources.requests.memory=64Mi"
            }
            // A single one that is restarted need not wait for its own lease to run out.
            Self::Gateway => {
                "config.envoyGateway.provider.kubernetes.leaderElection.disable=true,\
                 global.images.envoyProxy.image=localhost/envoy:1,\
                 config.envoyGateway.extensionApis.enableEnvoyPatchPolicy=true,\
                 config.envoyGateway.extensionApis.enableBackend=true"
            }
            // Kubelets' certificates are their own in most clusters that one brings up for a test.
            Self::Metrics => {
                "image.repository=localhost/metrics-server,image.tag=dev,image.pullPolicy=Never,\
                 args={--kubelet-insecure-tls},metrics.enabled=false,resources.requests.cpu=50m"
            }
        }
    }
}

/// Installs a controller and waits until it works. One that is installed stays as it is; what was left unfinished goes
/// first.
///
/// # Errors
/// When it does not come up; a [`crate::skip::Skip`] when it is not built, or the cluster takes no image archives and
/// does not have it.
pub fn install(provider: &dyn Provider, addition: Addition) -> Result<()> {
    let kubectl = provider.kubectl();
    let (release, namespace) = (addition.release(), addition.namespace());
    let sign = kubectl.run(&["get", addition.sign(), "--ignore-not-found", "-o", "name"])?;
    if is_deployed(kubectl, release, namespace)? || (!provider.takes_archives() && !sign.trim().is_empty()) {
        return Ok(());
    }
    let chart = chart(provider, addition)?;
    let place = place(provider)?;
    for image in addition.images() {
        provider.load(&place.join("images").join(image))?;
    }
    clear(kubectl, release, namespace)?;
    // The charts bring CRDs; theirs win over ones that are there already.
    let chart = chart.display().to_string();
    let arguments = ["upgrade", "--install", release, &chart, "-n", namespace, "--create-namespace"];
    let how =
        ["--take-ownership", "--force-conflicts", "--wait", "--timeout=180s", "--set", addition.values()];
    helm(kubectl, &[arguments.as_slice(), how.as_slice()].concat())?;
    match addition {
        // Its pod counts as ready before its webhooks listen.
        Addition::Lws => wait_for("the webhooks of LeaderWorkerSet answer", || try_lws(provider)),
        Addition::Gateway => {
            kubectl.apply(include_str!("../../k8s/gateway.yaml"))?;
            let accepted = ["wait", "--for=condition=Accepted", "--timeout=1s", "gatewayclass/envoy"];
            wait_for("the GatewayClass envoy is accepted", || kubectl.run(&accepted).map(drop))
        }
        // It has seen nothing yet when its pod is ready.
        Addition::Metrics => wait_for("nodes are measured", || kubectl.run(&["top", "nodes"]).map(drop)),
    }
}

/// Folder of the chart of a controller.
///
/// # Errors
/// A [`crate::skip::Skip`] when it is not built.
pub fn chart(provider: &dyn Provider, addition: Addition) -> Result<PathBuf> {
    let chart = place(provider)?.join("charts").join(addition.chart());
    if !chart.exists() {
        let name = addition.name();
        return skip(format!("no {}: `cargo xtask k8s --add {name}` builds it", chart.display()));
    }
    Ok(chart)
}

/// Folder of all that is built of Kubernetes.
fn place(provider: &dyn Provider) -> Result<&Path> {
    provider.kubectl().bin().parent().context("the folder of programs lies in another")
}

/// Has a LeaderWorkerSet admitted without making it.
fn try_lws(provider: &dyn Provider) -> Result<()> {
    let object = json!({
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": { "name": "try", "namespace": "default" },
        "spec": { "leaderWorkerTemplate": {
            "size": 1,
            "workerTemplate": { "spec": { "containers": [{ "name": "main", "image": "none" }] } },
        } },
    });
    let arguments = ["apply", "--dry-run=server", "-f", "-"];
    provider.kubectl().run_with_input(&arguments, &object.to_string()).map(drop)
}

fn wait_for(what: &str, mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(error) if start.elapsed() > READY_DEADLINE => {
                return Err(error).with_context(|| format!("not after {READY_DEADLINE:?}: {what}"));
            }
            Err(_) => std::thread::sleep(POLL),
        }
    }
}
