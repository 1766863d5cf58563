//! A service among other objects of a cluster, out of one file of manifests.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1;
use llmd_api::autoscaling::ScaledObject;
use llmd_api::gateway::{Gateway, GatewayClass, HTTPRoute};
use llmd_api::inference::{pool_v1, pool_v1alpha2};
use llmd_api::lws::LeaderWorkerSet;
use llmd_api::meta;
use llmd_api::serving::v1alpha2::LLMInferenceService;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::apis::Apis;
use crate::children::ChildKind;
use crate::live::{
    LiveChild, LiveChildren, LiveCondition, LiveDeployment, LiveDeploymentStatus, LiveDetail, LiveHpa,
    LiveLeaderWorkerSet, LiveRoute,
};
use crate::llmisvc::facts::Facts;
use crate::llmisvc::facts::routing::{GATEWAY_NAME, GatewayService, RoutingSource, gather};
use crate::llmisvc::service::Service;
use crate::settings::{ClusterSettings, Installation};

/// Compares what `evaluate` makes of every file of `testdata/<folder>` with the snapshot beside it.
pub(crate) fn assert_snapshots<T: Serialize + PartialEq + Debug>(
    folder: &str,
    evaluate: impl Fn(&Cluster) -> T,
) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path()).collect();
    files.retain(|it| it.extension().is_some_and(|it| it == "yaml"));
    files.sort();
    assert!(!files.is_empty(), "no manifest in {}", folder.display());
    for file in files {
        let cluster = Cluster::parse(&std::fs::read_to_string(&file).unwrap());
        let value = evaluate(&cluster);
        assert_eq!(value, evaluate(&cluster), "{} gives the same twice", file.display());
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&folder);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        settings.bind(|| insta::assert_yaml_snapshot!(name, value));
    }
}

/// The objects of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Cluster(Vec<Value>);

impl Cluster {
    /// These objects.
    pub(crate) const fn new(objects: Vec<Value>) -> Self {
        Self(objects)
    }

    /// The documents of a YAML file.
    pub(crate) fn parse(yaml: &str) -> Self {
        Self(yaml.split("\n---\n").map(|it| serde_saphyr::from_str(it).unwrap()).collect())
    }

    /// The first LLMInferenceService with its spec as the effective one, surrounded by all other objects.
    pub(crate) fn service(&self) -> Service {
        let object = self.object();
        let namespace = object.metadata.namespace.clone().unwrap();
        let name = object.metadata.name.clone().unwrap();
        let facts = Facts {
            apis: Apis::all(),
            live: self.live(&name),
            routing: gather(&namespace, &name, &object.spec, self),
            ..Facts::default()
        };
        let spec = object.spec.clone();
        Service::new(
            &object,
            spec,
            Arc::new(Installation::default()),
            Arc::new(ClusterSettings::default()),
            facts,
        )
    }

    /// The first LLMInferenceService.
    pub(crate) fn object(&self) -> LLMInferenceService {
        self.all("serving.kserve.io/v1alpha2", "LLMInferenceService").remove(0)
    }

    fn all<T: DeserializeOwned>(&self, api_version: &str, kind: &str) -> Vec<T> {
        let of_kind = self.0.iter().filter(|it| it["apiVersion"] == api_version && it["kind"] == kind);
        of_kind.map(|it| serde_json::from_value(it.clone()).unwrap()).collect()
    }

    fn find<T: DeserializeOwned + kube::Resource>(
        &self,
        api_version: &str,
        kind: &str,
        (namespace, name): (Option<&str>, &str),
    ) -> Option<Arc<T>> {
        let objects: Vec<T> = self.all(api_version, kind);
        let is_it =
            |it: &T| it.meta().namespace.as_deref() == namespace && it.meta().name.as_deref() == Some(name);
        objects.into_iter().find(is_it).map(Arc::new)
    }

    /// Objects with the label of the service.
    fn live(&self, service: &str) -> LiveChildren {
        let owned = self.0.iter().filter(|it| it["metadata"]["labels"][meta::NAME] == service);
        let children = owned.filter_map(|it| live_child(service, it)).collect();
        LiveChildren { children, ..LiveChildren::default() }
    }
}

impl RoutingSource for Cluster {
    fn gateway(&self, namespace: &str, name: &str) -> Option<Arc<Gateway>> {
        self.find("gateway.networking.k8s.io/v1", "Gateway", (Some(namespace), name))
    }

    fn gateway_class(&self, name: &str) -> Option<Arc<GatewayClass>> {
        self.find("gateway.networking.k8s.io/v1", "GatewayClass", (None, name))
    }

    fn gateway_services(&self, namespace: &str, gateway: &str) -> Vec<GatewayService> {
        let services: Vec<v1::Service> = self.all("v1", "Service");
        services
            .into_iter()
            .filter(|it| it.metadata.namespace.as_deref() == Some(namespace))
            .map(|it| GatewayService {
                name: it.metadata.name.unwrap(),
                labelled: it
                    .metadata
                    .labels
                    .unwrap_or_default()
                    .get(GATEWAY_NAME)
                    .is_some_and(|it| it == gateway),
                ports: it.spec.unwrap().ports.unwrap().into_iter().map(|it| it.port).collect(),
            })
            .filter(|it| it.labelled || it.name == gateway)
            .collect()
    }

