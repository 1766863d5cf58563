//! Taking over objects that KServe's controller wrote with plain updates.
//!
//! Server-side apply removes a field that is no longer applied only when its manager is the sole owner. Fields of an
//! object from KServe belong to that controller's update manager, so before the first apply they are moved into this
//! controller's set, as `kubectl` does when a client-side applied object becomes server-side applied. It happens
//! once an object: later updates of managers that happen to share KServe's name are theirs.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use serde_json::{Map, Value, json};

use super::FIELD_MANAGER;

/// Field managers under which KServe's controller updates: the name of its program, which client libraries send, and
/// what Go sends without a user agent.
const LEGACY_MANAGERS: [&str; 3] = ["manager", "llmisvc-controller", "Go-http-client"];

/// Whether `entry` is what `manager` applied to the object itself.
#[must_use]
pub fn is_apply_of(entry: &ManagedFieldsEntry, manager: &str) -> bool {
    entry.manager.as_deref() == Some(manager)
        && entry.operation.as_deref() == Some("Apply")
        && entry.subresource.as_deref().unwrap_or_default().is_empty()
}

fn is_legacy(entry: &ManagedFieldsEntry) -> bool {
    entry.operation.as_deref() == Some("Update")
        && entry.subresource.as_deref().unwrap_or_default().is_empty()
        && entry.manager.as_deref().is_some_and(|it| LEGACY_MANAGERS.contains(&it))
}

/// Whether the fields have to be taken over before the first apply.
#[must_use]
pub fn is_needed(managed: &[ManagedFieldsEntry]) -> bool {
    managed.iter().any(is_legacy) && !managed.iter().any(|it| is_apply_of(it, FIELD_MANAGER))
}

/// Whether the field at `pointer`, a JSON pointer into a set of managed fields, is set by this controller or the one
/// it takes over from, and by nobody else: then no longer applying it would remove it.
#[must_use]
pub fn is_ours_alone(managed: &[ManagedFieldsEntry], pointer: &str) -> bool {
    let sets_it = |it: &&ManagedFieldsEntry| {
        it.fields_v1.as_ref().is_some_and(|FieldsV1(fields)| fields.pointer(pointer).is_some())
    };
    let mut managers = managed.iter().filter(sets_it).peekable();
    managers.peek().is_some() && managers.all(|it| is_apply_of(it, FIELD_MANAGER) || is_legacy(it))
}

/// The managed fields after the takeover. Other managers' entries stay as they are.
#[must_use]
pub fn take_over(managed: Vec<ManagedFieldsEntry>) -> Vec<ManagedFieldsEntry> {
    let (legacy, mut kept): (Vec<_>, Vec<_>) = managed.into_iter().partition(is_legacy);
    let Some(newest) = legacy.first().cloned() else { return kept };
    let fields = legacy.into_iter().filter_map(|it| it.fields_v1).fold(json!({}), |mut all, FieldsV1(it)| {
        unite(&mut all, it);
        all
    });
    kept.push(ManagedFieldsEntry {
        manager: Some(FIELD_MANAGER.to_owned()),
        operation: Some("Apply".to_owned()),
        fields_v1: Some(FieldsV1(fields)),
        ..newest
    });
    kept
}

/// The managed fields when this controller has the ports that others set; `None` when they set none.
///
/// The API server knows a port by its number, yet no two ports may have one name. So an edit of a number makes another
/// port, which an apply does not remove, and which keeps the applied one out by its name.
#[must_use]
pub fn take_ports(mut managed: Vec<ManagedFieldsEntry>) -> Option<Vec<ManagedFieldsEntry>> {
    let mut taken = json!({});
    for entry in managed.iter_mut().filter(|it| !is_apply_of(it, FIELD_MANAGER)) {
        let Some(FieldsV1(fields)) = &mut entry.fields_v1 else { continue };
        let spec = fields.get_mut("f:spec").and_then(Value::as_object_mut);
        if let Some(ports) = spec.and_then(|it| it.remove("f:ports")) {
            unite(&mut taken["f:spec"]["f:ports"], ports);
        }
    }
    let ours = managed.iter_mut().find(|it| is_apply_of(it, FIELD_MANAGER))?;
    let is_any = taken.get("f:spec").is_some();
    unite(&mut ours.fields_v1.get_or_insert_with(|| FieldsV1(json!({}))).0, taken);
    is_any.then_some(managed)
}

