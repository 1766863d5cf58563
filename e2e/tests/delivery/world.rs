//! What a story has in its hands: the cluster, images, and how to look at what runs.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use llmd_e2e::client::{Client, Reply};
use llmd_e2e::kubectl::Kubectl;
use llmd_e2e::metrics;
use llmd_e2e::outcome;
use llmd_e2e::provider::Provider;
use llmd_e2e::skip::skip;
use tokio::runtime::Runtime;

use crate::beside::{self, Process};
use crate::options::Options;

/// How long an outcome may take that a busy machine reaches in half of it.
const OUTCOME_DEADLINE: Duration = Duration::from_secs(180);

pub(crate) struct World {
    provider: Box<dyn Provider>,
    runtime: Runtime,
    images: Images,
    is_kept: bool,
}

/// Where llmd's images come from.
enum Images {
    /// Archives in this folder, as `cargo xtask images` writes them.
    Archives(PathBuf),
    /// Pulled by the cluster.
    Registry { registry: String, tag: String },
    /// Nowhere.
    None,
}

/// How this machine reaches a port in the cluster. Dropping it ends the forwarding, where there is one.
pub(crate) struct Reach {
    client: Client,
    _forward: Option<Process>,
}

impl World {
    pub(crate) fn new(provider: Box<dyn Provider>, options: &Options) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let images = match (&options.registry, &options.images) {
            (Some(registry), _) => Images::Registry { registry: registry.clone(), tag: options.tag.clone() },
            (None, Some(folder)) => Images::Archives(folder.clone()),
            (None, None) => Images::None,
        };
        Ok(Self { provider, runtime, images, is_kept: options.keep })
    }

    pub(crate) fn provider(&self) -> &dyn Provider {
        &*self.provider
    }

    pub(crate) fn kubectl(&self) -> &Kubectl {
        self.provider.kubectl()
    }

    /// Lets the cluster stay.
    pub(crate) fn keep(self) {
        self.provider.keep();
    }

    /// Loads an archive of the folder beside the programs of Kubernetes.
    pub(crate) fn load(&self, archive: &str) -> Result<()> {
        self.provider.load(&self.place()?.join("images").join(archive))
    }

    /// Makes an image of llmd known to the nodes, where they do not pull it.
    pub(crate) fn provide(&self, image: &str) -> Result<()> {
        let folder = match &self.images {
            Images::Archives(folder) => folder,
            Images::Registry { .. } => return Ok(()),
            Images::None => return skip("neither --images nor --registry says where llmd's images are"),
        };
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let archive = folder.join(format!("{image}-{architecture}.tar"));
        if !archive.exists() {
            return skip(format!("no {}: `cargo xtask images` builds it", archive.display()));
        }
        self.provider.load(&archive)
    }

    /// The full name of an image of llmd.
    pub(crate) fn image(&self, image: &str) -> String {
        format!("{}/{image}:{}", self.registry(), self.tag())
    }

    /// What the names of llmd's images begin with.
    pub(crate) fn registry(&self) -> &str {
        match &self.images {
            Images::Archives(_) | Images::None => "localhost",
            Images::Registry { registry, .. } => registry,
        }
    }

    /// Tag of llmd's images.
    pub(crate) fn tag(&self) -> &str {
        match &self.images {
            Images::Archives(_) | Images::None => "dev",
            Images::Registry { tag, .. } => tag,
        }
    }

    /// An empty namespace that goes with the story.
    pub(crate) fn namespace(&self, name: &'static str) -> Result<&'static str> {
        self.clear(name)?;
        self.kubectl().run(&["create", "namespace", name])?;
        Ok(name)
    }

    /// Deletes what an earlier run left of a namespace that somebody makes now, and that goes with the story.
    pub(crate) fn clear(&self, name: &'static str) -> Result<()> {
        beside::add_namespace(name);
        let delete = ["delete", "namespace", name, "--ignore-not-found", "--timeout=120s"];
        self.kubectl().run(&delete).map(drop)
    }

    /// Deletes what the story made, unless the cluster is kept to be looked at.
    pub(crate) fn end_story(&self) {
        for name in beside::namespaces() {
            let delete = ["delete", "namespace", name, "--ignore-not-found", "--wait=false"];
            if !self.is_kept
                && let Err(error) = self.kubectl().run(&delete)
            {
                println!("namespace {name} stays: {error:#}");
            }
        }
        beside::forget_namespaces();
    }

    /// Waits until a rollout is done.
    pub(crate) fn rolled_out(&self, namespace: &str, workload: &str) -> Result<()> {
        let timeout = format!("--timeout={}s", OUTCOME_DEADLINE.as_secs());
        self.kubectl().run(&["-n", namespace, "rollout", "status", workload, &timeout]).map(drop)
    }

    /// Replaces the pods of a workload by new ones, and waits until that is done.
    pub(crate) fn restart(&self, namespace: &str, workload: &str) -> Result<()> {
        self.kubectl().run(&["-n", namespace, "rollout", "restart", workload])?;
        self.rolled_out(namespace, workload)
    }

    /// Waits for a condition of an object.
    pub(crate) fn wait_for(&self, namespace: &str, object: &str, condition: &str) -> Result<()> {
        let condition = format!("--for=condition={condition}");
        let timeout = format!("--timeout={}s", OUTCOME_DEADLINE.as_secs());
        self.kubectl().run(&["-n", namespace, "wait", object, &condition, &timeout]).map(drop)
    }

    /// A field of an object by its JSONPath.
    pub(crate) fn field(&self, namespace: &str, objects: &[&str], path: &str) -> Result<String> {
        let path = format!("-o=jsonpath={path}");
        let arguments = [&["-n", namespace, "get"], objects, &[path.as_str()]].concat();
        self.kubectl().run(&arguments)
    }

    /// Names of the pods with a label.
    pub(crate) fn pods(&self, namespace: &str, label: &str) -> Result<Vec<String>> {
        let names = self.field(namespace, &["pods", "-l", label], "{.items[*].metadata.name}")?;
        Ok(names.split_whitespace().map(str::to_owned).collect())
    }

    /// Polls until `found` answers with something; `what` is for the message when it does not.
    pub(crate) fn eventually<T>(&self, what: &str, found: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        outcome::eventually(OUTCOME_DEADLINE, what, found)
    }

    /// A Service's port, directly where this machine has routes into the cluster, else forwarded by kubectl.
    pub(crate) fn reach(&self, namespace: &str, service: &str, port: u16) -> Result<Reach> {
        if self.provider.has_routes() {
            let address = self.field(namespace, &["service", service], "{.spec.clusterIP}")?;
            ensure!(address != "None", "Service {service} is headless: it has no address of its own");
            return Ok(Reach::at(&format!("http://{address}:{port}")));
        }
        let (service, port) = (format!("service/{service}"), format!(":{port}"));
        let mut kubectl = self.kubectl().command(&["-n", namespace, "port-forward", &service, &port]);
        let mut forward = Process::start(kubectl.stdout(Stdio::piped()))?;
        let mut said = BufReader::new(forward.child.stdout.take().context("standard output is piped")?);
        let mut line = String::new();
        said.read_line(&mut line)?;
        // It has a word for every connection, and ends when nobody reads them.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let address = line.strip_prefix("Forwarding from ").and_then(|it| it.split_once(" -> "));
        let (address, _) = address.with_context(|| format!("kubectl port-forward says {line:?}"))?;
        let client = Client::new(&format!("http://{address}"));
        Ok(Reach { client, _forward: Some(forward) })
    }

    /// Skips the story where pods are reached through kubectl only: a forwarded port leads to one pod and ends with it.
    pub(crate) fn require_routes(&self) -> Result<()> {
        if self.provider.has_routes() { Ok(()) } else { skip("this machine has no routes into the cluster") }
    }

    /// A pod's port, where this machine has routes into the cluster.
    pub(crate) fn reach_pod(&self, address: &str, port: u16) -> Option<Reach> {
        self.provider.has_routes().then(|| Reach::at(&format!("http://{address}:{port}")))
    }

    /// GET.
    pub(crate) fn get(&self, at: &Reach, path: &str) -> Result<Reply> {
        self.runtime.block_on(at.client.get(path))
    }

    /// Sum over all series of a metric whose labels contain `labels`, as a pod tells it through the API server.
    pub(crate) fn metric_of(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
        (name, labels): (&str, &str),
    ) -> Result<f64> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/metrics");
        Ok(metrics::total(&self.kubectl().run(&["get", "--raw", &path])?, name, labels))
    }

    /// As [`Self::metric_of`], of all pods with a label.
    pub(crate) fn metric(
        &self,
        namespace: &str,
        label: &str,
        port: u16,
        metric: (&str, &str),
    ) -> Result<f64> {
        self.pods(namespace, label)?.iter().map(|pod| self.metric_of(namespace, pod, port, metric)).sum()
    }

    /// Runs what takes a client of its own, to its end.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime.block_on(future)
    }

    /// The folder of all that is built of Kubernetes.
    fn place(&self) -> Result<PathBuf> {
        let bin = self.kubectl().bin();
        Ok(bin.parent().context("the folder of programs lies in another")?.to_path_buf())
    }
}

impl Reach {
    /// A client of the port.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// The same port with another base: `path` below the present one.
    pub(crate) fn below(mut self, path: &str) -> Self {
        self.client = Client::new(&format!("{}{path}", self.client.base()));
        self
    }

    fn at(base: &str) -> Self {
        Self { client: Client::new(base), _forward: None }
    }
}
