//! How Kubernetes merges two pod templates: what its Go types say in tags and pointers, as one table.
//!
//! Contract: the answers are those of `k8s.io/api/core/v1` for a PodSpec and everything below it. Field names
//! are unambiguous there, so a name is enough and no path is needed. Why a table: layers of a service are merged
//! as JSON, where neither the tags nor the difference between a pointer and a plain value can be seen. Not here:
//! the merge itself, and everything outside pod templates, where no type of this stack has merge keys.

/// Lists that merge item by item, and the field that tells items apart. Every other list is replaced.
const MERGE_KEYS: &[(&str, &str)] = &[
    ("containers", "name"),
    ("env", "name"),
    ("ephemeralContainers", "name"),
    ("hostAliases", "ip"),
    ("imagePullSecrets", "name"),
    ("initContainers", "name"),
    ("ports", "containerPort"),
    ("resourceClaims", "name"),
    ("schedulingGates", "name"),
    ("topologySpreadConstraints", "topologyKey"),
    ("volumeDevices", "devicePath"),
    ("volumeMounts", "mountPath"),
    ("volumes", "name"),
];

/// Lists whose items server-side apply tells apart by other fields than a strategic merge.
const APPLY_KEYS: &[(&str, &[&str])] = &[
    ("claims", &["name"]),
    ("ports", &["containerPort", "protocol"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
];

/// Objects whose keys are data, not fields.
const MAPS: &[&str] = &[
    "annotations",
    "labels",
    "limits",
    "matchLabels",
    "nodeSelector",
    "options",
    "overhead",
    "requests",
    "volumeAttributes",
];

/// Texts that are pointers in Go: the empty text is a value. Every other empty text means "not given".
const POINTER_TEXTS: &[&str] = &[
    "fsGroupChangePolicy",
    "gmsaCredentialSpec",
    "gmsaCredentialSpecName",
    "hostnameOverride",
    "localhostProfile",
    "preemptionPolicy",
    "resourceClaimName",
    "resourceClaimTemplateName",
    "runAsUserName",
    "runtimeClassName",
    "service",
    "storageClassName",
    "volumeAttributesClassName",
];

/// Booleans that are no pointers in Go: `false` means "not given".
const PLAIN_BOOLEANS: &[&str] =
    &["hostIPC", "hostNetwork", "hostPID", "readOnly", "stdin", "stdinOnce", "tty"];

/// Objects in which `readOnly` is a pointer after all.
const POINTER_READ_ONLY: &[&str] = &["azureDisk", "csi"];

/// Numbers that are neither pointers nor always written in Go: `0` means "not given".
const PLAIN_NUMBERS: &[&str] = &[
    "failureThreshold",
    "hostPort",
    "initialDelaySeconds",
    "partition",
    "periodSeconds",
    "successThreshold",
    "timeoutSeconds",
];

/// Fields of which a valid object has at most one.
const ONE_OFS: &[(&[&str], &[&str])] = &[
    (&["env"], &["value", "valueFrom"]),
    (&["valueFrom"], &["configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef"]),
    (&["livenessProbe", "readinessProbe", "startupProbe"], &["exec", "grpc", "httpGet", "tcpSocket"]),
    (&["postStart", "preStop"], &["exec", "httpGet", "sleep", "tcpSocket"]),
    (&["resourceClaims"], &["resourceClaimName", "resourceClaimTemplateName"]),
];

/// The field by which items of the list `field` are matched; `None` = the list is replaced as a whole.
#[must_use]
pub fn merge_key(field: &str) -> Option<&'static str> {
    MERGE_KEYS.iter().find(|(it, _)| *it == field).map(|(_, key)| *key)
}

/// The fields by which server-side apply tells items of the list `field` apart; `None` = the list is atomic.
#[must_use]
pub fn apply_keys(field: &str) -> Option<Vec<&'static str>> {
    let own = APPLY_KEYS.iter().find(|(it, _)| *it == field).map(|(_, keys)| keys.to_vec());
    own.or_else(|| merge_key(field).map(|key| vec![key]))
}

/// Whether the keys of the object `field` are data, such as label names.
#[must_use]
pub fn is_map(field: &str) -> bool {
    MAPS.contains(&field)
}

/// Whether the empty text means "not given" in `field`.
#[must_use]
pub fn is_plain_text(field: &str) -> bool {
    !POINTER_TEXTS.contains(&field)
}

/// Whether `false` means "not given" in `field` of an object that is itself in the field `parent`.
#[must_use]
pub fn is_plain_boolean(parent: &str, field: &str) -> bool {
    PLAIN_BOOLEANS.contains(&field) && !(field == "readOnly" && POINTER_READ_ONLY.contains(&parent))
}

/// Whether `0` means "not given" in `field`.
#[must_use]
pub fn is_plain_number(field: &str) -> bool {
    PLAIN_NUMBERS.contains(&field)
}

/// Whether an object in the field `parent` may have `first` or `second` but not both. Items of a list are in the
/// field of the list.
#[must_use]
pub fn exclude_each_other(parent: &str, first: &str, second: &str) -> bool {
    if first == second {
        return false;
    }
    if parent == "volumes" {
        return first != "name" && second != "name";
    }
    ONE_OFS.iter().any(|(parents, members)| {
        parents.contains(&parent) && members.contains(&first) && members.contains(&second)
    })
}
