//! A cluster as a list of values.

use std::sync::Arc;

use llmd_api::gateway::{Gateway, GatewayClass, HTTPRoute};
use llmd_api::inference::{pool_v1, pool_v1alpha2};
use llmd_api::serving::v1alpha2::{LLMInferenceService, LLMInferenceServiceConfig};
use serde_json::json;

use super::{Cluster, LocalModelCache};
use crate::apis::Apis;
use crate::llmisvc::combine::ConfigSource;
use crate::llmisvc::facts::routing::{GatewayService, RoutingSource};
use crate::settings::{ClusterSettings, Installation};

/// Has these services and gateways, and an empty config of every name but `missing`.
#[derive(Default)]
pub(crate) struct Values {
    pub(crate) services: Vec<Arc<LLMInferenceService>>,
    pub(crate) gateways: Vec<&'static str>,
    pub(crate) caches: Vec<LocalModelCache>,
    pub(crate) protects_presets: bool,
}

impl ConfigSource for Values {
    fn get(&self, _namespace: &str, name: &str) -> Option<Arc<LLMInferenceServiceConfig>> {
        (name != "missing").then(Arc::default)
    }
}

impl RoutingSource for Values {
    fn gateway(&self, _namespace: &str, name: &str) -> Option<Arc<Gateway>> {
        let exists = self.gateways.contains(&name);
        exists.then(|| serde_json::from_value(json!({"metadata": {"name": name}, "spec": {}})).unwrap())
    }
    fn gateway_class(&self, _name: &str) -> Option<Arc<GatewayClass>> {
        None
    }
    fn gateway_services(&self, _namespace: &str, _gateway: &str) -> Vec<GatewayService> {
        Vec::new()
    }
    fn route(&self, _namespace: &str, _name: &str) -> Option<Arc<HTTPRoute>> {
        None
    }
    fn pool_v1(&self, _namespace: &str, _name: &str) -> Option<Arc<pool_v1::InferencePool>> {
        None
    }
    fn pool_v1alpha2(&self, _namespace: &str, _name: &str) -> Option<Arc<pool_v1alpha2::InferencePool>> {
        None
    }
    fn services(&self, _namespace: &str) -> Vec<Arc<LLMInferenceService>> {
        self.services.clone()
    }
}

impl Cluster for Values {
    fn installation(&self) -> Arc<Installation> {
        Arc::default()
    }
    /// Local model caches are in use when there is one.
    fn settings(&self) -> Arc<ClusterSettings> {
        let mut settings = ClusterSettings::default();
        settings.local_model.enabled = !self.caches.is_empty();
        Arc::new(settings)
    }
    fn apis(&self) -> Apis {
        Apis::all()
    }
    fn local_model_caches(&self, _namespace: &str) -> Vec<LocalModelCache> {
        self.caches.clone()
    }
    fn protects_presets(&self) -> bool {
        self.protects_presets
    }
}
