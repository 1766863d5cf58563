//! Kinds that come and go with their CRDs: watched while the API server serves them.
//!
//! CRDs are watched by their metadata; after a change, and every so often, the groups in question are asked for
//! what they serve. A kind counts as served only once its cache is filled, so a reconcile that may use a kind also sees
//! its live objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::Event;
use llmd_api::gateway::{Gateway, GatewayClass};
use llmd_common::report::Report;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::children::{self, Children};
use super::local_models::{Models, Scope};
use super::objects::{Cached, Objects, Store};
use super::services::key_of;
use super::shared_kinds::Divided;
use super::{Sink, Target, run};
use crate::apis::Apis;
use crate::children::ChildKind;
use crate::context::{Caches, Context};
use crate::index::{Key, Reference};

/// Time between two looks at what is served when no CRD changes.
const POLL: Duration = Duration::from_secs(60);
/// Looks after a change of a CRD: the API server begins and ends to serve a kind a little later.
const SETTLE: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(8)];
/// How long starting waits for the caches of the kinds that are served.
const START: Duration = Duration::from_secs(30);

/// A kind that not every API server serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OptionalKind {
    Child(ChildKind),
    Gateway,
    GatewayClass,
    LocalModels(Scope),
}

impl OptionalKind {
    /// Every optional kind.
    pub fn all() -> impl Iterator<Item = Self> {
        let children = ChildKind::ALL.into_iter().filter(|it| !it.is_builtin()).map(Self::Child);
        let models = [Scope::Cluster, Scope::Namespace].map(Self::LocalModels);
        children.chain([Self::Gateway, Self::GatewayClass]).chain(models)
    }

    /// How clients address objects of this kind.
    #[must_use]
    pub fn api_resource(self) -> ApiResource {
        match self {
            Self::Child(kind) => kind.api_resource(),
            Self::Gateway => ApiResource::erase::<Gateway>(&()),
            Self::GatewayClass => ApiResource::erase::<GatewayClass>(&()),
            Self::LocalModels(Scope::Cluster) => local_models("LocalModelCache", "localmodelcaches"),
            Self::LocalModels(Scope::Namespace) => {
                local_models("LocalModelNamespaceCache", "localmodelnamespacecaches")
            }
        }
    }

    /// Which of its objects are watched: all where users' own ones are read too.
    fn target(self) -> Target {
        match self {
            Self::Child(
                kind @ (ChildKind::HttpRoute | ChildKind::InferencePool | ChildKind::InferencePoolV1Alpha2),
            ) => Target::all(kind.api_resource()),
            Self::Child(kind) => children::target(kind),
            Self::Gateway | Self::GatewayClass | Self::LocalModels(_) => Target::all(self.api_resource()),
        }
    }

    fn sink(self, caches: &Caches) -> Box<dyn Sink> {
        match self {
            Self::Gateway => referenced(&caches.gateways, caches, Reference::Gateway),
            Self::GatewayClass => {
                referenced(&caches.gateway_classes, caches, |it| Reference::GatewayClass(it.name))
            }
            Self::LocalModels(scope) => Box::new(Models::new(scope, caches.clone())),
            Self::Child(kind @ ChildKind::HttpRoute) => {
                divided(kind, &caches.routes, caches, Reference::Route)
            }
            Self::Child(kind @ ChildKind::InferencePool) => {
                divided(kind, &caches.pools, caches, Reference::Pool)
            }
            Self::Child(kind @ ChildKind::InferencePoolV1Alpha2) => {
                divided(kind, &caches.pools_v1alpha2, caches, Reference::Pool)
            }
            Self::Child(kind) => Box::new(Children::new(kind, caches.clone())),
        }
    }

