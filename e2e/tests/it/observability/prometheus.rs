//! A real Prometheus: one process that scrapes what a story names and evaluates the chart's rules.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use llmd_e2e::client::Client;
use llmd_e2e::cluster::free_port;
use serde_json::Value;
use tempfile::TempDir;

/// A running Prometheus. It ends with this value.
#[derive(Debug)]
pub(super) struct Prometheus {
    process: Child,
    address: String,
    dir: TempDir,
}

/// What is scraped, as the chart's monitors would have it.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) pod: String,
    /// `HOST:PORT`; the path is `/metrics`.
    pub(super) address: String,
}

impl Prometheus {
    /// Starts one that scrapes `targets` and itself each second, or tells why this machine has none.
    pub(super) fn start(targets: &[Target], rules: &Path) -> Result<Result<Self, String>> {
        for program in ["prometheus", "promtool"] {
            let version =
                Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            if version.is_err() {
                return Ok(Err(format!("no program `{program}` (Debian's package prometheus has it)")));
            }
        }
        let dir = tempfile::tempdir()?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let config = dir.path().join("prometheus.yaml");
        std::fs::write(&config, configuration(targets, rules, &address)?)?;
        promtool(&["check", "config", config.to_str().context("the path is text")?])?;
        let log = std::fs::File::create(dir.path().join("log"))?;
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        Ok(Ok(Self { process, address, dir }))
    }

    /// Whether it answers.
    pub(super) async fn ready(&self) -> Result<()> {
        let reply = Client::new(&format!("http://{}", self.address)).get("/-/ready").await;
        let log = || std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        ensure!(reply.is_ok_and(|it| it.status.is_success()), "Prometheus is not ready: {}", log());
        Ok(())
    }

    /// The values of an instant query that are numbers.
    pub(super) fn query(&self, expression: &str) -> Result<Vec<f64>> {
        let url = format!("http://{}", self.address);
        let answer = promtool(&["query", "instant", "-o", "json", &url, expression])?;
        let series: Vec<Value> = serde_json::from_slice(&answer)?;
        let values = series.iter().filter_map(|it| it["value"][1].as_str()?.parse::<f64>().ok());
        Ok(values.filter(|it| !it.is_nan()).collect())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn promtool(arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new("promtool").args(arguments).output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "promtool {}: {text}", arguments.join(" "));
    Ok(output.stdout)
}

fn configuration(targets: &[Target], rules: &Path, own: &str) -> Result<String> {
    let mut text = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: [{}]\n\
         scrape_configs:\n\
         - {{job_name: prometheus, static_configs: [{{targets: [\"{own}\"]}}]}}\n\
         - job_name: llmd\n  static_configs:\n",
        rules.display()
    );
    for Target { pod, address } in targets {
        writeln!(text, "  - {{targets: [\"{address}\"], labels: {{namespace: demo, pod: {pod}}}}}")?;
    }
    Ok(text)
}
