//! The process: watches fill the caches, the leader's workers reconcile, and everything ends together.
//!
//! Candidates that do not lead keep their caches warm and serve the webhooks, so a change of the leader costs only the
//! time of the lease. They queue no work: whoever leads looks at everything.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube::Client;
use kube::core::ApiResource;
use llmd_api::serving::v1alpha2::{LLMInferenceService, LLMInferenceServiceConfig};
use llmd_common::kubernetes::lease::Election;
use llmd_common::metrics as common_metrics;
use llmd_common::ready::{Condition, Readiness};
use llmd_common::shutdown::Shutdown;
use prometheus::Registry;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::apply::Applied;
use crate::args::Settings;
use crate::children::ChildKind;
use crate::context::{Caches, Context};
use crate::events::Events;
use crate::index::{Key, Reference};
use crate::legacy;
use crate::llmisvc::reconcile::reconcile;
use crate::llmisvcconfig;
use crate::metrics::Metrics;
use crate::probes;
use crate::serving;
use crate::start_error::StartError;
use crate::storage_version;
use crate::watch::children::{self, Children};
use crate::watch::gateway_services;
use crate::watch::objects::Objects;
use crate::watch::optional::{Both, OptionalKinds};
use crate::watch::pods::{self, Pods};
use crate::watch::services::{config_changed, service_changed};
use crate::watch::{self, Target, named};
use crate::worker::Controller;

/// How long the work waits for the certificate authority, which is there at once unless its namespace is missing.
const AUTHORITY: Duration = Duration::from_secs(10);

/// How long readiness waits for what reviews are judged by.
const CACHES: Duration = Duration::from_secs(20);

/// Starts everything. Returns when the process serves; the work goes on until `shutdown` drains.
///
/// # Errors
/// When a port cannot be opened. An API server that cannot be reached is waited for.
pub async fn start(
    settings: &Settings,
    client: Client,
    readiness: &Readiness,
    shutdown: &Shutdown,
) -> Result<(), StartError> {
    let registry = Registry::new();
    common_metrics::register_process(&registry);
    let installation = Arc::new(settings.installation.clone());
    let metrics = Metrics::new(&registry);
    let (events, event_writer) = Events::new(&client, &settings.identity, metrics.clone());
    let context = Context {
        caches: Caches::new(Arc::clone(&installation), settings.keep_presets),
        installation,
        applied: Arc::new(Applied::default()),
        certificates: Arc::default(),
        events,
        metrics,
        client,
    };
    probes::start(settings, &context.client, readiness, &registry, shutdown).await?;
    let tasks = TaskTracker::new();
    let stop = shutdown.draining().child_token();
    let Watches { synced, for_reviews } = watch_all(&context, &tasks, &stop);
    let reviews = readiness.condition("caches", "reading what reviews are judged by");
    tasks.spawn(stop.clone().run_until_cancelled_owned(await_caches(reviews, for_reviews)));
    serving::start(settings, &context, readiness, shutdown, &tasks, &stop).await?;
    let election = settings.lease.as_ref().map(|name| {
        let namespace = &context.installation.system_namespace;
        Election::new(context.client.clone(), namespace, name, settings.identity.clone())
    });
    let duties = Duties {
        concurrency: settings.concurrency,
        migration_timeout: settings.migration_timeout,
        migration_interval: settings.migration_interval,
    };
    let events_end = CancellationToken::new();
    tasks.spawn(event_writer.run(events_end.clone()));
    shutdown.spawn(async move {
        lead(context, election, synced, duties, &stop).await;
        events_end.cancel();
        tasks.close();
        tasks.wait().await;
    });
    Ok(())
}

