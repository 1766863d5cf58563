//! Who did what: the API server's audit log, an account that does not depend on what the controller counts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{CONTROLLERS, Cluster};

/// Whatever the controllers under test and the accounts of pods ask for, and what others write, when the answer is out.
const POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, userGroups: [llmd]}
- {level: None, users: ['system:apiserver']}
- {level: None, verbs: [get, list, watch], userGroups: ['system:serviceaccounts:kube-system']}
- {level: Metadata, userGroups: ['system:serviceaccounts']}
- {level: None, verbs: [get, list, watch]}
- {level: Metadata}
";

/// One write to the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// When it arrived, as RFC 3339 with microseconds.
    pub at: String,
    /// Which of [`CONTROLLERS`](super::CONTROLLERS) it came from.
    pub user: String,
    /// `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// Plural of the kind, with the subresource if any: `deployments`, `llminferenceservices/status`.
    pub resource: String,
    pub namespace: String,
    pub name: String,
    /// HTTP status of the answer.
    pub code: u64,
}

pub(super) fn policy(folder: &Path) -> PathBuf {
    folder.join("audit-policy.yaml")
}

pub(super) fn log(folder: &Path) -> PathBuf {
    folder.join("audit.log")
}

pub(super) fn write_policy(folder: &Path) -> Result<()> {
    Ok(fs::write(policy(folder), POLICY)?)
}

/// Every request in an audit log, whose file has the name `audit.log` in the cluster's folder.
///
/// # Errors
/// When it cannot be read.
pub fn read(log: &Path) -> Result<Vec<Value>> {
    Ok(parse(&fs::read_to_string(log)?))
}

impl Cluster {
    /// Length of the audit log: where [`Self::writes_since`] may begin.
    #[must_use]
    pub fn audit_position(&self) -> u64 {
        fs::metadata(log(self.dir())).map_or(0, |it| it.len())
    }

    /// What the controllers under test wrote since `position`, events and leases left out.
    ///
    /// # Errors
    /// When the log cannot be read, or ends before `position`.
    pub fn writes_since(&self, position: u64) -> Result<Vec<Write>> {
        let mut writes = self.requests_since(position)?;
        writes.retain(|it| it.resource != "events" && it.resource != "leases");
        Ok(writes)
    }

    /// What the controllers under test wrote since `position`, events and leases too.
    ///
    /// # Errors
    /// When the log cannot be read, or ends before `position`.
    pub fn requests_since(&self, position: u64) -> Result<Vec<Write>> {
        let entries = self.entries_since(position)?;
        let is_read = |it: &Value| ["get", "list", "watch"].iter().any(|verb| it["verb"] == *verb);
        Ok(entries.iter().filter(|it| !is_read(it)).map(write).collect())
    }

    /// Every request of the controllers under test since `position`. A watch has an entry when it begins and another
    /// one when it ends.
    pub(super) fn entries_since(&self, position: u64) -> Result<Vec<Value>> {
        let text = fs::read_to_string(log(self.dir()))?;
        let since = text.get(usize::try_from(position)?..);
        let mut entries = parse(since.with_context(|| format!("the audit log ends before {position}"))?);
        entries.retain(|it| CONTROLLERS.iter().any(|user| it["user"]["username"] == *user));
        Ok(entries)
    }
}

/// The entries of whole lines; the last one may be in the making.
fn parse(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn write(entry: &Value) -> Write {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &entry["objectRef"];
    let (resource, part) = (text(&object["resource"]), text(&object["subresource"]));
    Write {
        at: text(&entry["requestReceivedTimestamp"]),
        user: text(&entry["user"]["username"]),
        verb: text(&entry["verb"]),
        resource: if part.is_empty() { resource } else { format!("{resource}/{part}") },
        namespace: text(&object["namespace"]),
        name: text(&object["name"]),
        code: entry["responseStatus"]["code"].as_u64().unwrap_or_default(),
    }
}
