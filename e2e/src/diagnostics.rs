//! What one needs to understand a failed story: objects, events, descriptions and logs of the whole cluster.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::provider::Provider;

/// What is said of an object that ought to be gone.
const GOING: &str = "-o=jsonpath={range .items[?(@.metadata.deletionTimestamp)]}{.kind} \
    {.metadata.namespace}/{.metadata.name} goes since {.metadata.deletionTimestamp}, held by \
    {.metadata.finalizers}{\"\\n\"}{end}";
/// Lines of [`highlights`] that are warnings.
const MOST_WARNINGS: usize = 20;

/// File and the kubectl command whose output it holds.
const COMMANDS: [(&str, &[&str]); 5] = [
    ("objects.txt", &["get", "all,configmaps,endpointslices,leases,crds", "-A", "-o", "wide"]),
    ("events.txt", &["get", "events", "-A", "--sort-by=.lastTimestamp"]),
    ("nodes.txt", &["describe", "nodes"]),
    ("pods.txt", &["describe", "pods", "-A"]),
    (
        "webhooks.yaml",
        &["get", "validatingwebhookconfigurations,mutatingwebhookconfigurations", "-o", "yaml"],
    ),
];
/// API groups whose objects the stories make: each kind goes into a file of its own.
const GROUPS: [&str; 5] = [
    "serving.kserve.io",
    "inference.networking.k8s.io",
    "gateway.networking.k8s.io",
    "gateway.envoyproxy.io",
    "leaderworkerset.x-k8s.io",
];

/// Writes all of it into `folder`, in place of what an earlier run left there. Secrets are left out.
///
/// # Errors
/// When the folder cannot be written. What kubectl cannot tell stands in the files instead.
pub fn collect(provider: &dyn Provider, folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let kubectl = provider.kubectl();
    let write = |file: &str, arguments: &[&str]| {
        let text = kubectl.run(arguments).unwrap_or_else(|error| format!("{error:#}\n"));
        fs::write(folder.join(file), text)
    };
    for (file, arguments) in COMMANDS {
        write(file, arguments)?;
    }
    for group in GROUPS {
        let kinds = kubectl.run(&["api-resources", "--api-group", group, "-o", "name"]).unwrap_or_default();
        for kind in kinds.lines() {
            write(&format!("{kind}.yaml"), &["get", kind, "-A", "-o", "yaml"])?;
        }
    }
    collect_logs(provider, folder)
}

/// What stands out in the `folder` of [`collect`], for whoever sees only what the stories print: services that do not
/// go, and what processes of llmd warned of last.
///
/// # Errors
/// When the folder cannot be read.
pub fn highlights(provider: &dyn Provider, folder: &Path) -> Result<Vec<String>> {
    // A cluster without the kind has no services.
    let going = provider.kubectl().run(&["get", "llmisvc", "-A", GOING]).unwrap_or_default();
    let mut warnings = Vec::new();
    for log in fs::read_dir(folder.join("logs"))? {
        let text = fs::read(log?.path())?;
        warnings.extend(String::from_utf8_lossy(&text).lines().filter_map(warning));
    }
    warnings.sort();
    let earlier = warnings.len().saturating_sub(MOST_WARNINGS);
    Ok(going.lines().map(str::to_owned).chain(warnings.split_off(earlier)).collect())
}

/// A line of a pod's log as `kubectl logs --prefix` prints it, with its time first, if it is a warning of llmd's.
fn warning(line: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Record<'a> {
        timestamp: &'a str,
        level: &'a str,
    }

    let (container, record) = line.strip_prefix('[')?.split_once("] ")?;
    let Record { timestamp, level } = serde_json::from_str(record).ok()?;
    matches!(level, "WARN" | "ERROR").then(|| format!("{timestamp} {container} {record}"))
}

/// Logs of every container, with those of its predecessor, and of the cluster's own programs.
fn collect_logs(provider: &dyn Provider, folder: &Path) -> Result<()> {
    let logs = folder.join("logs");
    fs::create_dir_all(&logs)?;
    let kubectl = provider.kubectl();
    let path = "-o=jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{\"\\n\"}{end}";
    let pods = kubectl.run(&["get", "pods", "-A", path]).unwrap_or_default();
    for (namespace, pod) in pods.lines().filter_map(|line| line.split_once(' ')) {
        for (suffix, previous) in [("", "--previous=false"), (".previous", "--previous=true")] {
            let arguments = ["-n", namespace, "logs", pod, "--all-containers", "--prefix", previous];
            // Most containers have no predecessor.
            if let Ok(text) = kubectl.run(&arguments) {
                fs::write(logs.join(format!("{namespace}.{pod}{suffix}.log")), text)?;
            }
        }
    }
    for log in provider.logs() {
        if let Some(name) = log.file_name() {
            fs::copy(&log, logs.join(name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_found_among_other_lines() {
        let of =
            |level| format!(r#"[pod/a/manager] {{"timestamp":"2026-01-01T00:00:00Z","level":"{level}"}}"#);
        assert_eq!(warning(&of("INFO")), None);
        assert_eq!(warning("[pod/b/envoy] [warning] gone"), None);
        let found = warning(&of("WARN")).unwrap();
        assert!(found.starts_with("2026-01-01T00:00:00Z pod/a/manager {"), "{found}");
    }
}