    /// Empties what the kind's watch filled.
    fn clear(self, caches: &Caches) {
        match self {
            Self::Child(kind) => {
                caches.live.drop_kind(kind);
                match kind {
                    ChildKind::HttpRoute => caches.routes.clear(),
                    ChildKind::InferencePool => caches.pools.clear(),
                    ChildKind::InferencePoolV1Alpha2 => caches.pools_v1alpha2.clear(),
                    _ => {}
                }
            }
            Self::Gateway => caches.gateways.clear(),
            Self::GatewayClass => caches.gateway_classes.clear(),
            Self::LocalModels(scope) => Models::clear(scope, caches),
        }
    }
}

/// KServe's kinds of caches of models on nodes.
fn local_models(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("serving.kserve.io", "v1alpha1", kind), plural)
}

/// A cache whose changes wake the services that refer to the object.
fn referenced<K: Cached>(
    store: &Arc<Store<K>>,
    caches: &Caches,
    reference: impl Fn(Key) -> Reference + Send + 'static,
) -> Box<dyn Sink> {
    let caches = caches.clone();
    Box::new(Objects::new(Arc::clone(store), move |before: Option<&K>, after: Option<&K>| {
        if let Some(object) = after.or(before) {
            caches.wake(&reference(key_of(object)));
        }
    }))
}

/// A cache of the objects that belong to no service, beside those that do.
fn divided<K: Cached>(
    kind: ChildKind,
    store: &Arc<Store<K>>,
    caches: &Caches,
    reference: fn(Key) -> Reference,
) -> Box<dyn Sink> {
    let others = Objects::new(Arc::clone(store), |_: Option<&K>, _: Option<&K>| ());
    Box::new(Divided::new(kind, caches, others, reference))
}

impl Sink for Box<dyn Sink> {
    fn take(&mut self, event: Event<DynamicObject>) {
        (**self).take(event);
    }
}

/// Two sinks behind one watch.
#[derive(Debug)]
pub struct Both<A, B>(pub A, pub B);

impl<A: Sink, B: Sink> Sink for Both<A, B> {
    fn take(&mut self, event: Event<DynamicObject>) {
        self.0.take(event.clone());
        self.1.take(event);
    }
}

/// A sink that only says that something happened.
struct Bell(Arc<Notify>);

impl Sink for Bell {
    fn take(&mut self, _event: Event<DynamicObject>) {
        self.0.notify_one();
    }
}

/// Watches the kinds that are served, for as long as they are.
#[derive(Debug)]
pub struct OptionalKinds {
    context: Context,
    tasks: TaskTracker,
    stop: CancellationToken,
    watched: BTreeMap<OptionalKind, Watched>,
    /// The kinds whose caches were filled at the last look.
    ready: BTreeSet<OptionalKind>,
}

#[derive(Debug)]
struct Watched {
    synced: CancellationToken,
    stop: CancellationToken,
}

impl OptionalKinds {
    /// Watches run on `tasks` until `stop`.
    #[must_use]
    pub const fn new(context: Context, tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self { context, tasks, stop, watched: BTreeMap::new(), ready: BTreeSet::new() }
    }

    /// Follows the CRDs until the process stops. `synced` fires when the kinds served at the start are cached.
    pub async fn follow(self, synced: CancellationToken) {
        // Whatever is waited for ends with the process.
        self.stop.clone().run_until_cancelled_owned(self.follow_for_ever(synced)).await;
    }

    async fn follow_for_ever(mut self, synced: CancellationToken) {
        let changed = Arc::new(Notify::new());
        self.watch_crds(&changed);
        let mut delays = SETTLE.to_vec();
        self.look(START).await;
        synced.cancel();
        loop {
            let delay = delays.pop().unwrap_or(POLL);
            tokio::select! {
                biased;
                () = changed.notified() => delays = SETTLE.iter().rev().copied().collect(),
                () = tokio::time::sleep(delay) => self.look(START).await,
            }
        }
    }

