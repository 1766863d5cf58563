//! From an object of the API to its slim record.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Container, PodTemplateSpec, Secret, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, FieldsV1, ManagedFieldsEntry, ObjectMeta};
use kube::api::DynamicObject;
use llmd_api::autoscaling::KedaCondition;
use llmd_api::meta;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    LiveCertificate, LiveChild, LiveCondition, LiveDeployment, LiveDeploymentStatus, LiveDetail, LiveHpa,
    LiveLeaderWorkerSet, LivePodTemplate, LiveRoute,
};
use crate::apply::{FIELD_MANAGER, adopt};
use crate::children::ChildKind;
use crate::index::Key;
use crate::llmisvc::picker;
use crate::llmisvc::render::rbac::AUTH_DELEGATOR;
use crate::names::Names;

/// `spec.replicas` in a set of managed fields, as a JSON pointer.
const REPLICAS_FIELD: &str = "/f:spec/f:replicas";

/// The service that an object belongs to by its labels. Cluster-scoped objects name the namespace in a label.
#[must_use]
pub fn service_of(metadata: &ObjectMeta) -> Option<Key> {
    let labels = metadata.labels.as_ref()?;
    if labels.get(meta::PART_OF).map(String::as_str) != Some(meta::PART_OF_VALUE) {
        return None;
    }
    let namespace = metadata.namespace.as_ref().or_else(|| labels.get(meta::SERVICE_NAMESPACE))?;
    Some(Key::new(namespace, labels.get(meta::NAME)?))
}

/// The service that a child belongs to, also a binding that KServe's controller made: it has no label for the
/// namespace, but a name and accounts that tell. Its name alone does not, because services of different namespaces can
/// share it.
#[must_use]
pub fn owner_of(object: &DynamicObject) -> Option<Key> {
    service_of(&object.metadata).or_else(|| {
        let labels = object.metadata.labels.as_ref()?;
        let service = labels.get(meta::NAME).filter(|_| labels.contains_key(meta::PART_OF))?;
        let namespace = bound_namespace(&object.data)?;
        let name = Names::new(namespace, service).legacy_auth_binding();
        (object.metadata.name.as_deref() == Some(&*name)).then(|| Key::new(namespace, service))
    })
}

/// The one namespace whose service accounts a binding lets review tokens.
fn bound_namespace(binding: &Value) -> Option<&str> {
    let subjects = binding["subjects"].as_array()?;
    let namespace = subjects.first()?["namespace"].as_str()?;
    let is_of_namespace = |it: &Value| it["kind"] == "ServiceAccount" && it["namespace"] == namespace;
    let delegates = binding["roleRef"]["name"] == AUTH_DELEGATOR;
    (delegates && subjects.iter().all(is_of_namespace)).then_some(namespace)
}

/// The record of `object`, and the service it belongs to. `None` without the labels of a service.
#[must_use]
pub fn live_child(kind: ChildKind, object: DynamicObject) -> Option<(Key, LiveChild)> {
    let service = owner_of(&object)?;
    let DynamicObject { types: _, metadata, data } = object;
    let managed = metadata.managed_fields.unwrap_or_default();
    let holds_replicas = adopt::is_ours_alone(&managed, REPLICAS_FIELD);
    let detail = detail(kind, metadata.annotations.unwrap_or_default(), data, holds_replicas);
    let child = LiveChild {
        kind,
        namespace: metadata.namespace,
        name: metadata.name.unwrap_or_default(),
        uid: metadata.uid.unwrap_or_default(),
        owner_uid: metadata
            .owner_references
            .into_iter()
            .flatten()
            .find_map(|it| it.controller.unwrap_or(false).then_some(it.uid)),
        service: service.name.clone(),
        resource_version: metadata.resource_version.unwrap_or_default(),
        generation: metadata.generation.unwrap_or_default(),
        deleting: metadata.deletion_timestamp.is_some(),
        digest: owned_fields_digest(&managed),
        adoptable: adopt::is_needed(&managed),
        detail,
    };
    Some((service, child))
}

