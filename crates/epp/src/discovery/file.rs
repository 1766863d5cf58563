//! `file-discovery`: endpoints from a YAML or JSON file, read again when it changes.
//!
//! ```yaml
//! endpoints:
//! - {name: vllm-0, namespace: default, address: 10.0.0.1, port: "8000", labels: {llm-d.ai/role: decode}}
//! ```
//!
//! The first load must succeed. A later version that cannot be used is logged and the endpoints stay as they
//! were. The directory is watched, not the file, so atomic renames and the symbolic links of mounted ConfigMaps
//! are seen; the file is also read every ten seconds, for file systems without notifications.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use llmd_common::report::Report;
use llmd_common::shutdown::Shutdown;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use serde::Deserialize;
use tokio::sync::Notify;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::datastore::{Datastore, EndpointSpec};
use crate::plugin::Extension;

/// Time between two reads without a notification.
const POLL: Duration = Duration::from_secs(10);
/// Time for a writer to finish what it began.
const SETTLE: Duration = Duration::from_millis(20);
/// Largest file, as in the llm-d router.
const MAX_BYTES: usize = 1 << 20;

/// Parameters of the plugin.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FileDiscovery {
    /// The file.
    pub path: PathBuf,
    /// Whether to follow changes.
    #[serde(default)]
    pub watch_file: bool,
}

/// Why the endpoints of a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The file is missing or unreadable.
    #[error("cannot read the endpoints file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is not YAML of the expected shape.
    #[error("cannot parse the endpoints file {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: Box<serde_saphyr::Error>,
    },
    /// Entries with unusable values.
    #[error("endpoints file {}: {}", path.display(), problems.join("; "))]
    Entries {
        /// The file.
        path: PathBuf,
        /// One sentence for each.
        problems: Vec<String>,
    },
    /// Changes cannot be watched.
    #[error("cannot watch {}", path.display())]
    Watch {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: notify::Error,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    endpoints: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default = "default_namespace")]
    namespace: String,
    address: String,
    port: Port,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// The wire says string; a bare number is what people write.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Port {
    Text(String),
    Number(u16),
}

fn default_namespace() -> String {
    "default".to_owned()
}

impl Entry {
    fn into_spec(self) -> Result<EndpointSpec, String> {
        let Self { name, namespace, address, port, labels } = self;
        let ip: IpAddr = address
            .parse()
            .map_err(|_| format!("endpoint {name:?}: address {address:?} is not an IP address"))?;
        let number = match &port {
            Port::Text(text) => text.parse().ok(),
            Port::Number(number) => Some(*number),
        };
        let port = number
            .filter(|&it| it > 0)
            .ok_or_else(|| format!("endpoint {name:?}: port {port:?} is not between 1 and 65535"))?;
        Ok(EndpointSpec { name, namespace, address: SocketAddr::new(ip, port), labels })
    }
}

/// The endpoints that `text` lists, or every entry that is wrong.
fn parse(path: &Path, text: &str) -> Result<Vec<EndpointSpec>, DiscoveryError> {
    let file: File = serde_saphyr::from_str(text)
        .map_err(|source| DiscoveryError::Parse { path: path.to_owned(), source: Box::new(source) })?;
    let (mut specs, mut problems) = (Vec::new(), Vec::new());
    for entry in file.endpoints {
        match entry.into_spec() {
            Ok(spec) => specs.push(spec),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        Ok(specs)
    } else {
        Err(DiscoveryError::Entries { path: path.to_owned(), problems })
    }
}

impl FileDiscovery {
    /// Fills `store` from the file and, with `watchFile`, keeps it up to date until `shutdown` drains.
    ///
    /// # Errors
    /// [`DiscoveryError`] when the file cannot be used now.
    pub async fn start(self, store: Arc<Datastore>, shutdown: &Shutdown) -> Result<(), DiscoveryError> {
        // Watching starts before the first read, so that no change falls between the two.
        let changed = Arc::new(Notify::new());
        let watcher = if self.watch_file { Some(self.watcher(&changed)?) } else { None };
        let mut current = self.read().await?;
        store.replace(parse(&self.path, &current)?);
        tracing::info!(path = %self.path.display(), endpoints = store.endpoints().len(), "endpoints loaded");
        let Some(watcher) = watcher else { return Ok(()) };
        let draining = shutdown.draining().clone();
        shutdown.spawn(async move {
            let _watcher = watcher;
            loop {
                tokio::select! {
                    () = draining.cancelled() => return,
                    () = changed.notified() => tokio::time::sleep(SETTLE).await,
                    () = tokio::time::sleep(POLL) => {}
                }
                if let Err(error) = self.reload(&mut current, &store).await {
                    tracing::warn!(error = %Report(&error), "keeping the endpoints as they were");
                }
            }
        });
        Ok(())
    }

    async fn reload(&self, current: &mut String, store: &Datastore) -> Result<(), DiscoveryError> {
        let text = self.read().await?;
        if text == *current {
            return Ok(());
        }
        // A text that cannot be used is remembered too: it is reported once and not at every poll.
        *current = text;
        store.replace(parse(&self.path, current)?);
        tracing::info!(path = %self.path.display(), endpoints = store.endpoints().len(), "endpoints reloaded");
        Ok(())
    }

    async fn read(&self) -> Result<String, DiscoveryError> {
        let failed = |source| DiscoveryError::Read { path: self.path.clone(), source };
        let text = tokio::fs::read_to_string(&self.path).await.map_err(failed)?;
        if text.len() > MAX_BYTES {
            return Err(failed(io::Error::other(format!("it is larger than {MAX_BYTES} bytes"))));
        }
        Ok(text)
    }

    fn watcher(&self, changed: &Arc<Notify>) -> Result<RecommendedWatcher, DiscoveryError> {
        let directory = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let failed = |source| DiscoveryError::Watch { path: directory.to_owned(), source };
        let changed = Arc::clone(changed);
        // Reading the file is an event too, and must not lead to reading it again.
        let on_event = move |event: notify::Result<notify::Event>| {
            if !event.is_ok_and(|it| it.kind.is_access()) {
                changed.notify_one();
            }
        };
        let mut watcher = notify::recommended_watcher(on_event).map_err(failed)?;
        watcher.watch(directory, RecursiveMode::NonRecursive).map_err(failed)?;
        Ok(watcher)
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    let discovery: FileDiscovery = build.parameters()?;
    if discovery.path.as_os_str().is_empty() {
        return Err(build.invalid("path", "must name the endpoints file"));
    }
    Ok(Extension::Discovery(discovery))
}

#[cfg(test)]
mod tests;
