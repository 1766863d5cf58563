//! What is known of a service's objects as they are in the cluster, cut down to what decisions need.
//!
//! The watches of the process keep these records instead of whole objects, so a thousand services fit in little
//! memory. Rendering reads them only where the live object must be respected (immutable selectors, values that
//! an upgrade must not change); status reads them for readiness.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use llmd_api::autoscaling::KedaCondition;
use llmd_api::gateway::{HttpRouteSpec, HttpRouteStatus};
use llmd_api::inference::{pool_v1, pool_v1alpha2};

use crate::children::ChildKind;

pub mod convert;
pub mod store;

/// One live object that carries the label of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveChild {
    pub kind: ChildKind,
    pub namespace: Option<String>,
    pub name: String,
    pub uid: String,
    /// Uid of the controlling owner.
    pub owner_uid: Option<String>,
    /// The service's name by label.
    pub service: String,
    pub resource_version: String,
    pub generation: i64,
    pub deleting: bool,
    /// Hash of the set of fields that this controller applied and still owns, from `metadata.managedFields`. Whoever
    /// changes or removes such a field takes it out of the set, so equal digests mean that nobody edited what this
    /// controller wrote; what others added beside it does not count.
    pub digest: u64,
    /// Written by KServe's controller and not yet by this one: its fields have to be taken over first.
    pub adoptable: bool,
    pub detail: LiveDetail,
}

/// What of the object matters, by kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum LiveDetail {
    #[default]
    None,
    Deployment(Box<LiveDeployment>),
    LeaderWorkerSet(Box<LiveLeaderWorkerSet>),
    HorizontalPodAutoscaler(LiveHpa),
    ScaledObject(Vec<KedaCondition>),
    HttpRoute(Arc<LiveRoute>),
    InferencePool(Box<pool_v1::InferencePoolStatus>),
    InferencePoolV1Alpha2(Box<pool_v1alpha2::InferencePoolStatus>),
    Service(Vec<IpAddr>),
    Certificate(Arc<LiveCertificate>),
}

/// A Deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveDeployment {
    pub selector: BTreeMap<String, String>,
    pub pod: LivePodTemplate,
    /// `spec.replicas` while nobody but this controller sets it; `None` as soon as someone else scales.
    pub held_replicas: Option<i32>,
    pub status: LiveDeploymentStatus,
}

/// What the Deployment controller reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveDeploymentStatus {
    pub observed_generation: i64,
    pub replicas: i32,
    pub available_replicas: i32,
    /// Type, status, reason, message.
    pub conditions: Vec<LiveCondition>,
}

/// A condition, whatever its kind's own type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveCondition {
    pub type_: String,
    pub status: String,
    pub reason: String,
    pub message: String,
}

/// The values of a running pod template that an upgrade of the controller must not change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LivePodTemplate {
    /// Image of the init container `storage-initializer`.
    pub storage_initializer_image: Option<String>,
    /// Whether that container has environment variables that start with `HF_`.
    pub storage_initializer_has_hf_env: bool,
    /// The flag and the value that give the endpoint picker its configuration, as they stand in the arguments.
    pub scheduler_config_args: Vec<String>,
}

/// A LeaderWorkerSet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LiveLeaderWorkerSet {
    pub leader: LivePodTemplate,
    pub worker: LivePodTemplate,
    pub sub_group_size: Option<i32>,
    /// `spec.replicas` while nobody but this controller sets it; `None` as soon as someone else scales.
    pub held_replicas: Option<i32>,
    pub ready_replicas: i32,
    pub status_replicas: i32,
    pub conditions: Vec<Condition>,
}

/// A HorizontalPodAutoscaler's conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveHpa {
    pub conditions: Vec<LiveCondition>,
}

/// An HTTPRoute.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LiveRoute {
    pub annotations: BTreeMap<String, String>,
    pub spec: HttpRouteSpec,
    pub status: HttpRouteStatus,
}

/// The service's certificate Secret: PEM as it is mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveCertificate {
    pub annotations: BTreeMap<String, String>,
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
    pub ca: Vec<u8>,
}

/// All live objects of one service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LiveChildren {
    pub children: Vec<LiveChild>,
    /// Addresses of the service's pods, the endpoint picker's left out.
    pub pod_ips: Vec<IpAddr>,
}

impl LiveChildren {
    /// The live object of this kind and name, unless it is being deleted.
    #[must_use]
    pub fn get(&self, kind: ChildKind, name: &str) -> Option<&LiveChild> {
        self.children.iter().find(|it| it.kind == kind && it.name == name && !it.deleting)
    }

    /// The live Deployment of this name.
    #[must_use]
    pub fn deployment(&self, name: &str) -> Option<&LiveDeployment> {
        match &self.get(ChildKind::Deployment, name)?.detail {
            LiveDetail::Deployment(it) => Some(it),
            _ => None,
        }
    }

    /// The live LeaderWorkerSet of this name.
    #[must_use]
    pub fn leader_worker_set(&self, name: &str) -> Option<&LiveLeaderWorkerSet> {
        match &self.get(ChildKind::LeaderWorkerSet, name)?.detail {
            LiveDetail::LeaderWorkerSet(it) => Some(it),
            _ => None,
        }
    }

    /// The live HTTPRoute of this name.
    #[must_use]
    pub fn route(&self, name: &str) -> Option<&LiveRoute> {
        match &self.get(ChildKind::HttpRoute, name)?.detail {
            LiveDetail::HttpRoute(it) => Some(it),
            _ => None,
        }
    }
}
