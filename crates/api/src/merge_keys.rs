//! How lists of a pod are merged: the one table behind strategic merges and behind the schemas' server-side apply.
//!
//! Kubernetes publishes both kinds of keys with its types (`patchMergeKey`, `x-kubernetes-list-map-keys`), but the
//! generated Rust types carry neither. Within a PodSpec the name of a field decides, so the table needs no paths.
//! A list that is not named here is atomic: who sets it replaces it.

/// A list of objects that merges item by item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergedList {
    /// The field that holds the list, wherever it stands in a PodSpec.
    pub field: &'static str,
    /// Field that tells items apart in a strategic merge patch; `None` = such a patch replaces the list.
    pub patch_key: Option<&'static str>,
    /// Fields that together tell items apart in a server-side apply.
    pub map_keys: &'static [&'static str],
}

/// Every list of a PodSpec that merges item by item.
pub const POD_LISTS: [MergedList; 14] = [
    by("containers", NAME),
    by("initContainers", NAME),
    by("ephemeralContainers", NAME),
    by("env", NAME),
    by("ports", &["containerPort", "protocol"]),
    by("volumeMounts", &["mountPath"]),
    by("volumeDevices", &["devicePath"]),
    by("volumes", NAME),
    by("imagePullSecrets", NAME),
    by("hostAliases", &["ip"]),
    by("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    by("resourceClaims", NAME),
    by("schedulingGates", NAME),
    MergedList { field: "claims", patch_key: None, map_keys: NAME },
];

/// The list of that name, when it merges item by item.
#[must_use]
pub fn pod_list(field: &str) -> Option<&'static MergedList> {
    POD_LISTS.iter().find(|it| it.field == field)
}

const NAME: &[&str] = &["name"];

/// The first key alone is what a strategic merge patch goes by.
const fn by(field: &'static str, keys: &'static [&'static str]) -> MergedList {
    MergedList { field, patch_key: Some(keys[0]), map_keys: keys }
}
