//! What a service gets when it is written: a model name, the label of its routing group, container lists that
//! merge, and the local cache of its model.
//!
//! Works on JSON, because the fields are the same in every version and the answer is a patch of what the client
//! sent. Defaulting twice changes nothing.

use llmd_api::meta;
use serde_json::{Map, Value, json};

/// A cache of models on nodes, of the cluster or of one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalModelCache {
    pub name: String,
    /// `None` for a cache of the whole cluster.
    pub namespace: Option<String>,
    /// Where the cached files came from.
    pub source_uri: String,
    /// Groups of nodes that hold the files.
    pub node_groups: Vec<String>,
}

impl LocalModelCache {
    /// Reads a `LocalModelCache` or `LocalModelNamespaceCache`; `None` when it names no source.
    #[must_use]
    pub fn from_object(object: &kube::core::DynamicObject) -> Option<Self> {
        let spec = object.data.get("spec")?;
        let groups = spec.get("nodeGroups").and_then(Value::as_array);
        Some(Self {
            name: object.metadata.name.clone()?,
            namespace: object.metadata.namespace.clone(),
            source_uri: spec.get("sourceModelUri")?.as_str()?.to_owned(),
            node_groups: groups
                .into_iter()
                .flatten()
                .filter_map(|it| Some(it.as_str()?.to_owned()))
                .collect(),
        })
    }

    /// Whether the model is one of the cached files: the source itself or a path below it.
    fn holds(&self, uri: &str) -> bool {
        let source = self.source_uri.trim_end_matches('/');
        uri.strip_prefix(source).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Pod templates of a service.
const TEMPLATES: [&str; 5] = [
    "/spec/template",
    "/spec/worker",
    "/spec/prefill/template",
    "/spec/prefill/worker",
    "/spec/router/scheduler/template",
];

/// Fills in the defaults of a service. `caches` is `None` where local model caches are not in use.
pub fn apply(service: &mut Value, caches: Option<&[LocalModelCache]>) {
    name_model(service);
    let group = text(service, "/spec/router/route/group").map(str::to_owned);
    set(service, "labels", meta::ROUTING_GROUP, group);
    for template in TEMPLATES {
        list_containers(service, template);
    }
    if let Some(caches) = caches {
        use_cache(service, caches);
    }
}

/// Clients ask for the model by the service's name unless it has another. A name that the API server has yet to
/// generate is taken later, by whoever reads the service.
fn name_model(service: &mut Value) {
    let Some(name) = text(service, "/metadata/name").map(str::to_owned) else { return };
    let Some(Value::Object(model)) = service.pointer_mut("/spec/model") else { return };
    if model.get("name").is_none_or(|it| it.is_null() || it == "") {
        model.insert("name".to_owned(), name.into());
    }
}

/// A template without containers keeps those of the configs below it.
fn list_containers(service: &mut Value, template: &str) {
    if let Some(Value::Object(pod)) = service.pointer_mut(template)
        && pod.get("containers").is_none_or(Value::is_null)
    {
        pod.insert("containers".to_owned(), json!([]));
    }
}

/// Marks the service as served from a cache, or removes the marks.
fn use_cache(service: &mut Value, caches: &[LocalModelCache]) {
    let disabled = annotation(service, meta::DISABLE_LOCAL_MODEL).is_some();
    let chosen = if disabled { None } else { choose(service, caches) };
    let (cache, group) = chosen.unzip();
    set(service, "labels", meta::LOCAL_MODEL, cache.map(|it| it.name.clone()));
    set(service, "labels", meta::LOCAL_MODEL_NAMESPACE, cache.and_then(|it| it.namespace.clone()));
    set(service, "annotations", meta::LOCAL_MODEL_SOURCE_URI, cache.map(|it| it.source_uri.clone()));
    let claim = cache.zip(group).map(|(cache, group)| format!("{}-{group}", cache.name));
    set(service, "annotations", meta::LOCAL_MODEL_CLAIM, claim);
}

/// The cache that holds the model, and its group of nodes: one of the namespace before one of the cluster, then
/// the closest source, then by name.
fn choose<'a>(service: &Value, caches: &'a [LocalModelCache]) -> Option<(&'a LocalModelCache, String)> {
    let uri = text(service, "/spec/model/uri")?;
    let namespace = text(service, "/metadata/namespace");
    let wanted = annotation(service, meta::NODE_GROUP);
    let group = |it: &LocalModelCache| match wanted {
        Some(wanted) => it.node_groups.iter().find(|it| *it == wanted).cloned(),
        None => it.node_groups.first().cloned(),
    };
    let usable = caches
        .iter()
        .filter(|it| it.holds(uri) && (it.namespace.is_none() || it.namespace.as_deref() == namespace))
        .filter_map(|it| Some((it, group(it)?)));
    usable.min_by_key(|(it, _)| {
        (it.namespace.is_none(), std::cmp::Reverse(it.source_uri.len()), it.name.clone())
    })
}

/// The text at a JSON pointer, unless it is empty.
fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer)?.as_str().filter(|it| !it.is_empty())
}

fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(key)?.as_str()
}

/// Sets or removes one key of `metadata.labels` or `metadata.annotations`.
fn set(object: &mut Value, field: &str, key: &str, value: Option<String>) {
    let Some(Value::Object(metadata)) = object.get_mut("metadata") else { return };
    match value {
        Some(value) => {
            let entry = metadata.entry(field).or_insert_with(|| Map::new().into());
            if !entry.is_object() {
                *entry = Map::new().into();
            }
            entry[key] = value.into();
        }
        None => {
            if let Some(Value::Object(map)) = metadata.get_mut(field) {
                map.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