/// Adds the field set `more` to `all`. A set is a tree of objects whose leaves are empty.
fn unite(all: &mut Value, more: Value) {
    let Value::Object(more) = more else { return };
    if !all.is_object() {
        *all = Value::Object(Map::new());
    }
    for (name, subset) in more {
        unite(&mut all[name], subset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, subresource: Option<&str>, fields: Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some(operation.to_owned()),
            subresource: subresource.map(str::to_owned),
            api_version: Some("apps/v1".to_owned()),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }
    }

    #[test]
    fn updates_of_kserve_become_applied_fields_of_this_controller() {
        let managed = vec![
            entry("manager", "Update", None, json!({"f:spec": {"f:replicas": {}}})),
            entry("Go-http-client", "Update", None, json!({"f:spec": {"f:paused": {}}, "f:metadata": {}})),
            entry("manager", "Update", Some("status"), json!({"f:status": {}})),
            entry("kube-controller-manager", "Update", None, json!({"f:metadata": {"f:annotations": {}}})),
        ];
        assert!(is_needed(&managed));
        let after = take_over(managed.clone());
        assert_eq!(after[..2], managed[2..]);
        assert!(is_apply_of(&after[2], FIELD_MANAGER));
        assert_eq!(after[2].api_version.as_deref(), Some("apps/v1"));
        let fields = json!({"f:spec": {"f:replicas": {}, "f:paused": {}}, "f:metadata": {}});
        assert_eq!(after[2].fields_v1, Some(FieldsV1(fields)));
        assert!(!is_needed(&after), "once an object");
    }

    #[test]
    fn an_object_that_this_controller_applied_is_not_taken_over_again() {
        let managed = [
            entry(FIELD_MANAGER, "Apply", None, json!({"f:spec": {}})),
            entry("manager", "Update", None, json!({"f:spec": {"f:replicas": {}}})),
        ];
        assert!(!is_needed(&managed));
    }

    #[test]
    fn foreign_objects_are_left_alone() {
        let managed = vec![entry("kubectl-edit", "Update", None, json!({"f:spec": {}}))];
        assert!(!is_needed(&managed));
        assert_eq!(take_over(managed.clone()), managed);
    }

    #[test]
    fn ports_of_others_become_ours_and_nothing_else_does() {
        let port = |number: u16| format!("k:{{\"port\":{number},\"protocol\":\"TCP\"}}");
        let ports = |number| json!({"f:spec": {"f:ports": {port(number): {"f:port": {}}}}});
        let mut edit = ports(9000);
        edit["f:spec"]["f:selector"] = json!({});
        let ours = entry(FIELD_MANAGER, "Apply", None, ports(8000));
        let managed = vec![ours.clone(), entry("kubectl-edit", "Update", None, edit)];
        let after = take_ports(managed).unwrap();
        let both = json!({"f:spec": {"f:ports": {port(8000): {"f:port": {}}, port(9000): {"f:port": {}}}}});
        assert_eq!(after[0].fields_v1, Some(FieldsV1(both)));
        assert_eq!(after[1].fields_v1, Some(FieldsV1(json!({"f:spec": {"f:selector": {}}}))));
        assert_eq!(take_ports(vec![ours]), None);
    }

    #[test]
    fn a_field_is_ours_alone_until_someone_else_sets_it() {
        let fields = || json!({"f:spec": {"f:replicas": {}}});
        let is_ours_alone = |managed: &[ManagedFieldsEntry]| is_ours_alone(managed, "/f:spec/f:replicas");
        let ours = entry(FIELD_MANAGER, "Apply", None, fields());
        let autoscaler = entry("kube-controller-manager", "Update", Some("scale"), fields());
        let status = entry("kube-controller-manager", "Update", Some("status"), json!({"f:status": {}}));
        assert!(is_ours_alone(&[ours.clone(), status.clone()]));
        assert!(is_ours_alone(&[entry("manager", "Update", None, fields())]));
        assert!(!is_ours_alone(&[ours, autoscaler.clone()]));
        assert!(!is_ours_alone(&[autoscaler]));
        assert!(!is_ours_alone(&[status]));
    }
}
