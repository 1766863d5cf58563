//! Objectives and rewrites, which exist in two groups: what a cluster that serves the current group says there counts
//! alone; the legacy group counts where only that is served. Either group may come and go while the process runs.

use std::pin::Pin;
use std::sync::Arc;

use kube::api::{Api, DynamicObject};
use kube::core::ApiResource;
use kube::runtime::watcher;
use kube::{Client, ResourceExt};
use llmd_api::inference::model_rewrite::{
    self, InferenceModelRewrite, InferenceModelRewriteSpec, RewriteRule,
};
use llmd_api::inference::objective::{self, InferenceObjective, InferenceObjectiveSpec};
use llmd_api::inference::reference::PoolReference;
use llmd_common::kubernetes::watch::Watch;
use llmd_common::report::Report;
use serde::de::DeserializeOwned;

use super::listing::Listing;
use super::pool::PoolApi;
use super::{Kubernetes, Scope};
use crate::policies::rewrites::{Rule, Target};
use crate::policies::{Policies, Rewrite, Rewrites};

/// The two generations of one kind.
#[derive(Debug)]
pub struct Generations<V> {
    current: Listing<V>,
    legacy: Listing<V>,
}

impl<V: PartialEq> Default for Generations<V> {
    fn default() -> Self {
        Self { current: Listing::default(), legacy: Listing::default() }
    }
}

impl<V: PartialEq> Generations<V> {
    /// The objects that count, with their names.
    pub fn objects(&self) -> impl Iterator<Item = (&String, &V)> {
        let listing = if self.current.is_complete() { &self.current } else { &self.legacy };
        listing.objects().iter()
    }
}

/// Which pool an object must refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPool {
    name: String,
    group: &'static str,
}

impl OwnPool {
    fn of(kubernetes: &Kubernetes) -> Self {
        let api = match &kubernetes.scope {
            Scope::Pool { api, .. } => *api,
            Scope::Selector { .. } => PoolApi::V1,
        };
        Self { name: kubernetes.pool_name.clone(), group: api.group() }
    }

    fn is_meant_by(&self, reference: &PoolReference) -> bool {
        reference.name == self.name && reference.group.as_deref().unwrap_or(PoolApi::V1.group()) == self.group
    }

    /// The objective's priority, if it is about this pool.
    fn objective(&self, object: DynamicObject) -> (String, Option<i32>) {
        let name = object.name_any();
        let spec = parse::<InferenceObjectiveSpec>(object).filter(|it| self.is_meant_by(&it.pool_ref));
        (name, spec.map(|it| it.priority.unwrap_or(0)))
    }

    /// The rewrite, if it is about this pool.
    fn rewrite(&self, object: DynamicObject) -> (String, Option<Rewrite>) {
        let name = object.name_any();
        let created = object.metadata.creation_timestamp.as_ref().map_or(0, |it| it.0.as_second());
        let spec = parse::<InferenceModelRewriteSpec>(object).filter(|it| self.is_meant_by(&it.pool_ref));
        let rewrite = spec.map(|it| Rewrite {
            name: name.clone(),
            created,
            rules: it.rules.into_iter().map(rule).collect(),
        });
        (name, rewrite)
    }
}

fn rule(rule: RewriteRule) -> Rule {
    let target = |it: model_rewrite::RewriteTarget| Target {
        model: it.model_rewrite,
        weight: it.weight.and_then(|it| u32::try_from(it).ok()),
    };
    Rule {
        models: rule.matches.into_iter().map(|it| it.model.value).collect(),
        targets: rule.targets.into_iter().map(target).collect(),
    }
}

/// The object's spec, which is the same in both groups; one of another shape is logged and left out.
fn parse<S: DeserializeOwned>(mut object: DynamicObject) -> Option<S> {
    let spec = object.data.get_mut("spec").map(serde_json::Value::take).unwrap_or_default();
    let parsed = serde_json::from_value(spec);
    parsed
        .inspect_err(|error| {
            let kind = object.types.as_ref().map(|it| it.kind.as_str()).unwrap_or_default();
            tracing::error!(kind, name = object.name_any(), error = %Report(error), "the object cannot be read");
        })
        .ok()
}

type Following = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Futures that keep `policies` as the cluster says; they never end.
#[must_use]
pub fn follow_all(client: &Client, kubernetes: &Kubernetes, policies: &Arc<Policies>) -> [Following; 2] {
    let watches = |resources: [ApiResource; 2]| resources.map(|it| watch(client, &kubernetes.namespace, &it));
    let (objectives, rewrites) = (
        watches([
            ApiResource::erase::<InferenceObjective>(&()),
            ApiResource::erase::<objective::legacy::InferenceObjective>(&()),
        ]),
        watches([
            ApiResource::erase::<InferenceModelRewrite>(&()),
            ApiResource::erase::<model_rewrite::legacy::InferenceModelRewrite>(&()),
        ]),
    );
    let pool = OwnPool::of(kubernetes);
    let (pool_of_rewrites, policies_of_rewrites) = (pool.clone(), Arc::clone(policies));
    let policies = Arc::clone(policies);
    let objectives = follow(
        objectives,
        move |it| pool.objective(it),
        move |known| {
            policies.set_priorities(known.objects().map(|(name, it)| (name.clone(), *it)).collect());
        },
    );
    let rewrites = follow(
        rewrites,
        move |it| pool_of_rewrites.rewrite(it),
        move |known| {
            let rewrites = known.objects().map(|(_, it)| it.clone()).collect();
            policies_of_rewrites.set_rewrites(Rewrites::new(rewrites));
        },
    );
    [Box::pin(objectives), Box::pin(rewrites)]
}

fn watch(client: &Client, namespace: &str, resource: &ApiResource) -> Watch<DynamicObject> {
    let what = format!("{}.{} in {namespace}", resource.plural, resource.group);
    let objects = Api::namespaced_with(client.clone(), namespace, resource);
    Watch::new(what, objects, watcher::Config::default())
}

/// Follows both generations of a kind; `publish` is called after every change.
async fn follow<V: PartialEq>(
    watches: [Watch<DynamicObject>; 2],
    reduce: impl Fn(DynamicObject) -> (String, Option<V>),
    publish: impl Fn(&Generations<V>),
) {
    let [mut current, mut legacy] = watches;
    let mut known = Generations::default();
    loop {
        let is_news = tokio::select! {
            seen = current.next() => known.current.see(seen, &reduce),
            seen = legacy.next() => known.legacy.see(seen, &reduce),
        };
        if is_news {
            publish(&known);
        }
    }
}

#[cfg(test)]
mod tests;
