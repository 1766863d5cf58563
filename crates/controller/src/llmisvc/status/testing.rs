//! A service among other objects of a cluster, out of one file of manifests.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::core::v1;
use llmd_api::gateway::{Gateway, GatewayClass, HTTPRoute};
use llmd_api::inference::{pool_v1, pool_v1alpha2};
use llmd_api::meta;
use llmd_api::serving::v1alpha2::LLMInferenceService;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::apis::Apis;
use crate::children::ChildKind;
use crate::live::convert::live_child;
use crate::live::{LiveChild, LiveChildren};
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
        let children = owned.filter_map(live).collect();
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

/// The record that the watches keep of the object, as if this controller had labelled it.
fn live(value: &Value) -> Option<LiveChild> {
    let is_kind = |it: &&ChildKind| {
        let resource = it.api_resource();
        value["apiVersion"] == resource.api_version && value["kind"] == resource.kind
    };
    let kind = *ChildKind::ALL.iter().find(is_kind)?;
    let mut labelled = value.clone();
    labelled["metadata"]["labels"][meta::PART_OF] = meta::PART_OF_VALUE.into();
    live_child(kind, serde_json::from_value(labelled).unwrap()).map(|(_, it)| it)
}