/// Every watch. The tokens fire when the caches are filled.
struct Watches {
    synced: Vec<CancellationToken>,
    /// What reviews are judged by, with its name.
    for_reviews: Vec<(&'static str, CancellationToken)>,
}

/// Makes the process ready once its caches hold what reviews are judged by, or after [`CACHES`]: the namespace of the
/// installation may come later, and a list of stored objects may itself need the webhooks to convert them.
async fn await_caches(condition: Condition, caches: Vec<(&'static str, CancellationToken)>) {
    let deadline = Instant::now() + CACHES;
    let mut missing = Vec::new();
    for (what, synced) in caches {
        condition.not_ready(&format!("reading {what}"));
        if !synced.is_cancelled() {
            tracing::info!(what, "readiness waits for a cache");
        }
        if tokio::time::timeout_at(deadline, synced.cancelled()).await.is_err() {
            missing.push(what);
        }
    }
    if !missing.is_empty() {
        tracing::warn!(
            missing = missing.join(", "),
            "ready without every cache: reviews go by defaults until then"
        );
    }
    condition.ready();
}

/// Starts every watch.
fn watch_all(context: &Context, tasks: &TaskTracker, stop: &CancellationToken) -> Watches {
    let mut synced = Vec::new();
    let mut begin = |target: Target, sink: Box<dyn watch::Sink>| {
        let token = CancellationToken::new();
        let (client, metrics) = (context.client.clone(), context.metrics.clone());
        tasks.spawn(watch::run(client, target, sink, metrics, token.clone(), stop.clone()));
        synced.push(token.clone());
        token
    };
    let caches = &context.caches;
    let services = {
        let caches = caches.clone();
        Objects::new(Arc::clone(&context.caches.services), move |before, after| {
            service_changed(&caches, before, after);
        })
    };
    let configs = {
        let caches = caches.clone();
        Objects::new(Arc::clone(&context.caches.configs), move |before, after| {
            config_changed(&caches, before, after);
        })
    };
    begin(Target::all(ApiResource::erase::<LLMInferenceService>(&())), Box::new(services));
    let presets = begin(Target::all(ApiResource::erase::<LLMInferenceServiceConfig>(&())), Box::new(configs));
    let system_namespace = &context.installation.system_namespace;
    let settings = begin(
        watch::settings::target(system_namespace),
        Box::new(watch::settings::Settings::new(caches.clone())),
    );
    let changes = |reference: fn(Key) -> Reference| Box::new(named::Changes::new(caches.clone(), reference));
    begin(named::target::<ConfigMap>(), changes(Reference::ConfigMap));
    begin(named::target::<Secret>(), changes(Reference::Secret));
    begin(named::target::<ServiceAccount>(), changes(Reference::ServiceAccount));
    begin(pods::target(), Box::new(Pods::new(caches.clone())));
    for kind in ChildKind::ALL.into_iter().filter(|it| it.is_builtin()) {
        let owned = Children::new(kind, caches.clone());
        if kind == ChildKind::Service {
            let both = Both(owned, gateway_services::Services::new(caches.clone()));
            begin(Target::all(kind.api_resource()), Box::new(both));
        } else {
            begin(children::target(kind), Box::new(owned));
        }
    }
    let optional = CancellationToken::new();
    synced.push(optional.clone());
    let kinds = OptionalKinds::new(context.clone(), tasks.clone(), stop.clone());
    tasks.spawn(kinds.follow(optional.clone()));
    let for_reviews = vec![
        ("LLMInferenceServiceConfigs", presets),
        ("the settings in ConfigMap inferenceservice-config", settings),
        ("gateways, routes and local models", optional),
    ];
    Watches { synced, for_reviews }
}

/// What the leader does.
#[derive(Debug, Clone, Copy)]
struct Duties {
    /// Services reconciled at a time.
    concurrency: usize,
    migration_timeout: Duration,
    migration_interval: Duration,
}

/// Leads whenever this candidate holds the lease, until `stop`.
async fn lead(
    context: Context,
    mut election: Option<Election>,
    synced: Vec<CancellationToken>,
    duties: Duties,
    stop: &CancellationToken,
) {
    lay_down(&context);
    loop {
        let term = async {
            // Whoever has the lease renews it from then on, so what takes time comes first.
            for cache in &synced {
                cache.cancelled().await;
            }
            if tokio::time::timeout(AUTHORITY, context.certificates.wait()).await.is_err() {
                tracing::warn!(
                    "working without a certificate authority: services show that they wait for it"
                );
            }
            if let Some(election) = &mut election {
                election.acquire().await;
            }
            context.metrics.leads(true);
            let held = async {
                match &mut election {
                    Some(election) => election.hold().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = held => {}
                () = work(&context, duties) => {}
            }
        };
        let is_stopped = tokio::select! {
            () = stop.cancelled() => true,
            () = term => false,
        };
        context.metrics.leads(false);
        if is_stopped {
            break;
        }
        lay_down(&context);
    }
    if let Some(election) = &mut election {
        election.release().await;
    }
}

/// What this process knew of services as their leader goes with its term: the next leader reports on them.
fn lay_down(context: &Context) {
    context.caches.lay_down();
    context.applied.clear();
    context.metrics.no_services();
}

/// Reconciles everything, beginning with what is there.
async fn work(context: &Context, duties: Duties) {
    context.applied.clear();
    context.caches.take_up();
    let services = Controller {
        name: "llminferenceservice",
        queue: context.caches.services_queue.clone(),
        metrics: context.metrics.clone(),
    };
    let configs = Controller {
        name: "llminferenceserviceconfig",
        queue: context.caches.configs_queue.clone(),
        metrics: context.metrics.clone(),
    };
    let for_services = context.clone();
    let for_configs = context.clone();
    let migration =
        storage_version::migrate(context.client.clone(), duties.migration_timeout, duties.migration_interval);
    tokio::join!(
        migration,
        legacy::clean_up(context.client.clone()),
        services.work(duties.concurrency, move |key: Key| {
            let context = for_services.clone();
            async move { Box::pin(reconcile(&context, &key)).await }
        }),
        configs.work(1, move |key: Key| {
            let context = for_configs.clone();
            async move { llmisvcconfig::reconcile(&context, &key).await }
        }),
    );
}