/// Hash of the fields that this controller owns by applying.
fn owned_fields_digest(managed: &[ManagedFieldsEntry]) -> u64 {
    let ours = managed.iter().find(|it| adopt::is_apply_of(it, FIELD_MANAGER));
    let mut hasher = DefaultHasher::new();
    if let Some(FieldsV1(fields)) = ours.and_then(|it| it.fields_v1.as_ref()) {
        hash_json(fields, &mut hasher);
    }
    hasher.finish()
}

/// Hashes a JSON value; the order of an object's members does not count.
pub fn hash_json(value: &Value, hasher: &mut impl Hasher) {
    match value {
        Value::Null => 0_u8.hash(hasher),
        Value::Bool(it) => (1_u8, it).hash(hasher),
        Value::Number(it) => (2_u8, it).hash(hasher),
        Value::String(it) => (3_u8, it).hash(hasher),
        Value::Array(items) => {
            (4_u8, items.len()).hash(hasher);
            items.iter().for_each(|it| hash_json(it, hasher));
        }
        Value::Object(members) => {
            (5_u8, members.len()).hash(hasher);
            let sorted: BTreeMap<_, _> = members.iter().collect();
            for (name, value) in sorted {
                name.hash(hasher);
                hash_json(value, hasher);
            }
        }
    }
}

/// Reads `value`, or its default where a foreign version of the kind looks different.
fn read<T: DeserializeOwned + Default>(value: Value) -> T {
    serde_json::from_value(value).unwrap_or_default()
}

/// Reads `status.conditions` and the like out of an object.
fn part<T: DeserializeOwned + Default>(data: &mut Value, path: &str) -> T {
    data.pointer_mut(path).map(Value::take).map(read).unwrap_or_default()
}

fn detail(
    kind: ChildKind,
    annotations: BTreeMap<String, String>,
    mut data: Value,
    holds_replicas: bool,
) -> LiveDetail {
    match kind {
        ChildKind::Deployment => LiveDetail::Deployment(Box::new(deployment(read(data), holds_replicas))),
        ChildKind::LeaderWorkerSet => {
            LiveDetail::LeaderWorkerSet(Box::new(leader_worker_set(&mut data, holds_replicas)))
        }
        ChildKind::HorizontalPodAutoscaler => LiveDetail::HorizontalPodAutoscaler(hpa(read(data))),
        ChildKind::ScaledObject => {
            LiveDetail::ScaledObject(part::<Vec<KedaCondition>>(&mut data, "/status/conditions"))
        }
        ChildKind::HttpRoute => LiveDetail::HttpRoute(Arc::new(LiveRoute {
            annotations,
            spec: part(&mut data, "/spec"),
            status: part(&mut data, "/status"),
        })),
        ChildKind::InferencePool => LiveDetail::InferencePool(Box::new(part(&mut data, "/status"))),
        ChildKind::InferencePoolV1Alpha2 => {
            LiveDetail::InferencePoolV1Alpha2(Box::new(part(&mut data, "/status")))
        }
        ChildKind::Service => LiveDetail::Service(cluster_ips(read(data))),
        ChildKind::Secret => certificate(annotations, read(data)),
        ChildKind::ConfigMap
        | ChildKind::ServiceAccount
        | ChildKind::Role
        | ChildKind::RoleBinding
        | ChildKind::ClusterRoleBinding
        | ChildKind::ResourceClaimTemplate
        | ChildKind::PodMonitor
        | ChildKind::ServiceMonitor => LiveDetail::None,
    }
}

fn deployment(object: Deployment, holds_replicas: bool) -> LiveDeployment {
    let status = object.status.unwrap_or_default();
    let conditions = status.conditions.into_iter().flatten().map(|it| LiveCondition {
        type_: it.type_,
        status: it.status,
        reason: it.reason.unwrap_or_default(),
        message: it.message.unwrap_or_default(),
    });
    let spec = object.spec.unwrap_or_default();
    LiveDeployment {
        selector: spec.selector.match_labels.unwrap_or_default(),
        pod: pod_template(spec.template),
        held_replicas: spec.replicas.filter(|_| holds_replicas),
        status: LiveDeploymentStatus {
            observed_generation: status.observed_generation.unwrap_or_default(),
            replicas: status.replicas.unwrap_or_default(),
            available_replicas: status.available_replicas.unwrap_or_default(),
            conditions: conditions.collect(),
        },
    }
}

