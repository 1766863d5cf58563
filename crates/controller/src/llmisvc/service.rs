//! A service as rendering sees it: effective spec, identity, facts.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use llmd_api::meta;
use llmd_api::serving::v1alpha2::{LLMInferenceService, LLMInferenceServiceSpec};

use super::facts::Facts;
use crate::names::Names;
use crate::settings::{ClusterSettings, Installation};

/// Everything that the rendered objects depend on. Equal services render to equal bytes.
#[derive(Debug, Clone)]
pub struct Service {
    pub namespace: String,
    pub name: String,
    /// Empty when rendered offline.
    pub uid: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Presets, baseRefs and the service's own spec, combined and with every template filled in.
    pub spec: LLMInferenceServiceSpec,
    pub installation: Arc<Installation>,
    pub settings: Arc<ClusterSettings>,
    pub facts: Facts,
}

impl Service {
    /// The service `object` with its effective `spec` and what was found out about its surroundings.
    #[must_use]
    pub fn new(
        object: &LLMInferenceService,
        spec: LLMInferenceServiceSpec,
        installation: Arc<Installation>,
        settings: Arc<ClusterSettings>,
        facts: Facts,
    ) -> Self {
        let text = |it: &Option<String>| it.clone().unwrap_or_default();
        Self {
            namespace: text(&object.metadata.namespace),
            name: text(&object.metadata.name),
            uid: text(&object.metadata.uid),
            labels: object.metadata.labels.clone().unwrap_or_default(),
            annotations: object.metadata.annotations.clone().unwrap_or_default(),
            spec,
            installation,
            settings,
            facts,
        }
    }

    /// Names of the children.
    #[must_use]
    pub fn names(&self) -> Names<'_> {
        Names::new(&self.namespace, &self.name)
    }

    /// Whether the user asked to stop: every child goes, the service stays.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        meta::is_stopped(&self.annotations)
    }

    /// Whether prefill runs on pods of its own.
    #[must_use]
    pub const fn is_disaggregated(&self) -> bool {
        self.spec.prefill.is_some()
    }

    /// The model's name as clients send it.
    #[must_use]
    pub fn model_name(&self) -> &str {
        self.spec
            .model
            .as_ref()
            .and_then(|it| it.name.as_deref())
            .filter(|it| !it.is_empty())
            .unwrap_or(&self.name)
    }

    /// The pool that the service's pods are members of: the user's, or the managed one.
    #[must_use]
    pub fn pool_name(&self) -> String {
        let scheduler = self.spec.router.as_ref().and_then(|it| it.scheduler.as_ref());
        let reference = scheduler.and_then(|it| it.pool.as_ref()).and_then(|it| it.reference.as_ref());
        reference.map_or_else(|| self.names().pool(), |it| it.name.clone())
    }

    /// Metadata of a child in the service's namespace.
    #[must_use]
    pub fn child_meta(&self, name: String, labels: BTreeMap<String, String>) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.namespace.clone()),
            labels: Some(labels),
            ..Default::default()
        }
    }

    /// Selector of the Deployment `name`: the live one, which cannot be changed, or that of a `new` one.
    #[must_use]
    pub fn selector(
        &self,
        name: &str,
        new: impl FnOnce() -> BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let live = self.facts.live.deployment(name).map(|it| &it.selector);
        live.filter(|it| !it.is_empty()).cloned().unwrap_or_else(new)
    }

    /// The labels that every child carries, with its role: `name`, `part-of` and `component`.
    #[must_use]
    pub fn child_labels(&self, component: &str) -> BTreeMap<String, String> {
        BTreeMap::from([
            (meta::NAME.to_owned(), self.name.clone()),
            (meta::PART_OF.to_owned(), meta::PART_OF_VALUE.to_owned()),
            (meta::COMPONENT.to_owned(), component.to_owned()),
        ])
    }
}
