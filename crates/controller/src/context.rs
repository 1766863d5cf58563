//! What every part of the process shares: the client, the caches behind the watches, and the queues of work.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use kube::Client;
use llmd_api::gateway::{Gateway, GatewayClass, HTTPRoute};
use llmd_api::inference::{pool_v1, pool_v1alpha2};
use llmd_api::serving::v1alpha2::{LLMInferenceService, LLMInferenceServiceConfig};
use tokio::sync::SetOnce;

use crate::apis::Apis;
use crate::apply::Applied;
use crate::events::Events;
use crate::index::neighbours::Neighbours;
use crate::index::{Index, Key, Reference};
use crate::live::store::LiveStore;
use crate::llmisvc::combine::ConfigSource;
use crate::llmisvc::facts::certificate::CertificateIssuer;
use crate::llmisvc::facts::routing::{GatewayService, Interest, RoutingSource};
use crate::metrics::Metrics;
use crate::primary::Written;
use crate::queue::Queue;
use crate::settings::{ClusterSettings, Installation};
use crate::watch::gateway_services::GatewayServices;
use crate::watch::local_models::LocalModels;
use crate::watch::objects::Store;
use crate::watch::services::{config_changed, key_of, service_changed, surroundings_changed};
use crate::watch::shared_kinds;
use crate::webhook::{Cluster, LocalModelCache};

/// Time in which further changes of a config's users are gathered.
const USERS_DELAY: Duration = Duration::from_secs(1);

/// What a reconcile works with.
#[derive(Clone)]
pub struct Context {
    pub client: Client,
    pub installation: Arc<Installation>,
    pub caches: Caches,
    pub applied: Arc<Applied>,
    /// Makes the services' certificates; empty until the installation's authority is read.
    pub certificates: Arc<SetOnce<CertificateIssuer>>,
    pub events: Events,
    pub metrics: Metrics,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("installation", &self.installation).finish_non_exhaustive()
    }
}

/// The caches and queues. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Caches(Arc<Shared>);

impl Deref for Caches {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// The state behind [`Caches`].
#[derive(Debug, Default)]
pub struct Shared {
    pub services: Arc<Store<LLMInferenceService>>,
    pub configs: Arc<Store<LLMInferenceServiceConfig>>,
    pub gateways: Arc<Store<Gateway>>,
    pub gateway_classes: Arc<Store<GatewayClass>>,
    /// Routes and pools that belong to no service.
    pub routes: Arc<Store<HTTPRoute>>,
    pub pools: Arc<Store<pool_v1::InferencePool>>,
    pub pools_v1alpha2: Arc<Store<pool_v1alpha2::InferencePool>>,
    pub gateway_services: GatewayServices,
    pub local_models: LocalModels,
    pub installation: Arc<Installation>,
    pub keep_presets: bool,
    pub live: LiveStore,
    pub index: Index,
    pub settings: ArcSwap<ClusterSettings>,
    pub apis: ArcSwap<Apis>,
    pub services_queue: Queue<Key>,
    pub configs_queue: Queue<Key>,
    pub neighbours: Neighbours,
}

impl Caches {
    /// Empty caches. `keep_presets` refuses the deletion of well-known presets.
    #[must_use]
    pub fn new(installation: Arc<Installation>, keep_presets: bool) -> Self {
        Self(Arc::new(Shared { installation, keep_presets, ..Shared::default() }))
    }

    /// The service of this name.
    #[must_use]
    pub fn service(&self, key: &Key) -> Option<Arc<LLMInferenceService>> {
        self.services.get(key)
    }

    /// The config of this name.
    #[must_use]
    pub fn config(&self, key: &Key) -> Option<Arc<LLMInferenceServiceConfig>> {
        self.configs.get(key)
    }

    /// Takes in a service as this process wrote it. Returns it as turns see it from now on. Only changes of others that
    /// came with it wake it: their events are old news when they arrive.
    pub fn service_written(&self, written: Written<LLMInferenceService>) -> Arc<LLMInferenceService> {
        let Written { object, is_overtaken } = written;
        let key = key_of(&object);
        let Some((before, after)) = self.services.written(&key, object.clone()) else {
            return Arc::new(object);
        };
        if is_overtaken {
            service_changed(self, Some(&before), Some(&after));
        } else {
            surroundings_changed(self, &key, Some(&before), Some(&after));
        }
        after
    }