    fn watch_crds(&self, changed: &Arc<Notify>) {
        let resource = ApiResource::erase::<CustomResourceDefinition>(&());
        let target = Target { metadata_only: true, ..Target::all(resource) };
        let watch = run(
            self.context.client.clone(),
            target,
            Bell(Arc::clone(changed)),
            self.context.metrics.clone(),
            CancellationToken::new(),
            self.stop.clone(),
        );
        self.tasks.spawn(watch);
    }

    /// Starts and ends watches so that they fit what is served now, and waits for new caches.
    async fn look(&mut self, patience: Duration) {
        let (served, minor) = match served(&self.context.client).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(error = %Report(&error), "cannot ask for the APIs that are served");
                return;
            }
        };
        let gone: Vec<_> = self.watched.keys().filter(|it| !served.contains(it)).copied().collect();
        gone.into_iter().for_each(|it| self.end(it));
        for &kind in &served {
            self.begin(kind);
        }
        let all = async {
            for watched in self.watched.values() {
                watched.synced.cancelled().await;
            }
        };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!("some kinds that are served cannot be watched yet; they do not count as served");
        }
        self.publish(minor);
    }

    fn begin(&mut self, kind: OptionalKind) {
        if self.watched.contains_key(&kind) {
            return;
        }
        tracing::info!(resource = resource_name(kind), "API appeared");
        let watched = Watched { synced: CancellationToken::new(), stop: self.stop.child_token() };
        self.tasks.spawn(run(
            self.context.client.clone(),
            kind.target(),
            kind.sink(&self.context.caches),
            self.context.metrics.clone(),
            watched.synced.clone(),
            watched.stop.clone(),
        ));
        self.watched.insert(kind, watched);
    }

    fn end(&mut self, kind: OptionalKind) {
        if let Some(watched) = self.watched.remove(&kind) {
            tracing::info!(resource = resource_name(kind), "API disappeared");
            watched.stop.cancel();
            kind.clear(&self.context.caches);
            self.context.metrics.watch_ended(&kind.api_resource());
        }
    }

    /// Tells everybody what is served; when that changed, every service is looked at.
    fn publish(&mut self, minor: u32) {
        let ready = self.watched.iter().filter(|(_, it)| it.synced.is_cancelled());
        let ready: BTreeSet<_> = ready.map(|(kind, _)| *kind).collect();
        let children = ready.iter().filter_map(|kind| match kind {
            OptionalKind::Child(kind) => Some(*kind),
            OptionalKind::Gateway | OptionalKind::GatewayClass | OptionalKind::LocalModels(_) => None,
        });
        let apis = Apis::new(children, minor);
        let is_news = ready != self.ready || *self.context.caches.apis.load_full() != apis;
        self.ready = ready;
        if is_news {
            self.context.caches.apis.store(Arc::new(apis));
            self.context.caches.wake_all();
        }
    }
}

fn resource_name(kind: OptionalKind) -> String {
    let resource = kind.api_resource();
    format!("{}.{}", resource.plural, resource.api_version)
}

/// The optional kinds that the API server serves, and its minor version.
async fn served(client: &Client) -> Result<(BTreeSet<OptionalKind>, u32), kube::Error> {
    let mut by_version: BTreeMap<String, Vec<OptionalKind>> = BTreeMap::new();
    for kind in OptionalKind::all() {
        by_version.entry(kind.api_resource().api_version).or_default().push(kind);
    }
    let mut served = BTreeSet::new();
    for (version, kinds) in by_version {
        let resources = match client.list_api_group_resources(&version).await {
            Ok(list) => list.resources,
            Err(kube::Error::Api(status)) if status.code == 404 => continue,
            Err(error) => return Err(error),
        };
        let is_listed = |kind: &OptionalKind| {
            let plural = kind.api_resource().plural;
            resources.iter().any(|it| it.name == plural)
        };
        served.extend(kinds.into_iter().filter(is_listed));
    }
    let minor = client.apiserver_version().await?.minor;
    let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
    Ok((served, digits.parse().unwrap_or_default()))
}
