//! Autoscaling: a HorizontalPodAutoscaler or a KEDA ScaledObject for each workload that asks for one.
//!
//! Two modes. With `wva` the workload variant autoscaler decides: it publishes the replicas that it wants as a metric,
//! and the object made here follows it. With `keda` the user's own triggers decide.

use std::collections::BTreeMap;

use kube::core::ObjectMeta;
use llmd_api::autoscaling::ScaleTarget;
use llmd_api::meta::component;
use llmd_api::serving::conditions::{MAIN_WORKLOAD_READY, PREFILL_WORKLOAD_READY};
use llmd_api::serving::v1alpha2::{DirectKedaSpec, HpaActuator, KedaTuning, ScalingSpec};

use crate::children::{Child, ChildKind};
use crate::llmisvc::render::workload::Workload;
use crate::llmisvc::section::SectionError;
use crate::llmisvc::service::Service;

mod hpa;
mod keda;
mod wva;

/// Label: the accelerator that a workload runs on; users set it in `spec.labels`.
const ACCELERATOR: &str = "inference.optimization/acceleratorName";

/// A workload with its scaling.
struct Scaled<'a> {
    workload: Workload<'a>,
    scaling: &'a ScalingSpec,
}

/// What scales a workload.
enum Actuator<'a> {
    /// A HorizontalPodAutoscaler that follows the variant autoscaler.
    Hpa(&'a HpaActuator),
    /// A ScaledObject that follows the variant autoscaler.
    WvaKeda(&'a KedaTuning),
    /// A ScaledObject with the user's triggers.
    Keda(&'a DirectKedaSpec),
}

/// The objects of this part.
#[must_use]
pub fn render(service: &Service) -> Vec<Child> {
    scaled(service).filter_map(|it| Some(it.render(&it.actuator()?))).collect()
}

/// What keeps the objects of this part from being rendered.
#[must_use]
pub fn check(service: &Service) -> Vec<SectionError> {
    scaled(service).filter_map(|it| it.check()).collect()
}

/// The workloads that ask to be scaled.
fn scaled(service: &Service) -> impl Iterator<Item = Scaled<'_>> {
    Workload::all(service)
        .filter_map(|workload| Some(Scaled { workload, scaling: workload.spec.scaling.as_ref()? }))
}

impl<'a> Scaled<'a> {
    fn actuator(&self) -> Option<Actuator<'a>> {
        if let Some(keda) = &self.scaling.keda {
            return Some(Actuator::Keda(keda));
        }
        let wva = self.scaling.wva.as_ref()?;
        wva.keda.as_ref().map(Actuator::WvaKeda).or_else(|| wva.hpa.as_ref().map(Actuator::Hpa))
    }

    fn render(&self, actuator: &Actuator<'_>) -> Child {
        match actuator {
            Actuator::Hpa(hpa) => hpa::render(self, hpa),
            Actuator::WvaKeda(tuning) => keda::render_following(self, tuning),
            Actuator::Keda(keda) => keda::render_triggered(self, keda),
        }
    }

    fn check(&self) -> Option<SectionError> {
        let (reason, message) = match self.actuator()? {
            Actuator::Hpa(_) => return None,
            Actuator::WvaKeda(_) | Actuator::Keda(_)
                if !self.workload.service.facts.apis.serve(ChildKind::ScaledObject) =>
            {
                ("ScalingCRDNotFound", format!("{}: {NO_KEDA}", self.path()))
            }
            Actuator::WvaKeda(_) => {
                let problem = keda::check_prometheus(&self.workload.service.settings.autoscaling.prometheus)?;
                ("ReconcileScalingError", format!("{}: {problem}", self.path()))
            }
            Actuator::Keda(_) => return None,
        };
        let condition = if self.workload.is_prefill() { PREFILL_WORKLOAD_READY } else { MAIN_WORKLOAD_READY };
        Some(SectionError::new(condition, reason, message))
    }

    /// JSON path of the scaling.
    fn path(&self) -> String {
        format!("{}.scaling", self.workload.path())
    }

    /// Fewest replicas that the autoscaler keeps.
    fn min_replicas(&self) -> i32 {
        self.scaling.min_replicas.unwrap_or(1)
    }

    /// The object whose replicas are set.
    fn target(&self) -> ScaleTarget {
        let resource = self.workload.kind().api_resource();
        ScaleTarget {
            api_version: Some(resource.api_version),
            kind: Some(resource.kind),
            name: self.workload.name(),
        }
    }

    fn metadata(&self, name: String) -> ObjectMeta {
        let service = self.workload.service;
        service.child_meta(name, service.child_labels(component::WORKLOAD))
    }

    /// Metadata by which the variant autoscaler finds the object and knows what it scales.
    fn wva_metadata(&self, name: String) -> ObjectMeta {
        let mut labels = self.workload.service.child_labels(component::WORKLOAD);
        let accelerator = self.workload.spec.labels.get(ACCELERATOR).map_or("unknown", String::as_str);
        labels.insert(ACCELERATOR.to_owned(), accelerator.to_owned());
        let annotations: BTreeMap<String, String> = wva::annotations(self);
        ObjectMeta { labels: Some(labels), annotations: Some(annotations), ..self.metadata(name) }
    }
}

const NO_KEDA: &str = "the cluster does not serve scaledobjects.keda.sh; install KEDA, or scale with wva.hpa";

#[cfg(test)]
mod tests;
