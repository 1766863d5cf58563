//! Rights and their use, by the audit log: what was refused for want of one, and which nobody has used.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::Value;

use super::Cluster;

impl Cluster {
    /// [`refused`] of the controllers under test.
    ///
    /// # Errors
    /// When the audit log cannot be read.
    pub fn refusals(&self) -> Result<BTreeSet<String>> {
        Ok(refused(&self.entries_since(0)?))
    }

    /// The rights of a manifest with roles that the controllers under test have not used, each as `VERB RESOURCE.GROUP`.
    ///
    /// # Errors
    /// When the audit log or the manifest cannot be read.
    pub fn unused_rights(&self, manifest: &str) -> Result<BTreeSet<String>> {
        let roles: Vec<Value> = serde_saphyr::from_multiple(manifest)?;
        let used = used(&self.entries_since(0)?);
        Ok(roles.iter().flat_map(|it| granted(&it["rules"])).filter(|it| !used.contains(it)).collect())
    }
}

/// The requests that were refused for want of a right, each once. An API server that starts knows no rights for a
/// moment, and a role that is deleted may go before the pod that used it, so a request that was allowed at another time
/// does not count.
#[must_use]
pub fn refused(entries: &[Value]) -> BTreeSet<String> {
    let allowed: BTreeSet<String> =
        entries.iter().filter(|it| decision(it) == "allow").map(request).collect();
    let refused = entries.iter().filter(|it| it["responseStatus"]["code"] == 403 && lacks_right(it));
    let refused = refused.filter(|it| decision(it) != "forbid" || !allowed.contains(&request(it)));
    refused.map(|it| format!("{} {}: {}", it["verb"], it["requestURI"], message(it))).collect()
}

/// The rights that requests have used, each as `VERB RESOURCE.GROUP`.
#[must_use]
pub fn used(entries: &[Value]) -> BTreeSet<String> {
    entries.iter().map(used_right).collect()
}

/// The rights of a list of rules, each as `VERB RESOURCE.GROUP`. Rules of paths, which name no resource, give none.
#[must_use]
pub fn granted(rules: &Value) -> BTreeSet<String> {
    list(rules).iter().flat_map(rights).collect()
}

/// Whether a right was missing; quotas and namespaces that are being deleted answer with the same code.
fn lacks_right(entry: &Value) -> bool {
    decision(entry) == "forbid" || message(entry).contains("attempting to grant RBAC permissions")
}

fn decision(entry: &Value) -> &str {
    entry["annotations"]["authorization.k8s.io/decision"].as_str().unwrap_or_default()
}

/// Verb and path.
fn request(entry: &Value) -> String {
    let uri = entry["requestURI"].as_str().unwrap_or_default();
    let path = uri.split_once('?').map_or(uri, |(path, _)| path);
    format!("{} {path}", entry["verb"].as_str().unwrap_or_default())
}

fn message(entry: &Value) -> &str {
    entry["responseStatus"]["message"].as_str().unwrap_or_default()
}

fn used_right(entry: &Value) -> String {
    let object = &entry["objectRef"];
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let resource = [text("resource"), text("subresource")].join("/");
    right(entry["verb"].as_str().unwrap_or_default(), resource.trim_end_matches('/'), text("apiGroup"))
}

/// Every right of a rule.
fn rights(rule: &Value) -> Vec<String> {
    let texts = |field: &str| list(&rule[field]).iter().filter_map(Value::as_str).collect::<Vec<_>>();
    let (verbs, resources, groups) = (texts("verbs"), texts("resources"), texts("apiGroups"));
    let objects = groups.iter().flat_map(|group| resources.iter().map(move |it| (*it, *group)));
    objects.flat_map(|(resource, group)| verbs.iter().map(move |it| right(it, resource, group))).collect()
}

fn right(verb: &str, resource: &str, group: &str) -> String {
    format!("{verb} {resource}.{group}")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
