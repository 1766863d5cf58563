//! The objects a service becomes, of whatever kind, in the order in which they are applied.

use kube::Resource;
use kube::core::{ApiResource, GroupVersionKind};
use serde::Serialize;
use serde_json::Value;

/// A kind of child. The order is the order of applying: what pods mount comes before the pods, an account before the
/// Secret with its token, a pool before the route that names it, the workload before its endpoint picker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChildKind {
    ConfigMap,
    ServiceAccount,
    Secret,
    Role,
    RoleBinding,
    ClusterRoleBinding,
    ResourceClaimTemplate,
    Service,
    Deployment,
    LeaderWorkerSet,
    InferencePool,
    InferencePoolV1Alpha2,
    HttpRoute,
    HorizontalPodAutoscaler,
    ScaledObject,
    PodMonitor,
    ServiceMonitor,
}

impl ChildKind {
    /// Every kind, in apply order.
    pub const ALL: [Self; 17] = [
        Self::ConfigMap,
        Self::ServiceAccount,
        Self::Secret,
        Self::Role,
        Self::RoleBinding,
        Self::ClusterRoleBinding,
        Self::ResourceClaimTemplate,
        Self::Service,
        Self::Deployment,
        Self::LeaderWorkerSet,
        Self::InferencePool,
        Self::InferencePoolV1Alpha2,
        Self::HttpRoute,
        Self::HorizontalPodAutoscaler,
        Self::ScaledObject,
        Self::PodMonitor,
        Self::ServiceMonitor,
    ];

    /// Group, version, kind and plural, as the API server spells them.
    const fn spelling(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Self::Secret => ("", "v1", "Secret", "secrets"),
            Self::ServiceAccount => ("", "v1", "ServiceAccount", "serviceaccounts"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::Role => ("rbac.authorization.k8s.io", "v1", "Role", "roles"),
            Self::RoleBinding => ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
            Self::ClusterRoleBinding => {
                ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings")
            }
            Self::ResourceClaimTemplate => {
                ("resource.k8s.io", "v1", "ResourceClaimTemplate", "resourceclaimtemplates")
            }
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::LeaderWorkerSet => {
                ("leaderworkerset.x-k8s.io", "v1", "LeaderWorkerSet", "leaderworkersets")
            }
            Self::InferencePool => ("inference.networking.k8s.io", "v1", "InferencePool", "inferencepools"),
            Self::InferencePoolV1Alpha2 => {
                ("inference.networking.x-k8s.io", "v1alpha2", "InferencePool", "inferencepools")
            }
            Self::HttpRoute => ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
            Self::HorizontalPodAutoscaler => {
                ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
            }
            Self::ScaledObject => ("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects"),
            Self::PodMonitor => ("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors"),
            Self::ServiceMonitor => ("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"),
        }
    }

    /// How clients address objects of this kind.
    #[must_use]
    pub fn api_resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.spelling();
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }

    /// The API group; empty for the core group.
    #[must_use]
    pub const fn group(self) -> &'static str {
        self.spelling().0
    }

    /// The kind's name in manifests.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        self.spelling().2
    }

    /// Whether every API server serves this kind.
    #[must_use]
    pub const fn is_builtin(self) -> bool {
        !matches!(
            self,
            Self::ResourceClaimTemplate
                | Self::LeaderWorkerSet
                | Self::InferencePool
                | Self::InferencePoolV1Alpha2
                | Self::HttpRoute
                | Self::ScaledObject
                | Self::PodMonitor
                | Self::ServiceMonitor
        )
    }

    /// Whether objects of this kind live in a namespace.
    #[must_use]
    pub const fn is_namespaced(self) -> bool {
        !matches!(self, Self::ClusterRoleBinding)
    }
}

/// One object to apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    pub kind: ChildKind,
    /// `None` for a cluster-scoped object.
    pub namespace: Option<String>,
    pub name: String,
    /// The whole object with `apiVersion`, `kind` and `metadata`; without status and without an owner, which
    /// applying adds.
    pub body: Value,
    /// Whether the service owns the object. What is shared by several services or lies outside the namespace is
    /// not owned.
    pub owned: bool,
}

impl Child {
    /// Wraps a typed object that has a name, owned by its service.
    ///
    /// # Panics
    /// When the object cannot be written as JSON, which no Kubernetes type can cause.
    #[must_use]
    pub fn new<K: Resource + Serialize>(kind: ChildKind, object: &K) -> Self {
        let mut body = serde_json::to_value(object).expect("Kubernetes objects are JSON");
        let resource = kind.api_resource();
        body["apiVersion"] = resource.api_version.into();
        body["kind"] = resource.kind.into();
        body.as_object_mut().into_iter().for_each(|it| drop(it.remove("status")));
        Self {
            kind,
            namespace: object.meta().namespace.clone(),
            name: object.meta().name.clone().unwrap_or_default(),
            body,
            owned: true,
        }
    }

    /// The same object without an owner.
    #[must_use]
    pub fn unowned(self) -> Self {
        Self { owned: false, ..self }
    }
}