    fn route(&self, namespace: &str, name: &str) -> Option<Arc<HTTPRoute>> {
        self.find("gateway.networking.k8s.io/v1", "HTTPRoute", (Some(namespace), name))
    }

    fn pool_v1(&self, namespace: &str, name: &str) -> Option<Arc<pool_v1::InferencePool>> {
        self.find("inference.networking.k8s.io/v1", "InferencePool", (Some(namespace), name))
    }

    fn pool_v1alpha2(&self, namespace: &str, name: &str) -> Option<Arc<pool_v1alpha2::InferencePool>> {
        self.find("inference.networking.x-k8s.io/v1alpha2", "InferencePool", (Some(namespace), name))
    }

    fn services(&self, namespace: &str) -> Vec<Arc<LLMInferenceService>> {
        let all: Vec<LLMInferenceService> = self.all("serving.kserve.io/v1alpha2", "LLMInferenceService");
        let here = all.into_iter().filter(|it| it.metadata.namespace.as_deref() == Some(namespace));
        here.map(Arc::new).collect()
    }
}

fn live_child(service: &str, value: &Value) -> Option<LiveChild> {
    let is_kind = |it: &&ChildKind| {
        let resource = it.api_resource();
        value["apiVersion"] == resource.api_version && value["kind"] == resource.kind
    };
    let kind = *ChildKind::ALL.iter().find(is_kind)?;
    let metadata = &value["metadata"];
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    Some(LiveChild {
        kind,
        namespace: metadata["namespace"].as_str().map(str::to_owned),
        name: text(&metadata["name"]),
        uid: text(&metadata["uid"]),
        owner_uid: None,
        service: service.to_owned(),
        resource_version: "1".to_owned(),
        generation: metadata["generation"].as_i64().unwrap_or(1),
        deleting: false,
        digest: 0,
        detail: detail(kind, value),
    })
}

fn detail(kind: ChildKind, value: &Value) -> LiveDetail {
    match kind {
        ChildKind::Deployment => LiveDetail::Deployment(Box::new(deployment(read(value)))),
        ChildKind::LeaderWorkerSet => LiveDetail::LeaderWorkerSet(Box::new(leader_worker_set(read(value)))),
        ChildKind::HorizontalPodAutoscaler => LiveDetail::HorizontalPodAutoscaler(hpa(read(value))),
        ChildKind::ScaledObject => {
            let object: ScaledObject = read(value);
            LiveDetail::ScaledObject(object.status.unwrap_or_default().conditions)
        }
        ChildKind::HttpRoute => {
            let route: HTTPRoute = read(value);
            LiveDetail::HttpRoute(Box::new(LiveRoute {
                annotations: route.metadata.annotations.unwrap_or_default(),
                spec: route.spec,
                status: route.status.unwrap_or_default(),
            }))
        }
        ChildKind::InferencePool => {
            let pool: pool_v1::InferencePool = read(value);
            LiveDetail::InferencePool(Box::new(pool.status.unwrap_or_default()))
        }
        ChildKind::InferencePoolV1Alpha2 => {
            let pool: pool_v1alpha2::InferencePool = read(value);
            LiveDetail::InferencePoolV1Alpha2(Box::new(pool.status.unwrap_or_default()))
        }
        _ => LiveDetail::None,
    }
}

fn read<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn deployment(object: Deployment) -> LiveDeployment {
    let spec = object.spec.unwrap_or_default();
    let status = object.status.unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default().into_iter();
    LiveDeployment {
        selector: spec.selector.match_labels.unwrap_or_else(BTreeMap::new),
        replicas: spec.replicas,
        status: LiveDeploymentStatus {
            observed_generation: status.observed_generation.unwrap_or(0),
            replicas: status.replicas.unwrap_or(0),
            available_replicas: status.available_replicas.unwrap_or(0),
            conditions: conditions.map(|it| condition(it.type_, it.status, it.reason, it.message)).collect(),
        },
        ..LiveDeployment::default()
    }
}

fn leader_worker_set(object: LeaderWorkerSet) -> LiveLeaderWorkerSet {
    let status = object.status.unwrap_or_default();
    LiveLeaderWorkerSet {
        ready_replicas: status.ready_replicas.unwrap_or(0),
        status_replicas: status.replicas.unwrap_or(0),
        conditions: status.conditions,
        ..LiveLeaderWorkerSet::default()
    }
}

fn hpa(object: HorizontalPodAutoscaler) -> LiveHpa {
    let conditions = object.status.unwrap_or_default().conditions.unwrap_or_default().into_iter();
    LiveHpa {
        conditions: conditions.map(|it| condition(it.type_, it.status, it.reason, it.message)).collect(),
    }
}

fn condition(
    type_: String,
    status: String,
    reason: Option<String>,
    message: Option<String>,
) -> LiveCondition {
    LiveCondition { type_, status, reason: reason.unwrap_or_default(), message: message.unwrap_or_default() }
}