    /// Takes in a config as this process wrote it. Returns it as turns see it from now on.
    pub fn config_written(
        &self,
        written: Written<LLMInferenceServiceConfig>,
    ) -> Arc<LLMInferenceServiceConfig> {
        let Written { object, is_overtaken } = written;
        let key = key_of(&object);
        let Some((before, after)) = self.configs.written(&key, object.clone()) else {
            return Arc::new(object);
        };
        if is_overtaken {
            config_changed(self, Some(&before), Some(&after));
        }
        after
    }

    /// Has every service that depends on `reference` looked at.
    pub fn wake(&self, reference: &Reference) {
        self.index.services(reference).into_iter().for_each(|it| self.services_queue.add(it));
    }

    /// Has every service looked at, after those that changed themselves.
    pub fn wake_all(&self) {
        self.services.keys().into_iter().for_each(|it| self.services_queue.add_later(it));
    }

    /// Has a config looked at soon, because the services that use it changed. Many services that come at once cost one
    /// look.
    pub fn config_users_changed(&self, config: Key) {
        self.configs_queue.add_after(config, USERS_DELAY);
    }

    /// Forgets what a term of reconciling has left behind, and lets no work gather until [`Self::take_up`]: nobody would
    /// do it, or drop what is known of services that go.
    pub fn lay_down(&self) {
        self.services_queue.close();
        self.configs_queue.close();
        self.index.clear();
    }

    /// Begins a term: everything is looked at.
    pub fn take_up(&self) {
        self.services_queue.open();
        self.configs_queue.open();
        self.wake_all();
        self.wake_all_configs();
    }

    /// Has every config looked at.
    pub fn wake_all_configs(&self) {
        self.configs.keys().into_iter().for_each(|it| self.configs_queue.add_later(it));
    }
}

impl ConfigSource for Caches {
    fn get(&self, namespace: &str, name: &str) -> Option<Arc<LLMInferenceServiceConfig>> {
        self.config(&Key::new(namespace, name))
    }
}

impl RoutingSource for Caches {
    fn gateway(&self, namespace: &str, name: &str) -> Option<Arc<Gateway>> {
        self.gateways.get(&Key::new(namespace, name))
    }

    fn gateway_class(&self, name: &str) -> Option<Arc<GatewayClass>> {
        self.gateway_classes.get(&Key::new("", name))
    }

    fn gateway_services(&self, namespace: &str, gateway: &str) -> Vec<GatewayService> {
        self.gateway_services.of(namespace, gateway)
    }

    fn route(&self, namespace: &str, name: &str) -> Option<Arc<HTTPRoute>> {
        shared_kinds::route(self, &Key::new(namespace, name))
    }

    fn pool_v1(&self, namespace: &str, name: &str) -> Option<Arc<pool_v1::InferencePool>> {
        shared_kinds::pool_v1(self, &Key::new(namespace, name))
    }

    fn pool_v1alpha2(&self, namespace: &str, name: &str) -> Option<Arc<pool_v1alpha2::InferencePool>> {
        shared_kinds::pool_v1alpha2(self, &Key::new(namespace, name))
    }

    fn services(&self, namespace: &str) -> Vec<Arc<LLMInferenceService>> {
        self.services.in_namespace(namespace)
    }

    fn neighbours(&self, interest: &Interest<'_>) -> Vec<Arc<LLMInferenceService>> {
        let names = self.neighbours.of(interest);
        names.into_iter().filter_map(|it| self.service(&Key::new(interest.namespace, it))).collect()
    }
}

impl Cluster for Caches {
    fn installation(&self) -> Arc<Installation> {
        Arc::clone(&self.installation)
    }

    fn settings(&self) -> Arc<ClusterSettings> {
        self.settings.load_full()
    }

    fn apis(&self) -> Apis {
        (**self.apis.load()).clone()
    }

    fn local_model_caches(&self, namespace: &str) -> Vec<LocalModelCache> {
        [self.local_models.in_namespace(namespace), self.local_models.in_namespace("")].concat()
    }

    fn protects_presets(&self) -> bool {
        self.keep_presets
    }
}
