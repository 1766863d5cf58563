//! Learns the members from the API server: one watch on the pool, and one on the pods that its selector selects.
//!
//! A watch that breaks off begins again after a pause, for as long as the process runs; meanwhile the last known
//! members count. A pool that does not exist has no members, and neither has one whose selector is empty.
//!
//! Needs `get`, `list` and `watch` on `pods` and on the group's `inferencepools`, in the pool's namespace.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::fmt;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use kube::api::{Api, DynamicObject};
use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::utils::{self, ResetTimerBackoff};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Config};
use llmd_api::inference::{pool_v1, pool_v1alpha2};
use llmd_common::backoff::Backoff;
use llmd_common::ready::Condition;
use llmd_common::report::Report;

use super::members::{Member, Members};
use super::{Allowlist, Host};
use crate::config::pool::{PoolGroup, PoolName, SsrfProtection};

/// Between the first two attempts; later pauses double.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Without a failure for so long, the pauses start over.
const RESET_AFTER: Duration = Duration::from_secs(60);

type Events = BoxStream<'static, watcher::Result<Event<DynamicObject>>>;

/// Why the API server cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file of `--kubeconfig`.
    #[error("cannot use --kubeconfig")]
    Kubeconfig(#[source] KubeconfigError),
    /// Neither a pod's service account nor a kubeconfig.
    #[error("this is no pod with a service account and there is no kubeconfig: give --kubeconfig")]
    Infer(#[source] InferConfigError),
    /// What was found makes no client.
    #[error("cannot make a client of the API server")]
    Client(#[source] kube::Error),
}

/// A pool and the API server that has it.
pub struct PoolWatch {
    client: Client,
    pool: PoolName,
}

impl fmt::Debug for PoolWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolWatch").field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl PoolWatch {
    /// Prepares the watch; nothing is sent yet.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn new(protection: &SsrfProtection) -> Result<Self, ConnectError> {
        let config = match &protection.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path).map_err(ConnectError::Kubeconfig)?;
                let options = KubeConfigOptions::default();
                Config::from_custom_kubeconfig(file, &options).await.map_err(ConnectError::Kubeconfig)?
            }
            None => Config::infer().await.map_err(ConnectError::Infer)?,
        };
        let client = Client::try_from(config).map_err(ConnectError::Client)?;
        Ok(Self { client, pool: protection.pool.clone() })
    }

    /// Keeps `allowlist` at the pool's members; `condition` is met once they are known. Runs until it is dropped.
    pub async fn follow(self, allowlist: Allowlist, condition: Condition) {
        let Self { client, pool } = self;
        let resource = match pool.group {
            PoolGroup::V1 => ApiResource::erase::<pool_v1::InferencePool>(&()),
            PoolGroup::V1Alpha2 => ApiResource::erase::<pool_v1alpha2::InferencePool>(&()),
        };
        let api = Api::namespaced_with(client.clone(), &pool.namespace, &resource);
        let by_name = watcher::Config::default().fields(&format!("metadata.name={}", pool.name));
        let mut pools = events(api, by_name);
        let mut follower = Follower {
            client,
            pool,
            allowlist,
            condition,
            listed: None,
            selector: None,
            pods: stream::pending().boxed(),
            members: Members::default(),
        };
        loop {
            // Neither stream ends: after a failure a watcher starts over.
            tokio::select! {
                Some(event) = pools.next() => follower.hear_of_pool(event),
                Some(event) = follower.pods.next() => follower.hear_of_pod(event),
                else => return,
            }
        }
    }
}

fn events(api: Api<DynamicObject>, config: watcher::Config) -> Events {
    let pauses = ResetTimerBackoff::new(Pauses(Backoff::new(FIRST_PAUSE, LONGEST_PAUSE)), RESET_AFTER);
    watcher(api, config).backoff(pauses).boxed()
}

/// The pauses between attempts. They stay shorter than kube's own: until the next attempt succeeds, a pod that has
/// gone counts as a member.
struct Pauses(Backoff);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.0.next_delay(rand::random()))
    }
}

