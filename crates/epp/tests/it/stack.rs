//! An endpoint picker in this process, on free ports, in front of given endpoints.

use std::fmt::Write;
use std::net::SocketAddr;

use llmd_common::ready::Readiness;
use llmd_common::shutdown::Shutdown;
use llmd_epp::args::{Args, Settings};
use llmd_epp::server::{self, Addresses};
use tempfile::TempDir;

use crate::engine::Engine;
use crate::http_client;

#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) addresses: Addresses,
    pub(crate) readiness: Readiness,
    pub(crate) shutdown: Shutdown,
    _folder: TempDir,
}

impl Stack {
    /// In front of `engines`, with ext_proc in plain text and the proxy on.
    pub(crate) async fn start(engines: &[&Engine]) -> Self {
        let addresses: Vec<SocketAddr> = engines.iter().map(|it| it.address).collect();
        Self::with_flags(&addresses, &["--secure-serving=false"]).await
    }

    pub(crate) async fn with_flags(endpoints: &[SocketAddr], flags: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let config = write_config(&folder, endpoints);
        let words = ["llmd-epp", "--host=127.0.0.1", "--grpc-port=0", "--grpc-health-port=0"];
        let more = ["--metrics-port=0", "--proxy-port=0", "--config-text", &config];
        let words = words.iter().chain(&more).chain(flags).copied();
        let settings = Settings::try_from(Args::parse_from_words(words).unwrap()).unwrap();
        let (readiness, shutdown) = (Readiness::new(), Shutdown::new());
        let addresses = server::start(&settings, &readiness, &shutdown).await.unwrap();
        Self { addresses, readiness, shutdown, _folder: folder }
    }

    pub(crate) fn proxy(&self) -> SocketAddr {
        self.addresses.proxy.unwrap()
    }

    /// Waits until a line of `/metrics` equals `line`.
    pub(crate) async fn expect_metric(&self, line: &str) {
        crate::eventually(line, async || {
            let page = http_client::get(self.addresses.metrics, "/metrics").await;
            page.text().lines().any(|it| it == line)
        })
        .await;
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.shutdown.draining().cancel();
        self.shutdown.cancelled().cancel();
    }
}

/// The configuration of a pool of `endpoints`, chosen at random; the endpoint list is a file of `folder`.
pub(crate) fn write_config(folder: &TempDir, endpoints: &[SocketAddr]) -> String {
    let list = folder.path().join("endpoints.yaml");
    let mut text = String::from("endpoints:");
    if endpoints.is_empty() {
        text.push_str(" []");
    }
    for (idx, endpoint) in endpoints.iter().enumerate() {
        let (address, port) = (endpoint.ip(), endpoint.port());
        write!(text, "\n- {{name: engine-{idx}, address: {address}, port: \"{port}\"}}").unwrap();
    }
    std::fs::write(&list, text).unwrap();
    format!(
        "apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- {{type: file-discovery, parameters: {{path: {}}}}}
- {{type: random-picker}}
schedulingProfiles:
- {{name: default, plugins: [{{pluginRef: random-picker}}]}}
dataLayer: {{discovery: {{pluginRef: file-discovery}}}}
",
        list.display()
    )
}