fn pod_template(template: PodTemplateSpec) -> LivePodTemplate {
    let Some(spec) = template.spec else { return LivePodTemplate::default() };
    let initializer = spec.init_containers.into_iter().flatten().find(|it| it.name == "storage-initializer");
    let has_hf_env = |it: &Container| it.env.iter().flatten().any(|it| it.name.starts_with("HF_"));
    LivePodTemplate {
        storage_initializer_has_hf_env: initializer.as_ref().is_some_and(has_hf_env),
        storage_initializer_image: initializer.and_then(|it| it.image),
        scheduler_config_args: spec
            .containers
            .into_iter()
            .find(|it| it.name == picker::MAIN)
            .map(|it| scheduler_config_args(&it))
            .unwrap_or_default(),
    }
}

/// The words of a container's command and arguments that give an endpoint picker its configuration.
fn scheduler_config_args(container: &Container) -> Vec<String> {
    let mut words = container.command.iter().flatten().chain(container.args.iter().flatten());
    while let Some(word) = words.next() {
        let (flag, value) =
            word.split_once('=').map_or((word.as_str(), None), |(it, value)| (it, Some(value)));
        let name = flag.trim_start_matches('-');
        if flag.starts_with('-') && picker::CONFIG_FLAGS.contains(&name) {
            let separate = if value.is_none() { words.next() } else { None };
            return std::iter::once(word).chain(separate).cloned().collect();
        }
    }
    Vec::new()
}

fn leader_worker_set(data: &mut Value, holds_replicas: bool) -> LiveLeaderWorkerSet {
    let template = |data: &mut Value, name: &str| {
        pod_template(part(data, &format!("/spec/leaderWorkerTemplate/{name}")))
    };
    LiveLeaderWorkerSet {
        leader: template(data, "leaderTemplate"),
        worker: template(data, "workerTemplate"),
        sub_group_size: part(data, "/spec/leaderWorkerTemplate/subGroupPolicy/subGroupSize"),
        held_replicas: part::<Option<i32>>(data, "/spec/replicas").filter(|_| holds_replicas),
        ready_replicas: part(data, "/status/readyReplicas"),
        status_replicas: part(data, "/status/replicas"),
        conditions: part::<Vec<Condition>>(data, "/status/conditions"),
    }
}

fn hpa(object: HorizontalPodAutoscaler) -> LiveHpa {
    let conditions = object.status.and_then(|it| it.conditions).into_iter().flatten();
    LiveHpa {
        conditions: conditions
            .map(|it| LiveCondition {
                type_: it.type_,
                status: it.status,
                reason: it.reason.unwrap_or_default(),
                message: it.message.unwrap_or_default(),
            })
            .collect(),
    }
}

fn cluster_ips(object: Service) -> Vec<IpAddr> {
    let addresses = object.spec.and_then(|it| it.cluster_ips).into_iter().flatten();
    addresses.filter_map(|it| it.parse().ok()).collect()
}

fn certificate(annotations: BTreeMap<String, String>, object: Secret) -> LiveDetail {
    let mut data = object.data.unwrap_or_default();
    let mut file = |name: &str| data.remove(name).map(|ByteString(it)| it).unwrap_or_default();
    LiveDetail::Certificate(Arc::new(LiveCertificate {
        annotations,
        certificate: file("tls.crt"),
        key: file("tls.key"),
        ca: file("ca.crt"),
    }))
}

/// What of a pod's status is read.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    #[serde(rename = "podIPs")]
    pub pod_ips: Vec<PodIp>,
}

/// One address of a pod.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodIp {
    pub ip: String,
}

#[cfg(test)]
mod tests;