impl utils::Backoff for Pauses {
    fn reset(&mut self) {
        self.0.reset();
    }
}

struct Follower {
    client: Client,
    pool: PoolName,
    allowlist: Allowlist,
    condition: Condition,
    /// The selector that a list of pools under way has brought.
    listed: Option<String>,
    /// The selector whose pods are watched; `None` without a pool.
    selector: Option<String>,
    pods: Events,
    members: Members,
}

impl Follower {
    fn hear_of_pool(&mut self, event: watcher::Result<Event<DynamicObject>>) {
        match event {
            Ok(Event::Init) => self.listed = None,
            Ok(Event::InitApply(pool)) => self.listed = selector(self.pool.group, pool),
            Ok(Event::InitDone) => {
                let listed = self.listed.take();
                self.select(listed);
            }
            Ok(Event::Apply(pool)) => self.select(selector(self.pool.group, pool)),
            Ok(Event::Delete(_)) => self.select(None),
            Err(error) => self.failed("InferencePool", &error),
        }
    }

    fn hear_of_pod(&mut self, event: watcher::Result<Event<DynamicObject>>) {
        match event.map(members_event) {
            Ok(event) => {
                if let Some(hosts) = self.members.take(event) {
                    self.publish(hosts);
                }
            }
            Err(error) => self.failed("Pod", &error),
        }
    }

    /// Watches the pods of another selector. The former members count until the new ones are listed.
    fn select(&mut self, selector: Option<String>) {
        match selector {
            None => {
                let pool = &self.pool;
                tracing::warn!(%pool, "no such InferencePool, or one that selects nothing: no endpoint is allowed");
                self.pods = stream::pending().boxed();
                self.selector = None;
                self.publish(HashSet::new());
            }
            Some(selector) if self.selector.as_ref() != Some(&selector) => {
                tracing::info!(pool = %self.pool, selector, "allowing the pods of the InferencePool");
                let pod = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
                let api = Api::namespaced_with(self.client.clone(), &self.pool.namespace, &pod);
                self.pods = events(api, watcher::Config::default().labels(&selector));
                self.members = Members::default();
                self.selector = Some(selector);
            }
            Some(_) => {}
        }
    }

    fn publish(&self, hosts: HashSet<Host>) {
        self.allowlist.publish(hosts);
        self.condition.ready();
    }

    fn failed(&self, kind: &str, error: &watcher::Error) {
        let error = root(error);
        tracing::warn!(kind, %error, "watch failed; it starts again after a while");
        if !self.allowlist.is_known() {
            self.condition.not_ready(&format!("cannot watch the {kind}: {error}"));
        }
    }
}

/// The innermost cause: the layers above it say the same again, at length.
fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}

/// The label selector of a pool's pods; `None` when it is empty or the pool cannot be read.
fn selector(group: PoolGroup, pool: DynamicObject) -> Option<String> {
    let labels = match group {
        PoolGroup::V1 => pool.try_parse::<pool_v1::InferencePool>().map(|it| it.spec.selector.match_labels),
        PoolGroup::V1Alpha2 => pool.try_parse::<pool_v1alpha2::InferencePool>().map(|it| it.spec.selector),
    };
    match labels {
        Ok(labels) => Some(label_selector(&labels)).filter(|it| !it.is_empty()),
        Err(error) => {
            tracing::error!(error = %Report(&error), "the InferencePool cannot be read");
            None
        }
    }
}

fn label_selector(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

fn members_event(event: Event<DynamicObject>) -> Event<Member> {
    match event {
        Event::Init => Event::Init,
        Event::InitApply(pod) => Event::InitApply(Member::of(&pod)),
        Event::InitDone => Event::InitDone,
        Event::Apply(pod) => Event::Apply(Member::of(&pod)),
        Event::Delete(pod) => Event::Delete(Member::of(&pod)),
    }
}
