//! The workloads a service consists of: the main one, and with disaggregation the one that prefills.

use k8s_openapi::api::core::v1::PodSpec;
use llmd_api::serving::v1alpha2::WorkloadSpec;

use crate::children::ChildKind;
use crate::llmisvc::service::Service;

/// Which workload of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadRole {
    /// The only workload, or the decode side of a disaggregated service.
    Main,
    /// The workload that prefills for the main one.
    Prefill,
}

/// Where a pod stands in its workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PodPosition {
    /// Pod of a Deployment.
    Single,
    /// First pod of a group, the one that serves.
    Leader,
    /// Any other pod of a group.
    Worker,
}

/// One workload of one service.
#[derive(Debug, Clone, Copy)]
pub struct Workload<'a> {
    pub service: &'a Service,
    pub role: WorkloadRole,
    pub spec: &'a WorkloadSpec,
}

impl<'a> Workload<'a> {
    /// The main workload, which every service has.
    #[must_use]
    pub const fn main(service: &'a Service) -> Self {
        Self { service, role: WorkloadRole::Main, spec: &service.spec.workload }
    }

    /// The prefill workload of a disaggregated service.
    #[must_use]
    pub fn prefill(service: &'a Service) -> Option<Self> {
        let spec = service.spec.prefill.as_ref()?;
        Some(Self { service, role: WorkloadRole::Prefill, spec })
    }

    /// The workload of this role, if the service has it.
    #[must_use]
    pub fn get(service: &'a Service, role: WorkloadRole) -> Option<Self> {
        match role {
            WorkloadRole::Main => Some(Self::main(service)),
            WorkloadRole::Prefill => Self::prefill(service),
        }
    }

    /// Every workload of the service, the main one first.
    pub fn all(service: &'a Service) -> impl Iterator<Item = Self> {
        std::iter::once(Self::main(service)).chain(Self::prefill(service))
    }

    /// Whether this is the prefill workload.
    #[must_use]
    pub fn is_prefill(&self) -> bool {
        self.role == WorkloadRole::Prefill
    }

    /// Whether the workload is made of groups of pods.
    #[must_use]
    pub const fn is_multi_node(&self) -> bool {
        self.spec.worker.is_some()
    }

    /// Kind of the object that runs the pods: what scaling targets and status reads.
    #[must_use]
    pub const fn kind(&self) -> ChildKind {
        if self.is_multi_node() { ChildKind::LeaderWorkerSet } else { ChildKind::Deployment }
    }

    /// Name of the object that runs the pods.
    #[must_use]
    pub fn name(&self) -> String {
        let names = self.service.names();
        match (self.role, self.is_multi_node()) {
            (WorkloadRole::Main, false) => names.workload(),
            (WorkloadRole::Main, true) => names.multi_node(),
            (WorkloadRole::Prefill, false) => names.prefill(),
            (WorkloadRole::Prefill, true) => names.multi_node_prefill(),
        }
    }

    /// The replicas to apply. Those not given are left to whoever scales; as long as nobody does, the live ones stay,
    /// because no longer applying what this controller alone has set would reset them to one.
    #[must_use]
    pub fn replicas(&self) -> Option<i32> {
        let live = &self.service.facts.live;
        let name = self.name();
        let held = if self.is_multi_node() {
            live.leader_worker_set(&name).and_then(|it| it.held_replicas)
        } else {
            live.deployment(&name).and_then(|it| it.held_replicas)
        };
        self.spec.replicas.or(held)
    }

    /// JSON path of the workload in the manifest.
    #[must_use]
    pub const fn path(&self) -> &'static str {
        match self.role {
            WorkloadRole::Main => "spec",
            WorkloadRole::Prefill => "spec.prefill",
        }
    }

    /// JSON path of the pod spec at `position`.
    #[must_use]
    pub fn pod_path(&self, position: PodPosition) -> String {
        let pod = match position {
            PodPosition::Single | PodPosition::Leader => "template",
            PodPosition::Worker => "worker",
        };
        format!("{}.{pod}", self.path())
    }

    /// The pod spec that the user or a preset gives for this position.
    #[must_use]
    pub const fn pod_spec(&self, position: PodPosition) -> Option<&'a PodSpec> {
        match position {
            PodPosition::Single | PodPosition::Leader => self.spec.template.as_ref(),
            PodPosition::Worker => self.spec.worker.as_ref(),
        }
    }

    /// The positions that the workload's pods have. Without a template of its own a leader is made from the worker's.
    #[must_use]
    pub const fn positions(&self) -> &'static [PodPosition] {
        match (self.is_multi_node(), self.spec.template.is_some()) {
            (false, _) => &[PodPosition::Single],
            (true, true) => &[PodPosition::Leader, PodPosition::Worker],
            (true, false) => &[PodPosition::Worker],
        }
    }

    /// The pod specs of the workload, by position.
    pub fn pods(&self) -> impl Iterator<Item = (PodPosition, &'a PodSpec)> + use<'a> {
        let workload = *self;
        self.positions().iter().filter_map(move |&it| Some((it, workload.pod_spec(it)?)))
    }
}
